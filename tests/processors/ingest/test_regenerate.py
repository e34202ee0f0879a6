"""regenerate: what the ordinary steps make of the same documents, in one step, for another generation."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from adapters.memory import ManualClock
from processors.contract import Reject, Stop
from processors.ingest.embed import remember
from processors.ingest.heads import newer
from processors.ingest.index import fold
from processors.ingest.regenerate import Materials, Source, regenerate
from processors.ports import Vectors
from schemas.documents import DocumentHead, DocumentIndexed
from schemas.envelope import Event
from tests.processors.ingest.builders import (
    TENANT,
    CountingEmbedder,
    Line,
    computed,
    deleted,
    granted,
    opened,
    redacted,
    splitter,
)

LONG = ["Tea is hot and is drunk in the afternoon.", "Coffee is black.", "Milk is white and comes from cows."]


class Failing(CountingEmbedder):
    """A model that can't take some texts, or none at all."""

    def __init__(self, *words: str) -> None:
        super().__init__()
        self._words = words

    def embed(self, texts: Sequence[str]) -> Vectors:
        if any(word in text for text in texts for word in self._words):
            raise ValueError("the model can't take this")
        return super().embed(texts)


def materials(line: Line, generation: str = "g2") -> Materials:
    return Materials(
        generation, line.splitter, line.embedder, line.cache, line.store, opened(generation), ManualClock()
    )


def take(ports: Materials, *events: Source) -> list[Event]:
    """The outputs of a batch, as after its commit."""
    outputs = [one for part in regenerate(events, ports) if not isinstance(part, Reject) for one in part]
    remember(outputs, ports.embedding_cache)
    fold(outputs, ports.heads)
    return outputs


def told(events: Sequence[Event]) -> list[Event]:
    """Heads and receipts, but for the generation that they are of."""
    return [
        msgspec.structs.replace(event, generation="")
        for event in events
        if isinstance(event, DocumentHead | DocumentIndexed)
    ]


HISTORY: tuple[Source, ...] = (
    redacted(LONG, 1),
    redacted([*LONG, "Water is clear."], 2),
    granted(("group:tea",), 3),
    redacted(LONG, 2),
    redacted(["Juice."], 1, document="other.md"),
    deleted(5),
)


@pytest.mark.parametrize("batch", [1, 2, len(HISTORY)])
def test_when_the_same_history_comes_then_the_heads_are_those_of_the_ordinary_steps(batch: int) -> None:
    ordinary, other = Line(), Line()
    outputs = [
        event
        for one in HISTORY
        for event in ordinary.indexed([one] if not hasattr(one, "blocks") else ordinary.embedded([one]))  # type: ignore[list-item]
    ]
    ports = materials(other)
    made = [event for at in range(0, len(HISTORY), batch) for event in take(ports, *HISTORY[at : at + batch])]
    stripped = [
        event if not isinstance(event, DocumentHead) else msgspec.structs.replace(event, event_id="filled in")
        for event in told(made)
    ]
    assert [msgspec.structs.replace(event, event_id="") for event in stripped] == [
        msgspec.structs.replace(event, event_id="") for event in told(outputs)
    ]


def test_when_nothing_but_the_generation_differs_then_nothing_is_embedded() -> None:
    first = Line()
    first.take(redacted(LONG, 1))
    before = len(first.embedder.texts)
    second = materials(Line(cache=first.cache, embedder=first.embedder))
    made = take(second, redacted(LONG, 1))
    assert (len(first.embedder.texts) - before, computed(made)) == (0, [])
    assert [event.generation for event in made if isinstance(event, DocumentHead)] == ["g2"]


def test_when_the_chunking_differs_then_only_new_passages_are_embedded() -> None:
    first = Line(splitter=splitter(12, 6))
    first.take(redacted([*LONG, " ".join(["word"] * 12)], 1))
    known = set(first.embedder.texts)
    ports = materials(Line(cache=first.cache, embedder=first.embedder, splitter=splitter(20, 19)))
    made = take(ports, redacted([*LONG, " ".join(["word"] * 12)], 1))
    (head,) = [event for event in made if isinstance(event, DocumentHead)]
    assert 0 < len(computed(made)) < len(head.chunks) + 1
    assert not known & set(first.embedder.texts[len(known) :])


def test_when_one_document_is_poison_then_it_alone_is_refused() -> None:
    ports = materials(Line(embedder=Failing("poison")))
    outputs = regenerate([redacted(["Tea."], 1, "a"), redacted(["poison"], 1, "b"), redacted(["Milk."], 1, "c")], ports)
    assert [isinstance(part, Reject) for part in outputs] == [False, True, False]
    assert [
        e.document for part in outputs if not isinstance(part, Reject) for e in part if isinstance(e, DocumentHead)
    ] == ["a", "c"]


class Skewed(CountingEmbedder):
    """A model whose vector of one text can't be searched."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = super().embed(texts)
        for row, text in enumerate(texts):
            vectors[row] *= 2.0 if "skewed" in text else 1.0
        return vectors


def test_when_a_vector_cant_be_searched_then_its_document_is_refused_whole_and_nothing_is_charged() -> None:
    ports = materials(Line(embedder=Skewed()))
    good, bad = regenerate([redacted(["Tea."], 1, "a"), redacted(["Milk.", "skewed"], 1, "b")], ports)
    assert isinstance(good, list) and len(computed(good)) == 1
    assert isinstance(bad, Reject)


def test_when_the_model_takes_nothing_then_the_hop_pauses_and_nothing_is_refused() -> None:
    ports = materials(Line(embedder=Failing("Tea", "Milk")))
    with pytest.raises(Stop, match="the model failed"):
        regenerate([redacted(["Tea."], 1, "a"), redacted(["Milk."], 1, "b")], ports)


def test_when_it_is_killed_between_index_and_commit_then_the_repeat_ends_the_same() -> None:
    line = Line()
    ports = materials(line)
    regenerate([redacted(LONG, 1)], ports)
    assert ports.heads.get(TENANT, "handbook.md") is None
    take(ports, redacted(LONG, 1))
    head = ports.heads.get(TENANT, "handbook.md")
    assert head is not None and newer(head, None)
    assert line.store.existing(TENANT, [chunk.object_id for chunk in head.chunks]) == {
        chunk.object_id for chunk in head.chunks
    }
