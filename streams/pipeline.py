"""From records to records: decodes, runs one step or several fused ones, encodes. No Kafka in here.

Fused steps hand their events on inside the process, yet everything they would have written to the topics between them
is written all the same, so nobody downstream can tell.

The way of a batch (`Pipeline.process`):
1. Decode each record; one that can't be decoded is a dead letter.
2. For each hop in the order of the way: take the events on the topics it reads, run its step, give what it emits an id,
   a time and a place on the trail.
3. A record that a step rejects is a dead letter of the topic it was on, between fused steps too.
4. What is emitted is encoded for its topic, and handed to the hops further on that read that topic.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import msgspec

from processors.contract import Reject
from processors.ports import Clock
from schemas.changes import SourceRecord
from schemas.codec import Codec, SchemaError, UnencodableError
from schemas.envelope import Event, Micros, Version, derived_id
from schemas.failures import DeadLetter, Headers
from streams import headers as names
from streams.deferred import Deferrals
from streams.hop import AnyTopic, Hop
from streams.records import Inbound, Outgoing, Processed, Record
from streams.retries import ErrorPolicy, GivenUp, Outputs, RetryLater, isolate
from topics.topic import MAX_RECORD_BYTES

DECODE: Final = "decode"
"""The step's name in dead letters of records that could not be decoded."""


_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


@dataclass(frozen=True)
class Origin:
    """Who emits: stands on every event."""

    clock: Clock
    producer_version: str = ""
    git_sha: str = ""


class BoundHop:
    """A hop with the ports of its step filled in. Raises KeyError for a port that nobody provides."""

    def __init__(self, hop: Hop, ports: Callable[[str], Any]) -> None:
        self.hop = hop
        self.name = hop.name
        # Asked for every event, and finding out takes longer than a short step.
        self.streams, self.takes_batches = hop.streams, hop.takes_batches
        self.reads = frozenset(topic.name for topic in hop.reads)
        self.bound = {name: ports(name) for name in hop.ports()}
        self._guard = _bind(hop.guard, ports)
        self._committed = _bind(hop.committed, ports)
        self._threads = ThreadPoolExecutor(hop.at_once, hop.name) if hop.at_once > 1 else None

    def call(self, events: Sequence[Event]) -> list[Outputs]:
        """Runs the step on a batch, whichever of the two shapes it has."""
        if self.takes_batches:
            return cast("list[Outputs]", self.hop.step(events, **self.bound))
        return [self._one(event) for event in events]

    def each(self, run: Callable[[_Item], _Done], items: Sequence[_Item]) -> Iterable[_Done]:
        """What `run` makes of each, in order: one after the other, or as many at once as the hop says.

        Where one raises, what was not begun is left.
        """
        return self._threads.map(run, items) if self._threads and len(items) > 1 else map(run, items)

    def guard(self, event: Event) -> Event | None:
        return cast("Event | None", self._guard(event)) if self._guard else None

    def committed(self, events: list[Event]) -> None:
        """After the transaction: what has to follow at once."""
        if self._committed and events:
            self._committed(events)

    def _one(self, event: Event) -> Outputs:
        if (answer := self.guard(event)) is not None:
            return [answer]
        return list(self.hop.step(event, **self.bound))


def _bind(hook: Callable[..., Any] | None, ports: Callable[[str], Any]) -> Callable[..., Any] | None:
    if hook is None:
        return None
    bound = {name: ports(name) for name in tuple(inspect.signature(hook).parameters)[1:]}
    return lambda first: hook(first, **bound)


