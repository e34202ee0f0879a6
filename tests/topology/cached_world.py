"""A world that changes while questions are asked: two generations of one corpus, answers with the cache and without."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from adapters.answer_cache import MemoryAnswers
from adapters.heads_view import MemoryHeads
from adapters.host import SystemClock
from adapters.memory import MemoryIndex
from adapters.one_serving import OneGeneration
from adapters.schema_registry import MemorySchemaIds
from processors.answer.caching import Answers, Result
from processors.answer.limits import RetrievalLimits
from processors.ingest.boundaries import StructureSplitter
from processors.ports import Served
from schemas.codec import Codec
from schemas.documents import AccessChanged, DocumentChanged
from schemas.envelope import Micros
from schemas.queries import AnswerGiven, AnswerWithheld, Query, QueryAsked
from streams.answer import ANSWER
from streams.driver import Driver
from streams.ingest import INGEST
from streams.measure import MEASURE
from streams.pipeline import Origin
from tests.topology.ports import CountingEmbedder, changed, deleted, memory_ports
from topics.answer import ANSWER_GIVEN, QUERY_ASKED
from topics.ingest import ACCESS_CHANGED, DOCUMENT_CHANGED
from topics.measure import COST_RECORDED

THINGS = ("pump", "valve", "boiler", "bridge", "ferry", "lamp", "gate", "tower", "mill", "canal")
PLACES = ("Marlow", "Henley", "Goring", "Sonning", "Cookham", "Hurley")
ACCESS = (("*",), ("group:ops",), ("group:board", "user:ada"), ())
ASKERS: tuple[dict[str, Any], ...] = ({}, {"groups": ("group:ops",)}, {"user": "ada"}, {"groups": ("group:board",)})
# Few, so that a change is not always among them.
FEW = RetrievalLimits(candidates=5, passages=2)

Answer = AnswerGiven | AnswerWithheld


class Swapping:
    """Serves everybody from the generation that was promoted last."""

    def __init__(self, generations: list[OneGeneration]) -> None:
        self.generations = {one.generation: one for one in generations}
        self.now = generations[0].generation

    @contextmanager
    def lease(self, tenant: str) -> Iterator[Served]:
        yield self.generations[self.now]


@dataclass
class Asked:
    """The same question at the same moment: through the cache, and without one."""

    cached: Answer
    fresh: Answer
    spent: int
    """Cost lines of the one through the cache."""

    @property
    def is_hit(self) -> bool:
        return bool(self.cached.cached_from)

    @property
    def is_stale(self) -> bool:
        return said(self.cached) != said(self.fresh)


class World:
    """Documents of two tenants in two generations. Change them, promote, and ask as anybody."""

    def __init__(self, seed: int, **chosen: Any) -> None:
        self.draw = random.Random(seed)
        self.told: Counter[Result] = Counter()
        self.cache = MemoryAnswers(SystemClock())
        first = self._ports("g1", 60, **chosen)
        second = self._ports("g2", 30, **chosen)
        self.serving = Swapping([_generation(first), _generation(second)])
        self.ingest = [_driver([INGEST], first), _driver([INGEST], second)]
        self.answers = Answers(self.cache, "p1", tell=lambda result: self.told.update([result]))
        self.asking = asking = {**first, "serving": self.serving}
        self.cached = _driver([ANSWER, MEASURE], {**asking, "answers": self.answers})
        self.fresh = _driver([ANSWER, MEASURE], {**asking, "answers": Answers()})
        self.count = 0

    def publish(self, document: str, text: str, tenant: str = "acme", access: tuple[str, ...] = ("*",)) -> None:
        self._change(DOCUMENT_CHANGED, replace(changed(document, text, tenant, access=access), event_id=self._id()))

    def delete(self, document: str, tenant: str = "acme") -> None:
        self._change(DOCUMENT_CHANGED, replace(deleted(document, tenant), event_id=self._id()))

    def grant(self, document: str, access: tuple[str, ...], tenant: str = "acme") -> None:
        change = AccessChanged(tenant=tenant, event_id=self._id(), document=document, access=access)
        self._change(ACCESS_CHANGED, change)

    def promote(self) -> None:
        self.serving.now = "g2" if self.serving.now == "g1" else "g1"

    def ask(self, question: str, tenant: str = "acme", **who: Any) -> Asked:
        """First through the cache, then without, with nothing in between."""
        cached, spent = self._asked(self.cached, question, tenant, who)
        fresh, _ = self._asked(self.fresh, question, tenant, who)
        return Asked(cached, fresh, spent)

    def turn(self) -> Asked | None:
        """Something happens: mostly a question, else a change."""
        draw = self.draw
        tenant = draw.choice(("acme", "acme", "globex"))
        document = f"{draw.choice(THINGS)}-{draw.randrange(3)}.md"
        dice = draw.random()
        if dice < 0.62:
            # The first are asked most.
            asked = min(draw.randrange(12), draw.randrange(12))
            return self.ask(QUESTIONS[asked], tenant, **draw.choice(ASKERS[:3]))
        if dice < 0.80:
            self.publish(document, text(draw), tenant, draw.choice(ACCESS[:3]))
        elif dice < 0.88:
            self.delete(document, tenant)
        elif dice < 0.97:
            self.grant(document, draw.choice(ACCESS), tenant)
        else:
            self.promote()
        return None

    def _change(self, topic: Any, event: DocumentChanged | AccessChanged | Any) -> None:
        for line in self.ingest:
            line.put(topic, event)
            line.run()

    def _asked(self, line: Driver, question: str, tenant: str, who: dict[str, Any]) -> tuple[Answer, int]:
        query = Query(query_id=self._id(), question=question, **who)
        line.put(QUERY_ASKED, QueryAsked(tenant=tenant, event_id=query.query_id, query=query))
        line.run()
        (answer,) = line.events(ANSWER_GIVEN)
        assert answer.answer_id == query.query_id
        spent = len(line.events(COST_RECORDED))
        line.forget()
        return answer, spent

    def _id(self) -> str:
        self.count += 1
        return f"event-{self.count}"

    def _ports(self, generation: str, tokens: int, **chosen: Any) -> dict[str, Any]:
        embedder, heads, store = CountingEmbedder(), MemoryHeads(generation), MemoryIndex()
        heads.open()
        splitter = StructureSplitter(tokens, tokens // 2, embedder.count)
        own = {"embedder": embedder, "heads": heads, "store": store, "splitter": splitter, "generation": generation}
        return memory_ports(**{**own, "retrieval": FEW, **chosen})


def said(answer: Answer) -> Answer:
    """An answer without what is of its question alone."""
    return replace(answer, answer_id="", event_id="", occurred_at=Micros(0), trail={}, cached_from="")


def text(draw: random.Random) -> str:
    """A document of one to three short sections."""
    sections = []
    for _ in range(draw.randint(1, 3)):
        thing, place = draw.choice(THINGS), draw.choice(PLACES)
        facts = (
            f"The {thing} at {place} was built in {draw.randint(1700, 1990)} and costs {draw.randint(2, 99)} pounds."
        )
        sections.append(f"## The {thing}\n\n{facts} It is painted {draw.choice(('red', 'green', 'blue'))}.")
    return "\n\n".join(sections)


QUESTIONS = tuple(
    template.format(thing=thing, place=place)
    for template, thing, place in zip(
        ("When was the {thing} at {place} built?", "What does the {thing} at {place} cost?") * 6,
        (*THINGS, *THINGS),
        PLACES * 2,
        strict=False,
    )
)


def _generation(ports: dict[str, Any]) -> OneGeneration:
    return OneGeneration(ports["generation"], ports["embedder"], ports["store"], ports["heads"])


def _driver(journeys: list[Any], ports: dict[str, Any]) -> Driver:
    return Driver(journeys, ports.__getitem__, Codec(MemorySchemaIds()), Origin(SystemClock(), "test"))
