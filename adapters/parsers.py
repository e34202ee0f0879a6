"""The formats that the parse step reads, by media type, and a parser that reads them in this process."""

from __future__ import annotations

from adapters.articles import ArticleFormat
from adapters.charsets import detected_charset
from adapters.docx import DocxFormat
from adapters.html import HtmlFormat
from adapters.markdown import MarkdownFormat
from adapters.pdf import PdfFormat
from processors.contract import Reject
from processors.ingest.delimited import DelimitedText
from processors.ingest.formats import USUAL_LIMITS, Formats, Outline, ParseLimits
from processors.ingest.markup import XmlText
from processors.ingest.media import DOCX, PDF, SOURCE_CODE
from processors.ingest.plain import PlainText
from processors.ingest.reading import read_document
from processors.ingest.source_code import SourceCode
from processors.ingest.structured import JsonLines, JsonText, YamlText

__all__ = ["InProcessParser", "all_formats"]


def all_formats(limits: ParseLimits = USUAL_LIMITS) -> Formats:
    """Every format there is.

    >>> len(all_formats()), "application/pdf" in all_formats()
    (20, True)
    """
    html = HtmlFormat()
    markdown = MarkdownFormat(html)
    page = ArticleFormat(html, markdown)
    return {
        "text/plain": PlainText(),
        "text/markdown": markdown,
        "text/html": page,
        "application/xhtml+xml": page,
        PDF: PdfFormat(limits),
        DOCX: DocxFormat(html, limits),
        "text/csv": DelimitedText(limits),
        "text/tab-separated-values": DelimitedText(limits, "\t"),
        "application/json": JsonText(),
        "application/x-ndjson": JsonLines(),
        "application/yaml": YamlText(),
        "application/xml": XmlText(),
        **{media_type: SourceCode(language) for media_type, language in SOURCE_CODE.items()},
    }


class InProcessParser:
    """Reads documents right here: for tests, and for formats that can't hurt. Nothing bounds its time or memory.

    >>> [piece.text for piece in InProcessParser().parse(b"one\\n\\ntwo", "text/plain").pieces]
    ['one', 'two']
    """

    def __init__(self, limits: ParseLimits = USUAL_LIMITS) -> None:
        self._formats = all_formats(limits)
        self._limits = limits

    def parse(self, body: bytes, media_type: str) -> Outline:
        try:
            return read_document(body, media_type, self._formats, detected_charset, self._limits)
        except MemoryError:
            raise Reject(f"wanted {media_type} that fits into memory, got one that does not; split it") from None
