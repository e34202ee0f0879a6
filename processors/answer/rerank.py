"""Rerank: the ranker reads the best candidates; its scores, mixed with the fused ones, decide what is worth reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import inf, isfinite
from typing import Final

from msgspec.structs import replace

from processors.answer.fusion import z_scores
from processors.answer.ladder import NO_LADDER, Ladder, left_s
from processors.answer.limits import RetrievalLimits
from processors.answer.retrieve import by_id, digest_of
from processors.ingest.memories import owner_in
from processors.ingest.passages import passage_text
from processors.ports import Clock, Ranker
from schemas.queries import Passage, PassagesFound, PassagesRanked, Query, Usage

__all__ = ["SKIPPED", "TAIL_SKIPPED", "ranked_again", "rerank"]

SKIPPED: Final = "rerank"
"""The order is the fused one: there was no time to read, too many waited, or the ranker failed."""

TAIL_SKIPPED: Final = "rerank.tail"
"""Only the best of the candidates were read: the rest stand behind them in fused order."""


def rerank(
    found: PassagesFound, ranker: Ranker, retrieval: RetrievalLimits, clock: Clock, ladder: Ladder = NO_LADDER
) -> Iterator[PassagesRanked]:
    """Chooses the few passages to answer from, best first.

    A call of the ranker can't be interrupted, so the time there is bounds what it is given to read. It may fail without
    harm: the fused order is then used, and `degraded` says so. A question that was resolved against its session is read
    both ways, and taken as it was asked where a passage fits that better: then it leant on nothing.
    """
    readable = () if ladder.unranked(found.query) else _readable(found, retrieval, clock)
    wanted = _wanted(found.query, retrieval)
    began = clock.monotonic()
    texts = [passage_text(passage.title, passage.heading_path, passage.text) for passage in readable]
    query, scores = _understood(found.query, texts, ranker)
    seconds = clock.monotonic() - began
    ranked = _chosen(found.passages, scores, wanted, retrieval)
    ticket = found.query.ticket
    if ticket is not None and len(scores) == len(found.passages):
        places = {passage.object_id: score for passage, score in zip(found.passages, scores, strict=True)}
        ordered = tuple(places[passage.object_id] for passage in by_id(found.passages))
        ticket = replace(ticket, scores=ordered, ranked=digest_of(ranked))
    yield PassagesRanked(
        tenant=found.tenant,
        query=replace(query, ticket=ticket),
        passages=tuple(ranked),
        degraded=(*found.degraded, *_degraded(found.passages, scores)),
        usage=_usage(ranker, seconds) if scores else (),
    )


def ranked_again(query: Query, found: Sequence[Passage], scores: Sequence[float], retrieval: RetrievalLimits) -> str:
    """A digest of what ranking makes of candidates, the ranker's scores given by object id; without a model.

    Their fused scores are those of now: they move with every other document.
    """
    raw = {passage.object_id: score for passage, score in zip(by_id(found), scores, strict=True)}
    read = [raw[passage.object_id] for passage in found]
    return digest_of(_chosen(found, read, _wanted(query, retrieval), retrieval))


def _wanted(query: Query, retrieval: RetrievalLimits) -> int:
    return max(1, min(retrieval.passages, query.max_passages))


def _readable(found: PassagesFound, retrieval: RetrievalLimits, clock: Clock) -> tuple[Passage, ...]:
    """As many of the best as the ranker can read in time."""
    milliseconds = int(min(retrieval.rerank_deadline_ms, 1_000 * left_s(found.query.deadline_at, clock)))
    room = milliseconds * retrieval.rank_chars_per_ms
    # What was resolved is read twice.
    room = room // 2 if found.query.resolved else room
    sizes = accumulate(len(passage.text) for passage in found.passages)
    return found.passages[: sum(size <= room for size in sizes)]


def _understood(query: Query, texts: Sequence[str], ranker: Ranker) -> tuple[Query, list[float]]:
    """The question as a passage fits it best, and the scores by that: as it is meant behind its session, or as asked.

    How well the best passage fits is measured by what the question itself scores, so that both can be compared.
    """
    if not (query.resolved and texts):
        return query, _scored(ranker, query.question, texts)
    as_asked, as_meant = (_scored(ranker, said, [said, *texts]) for said in (query.question, query.resolved))
    if as_asked and as_meant and _best_fit(as_asked) > _best_fit(as_meant):
        return replace(query, resolved=""), as_asked[1:]
    return query, as_meant[1:]


def _best_fit(scores: Sequence[float]) -> float:
    own, *others = scores
    return max(others) / own if own > 0 else 0.0


def _scored(ranker: Ranker, question: str, texts: Sequence[str]) -> list[float]:
    """The ranker's scores; none where it failed."""
    if not texts:
        return []
    try:
        scores = ranker.score(question, texts)
    except Exception:
        # Whatever went wrong with it, an order that is nearly as good is at hand, and `degraded` tells.
        return []
    return scores if len(scores) == len(texts) and all(map(isfinite, scores)) else []


def _chosen(
    passages: Sequence[Passage], scores: Sequence[float], wanted: int, retrieval: RetrievalLimits
) -> list[Passage]:
    """The documents' best, as they would be without notes, and behind them the notes that fit as well as a candidate.

    `scores` are of the first of the passages; notes stand behind documents, so those unread are the first to go.
    """
    count = next((at for at, passage in enumerate(passages) if owner_in(passage.document)), len(passages))
    documents, read = passages[:count], scores[:count]
    ranked = [*_mixed(documents[: len(read)], read, retrieval.rank_weight), *documents[len(read) :]][:wanted]
    return [*ranked, *_fitting_notes(list(zip(passages[count:], scores[count:], strict=False)), read, retrieval)]


def _fitting_notes(
    notes: Sequence[tuple[Passage, float]], read: Sequence[float], retrieval: RetrievalLimits
) -> list[Passage]:
    """Notes that the ranker finds as good as any of the documents that it read, by what it makes of these.

    A note is short and a passage long, and more words fit more: measured against the documents chosen, most notes that
    say it in other words would be left out (docs/adr/0023-long-term-memory.md).
    """
    bar = min(read, default=-inf)
    fitting = sorted((note for note in notes if note[1] >= bar), key=lambda note: -note[1])[: retrieval.recalled]
    return [
        replace(
            passage,
            score=retrieval.rank_weight * z_scores([*read, score])[-1],
            scores={**passage.scores, "rank": score},
        )
        for passage, score in fitting
    ]


def _mixed(passages: Sequence[Passage], scores: Sequence[float], weight: float) -> list[Passage]:
    fused = z_scores([passage.score for passage in passages])
    read = z_scores(scores)
    mixed = [weight * own + (1.0 - weight) * found for own, found in zip(read, fused, strict=True)]
    ranked = [
        replace(passage, score=score, scores={**passage.scores, "rank": raw})
        for passage, score, raw in zip(passages, mixed, scores, strict=True)
    ]
    return sorted(ranked, key=lambda passage: -passage.score)


def _degraded(passages: Sequence[Passage], scores: Sequence[float]) -> tuple[str, ...]:
    if len(scores) == len(passages):
        return ()
    return (TAIL_SKIPPED,) if scores else (SKIPPED,)


def _usage(ranker: Ranker, seconds: float) -> tuple[Usage, ...]:
    return (Usage(step="rerank", model=ranker.model, unit="seconds", quantity=seconds),)
