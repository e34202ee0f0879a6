"""A hop: topic -> step -> topics. A journey: hops in the order of the way. Both are data; a worker runs them."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

from schemas.envelope import Event
from streams.errors import StreamsError
from streams.retries import RetryLater
from topics.topic import Topic

Mode = Literal["batch", "keyed"]
AnyTopic = Topic[Any]
Step = Callable[..., Any]


class JourneyError(StreamsError):
    """A journey does not fit together: a topic that no hop can route, a step that takes another event."""


@dataclass(frozen=True)
class BatchLimits:
    """When a batch is full: records, or milliseconds since its first record (0: whatever is there goes at once)."""

    records: int = 10_000
    wait_ms: int = 0


@dataclass(frozen=True)
class Hop:
    """A step between topics. Use it in a journey file.

    `mode` batch: transactions, exactly once between topics; with `exactly_once=False` results are delivered before
    their offsets are committed, for milliseconds where a repeat is harmless. keyed: at least once, many keys at a time,
    ids that repeat.
    `guard` may answer instead of the step (an expired question); `rejected` tells the asker of a dead letter;
    `committed` sees the events after their transaction, for what must follow at once.
    `waits_for` names ports that must have caught up with the log before records of a new assignment are handled.
    `at_once` is how many events of a batch a step that mostly waits for others may work on at a time, each in a thread.
    `ahead` lets the next batch be handled while the last one is committed: for a step to which it does not matter
    whether what it wrote last can be seen already.
    `retries` sends a record that used up its tries to retry topics first, in order per key (`streams/parking.py`).
    Raises JourneyError for `retries` on a keyed hop, or on topics of others: these have none.
    """

    reads: tuple[AnyTopic, ...]
    step: Step
    writes: tuple[AnyTopic, ...]
    mode: Mode = "batch"
    limits: BatchLimits = BatchLimits()
    guard: Callable[..., Event | None] | None = None
    rejected: Callable[[Any, str], Iterable[Event]] | None = None
    committed: Callable[..., None] | None = None
    waits_for: tuple[str, ...] = ()
    retries: RetryLater | None = None
    exactly_once: bool = True
    ahead: bool = False
    called: str = ""
    at_once: int = 1

    def __post_init__(self) -> None:
        if self.retries and (self.mode == "keyed" or any(topic.raw for topic in self.reads)):
            raise JourneyError(f"wanted a batch hop over topics of ours for retry topics, got {self.name!r}")
        if self.retries and self.at_once > 1:
            raise JourneyError(f"hop {self.name!r}: what fails holds back what is behind it, so at_once must be 1")
        if not self.exactly_once and (self.retries or self.committed):
            raise JourneyError(f"hop {self.name!r}: retry topics and `committed` need exactly_once=True")

    @property
    def name(self) -> str:
        """The step's word: file, metric, service and page are named by it; or `called`, where one step runs twice."""
        return self.called or str(self.step.__name__)

    @property
    def takes_batches(self) -> bool:
        """Whether the step's first parameter is a sequence of events."""
        first = next(iter(_hints(self.step).items()))[1]
        return typing.get_origin(first) in (Sequence, list)

    @property
    def streams(self) -> bool:
        """Whether the step is an asynchronous generator."""
        return inspect.isasyncgenfunction(self.step)

    def ports(self) -> tuple[str, ...]:
        """Names of the step's other parameters: what a worker must bind."""
        return tuple(inspect.signature(self.step).parameters)[1:]

    def topic_of(self, event: Event) -> AnyTopic:
        """The topic among `writes` that carries this class of event. Raises JourneyError where none does."""
        for topic in self.writes:
            if type(event) in topic.events:
                return topic
        names = ", ".join(topic.name for topic in self.writes)
        raise JourneyError(
            f"step {self.name!r} emitted {type(event).__name__}, which none of its topics carries: {names}"
        )


# Asked for every batch, and reading annotations takes half a millisecond.
@lru_cache(maxsize=256)
def _hints(step: Step) -> dict[str, Any]:
    return {name: hint for name, hint in typing.get_type_hints(step).items() if name != "return"}


class Journey:
    """Hops from the first topic to the last, to be read from top to bottom.

    >>> from streams.ingest import INGEST
    >>> INGEST.steps[5:7]
    ('embed', 'index')
    """

    def __init__(self, name: str, hops: Sequence[Hop], fused: Sequence[Sequence[str]] = ()) -> None:
        self.name = name
        self.hops = tuple(hops)
        self.fused = tuple(tuple(group) for group in fused)

    @property
    def steps(self) -> tuple[str, ...]:
        return tuple(hop.name for hop in self.hops)

    def __iter__(self) -> Iterator[Hop]:
        return iter(self.hops)

    def hop(self, step: str) -> Hop:
        """The hop of a step. Raises JourneyError with the steps there are."""
        for hop in self.hops:
            if hop.name == step:
                return hop
        raise JourneyError(f"wanted a step of journey {self.name!r}, got {step!r}; it has: {', '.join(self.steps)}")

    @property
    def topics(self) -> tuple[AnyTopic, ...]:
        """Every topic the journey reads or writes, each once, in the order of the way."""
        return tuple(dict.fromkeys(topic for hop in self.hops for topic in (*hop.reads, *hop.writes)))


def event_classes(step: Step) -> tuple[type[Event], ...]:
    """The event classes that a step's first parameter admits (its annotation, with sequences and unions opened)."""
    hint = next(iter(_hints(step).values()))
    if typing.get_origin(hint) in (Sequence, list):
        hint = typing.get_args(hint)[0]
    return cast("tuple[type[Event], ...]", typing.get_args(hint) or (hint,))
