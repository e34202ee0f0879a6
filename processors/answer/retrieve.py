"""Retrieve: hybrid search for each variant of the question, fused, then the read-time fence.

1. Each variant is searched for by words and by meaning, twice as wide as needed.
2. The scores of both searches are fused; a candidate keeps the best of its variants.
3. The heads of all candidates' documents are read in one round trip, and the fence drops what they do not confirm.
4. Where a newer version took a candidate's place, the search runs once more, so that its new text is not missed.
5. Where too few are left, more are fetched, within bounds.
6. Filters that were drawn from the question and leave nothing, or nothing that fits it nearly as well as what they
   hide, are dropped, and the search runs without them.
7. A question that asks for its user's notes is searched for among these as well, in the same way; they stand behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from itertools import islice
from typing import Final, NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace

from processors.answer.fence import Fence, note_readers, principals
from processors.answer.fusion import reciprocal_ranks, weighted_scores
from processors.answer.limits import RetrievalLimits
from processors.contract import Reject
from processors.ingest.passages import placed
from processors.ports import Candidate, Clock, Embedder, IndexObject, Served, Serving, Vectors
from schemas.documents import DocumentHead, Place
from schemas.queries import CacheTicket, Passage, PassagesFound, QueryPlanned, Usage

__all__ = ["UNFILTERED", "by_id", "digest_of", "found_again", "retrieve"]

# Each further fetch is this much wider: few rounds, and no more than a small multiple of what is needed.
_WIDER: Final = 4
UNFILTERED: Final = "filters"
"""In `degraded`: the filters drawn from the question left nothing that fits, so it was answered without them."""
# Of the notes that search thinks best the ranker chooses among so many times what may be read.
_NOTES_READ: Final = 4


def retrieve(
    planned: QueryPlanned, serving: Serving, retrieval: RetrievalLimits, clock: Clock
) -> Iterator[PassagesFound]:
    """Finds what the asker may read now, best first; nothing for a question that needs no documents.

    Rejects `query.filters` that `admit` would not let in. A view of heads that is being rebuilt, or an index that is
    down, raises its UnavailableError: the question waits.
    """
    if planned.kind not in ("retrieval", "UNKNOWN"):
        yield PassagesFound(
            tenant=planned.tenant,
            query=planned.query,
            plan=planned.variants,
            passages=(),
            degraded=planned.degraded,
        )
        return
    if problem := retrieval.fields.problem(planned.tenant, planned.query.filters):
        raise Reject(problem)
    variants = planned.variants or (planned.query.question,)
    # One generation from start to end: its model for the question, its store for candidates, its heads for the fence.
    with serving.lease(planned.tenant) as served:
        began = clock.monotonic()
        vectors, charged = retrieval.asked.of(planned.tenant, served.embedder, variants, planned.query.query_id)
        usage = _usage(served.embedder, charged, clock.monotonic() - began)
        outcome, degraded = _found(planned, tuple(zip(variants, vectors, strict=True)), served, retrieval)
        passages = tuple(outcome.passages)
        ticket = _stamped(planned.query.ticket, served.generation, passages, vectors)
    yield PassagesFound(
        tenant=planned.tenant,
        query=replace(planned.query, ticket=ticket),
        plan=variants,
        passages=passages,
        fenced=len(outcome.fenced),
        rounds=outcome.rounds,
        usage=usage,
        degraded=(*planned.degraded, *degraded),
    )


def found_again(
    planned: QueryPlanned, vectors: Sequence[bytes], served: Served, retrieval: RetrievalLimits
) -> list[Passage]:
    """What a search finds now, its variants' vectors given; for whoever kept an answer to it."""
    pairs = zip(planned.variants, (np.frombuffer(vector, "<f4") for vector in vectors), strict=True)
    return _found(planned, tuple(pairs), served, retrieval)[0].passages


def by_id(passages: Sequence[Passage]) -> list[Passage]:
    """Passages in an order that no score decides."""
    return sorted(passages, key=lambda passage: passage.object_id)


