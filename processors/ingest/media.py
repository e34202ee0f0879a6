"""What a body is: by its first bytes where these say it, else by what its source declared; or why it is not read."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

from processors.contract import Reject

__all__ = ["DOCX", "ENDINGS", "PDF", "SOURCE_CODE", "believed", "media_type_of", "named_media_type", "recognised"]

PDF: Final = "application/pdf"
DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
ANYTHING: Final = ("", "application/octet-stream", "binary/octet-stream")
"""Declarations that say nothing."""

SOURCE_CODE: Final = {
    "text/x-python": "python",
    "text/javascript": "javascript",
    "text/x-typescript": "typescript",
    "text/x-go": "go",
    "text/x-java": "java",
    "text/x-rust": "rust",
    "application/sql": "sql",
    "application/x-sh": "bash",
}
"""Languages by the media types they are published under."""

ENDINGS: Final = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "application/xhtml+xml",
    ".txt": "text/plain",
    ".text": "text/plain",
    ".log": "text/plain",
    ".rst": "text/plain",
    ".pdf": PDF,
    ".docx": DOCX,
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".xml": "application/xml",
    ".py": "text/x-python",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".jsx": "text/javascript",
    ".ts": "text/x-typescript",
    ".tsx": "text/x-typescript",
    ".go": "text/x-go",
    ".java": "text/x-java",
    ".rs": "text/x-rust",
    ".sql": "application/sql",
    ".sh": "application/x-sh",
    ".bash": "application/x-sh",
}
"""Media types by the ending of a file's name: everything that is read. Others go by the host's own table."""

_ALIASES: Final = {
    "text/x-markdown": "text/markdown",
    "text/x-csv": "text/csv",
    "application/csv": "text/csv",
    "text/xml": "application/xml",
    "text/yaml": "application/yaml",
    "text/x-yaml": "application/yaml",
    "application/x-yaml": "application/yaml",
    "text/json": "application/json",
    "application/jsonl": "application/x-ndjson",
    "application/x-pdf": PDF,
    "application/javascript": "text/javascript",
    "application/x-javascript": "text/javascript",
    "text/x-javascript": "text/javascript",
    "application/typescript": "text/x-typescript",
    "text/typescript": "text/x-typescript",
    "application/x-python": "text/x-python",
    # What hosts' own tables take .ts and .rs for.
    "video/mp2t": "text/x-typescript",
    "text/vnd.trolltech.linguist": "text/x-typescript",
    "application/rls-services+xml": "text/x-rust",
    "text/x-script.python": "text/x-python",
    "text/x-java-source": "text/x-java",
    "text/rust": "text/x-rust",
    "text/x-sql": "application/sql",
    "text/x-sh": "application/x-sh",
    "text/x-shellscript": "application/x-sh",
}

_UNPACK: Final = "unpack it and publish what is in it"
_OCR: Final = "run OCR on it and publish the text"
_WORDS: Final = "save it as .docx, PDF or text"

# Longest first where one begins with another. What to do stands behind each.
_SIGNATURES: Final = (
    (b"\x89PNG\r\n", "a PNG image", _OCR),
    (b"\xff\xd8\xff", "a JPEG image", _OCR),
    (b"GIF8", "a GIF image", _OCR),
    (b"II*\0", "a TIFF image", _OCR),
    (b"MM\0*", "a TIFF image", _OCR),
    (b"BM", "a BMP image", _OCR),
    (b"\x1f\x8b", "gzip data", _UNPACK),
    (b"BZh", "bzip2 data", _UNPACK),
    (b"\xfd7zXZ\0", "xz data", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "zstd data", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"\x7fELF", "a program", "publish its documentation"),
    (b"MZ", "a Windows program", "publish its documentation"),
    (b"SQLite format 3", "a SQLite database", "publish its rows as CSV"),
    (b"{\\rtf", "an RTF document", _WORDS),
    (b"\0\0\x01\0", "an icon", _OCR),
    (b"ID3", "an MP3 recording", "publish a transcript"),
    (b"OggS", "an Ogg recording", "publish a transcript"),
    (b"fLaC", "a FLAC recording", "publish a transcript"),
    (b"wOF", "a font", "publish texts"),
)
# Short ones are words as well: they count only where what follows is no text.
_SHORT: Final = (b"BM", b"MZ", b"ID3", b"GIF8", b"BZh", b"OggS", b"fLaC", b"wOF")

# A ZIP holds its names as they are; what is inside one decides.
_INSIDE: Final = (
    (b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "an OpenDocument spreadsheet", "save it as CSV"),
    (b"mimetypeapplication/vnd.oasis.opendocument.presentation", "OpenDocument slides", "save them as PDF"),
    (b"mimetypeapplication/vnd.oasis.opendocument", "an OpenDocument text", _WORDS),
    (b"mimetypeapplication/epub+zip", "an EPUB book", "publish its chapters as HTML"),
    (b"xl/workbook.xml", "an Excel workbook", "save its sheets as CSV"),
    (b"ppt/presentation.xml", "PowerPoint slides", "save them as PDF"),
)

_BY_TYPE: Final = (
    ("image/", "an image", _OCR),
    ("audio/", "a recording", "publish a transcript"),
    ("video/", "a film", "publish a transcript"),
    ("font/", "a font", "publish texts"),
    ("application/zip", "a ZIP archive", _UNPACK),
    ("application/rtf", "an RTF document", _WORDS),
    ("text/rtf", "an RTF document", _WORDS),
    ("application/msword", "an old Word document", _WORDS),
    ("application/vnd.oasis.opendocument", "an OpenDocument file", _WORDS),
    ("application/vnd.ms-", "an Office file", "save it as .docx, PDF or CSV"),
    ("application/vnd.openxmlformats-", "an Office file", "save it as PDF or CSV"),
)

_PDF_HEAD_BYTES: Final = 1024
"""A PDF may have so much before its mark (ISO 32000, appendix H, note 13)."""
_PAGE: Final = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s{0,200}(?:<!--[^>]{0,500}-->\s{0,200})?<(?:!doctype\s+html|html)\b", re.I
)
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


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


def named_media_type(name: str) -> str | None:
    """The media type of a file that is read, by the ending of its name; None for any other.

    >>> named_media_type("guide/Lease.PDF"), named_media_type("photo.png")
    ('application/pdf', None)
    """
    return ENDINGS.get(PurePosixPath(name).suffix.lower())


def believed(declared: str, name: str) -> str:
    """What a source declared, or the ending of the document's name where it declared nothing.

    >>> believed("application/octet-stream", "main.go"), believed("text/plain", "main.go")
    ('text/x-go', 'text/plain')
    """
    return (named_media_type(name) or declared) if media_type_of(declared)[0] in ANYTHING else declared


def recognised(body: bytes, declared: str) -> str:
    """The media type to read a body as: what its bytes are, wherever these say otherwise than its source.

    >>> recognised(b"%PDF-1.7 ...", "text/plain"), recognised(b"a,b", "text/csv; charset=utf-8")
    ('application/pdf', 'text/csv')

    Raises Reject for what is no document to read: what it is, and what to do.
    """
    bare = media_type_of(declared)[0]
    bare = _ALIASES.get(bare, bare)
    if not body:
        raise Reject("wanted a text, got an empty body (0 bytes); publish the document once it has content")
    if b"%PDF-" in body[:_PDF_HEAD_BYTES] and (body.startswith(b"%PDF-") or _binary(body)):
        return PDF
    if body.startswith(b"PK\x03\x04"):
        return _in_zip(body, bare)
    if body.startswith(b"\xd0\xcf\x11\xe0"):
        raise _in_compound_file(body)
    _refuse_signatures(body)
    if bare in ANYTHING:
        return "text/html" if _PAGE.match(body) else "text/plain"
    if bare in (PDF, DOCX):
        raise Reject(f"wanted {_NAMES[bare]}, got {_seeming(body)}; the download may have failed: fetch it again")
    for prefix, what, then in _BY_TYPE:
        if bare.startswith(prefix):
            raise Reject(f"wanted a text, got {what} ({bare}); {then}")
    return bare


_NAMES: Final = {PDF: "a PDF", DOCX: "a Word document (.docx)"}


def _in_zip(body: bytes, declared: str) -> str:
    # One that breaks off has lost the names at its end; its reader then says so.
    if b"word/document.xml" in body or (declared == DOCX and b"[Content_Types].xml" in body):
        return DOCX
    for mark, what, then in _INSIDE:
        if mark in body:
            raise Reject(f"wanted a text, got {what}; {then}")
    raise Reject(f"wanted a text, got a ZIP archive; {_UNPACK}")


def _in_compound_file(body: bytes) -> Reject:
    """Microsoft's container of before 2007, which also wraps what is encrypted today."""
    if "EncryptedPackage".encode("utf-16-le") in body:
        return Reject("wanted a document that can be opened, got an encrypted Office document; remove its password")
    if "WordDocument".encode("utf-16-le") in body:
        return Reject(f"wanted a text, got an old Word document (.doc); {_WORDS}")
    return Reject("wanted a text, got an old Office file (.doc, .xls, .ppt, .msg); save it as .docx, PDF or CSV")


def _refuse_signatures(body: bytes) -> None:
    for signature, what, then in _SIGNATURES:
        if body.startswith(signature) and (signature not in _SHORT or _binary(body)):
            raise Reject(f"wanted a text, got {what}; {then}")
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        raise Reject(f"wanted a text, got a WebP image; {_OCR}")
    if body[4:8] == b"ftyp" and _binary(body):
        raise Reject("wanted a text, got a film or a picture (MP4, HEIC); publish a transcript or a text")


def _binary(body: bytes) -> bool:
    return _CONTROLS.search(body[:_PDF_HEAD_BYTES]) is not None or b"\xff" in body[:_PDF_HEAD_BYTES]


def _seeming(body: bytes) -> str:
    if _PAGE.match(body):
        return "an HTML page"
    return "other binary data" if _binary(body) else "a text"
