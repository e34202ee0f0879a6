"""PDFs written by hand: good ones, locked ones, cut ones, and bombs."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from itertools import count

Text = tuple[float, float, float, str]
"""Left, baseline, size and words."""

_PAD = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")
_ID = b"headwater-hostile"[:16]
_PERMISSIONS = -44


def rc4(key: bytes, data: bytes) -> bytes:
    state, j = list(range(256)), 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    i, j, out = 0, 0, bytearray()
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


class Pdf:
    """Objects, gathered and written with their cross-reference table."""

    def __init__(self) -> None:
        self.objects: dict[int, bytes] = {}
        self._numbers = count(1)
        self.catalog, self.pages = next(self._numbers), next(self._numbers)
        self.font = self.add(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
        self.kids: list[int] = []
        self.trailer = b""

    def reserve(self) -> int:
        return next(self._numbers)

    def add(self, body: bytes) -> int:
        number = self.reserve()
        self.objects[number] = body
        return number

    def stream(self, data: bytes, entries: bytes = b"") -> int:
        return self.add(b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), entries, data))

    def page(self, content: int, resources: bytes = b"") -> None:
        own = b"/Font << /F1 %d 0 R >> %s" % (self.font, resources)
        self.kids.append(
            self.add(
                b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources << %s >> >>"
                % (self.pages, content, own)
            )
        )

    def bytes(self) -> bytes:
        kids = b" ".join(b"%d 0 R" % kid for kid in self.kids)
        self.objects.setdefault(self.pages, b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(self.kids)))
        self.objects[self.catalog] = b"<< /Type /Catalog /Pages %d 0 R >>" % self.pages
        out, places = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), dict[int, int]()
        for number, body in sorted(self.objects.items()):
            places[number] = len(out)
            out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
        start, size = len(out), max(self.objects) + 1
        out += b"xref\n0 %d\n0000000000 65535 f \n" % size
        out += b"".join(b"%010d 00000 n \n" % places.get(number, 0) for number in range(1, size))
        out += b"trailer\n<< /Size %d /Root %d 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (
            size, self.catalog, self.trailer, start,
        )  # fmt: skip
        return bytes(out)


def shown(texts: Sequence[Text]) -> bytes:
    """The content stream that shows some texts."""
    lines = []
    for left, baseline, size, words in texts:
        escaped = words.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        lines.append(f"BT /F1 {size:g} Tf {left:g} {baseline:g} Td ({escaped}) Tj ET")
    return "\n".join(lines).encode("latin-1")


def pdf(pages: Sequence[Sequence[Text]], drawn: bytes = b"") -> bytes:
    document = Pdf()
    for texts in pages:
        document.page(document.stream(drawn + b"\n" + shown(texts)))
    return document.bytes()


def locked(password: bytes, words: str) -> bytes:
    """Encrypted with RC4, 40 bits (ISO 32000-1, 7.6.3). With an empty password anybody may open it."""
    user, document = (password + _PAD)[:32], Pdf()
    owner = rc4(hashlib.md5((b"owner" + _PAD)[:32]).digest()[:5], user)
    permissions = _PERMISSIONS.to_bytes(4, "little", signed=True)
    key = hashlib.md5(user + owner + permissions + _ID).digest()[:5]
    content = document.reserve()
    own = hashlib.md5(key + content.to_bytes(3, "little") + b"\0\0").digest()[:10]
    data = rc4(own, shown([(72, 700, 12, words)]))
    document.objects[content] = b"<< /Length %d >>\nstream\n%s\nendstream" % (len(data), data)
    document.page(content)
    lock = document.add(
        b"<< /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P %d >>"
        % (owner.hex().encode(), rc4(key, _PAD).hex().encode(), _PERMISSIONS)
    )
    name = _ID.hex().encode()
    document.trailer = b"/Encrypt %d 0 R /ID [<%s> <%s>]" % (lock, name, name)
    return document.bytes()


def scanned() -> bytes:
    """A page that is one picture."""
    document = Pdf()
    picture = document.stream(
        zlib.compress(bytes(range(64)) * 64, 9),
        b"/Type /XObject /Subtype /Image /Width 64 /Height 64 /BitsPerComponent 8 /ColorSpace /DeviceGray "
        b"/Filter /FlateDecode",
    )
    document.page(document.stream(b"612 0 0 792 0 0 cm /Im1 Do"), b"/XObject << /Im1 %d 0 R >>" % picture)
    return document.bytes()


def packed_twice(megabytes: int) -> bytes:
    """A content stream that unpacks to very much, twice compressed."""
    packer, packed = zlib.compressobj(9), bytearray()
    for _ in range(megabytes):
        packed += packer.compress(b"0 0 m " * (1024 * 1024 // 6))
    packed += packer.flush()
    document = Pdf()
    document.page(document.stream(zlib.compress(bytes(packed), 9), b"/Filter [/FlateDecode /FlateDecode]"))
    return document.bytes()


def forms_in_forms(depth: int, width: int) -> bytes:
    """Each form shows the next one many times: width to the power of depth texts."""
    document = Pdf()
    last = document.stream(
        b"BT /F1 9 Tf 72 700 Td (laugh) Tj ET",
        b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /Font << /F1 %d 0 R >> >>" % document.font,
    )
    for _ in range(depth):
        last = document.stream(
            b"/X Do " * width,
            b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /XObject << /X %d 0 R >> >>" % last,
        )
    document.page(document.stream(b"/X Do"), b"/XObject << /X %d 0 R >>" % last)
    return document.bytes()


def circular() -> bytes:
    """A tree of pages that stands in itself."""
    document = Pdf()
    document.page(document.stream(shown([(72, 700, 12, "One page of a circle.")])))
    document.objects[document.pages] = (
        b"<< /Type /Pages /Count 100000 /Kids [%d 0 R %d 0 R] >>" % (document.kids[0], document.pages)
    )  # fmt: skip
    return document.bytes()


def many_paths(number: int) -> bytes:
    """A page of lines, as a plan or a map has."""
    document = Pdf()
    drawn = b"\n".join(b"%d %d m %d %d l S" % (n % 600, n % 780, n * 7 % 600, n * 3 % 780) for n in range(number))
    content = drawn + b"\n" + shown([(72, 700, 12, "A map of many lines.")])
    document.page(document.stream(zlib.compress(content, 9), b"/Filter /FlateDecode"))
    return document.bytes()


def ruled(rows: Sequence[Sequence[str]]) -> bytes:
    """A page with a heading, a paragraph, and a table with rules."""
    texts: list[Text] = [(72, 720, 18, "Rents"), (72, 690, 11, "What each flat costs is in the table.")]
    drawn = list(_grid(72, 660, len(rows), len(rows[0])))
    for n, row in enumerate(rows):
        texts += [(78 + 150 * m, 646 - 20 * n, 11, cell) for m, cell in enumerate(row)]
    texts.append((72, 620 - 20 * len(rows), 11, "Water is included."))
    return pdf([texts], b"\n".join(drawn))


def _grid(left: int, top: int, rows: int, columns: int) -> Iterator[bytes]:
    bottom, right = top - 20 * rows, left + 150 * columns
    for n in range(rows + 1):
        yield b"%d %d m %d %d l S" % (left, top - 20 * n, right, top - 20 * n)
    for n in range(columns + 1):
        yield b"%d %d m %d %d l S" % (left + 150 * n, top, left + 150 * n, bottom)
