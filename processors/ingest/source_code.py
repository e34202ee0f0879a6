"""Source code: a listing per top-level definition, named by what it defines; found by the lines at the margin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from processors.ingest.formats import Outline, Piece

__all__ = ["SourceCode"]

# What begins a definition at the margin; the last group that matched is its name.
_DEFINITIONS: Final = {
    "python": r"(?:async\s+)?def\s+(\w+)|class\s+(\w+)",
    "javascript": r"(?:export\s+)?(?:default\s+)?(?:(?:async\s+)?function\s*\*?\s*(\w+)|class\s+(\w+)"
    r"|(?:const|let|var)\s+(\w+)\s*=\s*(?:async\s*)?(?:function|\([^)\n]{0,200}\)\s*=>|\w+\s*=>))",
    "typescript": r"(?:export\s+)?(?:default\s+)?(?:declare\s+)?(?:abstract\s+)?(?:(?:async\s+)?function\s*\*?\s*(\w+)"
    r"|(?:class|interface|enum|namespace|type)\s+(\w+)"
    r"|(?:const|let|var)\s+(\w+)[^=\n]{0,200}=\s*(?:async\s*)?(?:function|\([^)\n]{0,200}\)|\w+\s*=>))",
    "go": r"func\s+(?:\([^)\n]{0,200}\)\s*)?(\w+)|type\s+(\w+)",
    "java": r"(?:(?:public|protected|private|abstract|final|static|sealed)\s+)*"
    r"(?:class|interface|enum|record|@interface)\s+(\w+)",
    "rust": r"(?:pub(?:\([^)\n]{0,80}\))?\s+)?(?:(?:async|const|unsafe)\s+)*"
    r"(?:(?:fn|struct|enum|trait|union|mod|type|macro_rules!)\s+(\w+)|impl(?:<[^>\n]{0,200}>)?\s+([\w:<>, ]{1,200}))",
    "sql": r"(?i:create\s+(?:or\s+replace\s+)?(?:(?:temp|temporary|unique|materialized)\s+)*"
    r"(?:table|view|index|function|procedure|trigger|type|schema)\s+(?:if\s+not\s+exists\s+)?([\w.\"`]{1,200}))",
    "bash": r"(?:function\s+)?([\w:.-]{1,80})\s*\(\)|function\s+([\w:.-]{1,80})",
}
# Lines at the margin that belong to the definition below them.
_LEADING: Final = {
    "python": ("#", "@"),
    "javascript": ("//", "/*", "*", " *", "@"),
    "typescript": ("//", "/*", "*", " *", "@"),
    "go": ("//", "/*"),
    "java": ("//", "/*", "*", " *", "@"),
    "rust": ("//", "/*", "#["),
    "sql": ("--", "/*"),
    "bash": ("#",),
}
LONGEST_LINE: Final = 2_000
"""A longer one was written by a machine: no definition is looked for in it."""


class SourceCode:
    """Reads a programming language. Give it the language's name as `processors/ingest/media.py` knows it.

    >>> listing = "import os\\n\\n# Adds.\\ndef add(a, b):\\n    return a + b"
    >>> [(p.symbol, p.text) for p in SourceCode("python").read(listing).pieces]
    [('', 'import os\\n'), ('add', '# Adds.\\ndef add(a, b):\\n    return a + b')]
    """

    def __init__(self, language: str) -> None:
        self._definition = re.compile(_DEFINITIONS[language])
        self._leading = _LEADING[language]

    def read(self, text: str) -> Outline:
        lines = text.split("\n")
        starts = dict(self._starts(lines))
        cuts = sorted({0, *starts})
        ends = [*cuts[1:], len(lines)]
        pieces = [
            Piece("code", "\n".join(lines[start:end]), symbol=starts.get(start, ""))
            for start, end in zip(cuts, ends, strict=True)
        ]
        return Outline([piece for piece in pieces if piece.text.strip()])

    def _starts(self, lines: list[str]) -> Iterator[tuple[int, str]]:
        """Where definitions begin, the comments and decorators above them included, and what they are called."""
        last = -1
        for number, line in enumerate(lines):
            if len(line) > LONGEST_LINE or not (found := self._definition.match(line)):
                continue
            start = number
            while start - 1 > last and lines[start - 1].startswith(self._leading):
                start -= 1
            last = number
            yield start, " ".join((found[found.lastindex or 0]).split())
