"""HTML: what a page says, without its frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.html import HtmlFormat
from processors.ingest.formats import laid_out

READER = HtmlFormat()


def pieces(text: str) -> list[tuple[str, str]]:
    return [(piece.kind, piece.text.strip("\n")) for piece in READER.read(text).pieces if piece.text.strip()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<p>one</p><p>two</p>", [("paragraph", "one"), ("paragraph", "two")]),
        ("bare <b>text</b> and<br>more", [("paragraph", "bare text and more")]),
        ("<div>a<div>b</div>c</div>", [("paragraph", "a"), ("paragraph", "b"), ("paragraph", "c")]),
        ("<h2>A <em>B</em></h2>", [("heading", "A B")]),
        ("<pre>x = 1\n\n  y = 2\n</pre>", [("code", "x = 1\n\n  y = 2")]),
        ("<ul><li>a<li>b <b>c</b><ul><li>d</ul></ul>", [("list", "- a\n- b c\n  - d")]),
        ("<ol><li>a</li><li><p>b</p></li></ol>", [("list", "1. a\n2. b")]),
        ("<table><tr><th>a<th>b</tr><tr><td>1<td>2</table>", [("table", "a | b\n1 | 2")]),
        ("<a href=x><div><h3>Card</h3>text</div></a>", [("heading", "Card"), ("paragraph", "text")]),
        ("<p>a <img alt='a tree' src=t> b</p>", [("paragraph", "a a tree b")]),
        ("<p>1&nbsp;000 &lt;x&gt; caf&eacute;</p>", [("paragraph", "1 000 <x> café")]),
        ("<script>x()</script><style>p{}</style><p>seen</p><template>no</template>", [("paragraph", "seen")]),
        ("<p hidden>no</p><p aria-hidden=true>no</p><p>yes</p>", [("paragraph", "yes")]),
        ("<x-card><p>custom</p></x-card>", [("paragraph", "custom")]),
    ],
)
def test_when_html_is_read_then_kinds_and_words_remain(text: str, expected: list[tuple[str, str]]) -> None:
    assert pieces(text) == expected


FRAME = """<!doctype html><title>Tea | Site</title><body>
<header><a href=/>Site</a></header>
<nav><ul><li><a>Home</a><li><a>About</a></ul></nav>
<div class=breadcrumbs>Home / Tea</div>
{content}
<ul><li><a>Privacy policy</a></li><li><a>Imprint</a></li></ul>
<aside>Related: coffee</aside>
<footer>© 2024 Site</footer></body>"""


@pytest.mark.parametrize("mark", ["main", "article", "div role=main", "div"])
def test_when_a_page_has_a_frame_then_only_its_content_is_read(mark: str) -> None:
    inner = f"<{mark}><header><h1>Tea</h1></header><p>It is hot.</p><ul><li>one</ul></{mark.split()[0]}>"
    assert pieces(FRAME.format(content=inner)) == [("heading", "Tea"), ("paragraph", "It is hot."), ("list", "- one")]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("<title>Page | Site</title><h1>Tea</h1><p>x</p>", "Tea"),
        ("<title> Page \n x </title><p>x</p>", "Page x"),
        ("<p>x</p>", ""),
        ("", ""),
    ],
)
def test_when_a_title_is_looked_for_then_the_heading_comes_before_the_tab(text: str, title: str) -> None:
    assert READER.read(text).title == title


def test_when_several_articles_stand_on_a_page_then_all_are_read() -> None:
    assert pieces("<article><p>a</p></article><article><p>b</p></article>") == [("paragraph", "a"), ("paragraph", "b")]


def test_when_elements_nest_without_end_then_the_text_is_still_read() -> None:
    deep = "<div>" * 3000 + "deep" + "</div>" * 3000
    assert pieces(f"<p>shallow</p>{deep}") == [("paragraph", "shallow"), ("paragraph", "deep")]
    assert READER.read("<ul><li>" * 1000 + "x") is not None
    assert READER.read("<b><div>" * 1000 + "x") is not None


@given(st.text("<>/pdivhultable =\"'&;x \n1", max_size=200))
def test_when_any_text_is_read_then_nothing_is_raised(text: str) -> None:
    laid_out(READER.read(text).pieces)
