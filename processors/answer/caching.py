"""Answers given again: under which key an answer is kept, and what must still hold when it is given another time.

Nothing is given again on trust. The way of a question that was asked before (`Answers.ask`):
1. Its key holds who asks what of which index generation, by which pipeline: others never share it.
2. The heads of the documents that the answer was drawn from are read, as the fence does: each object is still listed,
   of the same version, and this asker may read it.
3. Search and ranking are done once more, with the vectors and the ranker's scores kept, so without a model. The search
   must find the very same candidates (a new or changed text that is among them now was not read when the answer was
   made), and ranking must choose the same of them.
4. Only then is it given. Else the question goes the long way.
5. That way may still end early (`read_again`): where ranking leaves the very same passages to read, in the same order,
   what would be written was written before. There, and where it is allowed, another wording counts as the same question
   if its vector is near enough.
Of several who ask the same at once one goes that way, and the others wait for its answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replaced
from typing import Final, Literal

import numpy as np
from msgspec.structs import replace

from processors.answer.expiry import BUSY, ECHO_CHARS, withheld
from processors.answer.fence import may_read, readers
from processors.answer.kept import AnswerCache, KeptAnswer, Used
from processors.answer.ladder import left_s
from processors.answer.limits import RetrievalLimits
from processors.answer.load import NO_LOAD, Load
from processors.answer.rerank import ranked_again
from processors.answer.retrieve import by_id, digest_of, found_again
from processors.answer.sessions import session_of
from processors.ports import Clock, Served, Serving
from schemas.documents import DocumentHead
from schemas.queries import AnswerDrafted, AnswerGiven, AnswerWithheld, CacheTicket, Query, QueryPlanned, Source

__all__ = ["Answers", "CacheLimits", "Result", "proven", "read_of", "same_question", "ticket_of"]

Result = Literal["hit", "waited", "miss", "changed", "matched", "busy", "reread", "reworded"]
"""How asking went. Each but `hit` and `waited` is a miss: nothing was kept, what it was drawn from changed, the search
finds something else now, or too many wait already. After it may come `reread` (what is read is the same still)
or `reworded` (and another wording was near enough): nothing is written then either."""

_TURNS: Final = 3
"""How often somebody waits for another who is at work on the same: one may fail, hardly three in a row."""

_Look = tuple[CacheTicket, KeptAnswer | None, Result]


@dataclass(frozen=True)
class CacheLimits:
    """How long a question waits for the same one that is being answered, and how many may wait at a time.

    `nearness` is the cosine from which another wording is the same question, where the same passages are read; 0 never.
    """

    wait_s: float = 10.0
    waiting: int = 32
    nearness: float = 0.0


class Answers:
    """The answers given so far, for the steps that may give one again and keep one. Without a cache it does neither.

    `pipeline` names everything that decides an answer beside the question and the documents: models, prompts, bars,
    weights. `tell` hears of each question how it went.
    """

    def __init__(
        self,
        cache: AnswerCache | None = None,
        pipeline: str = "",
        limits: CacheLimits = CacheLimits(),
        tell: Callable[[Result], None] = lambda _: None,
        load: Load = NO_LOAD,
    ) -> None:
        self._cache = cache
        self._pipeline = pipeline
        self._limits = limits
        self._tell = tell
        self._load = load
        self._waiting = 0

    async def ask(
        self, planned: QueryPlanned, serving: Serving, retrieval: RetrievalLimits, clock: Clock
    ) -> QueryPlanned | AnswerGiven | AnswerWithheld:
        """The answer kept for a question, if it still holds; else the question, with the ticket to keep its answer by,
        or, where too many wait already, that there is no room for it.

        Raises what reading heads and searching raise: a view that is not whole gives nothing again.
        """
        if planned.query.standing is not None:
            return await asyncio.to_thread(self._anew, planned, serving)
        no_room = self._load.at_least(planned.query.lane, "shed")
        if self._cache is None:
            return self._turned_away(planned) if no_room else planned

        def look() -> _Look:
            with serving.lease(planned.tenant) as served:
                ticket = ticket_of(planned, served.generation, self._pipeline)
                return (ticket, *self._held(ticket.key, planned, served, retrieval))

        ticket, kept, how = await asyncio.to_thread(look)
        if kept is None and no_room:
            return self._turned_away(planned)
        if kept is None and not await asyncio.to_thread(self._leads, ticket.key, planned.query, clock):
            ticket, kept, how = await self._in_turn(ticket, look, planned.query, clock)
        self._tell(how)
        if kept is not None:
            return _again(kept.answer, planned.query)
        return replace(planned, query=replace(planned.query, ticket=ticket))

    def read_again(self, tenant: str, query: Query, sources: Sequence[Source]) -> AnswerGiven | AnswerWithheld | None:
        """The answer kept for a question, if it was written from these very sources; it holds for what was found."""
        ticket = query.ticket
        if self._cache is None or ticket is None or query.standing or not (ticket.found and ticket.ranked):
            return None
        read = read_of(sources)
        how: Result = "reread"
        kept = self._cache.get(ticket.key)
        if kept is None or kept.read != read:
            how = "reworded"
            kept = self._reworded(ticket, read)
        if kept is None:
            return None
        self._cache.put(tenant, ticket.key, _of(kept, ticket))
        self.leave(query)
        self._tell(how)
        return _again(kept.answer, query)

    def keep(self, draft: AnswerDrafted, final: AnswerGiven | AnswerWithheld) -> None:
        """Keeps the answer that a draft became, where it may be given again, and lets those who wait for it go on."""
        ticket = draft.query.ticket
        if self._cache is None or ticket is None:
            return
        if _worth(draft, final, ticket):
            passages = [source.passage for source in draft.sources]
            used = tuple(Used(one.document, one.version, one.object_id) for one in passages)
            read = read_of(draft.sources)
            kept = _of(KeptAnswer(final, ticket.generation, ticket.found, read, used), ticket)
            self._cache.put(draft.tenant, ticket.key, kept)
            if self._limits.nearness:
                self._cache.put(draft.tenant, _beside(ticket, read), kept)
        self.leave(draft.query)

    def leave(self, query: Query) -> None:
        """Lets those go on who wait for the answer to this query: it is kept, or will not come."""
        if self._cache is not None and query.ticket is not None:
            self._cache.leave(query.ticket.key, query.query_id)

    def forget(self, heads: Iterable[DocumentHead]) -> int:
        """Drops what was drawn from earlier versions of these documents: they were swapped, or are gone."""
        return 0 if self._cache is None else self._cache.forget(tuple(heads))

    def _held(
        self, key: str, planned: QueryPlanned, served: Served, retrieval: RetrievalLimits
    ) -> tuple[KeptAnswer | None, Result]:
        assert self._cache is not None
        kept = self._cache.get(key)
        if kept is None or len(kept.vectors) != len(planned.variants):
            return None, "miss"
        how = proven(planned, _of_kept(kept), kept.used, served, retrieval)
        if how == "changed":
            self._cache.drop(key)
        return (kept, how) if how == "hit" else (None, how)

    def _anew(self, planned: QueryPlanned, serving: Serving) -> QueryPlanned:
        """A standing question is always answered anew; the ticket says what its answer then stands on."""
        query = planned.query
        with serving.lease(planned.tenant) as served:
            ticket = ticket_of(planned, served.generation, self._pipeline)
        standing = query.standing and replace(query.standing, variants=planned.variants)
        return replace(planned, query=replace(query, ticket=ticket, standing=standing))

    def _reworded(self, ticket: CacheTicket, read: str) -> KeptAnswer | None:
        """The answer to another wording that is near enough, written for the same asker from the same passages."""
        if self._cache is None or not self._limits.nearness:
            return None
        kept = self._cache.get(_beside(ticket, read))
        if kept is None or len(kept.vectors) != len(ticket.vectors):
            return None
        pairs = zip(kept.vectors, ticket.vectors, strict=True)
        near = (float(np.frombuffer(one, "<f4") @ np.frombuffer(other, "<f4")) for one, other in pairs)
        return kept if all(cosine >= self._limits.nearness for cosine in near) else None

    def _turned_away(self, planned: QueryPlanned) -> AnswerWithheld:
        self._load.turned_away(planned.query.lane)
        return withheld(planned.tenant, planned.query, "overloaded", BUSY)

    def _leads(self, key: str, query: Query, clock: Clock) -> bool:
        assert self._cache is not None
        return self._cache.lead(key, query.query_id, min(self._limits.wait_s, left_s(query.deadline_at, clock)))

    async def _in_turn(self, ticket: CacheTicket, look: Callable[[], _Look], query: Query, clock: Clock) -> _Look:
        """Waits for whoever is at work on the same, half of the time there is at most, and looks again; where no answer
        came of it, one of those who wait goes on, and the others wait for that one."""
        assert self._cache is not None
        until = clock.monotonic() + min(self._limits.wait_s, left_s(query.deadline_at, clock) / 2)
        if self._waiting >= self._limits.waiting:
            return ticket, None, "busy"
        self._waiting += 1
        how: Result = "miss"
        try:
            for _ in range(_TURNS):
                await self._cache.settled(ticket.key, max(0.0, until - clock.monotonic()))
                ticket, kept, how = await asyncio.to_thread(look)
                if kept is not None:
                    return ticket, kept, "waited"
                if await asyncio.to_thread(self._leads, ticket.key, query, clock):
                    break
        finally:
            self._waiting -= 1
        return ticket, None, how


def proven(
    planned: QueryPlanned, ticket: CacheTicket, used: Iterable[Used], served: Served, retrieval: RetrievalLimits
) -> Result:
    """`hit` where an answer still stands: what it was drawn from, and what search and ranking make of the question.

    The vectors of the ticket are those of the question's variants. Without a digest of the ranking only the candidates
    are compared. No model runs; raises what reading heads and searching raise.
    """
    objects = tuple(used)
    heads = served.heads.get_many(planned.tenant, {one.document for one in objects})
    if not _stands(objects, heads, readers(planned.tenant, planned.query)):
        return "changed"
    found = found_again(planned, ticket.vectors, served, retrieval)
    if ticket.found != digest_of(by_id(found)):
        return "matched"
    if ticket.ranked and ticket.ranked != ranked_again(planned.query, found, ticket.scores, retrieval):
        return "matched"
    return "hit"


def ticket_of(planned: QueryPlanned, generation: str, pipeline: str) -> CacheTicket:
    """The key of an answer: whoever differs in any of it has another. The scope is the same without the question."""
    query = planned.query
    asker = sorted(readers(planned.tenant, query))
    who = [planned.tenant, asker, query.max_passages, sorted(query.filters.items())]
    asked = (query.question, query.resolved, *planned.variants)
    what = [planned.kind, *map(same_question, asked), sorted(query.drawn.items())]
    scope = _digest([generation, pipeline, who])
    return CacheTicket(key=_digest([scope, what]), generation=generation, scope=scope)


def _beside(ticket: CacheTicket, read: str) -> str:
    """The key of what the same asker was answered last from the same passages, however it was asked."""
    return _digest([ticket.scope, read])


def _digest(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def same_question(question: str) -> str:
    """One spelling for questions that differ in white space, the last sign, or the case of words not all in capitals.

    >>> same_question("What is  Kafka?") == same_question("what is kafka")
    True
    >>> same_question("What do US laws say?") == same_question("What do us laws say?")
    False
    """
    words = question.rstrip(" ?!.").split()
    return " ".join(word if len(word) > 1 and word.isupper() else word.lower() for word in words)


def _stands(used: Iterable[Used], heads: Mapping[str, DocumentHead], asker: frozenset[str]) -> bool:
    """Whether every object is listed still, of the version it was, and the asker may read it."""
    listed = {
        (head.document, head.version, chunk.object_id)
        for head in heads.values()
        if may_read(head, asker)
        for chunk in head.chunks
    }
    return listed.issuperset(used)


def _of(kept: KeptAnswer, ticket: CacheTicket) -> KeptAnswer:
    """The answer with what a ticket says that it stands on."""
    return replaced(kept, found=ticket.found, vectors=ticket.vectors, scores=ticket.scores, ranked=ticket.ranked)


def _of_kept(kept: KeptAnswer) -> CacheTicket:
    """What an answer stands on, as the ticket that it was kept by."""
    return CacheTicket(
        key="",
        generation=kept.generation,
        found=kept.found,
        vectors=kept.vectors,
        scores=kept.scores,
        ranked=kept.ranked,
    )


def read_of(sources: Iterable[Source]) -> str:
    """A digest of the passages as they are read, the best first: a writer may make something of their order."""
    ranked = sorted((source.passage for source in sources), key=lambda passage: (-passage.score, passage.object_id))
    return digest_of(ranked)


def _worth(draft: AnswerDrafted, final: AnswerGiven | AnswerWithheld, ticket: CacheTicket) -> bool:
    """Whether an answer may be given again: whole, made of what its search found, or found not to be there."""
    if draft.degraded or not (ticket.found and ticket.ranked):
        return False
    if isinstance(final, AnswerWithheld) and final.reason != "not_in_documents":
        return False
    return all(source.passage.generation == ticket.generation for source in draft.sources)


def _again(answer: AnswerGiven | AnswerWithheld, query: Query) -> AnswerGiven | AnswerWithheld:
    """The answer as this query's; where it is (its record came once more), it is simply that."""
    if answer.answer_id == query.query_id:
        return answer
    question = query.question[:ECHO_CHARS] if isinstance(answer, AnswerWithheld) else query.question
    session = session_of(answer.tenant, query)
    return replace(answer, answer_id=query.query_id, question=question, cached_from=answer.answer_id, session=session)
