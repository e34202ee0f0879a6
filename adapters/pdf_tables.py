"""Tables with rules in a PDF, by pdfplumber: slow, so only on pages that have rules, and within a time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from adapters.host import SystemClock
from processors.ingest.formats import ParseLimits
from processors.ingest.layout import PlacedTable

__all__ = ["found_tables"]

_LEAST_ROWS = 2
_LEAST_COLUMNS = 2


def found_tables(body: bytes, pages: Sequence[int], limits: ParseLimits) -> list[PlacedTable]:
    """The tables of some pages, those after the limits left out. Without the package there are none.

    A table that can't be read is text as any other: nothing is raised.
    """
    try:
        import pdfplumber
    except ImportError:
        return []
    clock = SystemClock()
    until = clock.monotonic() + limits.table_s
    found: list[PlacedTable] = []
    try:
        with pdfplumber.open(io.BytesIO(body), pages=list(pages[: limits.table_pages])) as document:
            for page in takewhile(lambda _: clock.monotonic() < until, document.pages):
                found.extend(_of_page(page))
                page.close()
    except MemoryError:
        raise
    except Exception:
        # pdfminer fails at much that PDFium reads; the lines are there already.
        return found
    return found


def _of_page(page: Any) -> Iterator[PlacedTable]:
    for table in page.find_tables():
        rows = [[" ".join((cell or "").split()) for cell in row] for row in table.extract()]
        rows = [row for row in rows if any(row)]
        if len(rows) < _LEAST_ROWS or max(len(row) for row in rows) < _LEAST_COLUMNS:
            continue
        left, top, right, bottom = table.bbox
        text = "\n".join(" | ".join(row) for row in rows)
        yield PlacedTable(text, page.page_number, left, page.height - bottom, right, page.height - top)
