"""CSV and TSV: rows as a table, each cell under its column; needs no library beyond Python's own."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from processors.contract import Reject
from processors.ingest.formats import USUAL_LIMITS, Outline, ParseLimits, Piece

__all__ = ["DelimitedText"]

DELIMITERS: Final = (",", ";", "\t", "|")
SNIFFED_ROWS: Final = 50
SNIFFED_CHARS: Final = 64 * 1024
WIDEST: Final = 12
"""A row of more columns is read as one line per cell, since nobody can tell its 30th cell from its 31st."""
LONGEST_ROW: Final = 600
"""So is a table whose rows are longer on average: cut anywhere, each line still says its column."""
_LONGEST_FIELD: Final = 1_000_000

Row = list[str]


class DelimitedText:
    """Reads text/csv and text/tab-separated-values. The delimiter is the one that cuts the first rows most evenly.

    >>> DelimitedText().read("name;city\\nAda;London\\n").pieces
    [Piece(kind='table', text='name | city\\nAda | London', level=0, page=None, symbol='')]

    The first row is taken as the header. Wide rows become one piece each, a line per cell. Raises Reject above the
    limit of cells, and for a quote that never ends.
    """

    def __init__(self, limits: ParseLimits = USUAL_LIMITS, delimiter: str = "") -> None:
        self._limits = limits
        self._delimiter = delimiter

    def read(self, text: str) -> Outline:
        rows = list(self._rows(text))
        if not rows:
            return Outline([])
        width = max(len(row) for row in rows)
        length = sum(len(cell) for row in rows for cell in row) / len(rows)
        if len(rows) > 1 and (width > WIDEST or length > LONGEST_ROW):
            return Outline(list(_records(rows)))
        return Outline([Piece("table", "\n".join(" | ".join(row) for row in rows))])

    def _rows(self, text: str) -> Iterator[Row]:
        """The rows that say anything, without empty cells at their ends."""
        csv.field_size_limit(_LONGEST_FIELD)
        cells = 0
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=self._delimiter or delimiter_of(text), strict=False
        )
        try:
            for row in reader:
                cells += len(row)
                if cells > self._limits.cells:
                    raise Reject(
                        f"wanted at most {self._limits.cells:,} cells, got more by line {reader.line_num}; split it"
                    )
                if trimmed := _trimmed(row):
                    yield trimmed
        except csv.Error as error:
            raise Reject(
                f"wanted rows of cells, got a field above {_LONGEST_FIELD:,} characters at line {reader.line_num} "
                f"({error}); a quote may not be closed"
            ) from error


def delimiter_of(text: str) -> str:
    """The delimiter that gives the most rows of the same width, of more than one cell; a comma where none does.

    >>> delimiter_of("a;b\\n1,5;2\\n"), delimiter_of("only words\\n")
    (';', ',')
    """
    sample = text[:SNIFFED_CHARS]
    return max(DELIMITERS, key=lambda one: _evenness(sample, one))


def _evenness(sample: str, delimiter: str) -> tuple[float, int]:
    try:
        rows = [
            row for row in islice(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter), SNIFFED_ROWS) if row
        ]
    except csv.Error:
        return (0.0, 0)
    widths = [len(row) for row in rows]
    usual = max(set(widths), key=lambda width: (widths.count(width), width), default=1)
    return (widths.count(usual) / len(widths), usual) if usual > 1 else (0.0, 0)


def _trimmed(row: Sequence[str]) -> Row:
    cells = [" ".join(cell.split()) for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _records(rows: Sequence[Row]) -> Iterator[Piece]:
    """Each row by itself, a line per cell: what it is called, and what it says."""
    header = rows[0]
    for row in rows[1:]:
        named = ((header[n] if n < len(header) else "", cell) for n, cell in enumerate(row) if cell)
        lines = [f"{name}: {cell}" if name else cell for name, cell in named]
        yield Piece("table", "\n".join(lines))
