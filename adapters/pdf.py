"""PDF, by pypdfium2: text by pages, and why a file has none. Not thread-safe: `adapters/isolated_parser.py` runs it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from adapters.errors import MissingExtraError
from adapters.pdf_tables import found_tables
from processors.contract import Reject
from processors.ingest.formats import USUAL_LIMITS, Outline, ParseLimits
from processors.ingest.layout import Line, pieces_of_lines

__all__ = ["PdfFormat"]

END_BYTES: Final = 2048
"""A PDF ends with its mark; so much may follow it (ISO 32000, appendix H, note 18, is stricter)."""
# A table with rules has at least four; a drawing has thousands, and is none.
FEWEST_PATHS: Final = 4
MOST_PATHS: Final = 2_000
_WRONG_PASSWORD: Final = 4
_LOCKED: Final = 5
_NAMED: Final = (("Author", "author"), ("CreationDate", "created"), ("Producer", "producer"))


class PdfFormat:
    """Reads application/pdf: paragraphs, headings by their size, lists, tables with rules; each with its page.

    Raises Reject for a PDF that is encrypted, damaged, cut off, too long, or holds no text (scanned: it needs OCR).
    """

    def __init__(self, limits: ParseLimits = USUAL_LIMITS) -> None:
        self._limits = limits

    def read_bytes(self, body: bytes) -> Outline:
        try:
            import pypdfium2
        except ImportError:
            raise Reject(str(MissingExtraError("pypdfium2", "parse"))) from None
        if b"%%EOF" not in body[-END_BYTES:] or b"startxref" not in body[-END_BYTES:]:
            raise Reject("wanted a whole PDF, got a PDF that breaks off before its end; fetch it again")
        try:
            document = pypdfium2.PdfDocument(body)
        except pypdfium2.PdfiumError as error:
            raise _refusal(error) from error
        try:
            return self._outline(document, body)
        finally:
            document.close()

    def _outline(self, document: Any, body: bytes) -> Outline:
        pages = len(document)
        if not 0 < pages <= self._limits.pages:
            raise Reject(f"wanted a PDF of 1 to {self._limits.pages:,} pages, got {pages:,}; split it")
        lines: list[Line] = []
        ruled: list[int] = []
        characters = 0
        for number in range(1, pages + 1):
            found, is_ruled = _page(document, number)
            lines.extend(found)
            ruled.extend([number] * is_ruled)
            characters += sum(len(line.text) for line in found)
            if characters > self._limits.characters:
                most = f"{self._limits.characters:,}"
                raise Reject(f"wanted at most {most} characters of text, got more by page {number}; split the PDF")
        if not lines:
            raise Reject(f"wanted a PDF with text, got {pages} page(s) without any (scanned?); it needs OCR first")
        tables = found_tables(body, ruled, self._limits) if ruled else []
        told = document.get_metadata_dict()
        with_text = len({line.page for line in lines})
        properties = {ours: " ".join(told[theirs].split()) for theirs, ours in _NAMED if told.get(theirs, "").strip()}
        counts = {"pages": str(pages)} | ({"pages_without_text": str(pages - with_text)} if with_text < pages else {})
        return Outline(pieces_of_lines(lines, tables), _title(told.get("Title", "")), {**properties, **counts})


def _refusal(error: Any) -> Reject:
    if error.err_code in (_WRONG_PASSWORD, _LOCKED):
        return Reject("wanted a PDF that can be opened, got an encrypted one; remove its password and publish it again")
    return Reject(f"wanted a PDF that can be read, got a damaged one ({error}); save it again, or fetch it again")


def _page(document: Any, number: int) -> tuple[list[Line], bool]:
    """The lines of a page, and whether it has rules as a table has."""
    import pypdfium2

    try:
        page = document[number - 1]
    except pypdfium2.PdfiumError as error:
        raise Reject(f"wanted a PDF that can be read, got one whose page {number} is damaged; save it again") from error
    try:
        text_page = page.get_textpage()
        try:
            lines = list(_lines(text_page, number))
        finally:
            text_page.close()
        paths = page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_PATH], max_depth=2)
        upright = page.get_rotation() == 0 and tuple(page.get_mediabox()[:2]) == (0, 0)
        counted = sum(1 for _ in islice(paths, MOST_PATHS + 1)) if lines and upright else 0
        return lines, FEWEST_PATHS <= counted <= MOST_PATHS
    finally:
        page.close()


def _lines(text_page: Any, number: int) -> Iterator[Line]:
    import pypdfium2.raw as raw

    start = 0
    for part in text_page.get_text_range().split("\r\n"):
        at, start = start + len(part) - len(part.lstrip()), start + len(part) + 2
        if not part.strip():
            continue
        index = raw.FPDFText_GetCharIndexFromTextIndex(text_page, at)
        left, bottom, _, top = text_page.get_charbox(index, loose=True) if index >= 0 else (0.0, 0.0, 0.0, 0.0)
        yield Line(part.strip(), number, left, bottom, top)


def _title(told: str) -> str:
    """The title of the document's own properties, unless a program filled it in."""
    title = " ".join(told.split())
    return "" if title.lower().startswith(("microsoft word", "untitled", "powerpoint")) else title
