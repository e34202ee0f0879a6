"""embed: each text is computed once, charged once, and never again."""

from __future__ import annotations

import random
from typing import cast

import numpy as np
import pytest

from adapters.memory import DictEmbeddingCache, ManualClock
from processors.ingest.chunk import chunk
from processors.ingest.embed import Embeddable, embed, remember
from processors.ingest.passages import passage_text, text_hash
from schemas.documents import ChunkEmbedded, DocumentChunked
from schemas.envelope import Event
from tests.processors.ingest.builders import CountingEmbedder, Line, computed, deleted, redacted, splitter
from tests.processors.ingest.test_chunk import document


def created(*paragraphs: str, version: int = 1, document: str = "d") -> list[Embeddable]:
    return list(chunk(redacted(paragraphs, version, document), splitter()))


def run(events: list[Embeddable], embedder: CountingEmbedder, cache: DictEmbeddingCache) -> list[list[Event]]:
    return cast("list[list[Event]]", embed(events, embedder, cache, ManualClock()))


def test_when_a_chunk_is_embedded_then_its_vector_is_that_of_title_headings_and_text() -> None:
    embedder = CountingEmbedder()
    (emitted, closing) = run(created("Tea is hot."), embedder, DictEmbeddingCache())
    assert embedder.texts == ["Handbook\nTea is hot."]
    receipt, embedded = emitted
    assert isinstance(embedded, ChunkEmbedded)
    vector = np.frombuffer(embedded.vector, "<f4")
    assert (len(vector), embedded.model, embedded.dimension) == (16, embedder.model, 16)
    assert np.allclose(vector, embedder.embed(["Handbook\nTea is hot."])[0])
    assert computed([receipt])[0].text_hash == text_hash(passage_text("Handbook", (), "Tea is hot."))
    assert isinstance(closing[0], DocumentChunked)


def test_when_a_text_comes_twice_in_a_batch_then_it_is_computed_and_charged_once() -> None:
    embedder = CountingEmbedder()
    outputs = run([*created("Tea.", document="a"), *created("Tea.", document="b")], embedder, DictEmbeddingCache())
    assert len(embedder.texts) == 1
    assert [len(computed(output)) for output in outputs] == [1, 0, 0, 0]
    vectors = {event.vector for output in outputs for event in output if isinstance(event, ChunkEmbedded)}
    assert len(vectors) == 1


def test_when_a_batch_is_not_committed_then_its_repeat_is_charged_again() -> None:
    """The cache is filled by what was committed; else a cost that was never recorded would be lost."""
    embedder, cache = CountingEmbedder(), DictEmbeddingCache()
    first = run(created("Tea."), embedder, cache)
    again = run(created("Tea."), embedder, cache)
    assert len(cache) == 0
    assert [len(computed(output)) for output in first] == [len(computed(output)) for output in again] == [1, 0]
    remember((event for output in again for event in output), cache)
    assert [len(computed(output)) for output in run(created("Tea."), embedder, cache)] == [0, 0]
    assert len(embedder.texts) == 2


def test_when_a_cached_vector_has_another_width_then_it_is_computed() -> None:
    embedder, cache = CountingEmbedder(), DictEmbeddingCache()
    cache.put(embedder.model, text_hash("Handbook\nTea."), b"\0" * 4)
    run(created("Tea."), embedder, cache)
    assert embedder.texts == ["Handbook\nTea."]


def test_when_there_is_nothing_to_embed_then_the_model_is_left_alone() -> None:
    embedder = CountingEmbedder()
    assert run([deleted(2)], embedder, DictEmbeddingCache()) == [[deleted(2)]]
    assert run([], embedder, DictEmbeddingCache()) == []
    assert embedder.texts == []


def test_when_vectors_are_computed_then_the_seconds_are_shared_by_tokens() -> None:
    clock = ManualClock()
    embedder = CountingEmbedder(clock, seconds=2.0)
    events = [*created("One two three four.", document="a"), *created("One.", document="b")]
    receipts = computed([event for output in embed(events, embedder, DictEmbeddingCache(), clock) for event in output])  # type: ignore[union-attr]
    assert [receipt.tokens for receipt in receipts] == [5, 2]
    assert sum(receipt.seconds for receipt in receipts) == pytest.approx(4.0)
    assert receipts[0].seconds == pytest.approx(4.0 * 5 / 7)
    assert [receipt.document for receipt in receipts] == ["a", "b"]


@pytest.mark.parametrize("mean", [10, 40, 80])
def test_when_a_paragraph_of_a_long_document_is_edited_then_at_most_two_chunks_are_embedded(mean: int) -> None:
    line = Line()
    paragraphs = document(5, mean, paragraphs=250)
    line.take(redacted(paragraphs, 1))
    line.embedder.texts.clear()
    paragraphs[125] = "Here somebody wrote something new about " + random.Random(1).choice(["tea", "rain"])
    line.take(redacted(paragraphs, 2))
    assert 1 <= len(line.embedder.texts) <= 2
    assert any("somebody wrote" in text for text in line.texts())


def test_when_a_document_is_replayed_then_nothing_is_embedded() -> None:
    line = Line()
    versions = [redacted(document(5, 30, paragraphs=40), 1), redacted(document(6, 30, paragraphs=40), 2)]
    line.take(*versions)
    line.embedder.texts.clear()
    assert [receipt.outcome for receipt in line.take(*versions)] == ["outdated", "unchanged"]
    assert line.embedder.texts == []
