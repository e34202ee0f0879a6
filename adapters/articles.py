"""HTML without what stands around the article, by trafilatura, where the page does not mark its content itself."""

from __future__ import annotations

import re
from typing import Final

from processors.ingest.formats import Format, Outline

__all__ = ["ArticleFormat"]

FEWEST_WORDS: Final = 120
"""A shorter page is read whole: what trafilatura drops there is often the content."""
LEAST_KEPT: Final = 0.5
"""What keeps less of the words than this has lost content, not a frame."""
MOST_CHARS: Final = 2_000_000
"""Larger pages are data more than articles, and would take seconds."""
_MARKED: Final = re.compile(r"<main\b|role\s*=\s*[\"']?main\b|<article\b", re.IGNORECASE)


class ArticleFormat:
    """Reads text/html: `page` reads a page as it is, `markdown` what trafilatura makes of it.

    The page as it is wins where it marks its content (main, article), is short, or would lose most of its words.
    """

    def __init__(self, page: Format, markdown: Format) -> None:
        self._page = page
        self._markdown = markdown

    def read(self, text: str) -> Outline:
        whole = self._page.read(text)
        words = _words(whole)
        if words < FEWEST_WORDS or len(text) > MOST_CHARS or _MARKED.search(text):
            return whole
        article = _article(text)
        if article is None:
            return whole
        outline = self._markdown.read(article)
        return Outline(outline.pieces, whole.title) if _words(outline) >= LEAST_KEPT * words else whole


def _article(text: str) -> str | None:
    try:
        import trafilatura
    except ImportError:
        return None
    try:
        extracted = trafilatura.extract(
            text,
            output_format="markdown",
            include_comments=False,
            include_tables=True,
            include_formatting=True,
            favor_recall=True,
        )
    except (MemoryError, RecursionError):
        raise
    except Exception:
        # The page as it is has been read already.
        return None
    return str(extracted) if extracted else None


def _words(outline: Outline) -> int:
    return sum(len(piece.text.split()) for piece in outline.pieces)
