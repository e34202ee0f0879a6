"""Markdown: its structure comes through, its marks do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.html import HtmlFormat
from adapters.markdown import MarkdownFormat
from processors.ingest.formats import Piece, laid_out

READER = MarkdownFormat(HtmlFormat())


def pieces(text: str) -> list[tuple[str, str]]:
    return [(piece.kind, piece.text.rstrip("\n")) for piece in READER.read(text).pieces]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain *and* **bold** `code`", [("paragraph", "plain and bold code")]),
        ("one\ntwo  \nthree", [("paragraph", "one two\nthree")]),
        ("[a link](https://x) ![a tree](t.png) <https://y>", [("paragraph", "a link a tree https://y")]),
        ("Setext\n===\n\ntext", [("heading", "Setext"), ("paragraph", "text")]),
        ("```py\nx = 1\n\ny = 2\n```", [("code", "x = 1\n\ny = 2")]),
        ("    indented\n", [("code", "indented")]),
        ("> quoted\n>\n> twice", [("paragraph", "quoted"), ("paragraph", "twice")]),
        ("| a | b |\n| - | - |\n| 1 | *2* |", [("table", "a | b\n1 | 2")]),
        ("- one\n- two\n  - deep\n    more\n- three", [("list", "- one\n- two\n  - deep more\n- three")]),
        ("3. three\n4. four", [("list", "3. three\n4. four")]),
        ("- item\n\n  ```\n  code\n  ```", [("list", "- item\n  code")]),
        ("a ~~b~~ c\n\n---\n\nd", [("paragraph", "a b c"), ("paragraph", "d")]),
        ("a<br>b <em>c</em> &amp; d", [("paragraph", "a\nb c & d")]),
        ("<!-- hidden -->\n\nshown", [("paragraph", "shown")]),
        ("<p>from <b>HTML</b></p>\n", [("paragraph", "from HTML")]),
    ],
)
def test_when_markdown_is_read_then_kinds_and_words_remain(text: str, expected: list[tuple[str, str]]) -> None:
    assert pieces(text) == expected


def test_when_headings_nest_then_each_block_knows_those_above_it() -> None:
    blocks = laid_out(READER.read("# A\n\na\n\n### B\n\nb\n\n## C\n\nc\n").pieces)
    assert [(block.text, block.heading_path) for block in blocks if block.kind == "paragraph"] == [
        ("a", ("A",)),
        ("b", ("A", "B")),
        ("c", ("A", "C")),
    ]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ('---\ntitle: "Green tea"\ntags: x\n---\n# Other\n\ntext', "Green tea"),
        ("---\ntags: x\n---\n# Own\n\ntext", "Own"),
        ("intro\n\n# Late\n", "Late"),
        ("## Only a section", ""),
        ("---\n\nnot front matter", ""),
    ],
)
def test_when_a_title_is_looked_for_then_front_matter_comes_before_headings(text: str, title: str) -> None:
    assert READER.read(text).title == title
    assert not any("tags" in piece.text for piece in READER.read(text).pieces)


def test_when_there_is_no_reader_of_html_then_its_blocks_are_left_out() -> None:
    assert MarkdownFormat().read("<div>x</div>\n\ntext").pieces == [Piece("paragraph", "text")]


def test_when_quotes_nest_without_end_then_it_is_read_all_the_same() -> None:
    assert READER.read("> " * 5000 + "deep") is not None
    assert READER.read("".join(f"{'  ' * depth}- x\n" for depth in range(400))) is not None


@given(st.text("ab#>-*_`|[]()!<>&\n\t 1.", max_size=200))
def test_when_any_text_is_read_then_nothing_is_raised(text: str) -> None:
    laid_out(READER.read(text).pieces)
