"""Word documents (.docx), by mammoth to HTML, then as any page; properties by python-docx."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, Final

from adapters.errors import MissingExtraError
from processors.contract import Reject
from processors.ingest.formats import USUAL_LIMITS, Format, Outline, ParseLimits

__all__ = ["DocxFormat"]

MOST_PARTS: Final = 5_000
_STYLES: Final = "p[style-name='Title'] => h1:fresh\np[style-name='Subtitle'] => p:fresh"
_DOCTYPE: Final = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_XML_HEAD_BYTES: Final = 4096
_NAMED: Final = ("author", "category", "keywords", "subject")


class DocxFormat:
    """Reads .docx: headings, lists and tables as Word has them; comments, headers and footers are left out.

    Give it the reader of HTML. Raises Reject for a file that is damaged, or unpacks to more than the limit.
    """

    def __init__(self, html: Format, limits: ParseLimits = USUAL_LIMITS) -> None:
        self._html = html
        self._limits = limits

    def read_bytes(self, body: bytes) -> Outline:
        try:
            import mammoth
        except ImportError:
            raise Reject(str(MissingExtraError("mammoth", "parse"))) from None
        self._check(body)
        convert: Callable[..., Any] = mammoth.convert_to_html
        page = convert(
            io.BytesIO(body),
            style_map=_STYLES,
            convert_image=mammoth.images.img_element(lambda _: {}),
            include_embedded_style_map=False,
            external_file_access=False,
        )
        outline = self._html.read(page.value)
        title, properties = _properties(body)
        return Outline(outline.pieces, title or outline.title, properties)

    def _check(self, body: bytes) -> None:
        """Looks at the archive before anything of it is unpacked."""
        try:
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                self._measure(archive.infolist())
                _refuse_doctypes(archive)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
            raise Reject(f"wanted a whole .docx, got a damaged one ({error}); save it again") from error

    def _measure(self, parts: list[zipfile.ZipInfo]) -> None:
        unpacked, most = sum(part.file_size for part in parts), self._limits.unpacked_bytes
        if unpacked > most or len(parts) > MOST_PARTS:
            raise Reject(
                f"wanted a .docx that unpacks to at most {most:,} bytes in {MOST_PARTS:,} parts, got {unpacked:,} "
                f"in {len(parts):,} (a decompression bomb?); split the document, or take large pictures out"
            )
        if any(part.flag_bits & 1 for part in parts):
            raise Reject("wanted a .docx that can be opened, got an encrypted one; remove its password")


def _refuse_doctypes(archive: zipfile.ZipFile) -> None:
    for part in archive.infolist():
        if not part.filename.endswith((".xml", ".rels")):
            continue
        with archive.open(part) as file:
            if _DOCTYPE.search(file.read(_XML_HEAD_BYTES)):
                name = part.filename[:80]
                raise Reject(f"wanted Word's own XML, got a document type in {name!r}; save it again with Word")


def _properties(body: bytes) -> tuple[str, dict[str, str]]:
    """The title and what else the author says; none of it where it can't be read."""
    try:
        import docx

        told = docx.Document(io.BytesIO(body)).core_properties
        values = {name: " ".join(str(getattr(told, name) or "").split()) for name in ("title", *_NAMED)}
    except MemoryError:
        raise
    except Exception:
        # Without its properties a document is still a document.
        return "", {}
    title = values.pop("title")
    return ("" if title == "Word Document" else title), {name: value for name, value in values.items() if value}
