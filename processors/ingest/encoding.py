"""From bytes to text: what a body is encoded in, or why it can't be text. Guesses nothing."""

from __future__ import annotations

import codecs
import re
from typing import Final

from processors.contract import Reject

__all__ = ["decoded", "media_type_of"]

BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

SIGNATURES: Final = (
    (b"%PDF-", "a PDF"),
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"PK\x03\x04", "a ZIP archive (or an Office document)"),
    (b"\x1f\x8b", "gzip data"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "a SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
)

HTML_CHARSET: Final = re.compile(rb"<meta[^>]{0,200}charset=[\"']?([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
HTML_HEAD_BYTES: Final = 1024
"""How far into a page its own charset declaration counts (HTML standard, 4.2.5.4)."""

# Text has next to no control characters; a share above this is a format of its own.
MOST_CONTROLS: Final = 0.02


def media_type_of(declared: str) -> tuple[str, str | None]:
    """The bare media type and its charset parameter.

    >>> media_type_of("Text/HTML; charset=ISO-8859-1")
    ('text/html', 'ISO-8859-1')
    """
    bare, *parameters = declared.split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip():
            return bare.strip().lower(), value.strip().strip("\"'")
    return bare.strip().lower(), None


def decoded(body: bytes, declared: str) -> str:
    """The text of a body: by its byte order mark, else by the charset that is declared, else as UTF-8.

    Nothing else is tried: a wrong guess would be indexed and cited. Raises Reject with the offset of what does not fit.

    >>> decoded("naïve".encode("utf-8-sig"), "text/plain")
    'naïve'
    """
    if not body:
        raise Reject("wanted a text, got an empty body (0 bytes); publish the document once it has content")
    for mark, encoding in BOMS:
        if body.startswith(mark):
            return _decode(body, encoding, len(mark))
    _refuse_signatures(body)
    media_type, charset = media_type_of(declared)
    if charset is None and media_type == "text/html" and (found := HTML_CHARSET.search(body[:HTML_HEAD_BYTES])):
        charset = found.group(1).decode("ascii")
    return _decode(body, _known(charset or "utf-8"), 0)


def _known(charset: str) -> str:
    try:
        info = codecs.lookup(charset)
    except LookupError:
        raise Reject(f"wanted a known charset, got {charset!r}; publish the document as UTF-8") from None
    # Python's registry also holds codecs of bytes (base64, zip), which are no charsets.
    if not getattr(info, "_is_text_encoding", True):
        raise Reject(f"wanted a charset, got the codec {charset!r}; publish the document as UTF-8")
    return info.name


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


def _refuse_signatures(body: bytes) -> None:
    for signature, what in SIGNATURES:
        if body.startswith(signature):
            raise Reject(f"wanted a text, got {what}; publish it with its own media type, or convert it to text")


def _refuse_binary(text: str) -> None:
    if (at := text.find("\0")) >= 0:
        raise Reject(
            f"wanted a text, got binary data (a NUL at character {at}); "
            "a text in UTF-16 needs a byte order mark or a charset in its media type"
        )
    controls = sum(char < " " and char not in "\t\n\r\f" for char in text)
    if controls > MOST_CONTROLS * len(text):
        raise Reject(f"wanted a text, got binary data ({controls} control characters in {len(text)})")