def digest_of(passages: Sequence[Passage]) -> str:
    """Of everything the later steps read of the passages but their scores, which move with every other document."""
    bare = [replace(passage, score=0.0, scores={}) for passage in passages]
    return hashlib.sha256(msgspec.msgpack.encode(bare)).hexdigest()


def _stamped(
    ticket: CacheTicket | None, generation: str, passages: Sequence[Passage], vectors: Vectors
) -> CacheTicket | None:
    """The ticket with what was found; None where another generation serves by now."""
    if ticket is None or ticket.generation != generation:
        return None
    return replace(
        ticket, found=digest_of(by_id(passages)), vectors=tuple(vector.astype("<f4").tobytes() for vector in vectors)
    )


class _Hit(NamedTuple):
    """An object, its fused score, and where those of each search stand: most hits are never told of."""

    object: IndexObject
    fused: float
    words: Mapping[str, float]
    vectors: Mapping[str, float]

    @property
    def scores(self) -> dict[str, float]:
        """By search, and fused."""
        name = self.object.object_id
        scores = {"bm25": self.words.get(name), "dense": self.vectors.get(name), "fused": self.fused}
        return {method: score for method, score in scores.items() if score is not None}


@dataclass
class _Outcome:
    passages: list[Passage] = field(default_factory=list)
    fenced: set[str] = field(default_factory=set)
    rounds: int = 0


_Variants = tuple[tuple[str, Vectors], ...]


@dataclass(frozen=True)
class _Search:
    """One question's searches as somebody; `run` may be asked again, wider."""

    planned: QueryPlanned
    variants: _Variants
    served: Served
    retrieval: RetrievalLimits
    asker: frozenset[str]

    def run(self, width: int) -> tuple[list[_Hit], bool]:
        """Candidates, best first, and whether a wider search could find more."""
        hits: dict[str, _Hit] = {}
        more, store = False, self.served.store
        for text, vector in self.variants:
            by_words = store.search_text(self.planned.tenant, text, width, self.asker)
            by_vector = store.search_vector(self.planned.tenant, vector, width, self.asker)
            more = more or width in (len(by_words), len(by_vector))
            for hit in self._fused(by_words, by_vector):
                held = hits.get(hit.object.object_id)
                if held is None or hit.fused > held.fused:
                    hits[hit.object.object_id] = hit
        return sorted(hits.values(), key=lambda hit: (-hit.fused, hit.object.object_id)), more

    def _fused(self, by_words: Sequence[Candidate], by_vector: Sequence[Candidate]) -> list[_Hit]:
        fusion = weighted_scores if self.retrieval.fusion == "scores" else reciprocal_ranks
        words, vectors = _by_id(by_words), _by_id(by_vector)
        weight = self.retrieval.vector_weight
        fused = fusion([(1.0 - weight, words), (weight, vectors)])
        objects = {found.object.object_id: found.object for found in (*by_words, *by_vector)}
        return [_Hit(objects[name], score, words, vectors) for name, score in fused.items()]


def _found(
    planned: QueryPlanned, variants: _Variants, served: Served, retrieval: RetrievalLimits
) -> tuple[_Outcome, tuple[str, ...]]:
    """The documents, behind them what a question that asks for them may read of its user's notes; what was done
    without."""
    outcome, degraded = _narrowed(_Search(planned, variants, served, retrieval, principals(planned.query)))
    notes = note_readers(planned.tenant, planned.query)
    if notes and retrieval.recalled:
        few = replaced(retrieval, candidates=retrieval.recalled * _NOTES_READ)
        recalled = _through_fence(_Search(_undrawn(planned), variants, served, few, notes))
        outcome.passages += recalled.passages
        outcome.fenced |= recalled.fenced
        outcome.rounds += recalled.rounds
    return outcome, degraded


def _narrowed(search: _Search) -> tuple[_Outcome, tuple[str, ...]]:
    """What is found within the filters, and what was done without: a drawn filter may help, and must not hide."""
    outcome = _through_fence(search)
    if outcome.passages or not search.planned.query.drawn:
        return outcome, ()
    wider = _through_fence(replaced(search, planned=_undrawn(search.planned)))
    wider.rounds += outcome.rounds
    wider.fenced |= outcome.fenced
    return wider, (UNFILTERED,) if wider.passages else ()


