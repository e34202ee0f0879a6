"""From bytes to text: what a body is encoded in, or why it can't be text. What could be otherwise is not guessed."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from processors.contract import Reject
from processors.ingest.media import media_type_of

__all__ = ["Decoded", "Detector", "decoded"]

Detector = Callable[[bytes], str | None]
"""Says which charset bytes are in, None where it can't be sure."""

BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# What the head of a text may say of its own encoding: HTML 4.2.5.4, XML 4.3.3, PEP 263.
_XML: Final = re.compile(rb"\A\s{0,100}<\?xml[^>]{0,200}encoding=[\"']([A-Za-z0-9_.:-]{2,40})")
_DECLARED_INSIDE: Final = {
    "text/html": re.compile(rb"<meta[^>]{0,200}charset=[\"']?([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE),
    "application/xml": _XML,
    "application/xhtml+xml": _XML,
    "text/x-python": re.compile(rb"\A(?:[^\n]{0,200}\n)?[ \t\f]*#[^\n]{0,80}coding[:=][ \t]*([-\w.]{2,40})"),
}
HEAD_BYTES: Final = 1024

# Labels that are used for their larger Windows relatives (Encoding Standard, 4.2).
_MEANT: Final = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-9": "cp1254",
}

# Text has next to no control characters; a share above this is a format of its own.
MOST_CONTROLS: Final = 0.02
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f]")
_WIDE_SAMPLE_BYTES: Final = 4096
_MOST_ZEROS: Final = 0.4
_FEW_ZEROS: Final = 0.02


class Decoded(NamedTuple):
    """A text, and the charset that was found where nobody had said it."""

    text: str
    detected: str = ""


def decoded(body: bytes, declared: str, detect: Detector = lambda _: None) -> Decoded:
    """The text of a body: by its byte order mark, else by the charset that is declared, else as UTF-8.

    What is no UTF-8 and says nothing is asked of `detect`, and refused where that is not sure: a wrong guess would be
    indexed and cited. Raises Reject with the offset of what does not fit.

    >>> decoded("naïve".encode("utf-8-sig"), "text/plain").text
    'naïve'
    """
    for mark, encoding in BOMS:
        if body.startswith(mark):
            return Decoded(_decode(body, encoding, len(mark)))
    media_type, charset = media_type_of(declared)
    inside = _DECLARED_INSIDE.get(media_type)
    if charset is None and inside and (found := inside.search(body[:HEAD_BYTES])):
        charset = found.group(1).decode("ascii")
    if charset is not None:
        return Decoded(_declared(body, _known(charset)))
    if wide := _wide(body):
        return Decoded(_decode(body, wide, 0), wide)
    try:
        return Decoded(_decode(body, "utf-8", 0))
    except Reject:
        detected = None if b"\0" in body else detect(body)
        if detected is None:
            raise
        return Decoded(_decode(body, detected, 0), detected)


def _known(charset: str) -> str:
    try:
        info = codecs.lookup(charset)
    except LookupError:
        raise Reject(f"wanted a known charset, got {charset!r}; publish the document as UTF-8") from None
    # Python's registry also holds codecs of bytes (base64, zip), which are no charsets.
    if not getattr(info, "_is_text_encoding", True):
        raise Reject(f"wanted a charset, got the codec {charset!r}; publish the document as UTF-8")
    return info.name


def _declared(body: bytes, encoding: str) -> str:
    meant = _MEANT.get(encoding)
    if meant is not None:
        try:
            return _decode(body, meant, 0)
        except Reject:
            pass
    return _decode(body, encoding, 0)


def _wide(body: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark, where ASCII leaves zeros at every second place, or at three of four."""
    sample = body[:_WIDE_SAMPLE_BYTES]
    zeros = [sample[place::4].count(0) * 4 / max(1, len(sample)) for place in range(4)]
    many = tuple(share > _MOST_ZEROS for share in zeros)
    if any(_FEW_ZEROS < share <= _MOST_ZEROS for share in zeros) or len(body) < HEAD_BYTES // 64:
        return None
    wide = {
        (False, True, False, True): "utf-16-le",
        (True, False, True, False): "utf-16-be",
        (False, True, True, True): "utf-32-le",
        (True, True, True, False): "utf-32-be",
    }
    return wide.get((many[0], many[1], many[2], many[3]))


def _decode(body: bytes, encoding: str, skip: int) -> str:
    try:
        text = body[skip:].decode(encoding)
    except UnicodeDecodeError as error:
        at = skip + error.start
        raise Reject(
            f"wanted {encoding} text, got the byte 0x{body[at]:02x} at offset {at}, which is not valid there; "
            "save the document as UTF-8, or publish it with its charset (media type 'text/plain; charset=…')"
        ) from error
    _refuse_binary(text)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _refuse_binary(text: str) -> None:
    if (at := text.find("\0")) >= 0:
        raise Reject(
            f"wanted a text, got binary data (a NUL at character {at}); "
            "a text in UTF-16 needs a byte order mark or a charset in its media type"
        )
    controls = len(_CONTROLS.findall(text))
    if controls > MOST_CONTROLS * len(text):
        raise Reject(f"wanted a text, got binary data ({controls} control characters in {len(text)})")
