"""JSON, JSON lines and YAML: listings per top-level key, as they were written where people can read that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from processors.ingest.formats import Outline, Piece

__all__ = ["JsonLines", "JsonText", "YamlText"]

LONGEST_LINE: Final = 400
"""JSON with longer lines was written by a machine, and is written anew."""
MOST_DEPTH: Final = 100
_YAML_KEY: Final = re.compile(
    r"(?:\"([^\"\n]{1,200})\"|'([^'\n]{1,200})'|([^\s#'\"\[{&*!|>%@-][^:#\n]{0,200}?))\s*:(?:\s|$)"
)
_INDENT: Final = re.compile(r'\A\s*\{[ \t]*\n([ \t]{1,8})"')
_JSON_KEY: Final = r'"((?:[^"\\\n]|\\.){1,200})"\s*:'


class JsonText:
    """Reads application/json. What is no valid JSON (comments, a missing end) is kept as it is.

    >>> JsonText().read('{"a": 1, "b": [2]}').pieces[1]
    Piece(kind='code', text='"b": [\\n  2\\n]', level=0, page=None, symbol='b')
    """

    def read(self, text: str) -> Outline:
        if max(map(len, text.split("\n"))) <= LONGEST_LINE and text.count("\n") > 1:
            indent = _INDENT.match(text)
            return Outline(list(_cut(text, re.compile(indent[1] + _JSON_KEY)) if indent else [Piece("code", text)]))
        if _depth(text) > MOST_DEPTH:
            return Outline([Piece("code", text)])
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return Outline([Piece("code", text)])
        return Outline(list(_written(value)))


class JsonLines:
    """Reads application/x-ndjson: a record a line."""

    def read(self, text: str) -> Outline:
        return Outline([Piece("code", text)])


class YamlText:
    """Reads application/yaml, as text: nothing in it is loaded, so no alias multiplies and no tag makes an object.

    >>> [piece.symbol for piece in YamlText().read("# Two.\\na: 1\\nb:\\n  - 2\\n").pieces]
    ['', 'a', 'b']
    """

    def read(self, text: str) -> Outline:
        return Outline(list(_cut(text, _YAML_KEY)))


def _cut(text: str, key: re.Pattern[str]) -> Iterator[Piece]:
    """A piece per line that begins with a key, and what follows it."""
    lines = text.split("\n")
    found = [(number, match) for number, line in enumerate(lines) if (match := key.match(line[:LONGEST_LINE]))]
    starts = [0, *(number for number, _ in found), len(lines)]
    names = ["", *(match[match.lastindex or 0] for _, match in found)]
    for name, start, end in zip(names, starts, starts[1:], strict=False):
        if end > start:
            yield Piece("code", "\n".join(lines[start:end]), symbol=name)


def _written(value: Any) -> Iterator[Piece]:
    if not isinstance(value, dict):
        yield Piece("code", _pretty(value))
        return
    for name, below in value.items():
        # A lone surrogate, which JSON can write, is no character.
        symbol = " ".join(name.encode("utf-8", "replace").decode().split())[:200]
        yield Piece("code", f"{_pretty(name)}: {_pretty(below)}", symbol=symbol)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "replace").decode()


def _depth(text: str) -> int:
    """How deep brackets nest, strings aside: known before anything recurses."""
    deepest = depth = 0
    for bracket in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text):
        if bracket[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif bracket[0] in "]}":
            depth -= 1
    return deepest
