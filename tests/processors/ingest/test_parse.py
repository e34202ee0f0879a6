"""parse: what becomes of bytes, and which of them it names and refuses."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from adapters.errors import ClaimMissingError
from adapters.memory import MemoryClaims
from adapters.parsers import InProcessParser
from processors.contract import Reject
from processors.ingest.formats import parsed_text
from processors.ingest.parse import MAX_BODY_BYTES, parse
from schemas.documents import Claim, DocumentChanged, DocumentDeleted, DocumentParsed
from schemas.envelope import Version
from tests.processors.ingest.builders import at

PARSER = InProcessParser()
GIVEN = Version(source=3, offset=4)


def changed(
    body: bytes | None,
    media_type: str = "text/plain",
    *,
    claim: Claim | None = None,
    title: str = "",
    version: Version | None = GIVEN,
) -> DocumentChanged:
    return DocumentChanged(
        tenant="acme",
        document="notes/tea.txt",
        media_type=media_type,
        body=body,
        claim=claim,
        title=title,
        source_uri="file:///tea.txt",
        access=("group:kitchen",),
        properties={"by": "ann"},
        version=version,
    )


def parsed(change: DocumentChanged, claims: MemoryClaims | None = None) -> DocumentParsed:
    (document,) = parse(change, claims or MemoryClaims(), PARSER)
    assert isinstance(document, DocumentParsed)
    return document


def text_of(body: bytes, media_type: str = "text/plain") -> str:
    return parsed_text(parsed(changed(body, media_type)).blocks)


def test_when_a_text_is_parsed_then_all_that_is_known_of_it_goes_on() -> None:
    document = parsed(changed(b"Tea is hot.\n\nDrink it."))
    assert (document.tenant, document.document, document.version) == ("acme", "notes/tea.txt", at(4, 3))
    assert (document.access, document.properties) == (("group:kitchen",), {"by": "ann"})
    assert [block.text for block in document.blocks] == ["Tea is hot.", "Drink it."]
    assert document.title == "tea.txt"


@pytest.mark.parametrize("media_type", ["text/plain", "text/markdown", "text/html"])
def test_when_blocks_are_laid_out_then_their_offsets_name_their_text(media_type: str) -> None:
    body = b"# One\n\n<p>first</p>\n\nsecond\n\n- a\n- b\n"
    blocks = parsed(changed(body, media_type)).blocks
    text = parsed_text(blocks)
    assert [text[block.start : block.end] for block in blocks] == [block.text for block in blocks]


@pytest.mark.parametrize(
    ("title", "body", "expected"),
    [("Given", b"# Own\n\ntext", "Given"), ("", b"# Own *one*\n\ntext", "Own one"), ("", b"text", "tea.txt")],
)
def test_when_a_title_is_wanted_then_the_nearest_to_the_author_wins(title: str, body: bytes, expected: str) -> None:
    assert parsed(changed(body, "text/markdown", title=title)).title == expected


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        ("naïve café".encode(), "text/plain"),
        ("naïve café".encode("utf-8-sig"), "text/plain"),
        ("naïve café".encode("utf-16"), "text/plain"),
        ("naïve café".encode("utf-32"), "text/plain"),
        ("naïve café".encode("cp1252"), "text/plain; charset=windows-1252"),
        ("naïve café".encode("latin-1"), 'TEXT/Plain; charset="ISO-8859-1"'),
        (b"<meta charset=windows-1252><p>" + "naïve café".encode("cp1252"), "text/html"),
    ],
)
def test_when_a_body_says_its_encoding_then_it_is_believed(body: bytes, media_type: str) -> None:
    assert text_of(body, media_type) == "naïve café"


def test_when_lines_end_otherwise_then_they_are_lines_all_the_same() -> None:
    assert text_of(b"one\r\n\r\ntwo\r\rthree  \n") == "one\n\ntwo\n\nthree"


@pytest.mark.parametrize(
    ("body", "media_type", "reason"),
    [
        (b"", "text/plain", "empty body"),
        (b" \n\t\n", "text/plain", "without any"),
        (b"<html><script>x</script></html>", "text/html", "without any"),
        (b"caf\xe9 au lait", "text/plain", "0xe9 at offset 3"),
        (b"\xef\xbb\xbfok \xff", "text/plain", "0xff at offset 6"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "text/plain", "PNG"),
        (b"%PDF-1.7 hello", "text/plain", "a PDF"),
        (b"PK\x03\x04rest", "text/markdown", "ZIP"),
        (b"hello\x00world", "text/plain", "NUL at character 5"),
        (b"\x01\x02\x03\x04 text", "text/plain", "control characters"),
        (b"text", "text/plain; charset=klingon", "klingon"),
        (b"text", "text/plain; charset=base64", "base64"),
        (b"{}", "application/x-unheard-of", "'application/x-unheard-of'"),
        (None, "text/plain", "neither"),
    ],
)
def test_when_a_body_is_no_text_then_it_is_refused_by_name(body: bytes | None, media_type: str, reason: str) -> None:
    with pytest.raises(Reject, match=reason):
        list(parse(changed(body, media_type), MemoryClaims(), PARSER))


def test_when_nothing_is_declared_then_the_name_says_it() -> None:
    change = msgspec.structs.replace(changed(b"# One\n\ntext", "application/octet-stream"), document="notes/tea.md")
    assert [block.kind for block in parsed(change).blocks] == ["heading", "paragraph"]


def test_when_a_body_is_too_large_then_it_is_refused_before_it_is_read() -> None:
    with pytest.raises(Reject, match="at most"):
        list(parse(changed(bytes(MAX_BODY_BYTES + 1)), MemoryClaims(), PARSER))
    claim = Claim(uri="memory:none", sha256="", size=200_000_000)
    with pytest.raises(Reject, match="200,000,000"):
        list(parse(changed(None, claim=claim), MemoryClaims(), PARSER))


def test_when_a_body_lies_elsewhere_then_it_is_fetched() -> None:
    claims = MemoryClaims()
    body = b"A long text."
    claim = Claim(uri=claims.put(body), sha256=hashlib.sha256(body).hexdigest(), size=len(body))
    assert parsed(changed(None, claim=claim), claims).blocks[0].text == "A long text."


def test_when_a_body_is_not_there_then_the_engine_hears_of_it() -> None:
    """It may be on its way still: the engine tries again, then gives the record up."""
    with pytest.raises(ClaimMissingError):
        list(parse(changed(None, claim=Claim(uri="memory:no", sha256="0", size=1)), MemoryClaims(), PARSER))


def test_when_a_document_is_deleted_then_the_delete_goes_on() -> None:
    gone = DocumentDeleted(tenant="acme", document="d", version=at(1))
    assert list(parse(gone, MemoryClaims(), PARSER)) == [gone]


def test_when_there_is_no_version_then_it_is_refused() -> None:
    with pytest.raises(Reject, match="version"):
        list(parse(changed(b"text", version=None), MemoryClaims(), PARSER))
