"""The concurrent reader: reads committed records from 0 while the faults happen, and notes every poll."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException, TopicPartition

from tests.chaos.checker import Poll
from tests.chaos.history import History
from tests.chaos.rows import Row, TopicUnreadError, consumer_of, ends, partitions_of, row_of, unread, usable

POLL_S: Final = 0.1
MOST: Final = 500
JOIN_S: Final = 20.0
FOUND_S: Final = 30.0


class Reader:
    """Reads a topic in a thread of its own. Use it as a context; `catch_up` at the end, then `polls`.

    `level` read_uncommitted is the control: that reader must see what was aborted.
    `seen` counts the records so far; `newest` has per key the last number and the moment (monotonic) it was seen.
    """

    def __init__(self, bootstrap: str, topic: str, folder: Path, level: str = "read_committed") -> None:
        self.polls: list[Poll] = []
        self.seen = 0
        self.newest: dict[str, tuple[int, float]] = {}
        self.failed: BaseException | None = None
        self._bootstrap = bootstrap
        self._topic = topic
        self._level = level
        self._history = History(folder / "reader.jsonl", "reader")
        self._stop = threading.Event()
        self._goal: dict[int, int] | None = None
        self._consumer = consumer_of(bootstrap, **{"isolation.level": level})
        self._thread = threading.Thread(target=self._guarded, name="reader", daemon=True)

    def __enter__(self) -> Reader:
        partitions = self._found()
        self._consumer.assign([TopicPartition(self._topic, partition, 0) for partition in partitions])
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(JOIN_S)
        self._history.close()

    def _found(self) -> list[int]:
        """The partitions, once they are there: right after a topic was created, not every broker knows it yet."""
        until = time.monotonic() + FOUND_S
        while not (partitions := partitions_of(self._consumer, self._topic)):
            if time.monotonic() > until:
                raise TopicUnreadError(f"wanted to read {self._topic!r}, which has no partitions after {FOUND_S:g} s")
            time.sleep(POLL_S)
        return partitions

    def catch_up(self, within_s: float = 30.0) -> None:
        """Waits until it stands at the end of the topic; what it has not seen by then, the checker calls unseen.

        Raises what made it fail.
        """
        self._goal = ends(self._bootstrap, self._topic)
        self._thread.join(within_s)
        self._stop.set()
        self._thread.join(JOIN_S)
        if self.failed is not None:
            raise self.failed

    def _guarded(self) -> None:
        try:
            while not self._stop.is_set() and not self._arrived():
                self._poll()
        except BaseException as error:
            self.failed = error
        finally:
            self._consumer.close()

    def _arrived(self) -> bool:
        """Asked in this thread only: a consumer answers nobody else while it consumes."""
        return self._goal is not None and not unread(self._consumer, self._topic, self._goal)

    def _poll(self) -> None:
        try:
            rows = [row_of(message) for message in self._consumer.consume(MOST, POLL_S) if usable(message)]
        except KafkaException as error:
            self._history.add("poll", "info", reason=str(error.args[0]))
            return
        if not rows:
            return
        now = time.monotonic()
        self.seen += len(rows)
        self.polls.append(Poll(tuple(rows)))
        for row in rows:
            self.newest[row.key] = (row.seq, now)
        self._note(rows)

    def _note(self, rows: Sequence[Row]) -> None:
        for partition in {row.partition for row in rows}:
            mine = [[row.offset, row.key, row.seq, row.attempt] for row in rows if row.partition == partition]
            self._history.add("poll", topic=self._topic, partition=partition, rows=mine)
