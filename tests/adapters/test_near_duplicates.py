"""Near-duplicates: equal and nearly equal documents are named, others are not, deleted ones are forgotten."""

from __future__ import annotations

import hashlib
import random
from itertools import count
from typing import Any

import numpy as np
import pytest

from adapters.near_duplicates import MemoryDuplicates, MinHashSigner
from processors.ingest.chunk import chunk
from processors.ingest.duplicates import content_words, shingles, words_hash
from processors.ingest.settle import settle
from schemas.documents import DocumentChunked, DocumentHead, DocumentIndexed
from tests.processors.ingest.builders import Line, at, deleted, opened, redacted, splitter
from tests.processors.ingest.edits import document

SIGNER = MinHashSigner()
VERSIONS = count(1)


def head(name: str, text: str, tenant: str = "acme", **more: Any) -> DocumentHead:
    words = content_words(text)
    fields: dict[str, Any] = {"words_hash": words_hash(words), "signature": SIGNER.sign(shingles(words)), **more}
    return DocumentHead(
        tenant=tenant, document=name, version=at(next(VERSIONS)), access_version=at(0), generation="g1", **fields
    )


TEXT = " ".join(document(11, paragraphs=30))
WORDS = TEXT.split()


def changed(share: float) -> str:
    """The text with one run of words replaced, which is that share of it."""
    size = int(len(WORDS) * share)
    return " ".join([*WORDS[:100], *(f"new{number}" for number in range(size)), *WORDS[100 + size :]])


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (TEXT, True),
        (TEXT.upper().replace(" ", "  \n"), True),
        (changed(0.02), True),
        (changed(0.05), True),
        (changed(0.5), False),
        (" ".join(document(12, paragraphs=30)), False),
    ],
    ids=["equal", "layout", "2 %", "5 %", "half", "another"],
)
def test_when_documents_say_nearly_the_same_then_the_other_is_named(other: str, found: bool) -> None:
    view = MemoryDuplicates()
    view.fold(head("first", TEXT))
    assert (view.like(head("second", other)) == "first") == found


def test_when_a_document_is_gone_or_says_something_else_then_it_is_like_nothing() -> None:
    view = MemoryDuplicates()
    first, second = head("first", TEXT), head("second", TEXT)
    view.fold(first)
    assert view.like(first) == ""
    view.fold(second)
    assert view.like(first) == "second"
    view.fold(head("second", "Something else altogether is said in this one."))
    assert view.like(first) == ""
    view.fold(second)
    assert view.like(first) == "", "an older head must not come back"
    view.fold(head("first", "", words_hash="", signature=b"", gone=True))
    assert view.like(head("third", TEXT)) == ""


def test_when_tenants_hold_the_same_text_then_neither_hears_of_the_other() -> None:
    view = MemoryDuplicates()
    view.fold(head("first", TEXT))
    assert view.like(head("second", TEXT, tenant="other")) == ""


def test_when_there_are_many_documents_then_the_nearest_is_found() -> None:
    view = MemoryDuplicates()
    for number in range(200):
        view.fold(head(f"d{number}", " ".join(document(100 + number, paragraphs=4))))
    near = document(150, paragraphs=4)
    near[0] += " One more sentence."
    assert view.like(head("new", " ".join(near))) == "d50"


def test_when_a_text_is_short_then_it_still_has_a_signature() -> None:
    assert len(SIGNER.sign(shingles(content_words("Two words")))) == 256
    assert SIGNER.sign(shingles([])) == b""


def test_when_a_copy_is_ingested_then_its_receipt_names_the_first_and_nothing_is_dropped() -> None:
    line, view = Line(), MemoryDuplicates()
    text = document(11, paragraphs=6)
    receipts = []
    for name, paragraphs in (("a.md", text), ("b.md", [*text[:5], f"{text[5]} More."]), ("c.md", document(3, 6))):
        events = [*chunk(redacted(paragraphs, 1, name), splitter(), SIGNER)]
        assert isinstance(events[-1], DocumentChunked)
        outputs = line.indexed(line.embedded_events(events))
        heads = [event for event in outputs if isinstance(event, DocumentHead)]
        receipts += [event for outputs in settle(heads, line.store, line.heads, view) for event in outputs]  # type: ignore[union-attr]
    named = [event.near_duplicate_of for event in receipts if isinstance(event, DocumentIndexed)]
    assert named == ["", "a.md", ""]
    assert {found.document for found in line.store.walk()} == {"a.md", "b.md", "c.md"}


def test_when_a_document_is_deleted_then_its_receipt_names_nothing() -> None:
    line, view = Line(heads=opened()), MemoryDuplicates()
    line.take(redacted(["One."], 1))
    outputs = line.indexed([deleted(2)])
    heads = [event for event in outputs if isinstance(event, DocumentHead)]
    (receipt,) = settle(heads, line.store, line.heads, view)[0]  # type: ignore[misc]
    assert isinstance(receipt, DocumentIndexed)
    assert (receipt.outcome, receipt.near_duplicate_of) == ("deleted", "")


def test_when_words_are_hashed_then_only_words_and_their_order_count() -> None:
    draw = random.Random(1)
    mixed = WORDS[:]
    draw.shuffle(mixed)
    assert words_hash(content_words(TEXT)) != words_hash(content_words(" ".join(mixed)))


def test_when_signatures_of_older_heads_are_met_then_ours_are_of_the_same_scheme() -> None:
    # Minima of datasketch 2.0: MinHash(num_perm=64, scheme="affine32", hashfunc=int), updated with 1, 2 and 3.
    assert SIGNER.sign(np.array([1, 2, 3], np.uint32)).hex().startswith("3205a9b4f2610f2b18687d4daa59fc86")
    many = np.arange(0, 4_000_000_000, 3_000_017, dtype=np.uint32)
    assert (
        hashlib.sha256(SIGNER.sign(many)).hexdigest()
        == "0f80380e8821d73880f72b902c69fa394e8884c340843d59cebe806fbe532cef"
    )
