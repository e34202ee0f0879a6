"""Follows the log of heads into a view that others may share, and that may lose what it had: it is then folded again.

The way of the follower (`HeadsFollower`), in a thread of its own:
1. Name the view's life, and read each partition from where the view has it: from 0 where it has nothing.
2. Fold each stretch as it was read; the view moves its applied offset with it, or refuses a stretch behind a gap.
3. A view that has less than it said before was flushed or put back: begin again at 1, with a new consumer.
4. A view that is closed is proven: mark its life, ask for the ends of the log, and open it once it holds them all. Any
   process may do so; a mark of an earlier life opens nothing. For reading, the last stable offset is end enough: nobody
   was shown more. Who writes heads waits for all that was written to be decided (`catch_up`).
A view that does not answer is waited for; nothing is lost meanwhile, since the log is the truth.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import structlog
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from prometheus_client import Gauge

from adapters.errors import UnavailableError
from processors.contract import Stop
from processors.ports import Clock, FollowedHeads, Stretch
from schemas.codec import Codec
from schemas.documents import DocumentHead
from streams.clients import client_config
from streams.errors import ClusterUnavailableError
from streams.follow import POLL_S, READ_MOST, Follower, behind
from streams.settings import Kafka
from topics.ingest import DOCUMENT_HEAD

__all__ = ["HeadsFollower"]

_LOG: Final = structlog.get_logger(__name__)
OPEN: Final = Gauge("headwater_heads_open", "1 while the view of heads answers; it is closed while it is rebuilt.")
LAG: Final = Gauge("headwater_heads_lag_records", "Offsets of the log of heads that the view has not applied.")
REBUILD_SECONDS: Final = Gauge("headwater_heads_rebuild_seconds", "How long the view was closed the last time.")

# How often the view is asked whether it lost anything: a loss that nobody reads is found this late.
CHECK_S: Final = 0.25
CHECK_CLOSED_S: Final = 0.02
AWAY_S: Final = 0.25
PROVE_S: Final = 0.02


class HeadsFollower(Follower):
    """Keeps a view of heads as new as the log and whole. Use one per process that reads or writes heads.

    `catch_up` proves the view for all that was written when it was called and is committed, and opens it. `folded`
    hears the heads of each stretch once the view has it.
    """

    def __init__(self, view: FollowedHeads, codec: Codec, kafka: Kafka, clock: Clock) -> None:
        super().__init__(DOCUMENT_HEAD, lambda _: None, codec, kafka, clock)
        self.folded: Callable[[list[DocumentHead]], None] = lambda _: None
        self._view = view
        self._log_id: str | None = None
        self._at: dict[int, int] = {}
        self._looked_at = 0.0
        self._closed_since: float | None = clock.monotonic()

    def catch_up(self, timeout_s: float) -> None:
        """Waits until the view is open and holds all that is committed now. Raises Stop where that takes too long."""
        deadline = self._clock.monotonic() + timeout_s
        while True:
            try:
                if self._prove_by(deadline):
                    return
                reason = "it was lost while it was caught up with"
            except (UnavailableError, ClusterUnavailableError) as away:
                reason = str(away)
            self._raise_if_failed()
            if self._clock.monotonic() > deadline or self._stop.wait(PROVE_S):
                raise Stop(f"the view of heads has not caught up within {timeout_s:g} s: {reason}")

    def _prove_by(self, deadline: float) -> bool:
        """Whether the view was proven; False where it began another life meanwhile."""
        mark = self._view.mark(self._log())
        ends = self._ends_by(deadline)
        while not self._view.prove(mark, ends):
            self._raise_if_failed()
            if self._clock.monotonic() > deadline:
                raise Stop(f"the view of heads has not caught up in time: {behind(self._view.applied(), ends)}")
            with self._moved:
                self._moved.wait(PROVE_S)
            if self._view.mark(self._log()) != mark:
                return False
        return True

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._follow_while_whole()
        except BaseException as error:
            with self._moved:
                self._failed = error
                self._moved.notify_all()
            _LOG.exception("follower.failed", topic=self.topic.name)

    def _follow_while_whole(self) -> None:
        """Folds until the view lost something, went away, or the worker stops."""
        consumer = self._consumer(**{"enable.partition.eof": True, "fetch.wait.max.ms": 100})
        try:
            # 1. From where the view has it.
            self._view.mark(self._log())
            consumer.assign(self._from_view(consumer))
            while not self._stop.is_set() and self._goes_on(consumer):
                pass
        except (UnavailableError, ClusterUnavailableError, KafkaException, KeyError) as away:
            self._pause(str(away))
        finally:
            consumer.close()

    def _from_view(self, consumer: Any) -> list[TopicPartition]:
        applied = self._view.applied()
        self._at = {partition: applied.get(partition, 0) for partition in self._partitions(consumer)}
        _LOG.info("heads.following", at=self._at)
        return [TopicPartition(self.topic.name, number, at or OFFSET_BEGINNING) for number, at in self._at.items()]

    def _goes_on(self, consumer: Any) -> bool:
        """One turn; False where the view lacks what it had."""
        first = consumer.poll(POLL_S if self._closed_since is None else CHECK_CLOSED_S)
        messages = [] if first is None else [first, *consumer.consume(READ_MOST, 0)]
        # 2. Fold, 3. look whether it is all still there, 4. and prove it where it is not open.
        whole = all(self._applies(consumer, *piece) for piece in self._pieces(messages))
        now = self._clock.monotonic()
        if whole and now - self._looked_at >= (CHECK_S if self._closed_since is None else CHECK_CLOSED_S):
            self._looked_at = now
            whole = self._look(consumer)
        if not whole:
            self._note(False)
            _LOG.warning("heads.lost", at=self._at, view=dict(self._view.applied()))
        return whole

    def _pieces(self, messages: Iterable[Any]) -> Iterator[tuple[Stretch, list[DocumentHead]]]:
        """What was read, per partition, as stretches from where the last one ended."""
        ends: dict[int, int] = {}
        heads: defaultdict[int, list[DocumentHead]] = defaultdict(list)
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                continue
            partition = message.partition()
            ends[partition] = message.offset() + (error is None)
            event = self._event(message) if error is None else None
            if isinstance(event, DocumentHead):
                heads[partition].append(event)
        for partition, end in ends.items():
            if end > self._at[partition]:
                yield Stretch(partition, self._at[partition], end), heads[partition]

    def _applies(self, consumer: Any, stretch: Stretch, heads: list[DocumentHead]) -> bool:
        applied = self._view.apply(stretch, heads)
        if applied < stretch.end:
            return False
        self._at[stretch.partition] = stretch.end
        self.folded(heads)
        if applied > stretch.end + READ_MOST:
            self._skip(consumer, stretch.partition, applied)
        with self._moved:
            self._moved.notify_all()
        return True

    def _skip(self, consumer: Any, partition: int, to: int) -> None:
        """Leave out what others folded meanwhile: followers that rebuild a view together share the work."""
        with contextlib.suppress(KafkaException):
            consumer.seek(TopicPartition(self.topic.name, partition, to))
            self._at[partition] = to

    def _look(self, consumer: Any) -> bool:
        applied = self._view.applied()
        if any(applied.get(partition, 0) < at for partition, at in self._at.items()):
            return False
        is_open = self._view.is_open
        if not is_open:
            mark = self._view.mark(self._log())
            is_open = self._view.prove(mark, self._ends_of(consumer, self._kafka.deadline_s))
        self._note(is_open)
        LAG.set(sum(max(0, self._end_of(consumer, partition) - at) for partition, at in applied.items()))
        return True

    def _end_of(self, consumer: Any, partition: int) -> int:
        """The end as the client last heard of it, without asking the cluster."""
        place = TopicPartition(self.topic.name, partition)
        found = consumer.get_watermark_offsets(place, cached=True)
        return int(found[1]) if found else 0

    def _note(self, is_open: bool) -> None:
        now = self._clock.monotonic()
        if is_open and self._closed_since is not None:
            REBUILD_SECONDS.set(now - self._closed_since)
            _LOG.info("heads.open", after_s=round(now - self._closed_since, 3))
            self._closed_since = None
        elif not is_open and self._closed_since is None:
            self._closed_since = now
        OPEN.set(is_open)

    def _pause(self, reason: str) -> None:
        """The view or the log does not answer, or the topic is not there yet."""
        self._note(False)
        _LOG.warning("heads.away", reason=reason)
        self._stop.wait(AWAY_S)

    def _log(self) -> str:
        """The log's identity: one that was deleted and created again is another, with other offsets."""
        if self._log_id is None:
            within_s = self._kafka.deadline_s
            admin = AdminClient(client_config(self._kafka))
            asked = admin.describe_topics(TopicCollection([self.topic.name]), request_timeout=within_s)
            try:
                self._log_id = str(asked[self.topic.name].result(within_s + 1.0).topic_id)
            except (KafkaException, TimeoutError) as error:
                raise ClusterUnavailableError(f"wanted the id of {self.topic.name!r}, got: {error}") from error
        return self._log_id
