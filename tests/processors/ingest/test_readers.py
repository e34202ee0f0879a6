"""The readers that need no library: tables, listings, data; and what a body is taken for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.contract import Reject
from processors.ingest.delimited import DelimitedText, delimiter_of
from processors.ingest.formats import ParseLimits, Piece, laid_out, parsed_text
from processors.ingest.layout import Line, PlacedTable, pieces_of_lines
from processors.ingest.markup import XmlText
from processors.ingest.media import DOCX, PDF, named_media_type, recognised
from processors.ingest.source_code import SourceCode
from processors.ingest.structured import JsonText, YamlText


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [("a,b\n1,2", ","), ("a;b\n1,5;2,5", ";"), ("a\tb\n1, 2\t3", "\t"), ("a|b\n1|2", "|"), ("words", ","), ("", ",")],
)
def test_when_cells_are_delimited_then_the_delimiter_is_found(text: str, delimiter: str) -> None:
    assert delimiter_of(text) == delimiter


def test_when_rows_are_wide_then_each_cell_says_its_column() -> None:
    header, row = (",".join(f"{word}{n}" for n in range(20)) for word in ("h", "v"))
    (piece,) = DelimitedText().read(f"{header}\n{row},extra\n").pieces
    assert piece.text.split("\n")[7] == "h7: v7"
    assert piece.text.endswith("\nextra")


def test_when_a_table_is_too_large_then_it_is_refused_by_its_cells() -> None:
    with pytest.raises(Reject, match="at most 10 cells, got more by line 4"):
        DelimitedText(ParseLimits(cells=10)).read("a,b,c\n" * 9)


@pytest.mark.parametrize(
    ("language", "text", "symbols"),
    [
        ("python", "import os\n\n@cache\ndef a():\n    def b(): ...\n\nasync def c(): ...\nclass D: ...\n", "acD"),
        ("javascript", "import x\nexport default function a() {}\nconst b = (x) => x\nclass C {}\n", "abC"),
        ("typescript", "export interface A {}\nexport const b = async () => 1\ntype C = string\n", "AbC"),
        ("go", "package main\n\n// A says.\nfunc A() {}\nfunc (t *T) B() {}\ntype C struct{}\n", "ABC"),
        ("java", "import x;\n\n/** A. */\npublic final class A {\n  class X {}\n}\nrecord B() {}\n", "AB"),
        ("rust", "use x;\n#[test]\nfn a() {}\npub struct B;\nimpl C { fn x() {} }\n", "aBC"),
        ("sql", "create or replace view a as select 1;\nCREATE TABLE b (c int);\n", "ab"),
        ("bash", "#!/bin/sh\n# Says.\na() {\n  :\n}\nfunction b {\n  :\n}\n", "ab"),
    ],
)
def test_when_code_is_read_then_each_definition_is_a_listing(language: str, text: str, symbols: str) -> None:
    pieces = SourceCode(language).read(text).pieces
    assert [piece.symbol[0] for piece in pieces if piece.symbol] == list(symbols)
    assert "\n".join(piece.text for piece in pieces) == text


def test_when_a_definition_has_comments_above_then_they_are_its_own() -> None:
    pieces = SourceCode("python").read("x = 1\n\n# Adds.\n@cache\ndef add(): ...\n").pieces
    assert pieces[1].text.startswith("# Adds.\n@cache\ndef add")


def test_when_a_piece_has_a_symbol_then_its_path_ends_with_it_and_the_next_does_not() -> None:
    pieces = [Piece("heading", "H", 1), Piece("code", "def a(): ...", symbol="a\x00"), Piece("code", "x")]
    assert [block.heading_path for block in laid_out(pieces)] == [("H",), ("H", "a"), ("H",)]


def test_when_json_is_written_by_a_machine_then_it_is_written_anew_by_key() -> None:
    pieces = JsonText().read('{"rent": {"flat": "A1"}, "due": 5}').pieces
    assert [(piece.symbol, piece.text) for piece in pieces] == [
        ("rent", '"rent": {\n  "flat": "A1"\n}'),
        ("due", '"due": 5'),
    ]


def test_when_json_is_written_by_people_then_it_stays_as_it_is() -> None:
    text = '{\n  "rent": {\n    "flat": "A1"\n  },\n  "due": 5\n}\n'
    pieces = JsonText().read(text).pieces
    assert [piece.symbol for piece in pieces] == ["", "rent", "due"]
    assert "\n".join(piece.text for piece in pieces) == text


@given(st.text('{}[]",:ab \n\\u0', max_size=200))
def test_when_any_text_is_called_json_or_yaml_then_nothing_is_raised(text: str) -> None:
    laid_out(JsonText().read(text).pieces)
    laid_out(YamlText().read(text).pieces)


@given(st.text("abc,;\t|\n\"' ", max_size=200))
def test_when_any_text_is_called_csv_then_nothing_is_raised(text: str) -> None:
    blocks = laid_out(DelimitedText().read(text).pieces)
    assert [parsed_text(blocks)[block.start : block.end] for block in blocks] == [block.text for block in blocks]


def test_when_xml_holds_running_text_then_its_marks_are_part_of_it() -> None:
    pieces = XmlText().read("<a><p>It <b>is</b> hot.</p><q title='Due'>5</q></a>").pieces
    assert [piece.text for piece in pieces] == ["p: It is hot.\nq: Due 5"]


@pytest.mark.parametrize(
    ("body", "declared", "expected"),
    [
        (b"words", "", "text/plain"),
        (b"  <!DOCTYPE HTML><p>", "application/octet-stream", "text/html"),
        (b"%PDF-1.4 ...", "text/markdown", PDF),
        (b"How a PDF begins: %PDF-1.4", "text/plain", "text/plain"),
        (b"PK\x03\x04....word/document.xml", "application/zip", DOCX),
        (b"BMW builds cars.", "text/plain", "text/plain"),
        (b"let a = 1", "video/mp2t", "text/x-typescript"),
        (b"<a/>", "text/xml; charset=utf-8", "application/xml"),
    ],
)
def test_when_a_body_is_looked_at_then_its_bytes_come_before_its_name(
    body: bytes, declared: str, expected: str
) -> None:
    assert recognised(body, declared) == expected


@pytest.mark.parametrize(
    ("body", "declared", "reason"),
    [
        (b"BM\x00\x00\x01", "text/plain", "BMP"),
        (b"words", "image/png", "OCR"),
        (b"words", "application/msword", "save it as .docx"),
        (b"words", PDF, "got a text; the download may have failed"),
        (b"RIFF0000WEBPVP8 ", "text/plain", "WebP"),
        (b"PK\x03\x04....mimetypeapplication/epub+zip", "text/plain", "EPUB"),
    ],
)
def test_when_a_body_is_no_document_then_the_reason_says_what_to_do(body: bytes, declared: str, reason: str) -> None:
    with pytest.raises(Reject, match=reason):
        recognised(body, declared)


def test_when_a_file_has_an_ending_then_it_is_known_whatever_the_host_says() -> None:
    assert named_media_type("src/main.TS") == "text/x-typescript"
    assert named_media_type("photo.png") is None


def test_when_lines_stand_apart_then_they_are_paragraphs_of_their_page() -> None:
    lines = [
        Line("First line", 1, 0, 700, 710),
        Line("goes on.", 1, 0, 688, 698),
        Line("Second.", 1, 0, 660, 670),
        Line("Third, over-", 2, 0, 700, 710),
        Line("• one", 2, 0, 680, 690),
        Line("• two", 2, 0, 668, 678),
    ]
    pieces = [(piece.kind, piece.text, piece.page) for piece in pieces_of_lines(lines)]
    assert pieces == [
        ("paragraph", "First line goes on.", 1),
        ("paragraph", "Second.", 1),
        ("paragraph", "Third, over-", 2),
        ("list", "- one\n- two", 2),
    ]


def test_when_a_word_is_split_at_a_line_then_it_is_whole_again() -> None:
    lines = [Line("infor\x02", 1, 0, 100, 110), Line("mation", 1, 0, 88, 98)]
    assert pieces_of_lines(lines)[0].text == "information"


def test_when_pages_share_their_frame_then_it_is_left_out() -> None:
    lines = [
        line
        for page in range(1, 5)
        for line in (
            Line("The Lease", page, 0, 780, 790),
            Line(f"Words of page {'abcd'[page - 1]}.", page, 0, 700, 710),
            Line(f"Page {page} of 4", page, 0, 20, 30),
        )
    ]
    assert [piece.text for piece in pieces_of_lines(lines)] == [f"Words of page {letter}." for letter in "abcd"]


def test_when_a_table_covers_lines_then_it_stands_in_their_place() -> None:
    table = PlacedTable("a | b\n1 | 2", 1, 0, 50, 200, 90)
    lines = [
        Line("Before.", 1, 0, 100, 110),
        Line("a b", 1, 5, 75, 85),
        Line("1 2", 1, 5, 55, 65),
        Line("After.", 1, 0, 30, 40),
    ]
    assert [piece.text for piece in pieces_of_lines(lines, [table])] == ["Before.", "a | b\n1 | 2", "After."]