def _undrawn(planned: QueryPlanned) -> QueryPlanned:
    """The plan without the filters that were drawn from the question."""
    return replace(planned, query=replace(planned.query, drawn={}))


def _through_fence(search: _Search) -> _Outcome:
    retrieval = search.retrieval
    outcome, width, repeated = _Outcome(), retrieval.overfetch, False
    while True:
        hits, more = search.run(width)
        current = search.served.heads.get_many(search.planned.tenant, {hit.object.document for hit in hits})
        fence = Fence(current, search.asker)
        kept, dropped = list[_Hit](), list[_Hit]()
        for hit in hits:
            (kept if fence.admits(hit.object) else dropped).append(hit)
        outcome.fenced.update(hit.object.object_id for hit in dropped)
        outcome.rounds += 1
        if outcome.rounds == 1 and _astray(kept, current, search):
            return outcome
        outcome.passages = _passages(kept, current, fence, search)
        if outcome.rounds >= max(1, retrieval.rounds):
            return outcome
        if not repeated and any(fence.superseded(hit.object) for hit in dropped):
            repeated = True
            continue
        if len(outcome.passages) >= min(retrieval.candidates, len(hits)) or not more or width >= retrieval.widest:
            return outcome
        width = min(width * _WIDER, retrieval.widest)


def _astray(kept: Sequence[_Hit], current: Mapping[str, DocumentHead], search: _Search) -> bool:
    """Whether drawn filters hide what fits the question far better than anything that they leave: then it hardly meant
    them. Where none of these passes, whatever a wider search might find fits no better than the last of them."""
    query, limits, tenant = search.planned.query, search.retrieval, search.planned.tenant
    if not query.drawn or limits.fusion != "scores":
        return False
    given, stated = (limits.fields.passing(tenant, filters) for filters in (query.filters, query.drawn))
    heads = [(hit.fused, current[hit.object.document]) for hit in kept]
    fitting = [(score, stated(head)) for score, head in heads if given(head)]
    left = next((score for score, passes in fitting if passes), fitting[-1][0] if fitting else 0.0)
    return bool(fitting) and fitting[0][0] - left > limits.drawn_margin


def _passages(
    kept: Sequence[_Hit], current: Mapping[str, DocumentHead], fence: Fence, search: _Search
) -> list[Passage]:
    """The best of what passes the filters, as many as are wanted: making one takes longer than its part of a search."""
    query, generation = search.planned.query, search.served.generation
    passes = search.retrieval.fields.passing(search.planned.tenant, {**query.drawn, **query.filters})
    found = ((hit, current[hit.object.document]) for hit in kept)
    best = islice(((hit, head) for hit, head in found if passes(head)), search.retrieval.candidates)
    return [_passage(hit, head, generation, *fence.standing(hit.object)) for hit, head in best]


def _passage(hit: _Hit, head: DocumentHead, generation: str, ordinal: int, place: Place | None) -> Passage:
    """Version, title and place are the head's: that is the document that is cited."""
    chunk = placed(hit.object.chunk, ordinal, place)
    return Passage(
        object_id=hit.object.object_id,
        document=hit.object.document,
        version=head.version,
        chunk=chunk.name,
        ordinal=chunk.ordinal,
        text=chunk.text,
        title=head.title or hit.object.title,
        source_uri=head.source_uri or hit.object.source_uri,
        start=chunk.start,
        end=chunk.end,
        score=hit.fused,
        page=chunk.page,
        heading_path=chunk.heading_path,
        scores=hit.scores,
        generation=generation,
        lead=chunk.lead,
        parent=chunk.parent,
    )


def _by_id(found: Sequence[Candidate]) -> dict[str, float]:
    return {candidate.object.object_id: candidate.score for candidate in found}


def _usage(embedder: Embedder, variants: Sequence[str], seconds: float) -> tuple[Usage, ...]:
    tokens = float(sum(embedder.count(text) for text in variants))
    return (
        Usage(step="retrieve", model=embedder.model, unit="tokens_in", quantity=tokens),
        Usage(step="retrieve", model=embedder.model, unit="seconds", quantity=seconds),
    )