class Pipeline:
    """One hop, or several fused ones, over batches of records. Use it under BatchHop, KeyedHop or the driver."""

    def __init__(self, hops: Sequence[BoundHop], codec: Codec, origin: Origin, policy: ErrorPolicy) -> None:
        self.hops = tuple(hops)
        self.codec = codec
        self.origin = origin
        self.policy = policy
        topics = {topic.name: topic for bound in self.hops for topic in (*bound.hop.reads, *bound.hop.writes)}
        # What a step says on the topic that it reads comes back to it over Kafka, as what others say there does.
        inner = {topic.name for bound in self.hops for topic in bound.hop.writes if topic not in bound.hop.reads}
        self.topics: dict[str, AnyTopic] = topics
        self.reads = tuple(dict.fromkeys(t for b in self.hops for t in b.hop.reads if t.name not in inner))

    @property
    def name(self) -> str:
        return "+".join(bound.name for bound in self.hops)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Every topic that this pipeline may write to, dead letters included."""
        written = [topic.name for bound in self.hops for topic in bound.hop.writes]
        written += [name for topic, later in self.retries.items() for name in later.topics(topic)]
        return tuple(dict.fromkeys((*written, *(topic.dead_letters for topic in self.topics.values()))))

    @property
    def ahead(self) -> bool:
        """Whether a batch may be handled before the one before it is committed: all steps must allow it."""
        return all(bound.hop.ahead for bound in self.hops)

    def topic(self, name: str) -> AnyTopic:
        """The declared topic of a name; a source's own topics share one declaration."""
        return self.topics.get(name) or next(topic for topic in self.topics.values() if topic.raw)

    @property
    def retries(self) -> dict[str, RetryLater]:
        """The topics read from Kafka whose records are tried again later, as the hop that takes them declares."""
        read = {topic.name for topic in self.reads}
        return {name: b.hop.retries for b in self.hops if b.hop.retries for name in sorted(b.reads & read)}

    def process(self, records: Sequence[Record], deferrals: Deferrals | None = None) -> Processed:
        """Runs a batch through all hops. Raises Stop where a dependency is away; nothing is decided then.

        What `deferrals` says at the end to wait wrote nothing: all of it is done again later, or none.
        """
        done = Processed.nothing(len(records))
        waiting = deferrals or Deferrals((), [0] * len(records), range(len(records)))
        pending = [inbound for root, record in enumerate(records) if (inbound := self.decode(root, record, done))]
        for bound in self.hops:
            taken = [inbound for inbound in pending if self.topic(inbound.topic).name in bound.reads]
            pending.extend(self._run(bound, taken, done, waiting))
        if waiting.failed:
            late = {root for root in range(len(records)) if root in waiting.failed or root in waiting}
            done.outgoing = [[] if root in late else out for root, out in enumerate(done.outgoing)]
            done.rejected = [root for root in done.rejected if root not in late]
        return done

    def condemn(self, record: Record, error: GivenUp) -> list[Outgoing]:
        """The dead letter of a record that must not be handled, not even decoded."""
        out: list[Outgoing] = []
        self.reject(record, error, self.name, out)
        return out

    def decode(self, root: int, record: Record, done: Processed) -> Inbound | None:
        """The event of a record; None, and a dead letter, where it has none. A tombstone says nothing and is passed."""
        topic = self.topic(record.topic)
        if record.value is None and not topic.raw:
            return None
        try:
            event = _raw(record) if topic.raw else self.codec.decode(record.value or b"", topic.events)
        except SchemaError as error:
            self.reject(record, Reject(str(error)), DECODE, done.outgoing[root])
            done.rejected.append(root)
            return None
        return Inbound(_placed(event, record), record.topic, record.headers, root, record)

    def _run(self, bound: BoundHop, taken: list[Inbound], done: Processed, waiting: Deferrals) -> list[Inbound]:
        def call(inbounds: Sequence[Inbound]) -> list[Outputs]:
            return bound.call([inbound.event for inbound in inbounds])

        def tried(inbounds: Sequence[Inbound]) -> list[Outputs]:
            return isolate(call, inbounds, self.policy, waiting.given_up, waiting.waits)

        batches = [taken] if bound.takes_batches else [[inbound] for inbound in taken]
        outputs = [out for outs in bound.each(tried, batches) for out in outs]
        passed = []
        for inbound, emitted in zip(taken, outputs, strict=True):
            if waiting.waits(inbound):
                continue
            if isinstance(emitted, Reject):
                done.rejected.append(inbound.root)
                emitted = self.refuse(bound, inbound, emitted, done.outgoing[inbound.root])
            passed.extend(self._emit_or_refuse(bound, inbound, emitted, done))
        return passed

    def _emit_or_refuse(
        self, bound: BoundHop, inbound: Inbound, emitted: list[Event], done: Processed
    ) -> list[Inbound]:
        """Emits, all or nothing: an event that can't be encoded makes a dead letter of the one that caused it."""
        out: list[Outgoing] = []
        try:
            passed = self.emit(bound, inbound, emitted, out)
        except SchemaError as error:
            done.rejected.append(inbound.root)
            self.refuse(bound, inbound, Reject(str(error)), done.outgoing[inbound.root])
            return []
        done.outgoing[inbound.root].extend(out)
        return passed

    def refuse(self, bound: BoundHop, inbound: Inbound, reject: Reject, out: list[Outgoing]) -> list[Event]:
        """Dead-letters an event; what the hop says to the asker then is returned to be emitted."""
        origin = inbound.origin
        if inbound.topic != origin.topic:
            key, value = self._encode(self.topic(inbound.topic), inbound.event)
            origin = Record(inbound.topic, -1, -1, key, value, inbound.headers)
        self.reject(origin, reject, bound.name, out)
        return list(bound.hop.rejected(inbound.event, str(reject))) if bound.hop.rejected else []

    def reject(self, record: Record, reject: Reject, step: str, out: list[Outgoing]) -> None:
        """Writes a dead letter: the original bytes, the reason beside them."""
        letter = DeadLetter(
            key=record.key,
            value=record.value,
            headers=record.headers,
            reason=str(reject),
            exception=type(reject.__cause__ or reject).__name__,
            step=step,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            attempts=reject.attempts if isinstance(reject, GivenUp) else 1,
        )
        headers = (*letter.headers, *letter.reason_headers())
        out.append(Outgoing(self.topic(record.topic).dead_letters, record.key, record.value, headers))

    def emit(self, bound: BoundHop, inbound: Inbound, events: Iterable[Event], out: list[Outgoing]) -> list[Inbound]:
        """Completes and encodes events; returns them as what the next fused hop may read."""
        now = self.origin.clock.now()
        return [self.emit_one(bound, inbound, ordinal, event, now, out) for ordinal, event in enumerate(events)]

    def emit_one(
        self, bound: BoundHop, inbound: Inbound, ordinal: int, event: Event, now: Micros, out: list[Outgoing]
    ) -> Inbound:
        """Completes and encodes the ordinal-th event that a step made of another."""
        cause = inbound.event
        complete = msgspec.structs.replace(
            event,
            event_id=derived_id(cause.event_id, bound.name, ordinal),
            occurred_at=now,
            producer_version=self.origin.producer_version,
            git_sha=self.origin.git_sha,
            trail={**cause.trail, **event.trail, bound.name: now},
        )
        topic = bound.hop.topic_of(complete)
        key, value = self._encode(topic, complete)
        headers: Headers = names.of_event(complete, inbound.headers)
        out.append(Outgoing(topic.name, key, value, headers, topic, complete))
        return Inbound(complete, topic.name, headers, inbound.root, inbound.origin)

    def _encode(self, topic: AnyTopic, event: Event) -> tuple[bytes, bytes]:
        value = self.codec.encode(topic.subject, topic.events, event)
        if len(value) > MAX_RECORD_BYTES:
            raise UnencodableError(
                f"wanted a {type(event).__name__} of at most {MAX_RECORD_BYTES:,} bytes, got {len(value):,};"
                " split the document"
            )
        return topic.key(event).encode(), value

    def committed(self, outgoing: Iterable[Outgoing]) -> None:
        """Tells each hop which of its events are now committed."""
        events = [out.event for out in outgoing if out.event is not None]
        for bound in self.hops:
            mine = {cls for topic in bound.hop.writes for cls in topic.events}
            bound.committed([event for event in events if type(event) in mine])


def _raw(record: Record) -> SourceRecord:
    """A source's own record as an event: its bytes are for the capture step to read."""
    return SourceRecord(
        tenant="",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key or b"",
        value=record.value,
    )


def _placed(event: Event, record: Record) -> Event:
    """Fills what only the record knows: an id where the producer gave none, a version where the source has none."""
    changes: dict[str, Any] = {}
    if not event.event_id:
        changes["event_id"] = derived_id(f"{record.topic}/{record.partition}", "read", record.offset)
    if getattr(event, "version", event) is None:
        changes["version"] = Version(source=0, offset=record.offset)
    return msgspec.structs.replace(event, **changes) if changes else event
