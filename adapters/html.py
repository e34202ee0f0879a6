"""HTML, by selectolax (lexbor): what a page says, without what stands on every page of its site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from processors.ingest.formats import Outline, Piece

__all__ = ["HtmlFormat"]

_NEVER: Final = (
    "script, style, noscript, template, svg, math, iframe, object, canvas, form, button, select, input, textarea, "
    "nav, aside, dialog, [hidden], [aria-hidden=true], [role=navigation], [role=search], [role=banner], "
    "[role=contentinfo], [role=complementary], [role=dialog], .breadcrumb, .breadcrumbs, .sidebar, .navbar, "
    ".cookie-banner, .cookie-consent, .skip-link, .headerlink"
)
_FRAME: Final = ("header", "footer")
_CONTENT: Final = ("main", "[role=main]", "article")
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_LISTS: Final = ("ul", "ol", "dl", "menu")
_BLOCK_SELECTOR: Final = (
    "address, article, blockquote, center, dd, details, div, dl, dt, fieldset, figcaption, figure, footer, "
    "h1, h2, h3, h4, h5, h6, header, hgroup, hr, li, main, menu, ol, p, pre, section, summary, table, td, th, tr, ul"
)
_BLOCKS: Final = frozenset(_BLOCK_SELECTOR.split(", "))
_SPACE: Final = re.compile(r"[^\S\xa0]+|\xa0")
# Lists outside the content that are mostly links are menus.
MENU_LINK_SHARE: Final = 0.7
# Deeper than any page; below this a node is read as one text, so that no page can exhaust the stack.
MOST_NESTING: Final = 100


class HtmlFormat:
    """Reads text/html. Takes the main content where the page marks it, else the body without its frame.

    >>> page = "<title>T</title><nav>Home</nav><main><h1>Tea</h1><p>It is <b>hot</b>.</p></main>"
    >>> [(piece.kind, piece.text) for piece in HtmlFormat().read(page).pieces]
    [('heading', 'Tea'), ('paragraph', 'It is hot.')]
    """

    def read(self, text: str) -> Outline:
        page = LexborHTMLParser(text)
        title = page.css_first("title")
        named = _words(title.text()) if title else ""
        for node in page.css(_NEVER):
            node.decompose()
        root, marked = _content(page)
        if root is None:
            return Outline([], named)
        pieces = list(_Reading(drop_menus=not marked).pieces(root))
        first = next((piece.text for piece in pieces if piece.kind == "heading" and piece.level == 1), "")
        return Outline(pieces, first or named)


def _content(page: LexborHTMLParser) -> tuple[LexborNode | None, bool]:
    """The node that holds the content, and whether the page marked it as such."""
    for selector in _CONTENT:
        found = page.css(selector)
        if len(found) == 1 and _words(found[0].text()):
            return found[0], True
    body = page.body
    for child in list(body.iter()) if body else []:
        if child.tag in _FRAME:
            child.decompose()
    return body, False


class _Reading:
    """One walk over a page. Inline text gathers until a block begins or ends."""

    def __init__(self, drop_menus: bool) -> None:
        self._drop_menus = drop_menus
        self._line: list[str] = []

    def pieces(self, node: LexborNode, depth: int = 0) -> Iterator[Piece]:
        """What a node says. Text between blocks is a paragraph."""
        for child in node.iter(include_text=True):
            yield from self._child(child, depth)
        if depth == 0:
            yield from self._flushed()

    def _child(self, child: LexborNode, depth: int) -> Iterator[Piece]:
        tag = child.tag or ""
        if tag == "-text":
            self._line.append(child.text(deep=False) or "")
        elif tag == "br":
            self._line.append("\n")
        elif tag not in _BLOCKS and not _holds_blocks(child):
            self._line.append(_inline(child))
        else:
            yield from self._flushed()
            yield from self._block(child, tag, depth)
            yield from self._flushed()

    def _block(self, node: LexborNode, tag: str, depth: int) -> Iterator[Piece]:
        if tag in _HEADINGS:
            yield Piece("heading", _words(_inline(node)), _HEADINGS[tag])
        elif tag == "pre":
            yield Piece("code", node.text())
        elif tag == "table" and not node.css_first("table table"):
            yield Piece("table", "\n".join(_rows(node)))
        elif tag in _LISTS:
            if not (self._drop_menus and _is_menu(node)):
                yield Piece("list", "\n".join(_list_lines(node, "", depth)))
        elif depth >= MOST_NESTING:
            self._line.append(node.text(separator=" "))
        else:
            yield from self.pieces(node, depth + 1)

    def _flushed(self) -> Iterator[Piece]:
        text = _words("".join(self._line))
        self._line.clear()
        if text:
            yield Piece("paragraph", text)


def _holds_blocks(node: LexborNode) -> bool:
    """Whether an inline element (or an unknown one) wraps blocks: an anchor around a card, a custom element."""
    return node.css_first(_BLOCK_SELECTOR) is not None


def _inline(node: LexborNode) -> str:
    """The text of a node with its line breaks; an image says its description."""
    parts = []
    for part in node.traverse(include_text=True):
        if part.tag == "-text":
            parts.append(part.text(deep=False) or "")
        elif part.tag == "br":
            parts.append("\n")
        elif part.tag == "img":
            parts.append(part.attributes.get("alt") or "")
    return "".join(parts)


def _words(text: str) -> str:
    return " ".join(_SPACE.sub(" ", text).split())


def _rows(table: LexborNode) -> Iterator[str]:
    for row in table.css("tr"):
        cells = [_words(_inline(cell)) for cell in row.iter() if cell.tag in ("td", "th")]
        if any(cells):
            yield " | ".join(cells)


def _list_lines(node: LexborNode, indent: str, depth: int) -> Iterator[str]:
    number = 1
    for item in node.iter():
        mark = f"{number}." if node.tag == "ol" else "-"
        own, nested = _item(item)
        if own:
            yield f"{indent}{mark} {own}"
            number += 1
        for inner in nested:
            if depth < MOST_NESTING:
                yield from _list_lines(inner, f"{indent}  ", depth + 1)


def _item(item: LexborNode) -> tuple[str, list[LexborNode]]:
    """An item's own words, and the lists in it."""
    words: list[str] = []
    nested: list[LexborNode] = []
    for child in item.iter(include_text=True):
        if child.tag in _LISTS:
            nested.append(child)
        elif child.tag == "-text":
            words.append(child.text(deep=False) or "")
        else:
            words.append(f" {_inline(child)} " if child.tag in _BLOCKS else _inline(child))
    return _words("".join(words)), nested


def _is_menu(node: LexborNode) -> bool:
    linked = sum(len(link.text()) for link in node.css("a"))
    return linked > MENU_LINK_SHARE * len(node.text())
