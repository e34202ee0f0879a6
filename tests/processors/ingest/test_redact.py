"""redact: what is masked, what only looks like it, and that nothing moves."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.ingest.formats import Piece, laid_out, parsed_text
from processors.ingest.redact import KINDS, MASK, RedactionPolicy, masked, redact
from schemas.documents import DocumentParsed, DocumentRedacted, Redaction
from tests.processors.ingest.builders import at, deleted

EVERYTHING = RedactionPolicy(KINDS)


def hidden(text: str, policy: RedactionPolicy = EVERYTHING) -> dict[str, int]:
    found: Counter[str] = Counter()
    masked(text, policy, found)
    return dict(found)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to ann.lee+tea@mail.example.org today", "email"),
        ("call +49 30 1234567 now", "phone"),
        ("call (415) 555-2671 now", "phone"),
        ("card 4111-1111-1111-1111, thanks", "card"),
        ("card 378282246310005.", "card"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "iban"),
        ("to GB29NWBK60161331926819 please", "iban"),
        ("SSN 123-45-6789", "ssn"),
        ("host 192.168.7.23 is down", "ipv4"),
        ("key AKIAIOSFODNN7EXAMPLE here", "secret"),
        ("token ghp_" + "a1B2c3D4" * 5, "secret"),
        ("api_key = 'q7Zt4LmX9vB2nR8k'", "secret"),
        ("postgres://app:s3cretpw@db:5432/x", "secret"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "secret"),
    ],
)
def test_when_a_text_holds_data_of_a_kind_then_just_that_is_masked(text: str, kind: str) -> None:
    assert hidden(text) == {kind: 1}


@pytest.mark.parametrize(
    "text",
    [
        "card 4111 1111 1111 1112",
        "0000 0000 0000 0000",
        "DE89 3704 0044 0532 0130 01",
        "part 000-45-6789 and 900-11-2222",
        "version 1.2.3.4000 and 127.0.0.1",
        "In 1998, 2004 and 2012 it was 12 % more.",
        "password = changeme",
        "token: <your-token-here>",
        "ratio 3.14159265358979",
        "ISBN 978-3-16-148410-0",
        "the secret: patience and good leaves",
    ],
)
def test_when_something_only_looks_like_data_then_it_stays(text: str) -> None:
    assert hidden(text, RedactionPolicy(KINDS - {"phone"})) == {}


def test_when_nothing_is_said_then_addresses_stay_and_secrets_go() -> None:
    text = "ann@example.org pays with 4111111111111111"
    assert masked(text, RedactionPolicy(), Counter()) == f"ann@example.org pays with {MASK * 16}"


def test_when_a_policy_names_an_unknown_kind_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match="got shoe size"):
        RedactionPolicy(frozenset({"shoe size"}))


def test_when_a_document_is_redacted_then_every_place_is_and_offsets_hold() -> None:
    pieces = [Piece("heading", "Card 4111111111111111", 1), Piece("paragraph", "SSN 123-45-6789 twice: 123-45-6789")]
    parsed = DocumentParsed(
        tenant="acme",
        document="d",
        version=at(1),
        title="4111111111111111",
        media_type="text/plain",
        source_uri="",
        access=("*",),
        blocks=laid_out(pieces),
        properties={"note": "123-45-6789"},
    )
    (document,) = redact(parsed, RedactionPolicy())
    assert isinstance(document, DocumentRedacted)
    text = parsed_text(document.blocks)
    assert not any(char.isdigit() for char in text)
    assert [text[block.start : block.end] for block in document.blocks] == [block.text for block in document.blocks]
    assert document.blocks[1].heading_path == (f"Card {MASK * 16}",)
    assert (document.title, document.properties) == (MASK * 16, {"note": MASK * 11})
    assert document.redactions == (Redaction(kind="card", count=2), Redaction(kind="ssn", count=3))


def test_when_nothing_is_found_then_the_blocks_are_the_same() -> None:
    blocks = laid_out([Piece("paragraph", "Tea is hot.")])
    parsed = DocumentParsed(
        tenant="a", document="d", version=at(1), title="t", media_type="", source_uri="", access=(), blocks=blocks
    )
    (document,) = redact(parsed, RedactionPolicy())
    assert isinstance(document, DocumentRedacted)
    assert document.blocks == blocks
    assert document.redactions == ()


def test_when_a_document_is_deleted_then_the_delete_goes_on() -> None:
    assert list(redact(deleted(3), RedactionPolicy())) == [deleted(3)]


@given(st.text(max_size=300))
def test_when_any_text_is_masked_then_it_is_as_long_as_before_and_masking_again_changes_nothing(text: str) -> None:
    once = masked(text, EVERYTHING, Counter())
    assert len(once) == len(text)
    assert masked(once, EVERYTHING, Counter()) == once
    assert all(now in (was, MASK) for was, now in zip(text, once, strict=True))
