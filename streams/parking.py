"""Keyed parking: which keys wait in retry topics, so that nothing of a key overtakes. No Kafka in here.

A topic and its retry topics make a ladder: step 0 is the topic, each further step a retry topic with a longer delay. A
record that fails climbs to the tail of the next step. Laws, each held by a property test:
1. A record whose key lies on a higher step is not handled: it follows, to the lowest such step. So all that lies on a
   higher step is older than what lies on a lower one, and within a partition the log keeps the order.
2. On the last step there is nowhere to climb: a head that fails there is tried again in place.
3. The keys of a retry partition are counted up to a bound; beyond it what lies below rests until it has drained.
4. Below a partition in which everything is due, nothing is handled: it would have to follow, and never catch up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from schemas.envelope import Micros
from streams.records import Partition
from streams.retries import RetryLater

KEYS_MOST: Final = 10_000
"""Keys counted per retry partition: about a megabyte."""
_DUE: Final = Micros(0)


@dataclass(frozen=True)
class Ladder:
    """A topic and its retry topics, from the bottom up.

    >>> Ladder("t.v1", RetryLater((5, 30))).topics
    ('t.v1', 't.v1.retry.5s', 't.v1.retry.30s')
    """

    topic: str
    later: RetryLater

    @cached_property
    def topics(self) -> tuple[str, ...]:
        return (self.topic, *self.later.topics(self.topic))

    @property
    def top(self) -> int:
        """The last step."""
        return len(self.later.delays_s)

    def delay(self, step: int) -> Micros:
        """How long a record that failed waits on a step."""
        return Micros(round(self.later.delays_s[step - 1] * 1_000_000))


@dataclass
class _Pile:
    """What lies on a retry partition between its committed offset and its end."""

    keys: dict[bytes | None, int] = field(default_factory=dict)
    beyond: int = 0
    """Records whose keys found no room."""
    due: Micros = _DUE
    """From here on everything that lies there may be tried."""

    def add(self, key: bytes | None, due: Micros, most: int) -> None:
        self.due = max(self.due, due)
        # While some keys are not counted one by one, a new one may be among them: it is not counted by itself either.
        if key in self.keys or (not self.beyond and len(self.keys) < most):
            self.keys[key] = self.keys.get(key, 0) + 1
        else:
            self.beyond += 1

    def remove(self, key: bytes | None) -> None:
        left = self.keys.get(key, 0) - 1
        if left > 0:
            self.keys[key] = left
        elif left == 0:
            del self.keys[key]
        else:
            self.beyond = max(0, self.beyond - 1)
        if not self:
            self.due = _DUE

    def __bool__(self) -> bool:
        return bool(self.keys or self.beyond)


class Parking:
    """The keys that wait, for the partitions of one worker. Use one per hop, from one thread at a time.

    >>> parking, failed = Parking([Ladder("t", RetryLater((5,)))]), ("t.retry.5s", 0)
    >>> parking.fill(failed, [])
    >>> parking.entered(failed, b"k", Micros(5_000_000))
    >>> parking.follow(("t", 0), b"k"), parking.follow(("t", 0), b"other")
    (('t.retry.5s', 0), None)
    >>> parking.left(failed, b"k"); parking.follow(("t", 0), b"k")
    """

    def __init__(self, ladders: Iterable[Ladder], most_keys: int = KEYS_MOST) -> None:
        self._steps = {name: (ladder, n) for ladder in ladders for n, name in enumerate(ladder.topics)}
        self._most = most_keys
        self._piles: dict[Partition, _Pile] = {}

    @property
    def retry_topics(self) -> tuple[str, ...]:
        """Every retry topic, each ladder from the bottom up."""
        return tuple(name for name, (_, step) in self._steps.items() if step)

    @property
    def keys(self) -> int:
        """How many keys are counted now."""
        return sum(len(pile.keys) for pile in self._piles.values())

    def step(self, topic: str) -> tuple[Ladder, int] | None:
        """The ladder that a topic is a step of, and which; None where it has no retry topics."""
        return self._steps.get(topic)

    def whole(self, place: Partition, owned: Collection[Partition]) -> bool:
        """Whether every step of a partition's ladder is ours: only then is it known what waits."""
        ladder, _ = self._steps[place[0]]
        return all((topic, place[1]) in owned for topic in ladder.topics)

    def known(self, place: Partition) -> bool:
        """Whether what waits on the steps above was counted."""
        return all(above in self._piles for above in self._above(place))

    def follow(self, place: Partition, key: bytes | None) -> Partition | None:
        """Where a record must go unhandled, since its key waits there. Records without a key have no order to keep."""
        if key is None:
            return None
        return next((above for above in self._above(place) if key in self._piles[above].keys), None)

    def rests(self, place: Partition, now: Micros) -> bool:
        """Whether a partition must wait until one above has drained (laws 3 and 4)."""
        piles = (self._piles[above] for above in self._above(place))
        return any(pile and (pile.beyond or pile.due <= now) for pile in piles)

    def fill(self, place: Partition, entries: Iterable[tuple[bytes | None, Micros]]) -> None:
        """Begins anew with what lies on a retry partition: keys, and when each may be tried."""
        pile = self._piles[place] = _Pile()
        for key, due in entries:
            pile.add(key, due, self._most)

    def entered(self, place: Partition, key: bytes | None, due: Micros) -> None:
        """A record was written to a retry partition, and that is committed."""
        if place in self._piles:
            self._piles[place].add(key, due, self._most)

    def left(self, place: Partition, key: bytes | None) -> None:
        """A record of a retry partition is done with, and that is committed."""
        if place in self._piles:
            self._piles[place].remove(key)

    def forget(self, places: Sequence[Partition] = ()) -> None:
        """Drops what was counted, of some partitions or of all: it has to be counted again."""
        for place in places or tuple(self._piles):
            self._piles.pop(place, None)

    def _above(self, place: Partition) -> Iterator[Partition]:
        ladder, step = self._steps[place[0]]
        return ((topic, place[1]) for topic in ladder.topics[step + 1 :])
