"""The formats that the parse step of a deployment reads, by media type."""

from __future__ import annotations

from adapters.html import HtmlFormat
from adapters.markdown import MarkdownFormat
from processors.ingest.formats import Formats
from processors.ingest.plain import PlainText

__all__ = ["all_formats"]


def all_formats() -> Formats:
    """Every format there is. Use it as the port `formats` of `parse`.

    >>> sorted(all_formats())
    ['application/xhtml+xml', 'text/html', 'text/markdown', 'text/plain', 'text/x-markdown']
    """
    html = HtmlFormat()
    markdown = MarkdownFormat(html)
    return {
        "text/plain": PlainText(),
        "text/markdown": markdown,
        "text/x-markdown": markdown,
        "text/html": html,
        "application/xhtml+xml": html,
    }
