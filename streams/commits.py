"""The offset ledger: which offset may be committed, per partition and assignment epoch. No Kafka in here.

Laws, each held by a property test:
1. The committed offset is the next one to read. It never passes a delivered record that is unfinished.
2. Contiguous means no unfinished delivered record below, not no hole in the numbers: compaction, aborted records and
   transaction markers leave holes.
3. A completion, commit or failure of an old epoch is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.records import Partition


@dataclass
class _Assigned:
    epoch: int
    committed: int | None = None
    first: int | None = None
    next: int | None = None
    unfinished: dict[int, None] = field(default_factory=dict)
    """Delivered and not yet complete, in the order of delivery, which is the order of offsets."""
    finished: set[int] = field(default_factory=set)
    """Complete although something below is not: what a commit's metadata carries."""


class OffsetLedger:
    """Keeps account of deliveries and completions. Use one per consumer, from one thread (or under one lock).

    >>> ledger = OffsetLedger()
    >>> epoch = ledger.assign(("t", 0))
    >>> for offset in (31, 32, 40): ledger.deliver(("t", 0), offset)
    >>> ledger.complete(("t", 0), 32, epoch); ledger.complete(("t", 0), 40, epoch)
    >>> ledger.committable()
    {}
    >>> ledger.complete(("t", 0), 31, epoch); ledger.committable()
    {('t', 0): 41}
    """

    def __init__(self) -> None:
        self._assigned: dict[Partition, _Assigned] = {}
        self._epochs = 0

    def assign(self, place: Partition) -> int:
        """Opens a new epoch of a partition and returns it."""
        self._epochs += 1
        self._assigned[place] = _Assigned(self._epochs)
        return self._epochs

    def revoke(self, place: Partition) -> None:
        """Ends the epoch: what is still to come from it will be ignored."""
        self._assigned.pop(place, None)

    def epoch(self, place: Partition) -> int | None:
        """The current epoch, None where the partition is not ours."""
        held = self._assigned.get(place)
        return held.epoch if held else None

    def places(self) -> tuple[Partition, ...]:
        return tuple(self._assigned)

    def deliver(self, place: Partition, offset: int) -> None:
        """A record was read. Offsets of a partition rise; one below the last delivered is a repeat after a seek."""
        held = self._assigned[place]
        if held.first is None:
            held.first = offset
        held.unfinished[offset] = None
        held.next = offset + 1 if held.next is None else max(held.next, offset + 1)

    def deliver_run(self, place: Partition, offsets: Sequence[int]) -> None:
        """Records of one partition were read, in the order of their offsets: `deliver` for each, at once."""
        held = self._assigned[place]
        if not offsets:
            return
        if held.first is None:
            held.first = offsets[0]
        held.unfinished.update(dict.fromkeys(offsets))
        held.next = max(offsets[-1] + 1, held.next or 0)

    def complete_run(self, place: Partition, offsets: Sequence[int], epoch: int) -> None:
        """Records of one partition are done with: `complete` for each, at once."""
        held = self._assigned.get(place)
        if held is None or held.epoch != epoch:
            return
        if len(offsets) == len(held.unfinished) and held.unfinished.keys() == set(offsets):
            held.unfinished.clear()
            held.finished.update(offsets)
            return
        for offset in offsets:
            self.complete(place, offset, epoch)

    def complete(self, place: Partition, offset: int, epoch: int) -> None:
        """A record is done with: its outputs are where they belong."""
        held = self._assigned.get(place)
        if held is not None and held.epoch == epoch and offset in held.unfinished:
            del held.unfinished[offset]
            held.finished.add(offset)

    def committable(self) -> dict[Partition, int]:
        """Per partition the highest offset that may be committed now, where that is news."""
        news = {}
        for place, held in self._assigned.items():
            offset = self._contiguous(held)
            known = held.first if held.committed is None else held.committed
            if offset is not None and known is not None and offset > known:
                news[place] = offset
        return news

    def progress(self) -> dict[Partition, tuple[int, frozenset[int]]]:
        """Per partition the offset that may be committed and the completed ones beyond it."""
        known = {}
        for place, held in self._assigned.items():
            offset = self._contiguous(held)
            if offset is not None:
                known[place] = (offset, frozenset(done for done in held.finished if done > offset))
        return known

    def committed(self, place: Partition, offset: int, epoch: int) -> None:
        """A commit was confirmed."""
        held = self._assigned.get(place)
        if held is not None and held.epoch == epoch:
            held.committed = max(offset, held.committed or 0)
            held.finished = {known for known in held.finished if known >= held.committed}

    def read_back(self, place: Partition, offset: int | None) -> None:
        """What the broker says is committed, None for nothing: it counts, whatever we were told before.

        A commit can be promised and not carried out (`docs/adr/0009`): then its offset is above what there is.
        """
        held = self._assigned.get(place)
        if held is not None:
            held.committed = offset

    def confirmed(self, place: Partition) -> bool:
        """Whether anything was committed in this epoch."""
        held = self._assigned.get(place)
        return held is not None and held.committed is not None

    def resume_at(self, place: Partition) -> int | None:
        """Where to read again after a failure: the committed offset of this epoch, else its first delivered one."""
        held = self._assigned.get(place)
        if held is None:
            return None
        return held.first if held.committed is None else held.committed

    def rewind(self, place: Partition) -> None:
        """Forgets deliveries since the last commit: they will be read again."""
        held = self._assigned.get(place)
        if held is not None:
            held.unfinished.clear()
            held.finished.clear()
            held.next = held.committed if held.committed is not None else held.first

    def unfinished(self, place: Partition | None = None) -> int:
        """How many delivered records are not complete, of one partition or of all."""
        if place is not None:
            held = self._assigned.get(place)
            return len(held.unfinished) if held else 0
        return sum(len(held.unfinished) for held in self._assigned.values())

    def gap(self, place: Partition) -> int:
        """Newest delivered minus oldest unfinished: how far one stuck record lets a partition run ahead."""
        held = self._assigned.get(place)
        if held is None or not held.unfinished or held.next is None:
            return 0
        return held.next - next(iter(held.unfinished))

    @staticmethod
    def _contiguous(held: _Assigned) -> int | None:
        # Delivered in the order of offsets, so the first that is unfinished is the lowest.
        return next(iter(held.unfinished)) if held.unfinished else held.next
