"""Records in hand: read, and not to be handled yet. Per partition in the order of the log. No Kafka in here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from streams.records import Partition, Record


class Hand:
    """Holds back what must wait, and whatever of its partition lies behind it. Use one per hop, from its poll thread.

    >>> hand = Hand()
    >>> hand.add([Record("t", 0, 1, b"k", b"v"), Record("t", 1, 5, b"k", b"v"), Record("t", 0, 2, b"k", b"v")])
    >>> [record.offset for record in hand.take(10, lambda record: record.offset != 1)]
    [5]
    >>> hand.places(), [record.offset for record in hand.take(1, lambda record: True)], len(hand)
    (frozenset({('t', 0)}), [1], 1)

    Its partitions are to be paused until it is empty of them: it is bounded by what one read brings.
    """

    def __init__(self) -> None:
        self._queues: dict[Partition, deque[Record]] = {}

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def places(self) -> frozenset[Partition]:
        """The partitions of which something is in hand."""
        return frozenset(self._queues)

    def head(self, place: Partition) -> Record | None:
        """The next record of a partition."""
        return next(iter(self._queues.get(place, ())), None)

    def of(self, place: Partition) -> tuple[Record, ...]:
        """What is in hand of a partition."""
        return tuple(self._queues.get(place, ()))

    def take_from(self, place: Partition, count: int) -> list[Record]:
        """The next records of one partition."""
        queue = self._queues[place]
        taken = [queue.popleft() for _ in range(min(count, len(queue)))]
        if not queue:
            del self._queues[place]
        return taken

    def add(self, records: Iterable[Record]) -> None:
        """Records just read: behind what is in hand already."""
        for record in records:
            self._queues.setdefault(record.place, deque()).append(record)

    def put_back(self, records: Iterable[Record]) -> None:
        """Records taken and not decided: in front, in their order."""
        for record in reversed(list(records)):
            self._queues.setdefault(record.place, deque()).appendleft(record)

    def take(self, most: int, may: Callable[[Record], bool]) -> list[Record]:
        """Up to `most` records, of each partition up to the first that may not be handled."""
        taken: list[Record] = []
        for place, queue in list(self._queues.items()):
            while queue and len(taken) < most and may(queue[0]):
                taken.append(queue.popleft())
            if not queue:
                del self._queues[place]
        return taken

    def keep(self, current: Callable[[Record], bool]) -> None:
        """Lets go of what belongs to an earlier assignment."""
        kept = {place: deque(filter(current, queue)) for place, queue in self._queues.items()}
        self._queues = {place: queue for place, queue in kept.items() if queue}

    def clear(self) -> None:
        """Lets go of everything: it will be read again."""
        self._queues.clear()
