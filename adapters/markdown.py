"""Markdown (CommonMark with tables), by markdown-it-py."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from processors.ingest.formats import Format, Outline, Piece

__all__ = ["MarkdownFormat"]

_FRONT_MATTER: Final = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE: Final = re.compile(r"^title:[ \t]*(.+?)[ \t]*$", re.MULTILINE)
_BREAKS: Final = {"softbreak": " ", "hardbreak": "\n"}

# Deeper than anyone writes; a nest deeper than this is an attack on the stack, and markdown-it drops it.
MOST_NESTING: Final = 40


class MarkdownFormat:
    """Reads text/markdown. `html` reads the HTML in it; without one such blocks are left out.

    >>> [(piece.kind, piece.text) for piece in MarkdownFormat().read("# Tea\\n\\nIt is *hot*.").pieces]
    [('heading', 'Tea'), ('paragraph', 'It is hot.')]
    """

    def __init__(self, html: Format | None = None) -> None:
        self._parser = MarkdownIt("commonmark", {"maxNesting": MOST_NESTING}).enable(["table", "strikethrough"])
        self._html = html

    def read(self, text: str) -> Outline:
        title = ""
        if front := _FRONT_MATTER.match(text):
            named = _FRONT_TITLE.search(front.group(1))
            title = named.group(1).strip("\"'") if named else ""
            text = text[front.end() :]
        pieces = list(self._pieces(SyntaxTreeNode(self._parser.parse(text)).children))
        first = next((piece.text for piece in pieces if piece.kind == "heading" and piece.level == 1), "")
        return Outline(pieces, title or first)

    def _pieces(self, nodes: Iterable[SyntaxTreeNode]) -> Iterator[Piece]:
        for node in nodes:
            match node.type:
                case "heading":
                    yield Piece("heading", _inline(node), int(node.tag[1:]))
                case "paragraph":
                    yield Piece("paragraph", _inline(node))
                case "fence" | "code_block":
                    yield Piece("code", node.content)
                case "bullet_list" | "ordered_list":
                    yield Piece("list", "\n".join(_list_lines(node)))
                case "table":
                    yield Piece("table", "\n".join(_rows(node)))
                case "html_block" if self._html:
                    yield from self._html.read(node.content).pieces
                case "blockquote":
                    yield from self._pieces(node.children)


def _inline(node: SyntaxTreeNode) -> str:
    """The words of a node, without its markup."""
    if node.type in _BREAKS:
        return _BREAKS[node.type]
    if node.type in ("text", "code_inline"):
        return node.content
    if node.type == "html_inline":
        return "\n" if node.content.lower().startswith("<br") else ""
    return "".join(_inline(child) for child in node.children)


def _list_lines(node: SyntaxTreeNode, indent: str = "") -> Iterator[str]:
    number = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
    for item in node.children:
        mark = "-" if number is None else f"{number}."
        number = None if number is None else number + 1
        for position, line in enumerate(_item_lines(item, indent)):
            yield f"{indent}{mark} {line}" if position == 0 else line


def _item_lines(item: SyntaxTreeNode, indent: str) -> Iterator[str]:
    """The lines of a list item: its own text, then what is nested in it, further to the right."""
    deeper = f"{indent}  "
    for child in item.children:
        if child.type in ("bullet_list", "ordered_list"):
            yield from _list_lines(child, deeper)
        elif child.type in ("fence", "code_block"):
            yield from (f"{deeper}{line}" for line in child.content.rstrip("\n").split("\n"))
        elif child.type == "table":
            yield from (f"{deeper}{row}" for row in _rows(child))
        elif text := _inline(child):
            yield from text.split("\n")


def _rows(table: SyntaxTreeNode) -> Iterator[str]:
    for part in table.children:
        for row in part.children:
            yield " | ".join(_inline(cell) for cell in row.children)
