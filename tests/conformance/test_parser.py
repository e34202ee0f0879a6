"""What every Parser must do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.isolated_parser import IsolatedParser, Isolation
from adapters.parsers import InProcessParser
from processors.contract import Reject
from processors.ports import Parser
from tests.adapters.hostile.outcomes import FILES, manifest, outcome


@pytest.fixture(params=["in process", "isolated"], scope="module")
def parser(request: pytest.FixtureRequest) -> Iterator[Parser]:
    if request.param == "in process":
        yield InProcessParser()
        return
    parser = IsolatedParser(Isolation(timeout_s=30.0, processes=1))
    yield parser
    parser.close()


@pytest.mark.parametrize("name", ["lease.pdf", "lease.docx", "ragged.csv", "rent.py", "koi8-r.txt", "menu.xml"])
def test_when_a_document_is_good_then_its_text_comes_back(parser: Parser, name: str) -> None:
    (expected,) = [one for one in manifest() if one.name == name]
    assert outcome(expected, parser) == ""


@pytest.mark.parametrize("name", ["locked.pdf", "scanned.pdf", "cut.docx", "noise.txt", "laughs.xml", "photo.md"])
def test_when_a_document_is_bad_then_the_reason_comes_back(parser: Parser, name: str) -> None:
    (expected,) = [one for one in manifest() if one.name == name]
    assert outcome(expected, parser) == ""


def test_when_a_document_is_read_twice_then_the_outline_is_the_same(parser: Parser) -> None:
    body = (FILES / "ruled-table.pdf.sample").read_bytes()
    first, second = parser.parse(body, "application/pdf"), parser.parse(body, "application/pdf")
    assert list(first.pieces) == list(second.pieces)
    assert first.media_type == "application/pdf"
    assert [piece.page for piece in first.pieces] == [1, 1, 1, 1]


def test_when_nobody_said_the_charset_then_the_outline_does(parser: Parser) -> None:
    body = (FILES / "shift-jis.txt.sample").read_bytes()
    assert parser.parse(body, "text/plain").properties == {"charset": "cp932"}


def test_when_a_type_is_unknown_then_those_that_are_read_are_named(parser: Parser) -> None:
    with pytest.raises(Reject, match=r"application/pdf.*'application/x-unheard-of'"):
        parser.parse(b"words", "application/x-unheard-of")
