"""PDF, Word and articles: what is kept of them, up to the chunk that is cited."""

from __future__ import annotations

import sys

import pytest

from adapters.articles import ArticleFormat
from adapters.charsets import detected_charset
from adapters.html import HtmlFormat
from adapters.markdown import MarkdownFormat
from adapters.parsers import InProcessParser
from adapters.pdf import PdfFormat
from processors.contract import Reject
from processors.ingest.boundaries import StructureSplitter
from processors.ingest.formats import ParseLimits, laid_out, parsed_text
from tests.adapters.hostile import office, pdfs, texts
from tests.adapters.hostile.outcomes import FILES

PAGES = [
    [
        (72.0, 720.0, 20.0, "The lease"),
        *((72.0, 690.0 - 13 * n, 11.0, f"Line {n} of the first page.") for n in range(4)),
    ],
    [(72.0, 720.0, 14.0, "Deposit"), (72.0, 690.0, 11.0, "It is returned within thirty days.")],
]


def test_when_a_pdf_is_read_then_pages_reach_the_chunks_and_offsets_hold() -> None:
    outline = PdfFormat().read_bytes(pdfs.pdf(PAGES))
    blocks = laid_out(outline.pieces)
    assert [(block.kind, block.page, block.heading_path) for block in blocks] == [
        ("heading", 1, ("The lease",)),
        ("paragraph", 1, ("The lease",)),
        ("heading", 2, ("The lease", "Deposit")),
        ("paragraph", 2, ("The lease", "Deposit")),
    ]
    splitter = StructureSplitter(max_tokens=24, target_tokens=12, count=lambda words: len(words.split()))
    text, chunks = parsed_text(blocks), splitter.split(blocks)
    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert [chunk.page for chunk in chunks if "thirty days" in chunk.text] == [2]
    assert chunks[0].page == 1


def test_when_a_table_has_rules_then_it_is_a_block_where_it_stands() -> None:
    outline = PdfFormat().read_bytes((FILES / "ruled-table.pdf.sample").read_bytes())
    assert [(piece.kind, piece.text) for piece in outline.pieces] == [
        ("heading", "Rents"),
        ("paragraph", "What each flat costs is in the table."),
        ("table", "Flat | Rent\nA1 | 900\nB2 | 750"),
        ("paragraph", "Water is included."),
    ]


def test_when_no_time_is_left_for_tables_then_their_words_stay() -> None:
    outline = PdfFormat(ParseLimits(table_s=0.0)).read_bytes((FILES / "ruled-table.pdf.sample").read_bytes())
    assert "table" not in {piece.kind for piece in outline.pieces}
    assert "900" in " ".join(piece.text for piece in outline.pieces)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [(ParseLimits(pages=1), "1 to 1 pages, got 2; split it"), (ParseLimits(characters=20), "20 characters")],
)
def test_when_a_pdf_is_beyond_a_limit_then_it_is_refused(limits: ParseLimits, reason: str) -> None:
    with pytest.raises(Reject, match=reason):
        PdfFormat(limits).read_bytes(pdfs.pdf(PAGES))


def test_when_some_pages_have_no_text_then_the_document_says_so() -> None:
    assert PdfFormat().read_bytes(pdfs.pdf([*PAGES, []])).properties == {"pages": "3", "pages_without_text": "1"}


def test_when_a_word_document_is_read_then_headings_tables_and_properties_remain() -> None:
    outline = InProcessParser().parse((FILES / "lease.docx.sample").read_bytes(), "application/octet-stream")
    assert [(piece.kind, piece.text) for piece in outline.pieces] == [
        ("heading", "Rent"),
        ("paragraph", "The rent is due on the fifth."),
        ("table", "Flat | Rent\nA1 | 900"),
    ]
    assert (outline.title, outline.properties) == ("The lease", {"author": "Ann Keeper"})


def test_when_a_word_document_unpacks_to_much_then_it_is_refused_before_it_does() -> None:
    body = office.docx(office.paragraph("tea " * 1_000))
    with pytest.raises(Reject, match="unpacks to at most 3,000 bytes"):
        InProcessParser(ParseLimits(unpacked_bytes=3_000)).parse(body, "application/octet-stream")


@pytest.mark.parametrize("package", ["pypdfium2", "mammoth"])
def test_when_the_extra_is_missing_then_the_reason_names_it(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    name = {"pypdfium2": "lease.pdf.sample", "mammoth": "lease.docx.sample"}[package]
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(Reject, match=r"headwater\[parse\]"):
        InProcessParser().parse((FILES / name).read_bytes(), "")


READER = ArticleFormat(HtmlFormat(), MarkdownFormat(HtmlFormat()))


def said(page: str) -> str:
    return "\n".join(piece.text for piece in READER.read(page).pieces)


def test_when_a_page_marks_nothing_then_what_stands_around_the_article_is_left_out() -> None:
    text = said((FILES / "article.html.sample").read_text(encoding="utf-8"))
    assert "poured 0 times" in text
    assert "poured 11 times" in text
    assert "All rights reserved" not in text
    assert "Ten mugs" not in text


def test_when_a_page_is_short_or_marks_its_content_then_nothing_of_that_is_dropped() -> None:
    assert "All rights reserved" in said(texts.PAGE.format(paragraphs="<p>It is hot.</p>"))
    body = "".join(f"<p>{texts.SENTENCE.format(n=n)}</p>" for n in range(20))
    marked = f"<nav>Home</nav><main><h1>Tea</h1>{body}<table><tr><td>a<td>b</table></main>"
    assert "a | b" in said(marked)
    assert "Home" not in said(marked)


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("cp1251", "Договор аренды действует двенадцать месяцев, плата до пятого числа."),
        ("cp949", "이 임대 계약은 열두 달 동안 유효합니다. 임차인은 매달 월세를 내야 합니다."),
        ("cp1253", "Η σύμβαση ισχύει για δώδεκα μήνες. Ο μισθωτής πρέπει να πληρώνει έως την πέμπτη ημέρα κάθε μήνα."),
        ("cp1254", "Kira sözleşmesi on iki ay geçerlidir. Kiracı kirayı her ayın beşine kadar öder; güneşli bir gün."),
        ("cp1252", "The tenant pays “rent” on the fifth — it’s due monthly. The naïve landlord’s café costs €5."),
    ],
)
def test_when_a_text_has_enough_to_go_by_then_its_charset_is_found(charset: str, text: str) -> None:
    assert (found := detected_charset(text.encode(charset))) is not None
    assert text.encode(charset).decode(found) == text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"plain",
        "Zürich".encode("cp1252"),
        "Þetta er íslenska, ðær á bænum.".encode("cp1252"),
        bytes(range(128, 256)),
    ],
)
def test_when_a_text_could_be_anything_then_nothing_is_guessed(body: bytes) -> None:
    assert detected_charset(body) is None
