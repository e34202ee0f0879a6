"""What a batch hop may handle now: the records in hand, the retry topics, the suspects, put together.

The way of a batch (`BatchHop` calls these in this order):
1. `take`: what was read joins what is in hand. Back come the records that may be handled together: none that is not
   due, none of a partition that must rest, and of suspects one small piece and nothing else.
2. `mark`: before the first batch of an assignment, and before each piece of suspects, say so beside the offsets.
3. `process`, in the handler's thread: count what waits after an assignment, pass the gate of the process, run.
4. `tick`: while a suspect alone takes long, say how long.
5. `committed`, or `rewound` where it came to nothing. `pausing`, `leaving`: marks are taken back.
Partitions with records in hand are not fetched (`Intake.hold`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from processors.ports import Clock
from streams import metrics
from streams.commits import OffsetLedger
from streams.gate import PROCESS, Gate
from streams.hand import Hand
from streams.outstanding import Outstanding
from streams.records import Partition, Processed, Record
from streams.retrying import Retrying
from streams.suspects import Crashed, Mark, Suspects

__all__ = ["Admission", "Marks"]

_LOG = structlog.get_logger(__name__)
NEVER: Final = -1


class Marks(Protocol):
    """What admission needs of a consumer."""

    hop: str
    ledger: OffsetLedger
    assignments: int
    met: dict[Partition, tuple[int, str | None]]
    """Partitions assigned, with what their last owner left: its offset and its metadata. Taken out when looked at."""

    def current(self, record: Record) -> bool: ...

    def hold(self, held: frozenset[Partition]) -> None:
        """Fetches from all partitions but these."""

    def mark(self, texts: Mapping[Partition, str], wait: bool) -> None:
        """Commits the offset again where each partition resumes, with these words. Raises AbortedError if it waits."""


@dataclass(frozen=True)
class _Watch:
    """The record that is looked at, since when, and for how long nothing is done with it."""

    place: Partition
    offset: int
    since: float
    seconds: float


class Admission:
    """Decides what is handled together. Use one per batch hop, from its poll thread, except `process`."""

    def __init__(
        self,
        retrying: Retrying,
        intake: Marks,
        outstanding: Outstanding,
        suspects: Suspects,
        clock: Clock,
        gate: Gate = PROCESS,
    ) -> None:
        self.hand = Hand()
        self.more = False
        """Whether something in hand can be handled at once: then nobody waits for new records."""
        self._retrying = retrying
        self._parking = retrying.parking
        self._intake = intake
        self._outstanding = outstanding
        self._suspects = suspects
        self._clock = clock
        self._gate = gate
        self._owned: frozenset[Partition] = frozenset()
        self._counted = NEVER
        self._piece: Partition | None = None
        self._promised: tuple[Partition, int] | None = None
        """Up to where the last piece was written; what is not confirmed yet might be taken for the next one's death."""
        self._handled_since = 0.0
        self._watch: _Watch | None = None

    def allows_ahead(self, batch: Sequence[Record]) -> bool:
        """Whether a batch may be handled as it was read, and nothing has to be said beside its offsets before."""
        if self.hand or self._parking.retry_topics or self._suspects.any or self._intake.met:
            return False
        return not self._suspects.must_mark({record.place for record in batch})

    def take(self, read: Sequence[Record], most: int) -> list[Record]:
        """What may be handled now of all that was read. Raises AbortedError where a mark could not be written."""
        while self._intake.met:
            place, (offset, metadata) = self._intake.met.popitem()
            self._suspects.meet(place, offset, metadata)
        self._piece, self.more = None, False
        if not self.hand and not self._parking.retry_topics and not self._suspects.any:
            return list(read)
        self.hand.keep(self._intake.current)
        self.hand.add(read)
        self._owned = frozenset(self._intake.ledger.places())
        batch = self._examine()
        if batch is None:
            batch = self.hand.take(most, lambda r: not self._suspects.suspicious(r.place) and self._may(r))
        self.more = bool(batch) and bool(self.hand)
        self._intake.hold(self.hand.places())
        return batch

    def mark(self, batch: Sequence[Record]) -> None:
        """Says beside the offsets what is in hand, where that has to be said. Raises AbortedError."""
        self._owned = frozenset(self._intake.ledger.places())
        self._handled_since = self._clock.monotonic()
        if not self._suspects.attentive:
            return
        resume = self._intake.ledger.resume_at
        offsets = {place: at for place in {r.place for r in batch} if (at := resume(place)) is not None}
        self._write(self._suspects.in_hand([r for r in batch if r.place in offsets], offsets))

    def process(self, batch: Sequence[Record]) -> Processed:
        """What becomes of a batch. Raises Stop where a dependency is away; nothing is decided then."""
        piece = self._piece
        with self._gate.alone() if piece else self._gate.among_others():
            self._count()
            if piece and self._suspects.condemned(piece):
                return self._retrying.process(batch, Crashed(self._suspects.deaths(piece)))
            return self._retrying.process(batch)

    def tick(self) -> None:
        """While the handler runs: says how long a suspect has been in hand."""
        if self._piece:
            seconds = self._clock.monotonic() - self._handled_since
            self._write(self._suspects.still_alone(self._piece, seconds), wait=False)

    def committing(self, offsets: Collection[Partition]) -> None:
        """Offsets are about to be committed: whether a mark of theirs still stands is not known until that is over."""
        self._suspects.unsure(offsets)

    def committed(self, records: Mapping[int, Record], done: Processed, offsets: Mapping[Partition, int]) -> None:
        """The outcome of some records of the batch is committed."""
        self._retrying.committed(records, done)
        for place, offset in offsets.items():
            self._suspects.done(place, offset)
        if self._piece is not None and self._piece in offsets:
            self._promised = (self._piece, offsets[self._piece])
        if self._parking.retry_topics:
            metrics.PARKED.labels(self._intake.hop).set(self._parking.keys)

    def put_back(self, batch: Sequence[Record], done: Processed) -> None:
        """What nothing was decided about is in hand again."""
        if done.kept:
            self.hand.put_back(batch[n] for n in sorted(done.kept) if self._intake.current(batch[n]))
            self._intake.hold(self.hand.places())
            self.pausing()

    def pausing(self) -> None:
        """A suspect is not handled for a while: who dies now does not die of it."""
        if self._piece:
            self._intake.mark(self._suspects.leave([self._piece]), wait=False)

    def rewound(self) -> None:
        """Everything not committed will be read again, from offsets that the brokers were asked for."""
        self.hand.clear()
        self._watch, self._promised, self._counted = None, None, NEVER
        self._intake.hold(frozenset())

    def leaving(self, places: Sequence[Partition]) -> None:
        """Partitions are taken away: says beside their offsets that nobody died."""
        texts = self._suspects.leave(places)
        for place in places:
            self._suspects.forget(place)
        if texts:
            self._intake.mark(texts, wait=False)

    def close(self) -> None:
        """The hop ends."""
        self._gate.release(self)
        self._outstanding.close()

    def _may(self, record: Record) -> bool:
        """Whether a record is due, its ladder ours, and nothing above it drains."""
        if self._parking.step(record.topic) is None:
            return True
        now, counted = self._clock.now(), self._counted == self._intake.assignments
        if not self._parking.whole(record.place, self._owned) or not self._retrying.is_due(record):
            return False
        return not (counted and self._parking.known(record.place) and self._parking.rests(record.place, now))

    def _examine(self) -> list[Record] | None:
        """One piece of suspects; None where none is to be handled now, and ordinary work goes on."""
        heads = {place: head for place in self.hand.places() if (head := self.hand.head(place)) and self._may(head)}
        place = self._suspects.gravest(heads)
        if place is None:
            self._gate.release(self)
            return None
        if not self._gate.examine(self) or self._unconfirmed() or self._watching(place, heads[place]):
            return None
        self._piece = place
        return self.hand.take_from(place, self._suspects.piece(place, self.hand.of(place)))

    def _unconfirmed(self) -> bool:
        """Whether the last piece is still being written: the mark of the next one would stand at its offset."""
        if self._promised is not None:
            place, offset = self._promised
            at = self._intake.ledger.resume_at(place)
            self._promised = self._promised if at is not None and at < offset else None
        return self._promised is not None

    def _watching(self, place: Partition, head: Record) -> bool:
        """Whether a suspect is to be left alone for some time yet; the first call says so beside its offset."""
        now, watch = self._clock.monotonic(), self._watch
        if watch is None or (watch.place, watch.offset) != (place, head.offset):
            watch = self._watch = _Watch(place, head.offset, now, self._suspects.watch_s(place))
            if watch.seconds:
                offset = self._intake.ledger.resume_at(place)
                self._write(self._suspects.watched(place, head.offset if offset is None else offset))
                _LOG.warning("suspect.watched", hop=self._intake.hop, record=(*place, head.offset), s=watch.seconds)
        return now < watch.since + watch.seconds

    def _count(self) -> None:
        """Counts what waits on retry topics, once per assignment."""
        assignments = self._intake.assignments
        if self._parking.retry_topics and assignments != self._counted:
            retried = [place for place in self._owned if place[0] in self._parking.retry_topics]
            self._outstanding.count(sorted(retried))
            self._counted = assignments

    def _write(self, marks: Mapping[Partition, Mark], wait: bool = True) -> None:
        if marks:
            self._intake.mark({place: mark.text() for place, mark in marks.items()}, wait)
