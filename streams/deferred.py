"""A record that is tried again later: the headers it carries on a retry topic, and who of a batch must wait with it.

On a retry topic its key, value and headers are untouched, and five headers stand beside them:
`retry.attempt` (how often it was given up), `retry.not-before` (microseconds), `retry.source.topic`, `.partition` and
`.offset` (where it lay first: its identity, which an event without an id or a version takes from there).
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.envelope import Micros
from schemas.failures import Headers
from streams.records import Inbound, Record
from streams.retries import GivenUp

ATTEMPT: Final = "retry.attempt"
NOT_BEFORE: Final = "retry.not-before"
SOURCE_TOPIC: Final = "retry.source.topic"
SOURCE_PARTITION: Final = "retry.source.partition"
SOURCE_OFFSET: Final = "retry.source.offset"
AT_ONCE: Final = Micros(0)
"""The time before which a record that only follows need not be tried."""
_NAMES: Final = (ATTEMPT, NOT_BEFORE, SOURCE_TOPIC, SOURCE_PARTITION, SOURCE_OFFSET)


@dataclass(frozen=True)
class Deferred:
    """A record as it lay on its own topic, how often it was given up so far, and when it may be tried again.

    >>> first = Deferred(Record("t", 0, 7, b"k", b"v", (("lane", b"bulk"),)))
    >>> again = Record("t.retry.5s", 0, 1, b"k", b"v", first.headers(attempts=1, not_before=Micros(9)))
    >>> Deferred.read(again, "t") == Deferred(first.record, 1, Micros(9))
    True
    """

    record: Record
    attempts: int = 0
    not_before: Micros = AT_ONCE

    @classmethod
    def read(cls, record: Record, topic: str) -> Deferred:
        """What lies on a retry topic of `topic`; a stranger's record there counts as one of that topic."""
        names = [name for name, _ in record.headers]
        ends = range(len(names), len(_NAMES) - 1, -1)
        # The newest are the engine's: a record may have brought some of these names along.
        end = next((end for end in ends if tuple(names[end - len(_NAMES) : end]) == _NAMES), None)
        if end is None:
            return cls(msgspec.structs.replace(record, topic=topic))
        start = end - len(_NAMES)
        values = dict(record.headers[start:end])
        partition, offset, attempts, due = (
            _number(values[name]) for name in (SOURCE_PARTITION, SOURCE_OFFSET, ATTEMPT, NOT_BEFORE)
        )
        original = (*record.headers[:start], *record.headers[end:])
        home = msgspec.structs.replace(record, topic=topic, partition=partition, offset=offset, headers=original)
        return cls(home, attempts, Micros(due))

    def headers(self, attempts: int, not_before: Micros) -> Headers:
        """The headers of the record on the next retry topic."""
        said = (attempts, not_before, self.record.topic, self.record.partition, self.record.offset)
        return (*self.record.headers, *((name, str(value).encode()) for name, value in zip(_NAMES, said, strict=True)))


def _number(text: bytes) -> int:
    return int(text) if text.isdigit() else 0


class Deferrals:
    """Who of a batch waits: what failed and may be tried later, and behind it whatever has its key.

    `may` holds the positions that may be tried later; `rounds` how often each was given up before; `lanes` what has
    one order: equal ones do.
    """

    def __init__(self, may: Container[int], rounds: Sequence[int], lanes: Sequence[Hashable]) -> None:
        self.failed: dict[int, GivenUp] = {}
        self._may = may
        self._rounds = rounds
        self._lanes = lanes
        self._first: dict[Hashable, int] = {}

    def given_up(self, inbound: Inbound, error: GivenUp) -> None:
        """A record failed alone."""
        root = inbound.root
        error.attempts *= self._rounds[root] + 1
        if root in self._may:
            self.failed[root] = error
            lane = self._lanes[root]
            self._first[lane] = min(root, self._first.get(lane, root))

    def waits(self, inbound: Inbound) -> bool:
        """Whether an event is to be left out: it, or one of its key before it, is tried later."""
        return bool(self.failed) and (inbound.root in self.failed or inbound.root in self)

    def __contains__(self, root: int) -> bool:
        """Whether a record waits behind another."""
        return root not in self.failed and self._first.get(self._lanes[root], root) < root
