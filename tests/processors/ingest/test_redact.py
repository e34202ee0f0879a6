"""redact: what a policy does to a document, and where everything stands afterwards."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.ingest.formats import Piece, laid_out, parsed_text
from processors.ingest.policies import RedactionPolicy
from processors.ingest.recognise import PatternRecogniser
from processors.ingest.redact import MASK, redact, replaced
from schemas.documents import DocumentDeleted, DocumentParsed, DocumentRedacted, Redaction
from tests.processors.ingest.builders import at, deleted

EVERYTHING = RedactionPolicy(default=dict.fromkeys(PatternRecogniser.kinds, "mask"))
MAIL = "ann@example.org"
CARD = "4111 1111 1111 1111"


def parsed(*pieces: Piece, **more: Any) -> DocumentParsed:
    given: dict[str, Any] = {
        "tenant": "acme", "document": "d", "version": at(1), "title": "t", "media_type": "text/plain",
        "source_uri": "", "access": ("*",), "blocks": laid_out(pieces),
    }  # fmt: skip
    return DocumentParsed(**{**given, **more})


def redacted(document: DocumentParsed, policy: RedactionPolicy) -> DocumentRedacted:
    (event,) = redact(document, policy)
    assert isinstance(event, DocumentRedacted)
    text = parsed_text(event.blocks)
    assert [text[block.start : block.end] for block in event.blocks] == [block.text for block in event.blocks]
    return event


def policy(**rules: Any) -> RedactionPolicy:
    return RedactionPolicy(default=rules, secret=b"hush")


def test_when_nothing_is_said_then_addresses_stay_and_secrets_go() -> None:
    text = f"{MAIL} pays with 4111111111111111"
    assert replaced(text, "acme", RedactionPolicy()) == f"{MAIL} pays with {MASK * 16}"


def test_when_a_document_is_masked_then_every_place_is_and_nothing_moves() -> None:
    pieces = [Piece("heading", "Card 4111111111111111", 1), Piece("paragraph", "SSN 123-45-6789 twice: 123-45-6789")]
    document = parsed(*pieces, title="4111111111111111", properties={"note": "123-45-6789"})
    event = redacted(document, RedactionPolicy())
    assert not any(char.isdigit() for char in parsed_text(event.blocks))
    assert [(b.start, b.end) for b in event.blocks] == [(b.start, b.end) for b in document.blocks]
    assert event.blocks[1].heading_path == (f"Card {MASK * 16}",)
    assert (event.title, event.properties) == (MASK * 16, {"note": MASK * 11})
    assert event.redactions == (Redaction(kind="card", count=2), Redaction(kind="ssn", count=3))
    assert event.policy == RedactionPolicy().fingerprint("acme")


def test_when_values_become_tokens_then_what_follows_moves_and_every_offset_holds() -> None:
    pieces = [
        Piece("heading", f"Mail of {MAIL}", 1),
        Piece("paragraph", f"Write to Ann@Example.org, or to {MAIL}."),
        Piece("paragraph", "The end."),
    ]
    rules = policy(email="tokenise")
    event = redacted(parsed(*pieces), rules)
    token = rules.token("acme", "email", MAIL)
    assert event.blocks[1].text == f"Write to {token}, or to {token}."
    assert event.blocks[1].heading_path == (f"Mail of {token}",)
    assert event.redactions == (Redaction(kind="email", count=3, action="tokenise"),)


@pytest.mark.parametrize("dropped", [0, 1, 2])
def test_when_a_block_is_dropped_then_the_rest_closes_up(dropped: int) -> None:
    texts = ["The first.", "The second.", "The third."]
    texts[dropped] = f"Paid with {CARD}."
    event = redacted(parsed(*(Piece("paragraph", text) for text in texts)), policy(card="drop_block"))
    assert [block.text for block in event.blocks] == [text for text in texts if "Paid" not in text]
    assert event.redactions == (Redaction(kind="card", count=1, action="drop_block"),)


def test_when_gaps_are_wider_than_ours_then_they_are_kept() -> None:
    document = parsed(Piece("paragraph", f"Write to {MAIL}."), Piece("paragraph", "The end."))
    apart = [msgspec.structs.replace(block, start=block.start + 7 * n, end=block.end + 7 * n) for n, block in
             enumerate(document.blocks)]  # fmt: skip
    (event,) = redact(msgspec.structs.replace(document, blocks=tuple(apart)), policy(email="tokenise"))
    assert isinstance(event, DocumentRedacted)
    assert event.blocks[1].start - event.blocks[0].end == apart[1].start - apart[0].end
    assert event.blocks[1].end - event.blocks[1].start == len("The end.")


def test_when_a_document_is_dropped_then_this_version_deletes_it() -> None:
    document = parsed(Piece("paragraph", f"Paid with {CARD}."))
    (event,) = redact(document, policy(card="drop_document"))
    assert event == DocumentDeleted(
        tenant="acme", document="d", reason="dropped by the redaction policy: card", version=at(1)
    )


def test_when_a_key_goes_on_in_the_next_block_then_all_of_it_is_masked() -> None:
    key = [
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED",
        "MIIEowIBAAKCAQEA7bq\n-----END RSA PRIVATE KEY-----",
    ]
    event = redacted(parsed(*(Piece("paragraph", part) for part in key), Piece("paragraph", "After.")), EVERYTHING)
    assert set(event.blocks[0].text + event.blocks[1].text) <= {MASK}
    assert event.blocks[2].text == "After."
    assert event.redactions == (Redaction(kind="secret", count=1),)


def test_when_a_property_is_named_for_a_secret_then_its_value_goes() -> None:
    document = parsed(Piece("paragraph", "x"), properties={"db_password": "Tr0ub4dor&3", "owner": "Tr0ub4dor&3"})
    assert redacted(document, RedactionPolicy()).properties == {"db_password": MASK * 11, "owner": "Tr0ub4dor&3"}


def test_when_an_address_holds_a_password_then_only_that_is_masked_in_it() -> None:
    document = parsed(Piece("paragraph", "x"), source_uri="https://bob:s3cretpw@host/ann@example.org")
    assert redacted(document, EVERYTHING).source_uri == f"https://bob:{MASK * 8}@host/ann@example.org"


def test_when_a_tenant_has_rules_of_its_own_then_they_hold_for_it_alone() -> None:
    rules = RedactionPolicy(default={"email": "mask"}, tenants={"acme": {"email": "allow"}})
    document = parsed(Piece("paragraph", MAIL))
    assert redacted(document, rules).blocks == document.blocks
    assert redacted(msgspec.structs.replace(document, tenant="b"), rules).blocks[0].text == MASK * len(MAIL)


def test_when_nothing_is_found_then_the_blocks_are_the_same() -> None:
    document = parsed(Piece("paragraph", "Tea is hot."))
    event = redacted(document, EVERYTHING)
    assert event.blocks == document.blocks
    assert event.redactions == ()


def test_when_a_document_is_deleted_then_the_delete_goes_on() -> None:
    assert list(redact(deleted(3), RedactionPolicy())) == [deleted(3)]


@settings(max_examples=50)
@given(st.text(max_size=300))
def test_when_any_text_is_masked_then_it_is_as_long_as_before_and_masking_again_changes_nothing(text: str) -> None:
    once = replaced(text, "acme", EVERYTHING)
    assert len(once) == len(text)
    assert replaced(once, "acme", EVERYTHING) == once
    assert all(now in (was, MASK) for was, now in zip(text, once, strict=True))


@settings(max_examples=50)
@given(st.lists(st.sampled_from([MAIL, CARD, "password: Tr0ub4dor&3", "tea ", "\n", " 12 "]), max_size=20))
def test_when_values_are_tokens_already_then_they_are_left_alone(parts: list[str]) -> None:
    rules = RedactionPolicy(default=dict.fromkeys(PatternRecogniser.kinds, "tokenise"), secret=b"s")
    once = replaced(" ".join(parts), "acme", rules)
    assert replaced(once, "acme", rules) == once
    assert MAIL not in once and CARD not in once and "Tr0ub4dor" not in once
