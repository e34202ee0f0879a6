"""The engine with one defence taken away, for the controls: subclasses, never a switch in the product.

Each is a function that a worker process calls before it imports the engine (`CopierSpec.defence` names it).
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable
from typing import Any, ClassVar, Final

import confluent_kafka
from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.chaos.gauges import with_gauges
from tests.chaos.recording import RecordedConsumer, RecordedProducer
from tests.chaos.silence import install_silence
from tests.chaos.undefended_brokers import with_plain_producer, without_rewind, without_sweep
from tests.chaos.undefended_ends import without_recycling


class WithoutTransaction(RecordedProducer):
    """Produces at once and commits offsets every few batches: what is in between at a kill is done twice."""

    EVERY: ClassVar[int] = 10
    """A loop that commits after each batch is as slow as a transaction; those that do without commit now and then."""

    def __init__(self, config: dict[str, Any]) -> None:
        # Nor does anybody listen for lost connections: without transactions they mean nothing.
        left_out = ("transaction", "debug", "logger")
        plain = {name: value for name, value in config.items() if not name.startswith(left_out)}
        super().__init__(plain)
        self.positions: dict[tuple[str, int], TopicPartition] = {}
        self.batches = 0

    def init_transactions(self, *_: Any) -> None:
        pass

    def begin_transaction(self, *_: Any) -> None:
        self.attempt = self.recorder.attempt()

    def send_offsets_to_transaction(self, positions: list[TopicPartition], *_: Any) -> None:
        self.positions |= {(one.topic, one.partition): one for one in positions}

    def commit_transaction(self, *_: Any) -> None:
        self.flush(5.0)
        # Noted where the harm begins, so that a kill can be aimed at it.
        self.recorder.note("begin", attempt=self.attempt)
        self.batches += 1
        if self.batches % self.EVERY == 0:
            self.commit_positions()
        self.recorder.note("commit", attempt=self.attempt)

    def commit_positions(self) -> None:
        """The offsets, by themselves; those of partitions that are gone are refused, and so they should be."""
        with contextlib.suppress(KafkaException):
            RecordedConsumer.latest.commit(offsets=list(self.positions.values()), asynchronous=False)
        self.positions.clear()

    def abort_transaction(self, *_: Any) -> None:
        # What was produced stays: there is nothing that could take it back.
        self.recorder.note("note", text="no transaction to abort")


class CommitFirst(WithoutTransaction):
    """Commits the offsets, then produces and waits for no delivery: what is still in the queue at a kill is lost."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__({**config, "linger.ms": 50})
        self.kept: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def begin_transaction(self, *given: Any) -> None:
        super().begin_transaction(*given)
        self.kept = []

    def produce(self, *given: Any, **more: Any) -> None:
        self.kept.append((given, more))

    def commit_transaction(self, *_: Any) -> None:
        self.commit_positions()
        self.recorder.note("begin", attempt=self.attempt)
        for given, more in self.kept:
            super().produce(*given, **more)
        self.poll(0)
        self.recorder.note("commit", attempt=self.attempt)


class SlowCommit(RecordedProducer):
    """No defence less: everything is written a while before it is committed, so that a kill finds it there."""

    WHILE_S: ClassVar[float] = 0.08

    def commit_transaction(self, *given: Any) -> None:
        self.flush(1.0)
        time.sleep(self.WHILE_S)
        super().commit_transaction(*given)


class WithoutFence(RecordedProducer):
    """Commits in the group's name without being a member of it: the broker can't know that another took over."""

    def send_offsets_to_transaction(self, positions: list[TopicPartition], member: Any, *given: Any) -> None:
        if RecordedConsumer.latest is None:
            super().send_offsets_to_transaction(positions, member, *given)
            return
        config = RecordedConsumer.latest.config
        with Consumer({name: config[name] for name in ("bootstrap.servers", "group.id")}) as stranger:
            metadata = stranger.consumer_group_metadata()
        super().send_offsets_to_transaction(positions, metadata, *given)


class UnstableId(SlowCommit):
    """A new transactional id for every producer: nobody aborts what a dead one left open before its timeout."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__({**config, "transactional.id": f"{config['transactional.id']}-{uuid.uuid4().hex[:8]}"})


def without_epochs() -> None:
    """A ledger that never lets go: what was read before a partition was taken away still counts."""
    from streams import commits
    from streams.records import Partition

    class Unforgetting(commits.OffsetLedger):
        def assign(self, place: Partition) -> int:
            known = self.epoch(place)
            return super().assign(place) if known is None else known

        def revoke(self, place: Partition) -> None:
            pass

    commits.OffsetLedger = Unforgetting  # type: ignore[misc]  # in the place of the class itself, for this process


def without_fence() -> None:
    without_epochs()
    confluent_kafka.Producer = WithoutFence


def with_unstable_id() -> None:
    confluent_kafka.Producer = UnstableId


def without_polling() -> None:
    """Waits for the handler without polling: whoever takes longer than the poll interval is evicted."""
    from streams import batches

    batches.BatchHop._await = lambda _, future: future.result()  # type: ignore[assignment,method-assign]


def without_completed_offsets() -> None:
    """Commits say nothing of what is complete beyond them."""
    from streams import keyed

    vars(keyed)["encode"] = lambda *_: ""


def with_slow_commit() -> None:
    confluent_kafka.Producer = SlowCommit


def without_transaction() -> None:
    confluent_kafka.Producer = WithoutTransaction


def commit_first() -> None:
    confluent_kafka.Producer = CommitFirst


HARMLESS: Final = frozenset({"", "quick-commit"})
"""What takes nothing away: these lose and double nothing."""

DEFENCES: dict[str, Callable[[], None]] = {
    "transaction": without_transaction,
    "commit-after-produce": commit_first,
    "epochs": without_epochs,
    "fence": without_fence,
    "quick-commit": with_slow_commit,
    "stable-id": with_unstable_id,
    "silent-partition": install_silence,
    "recycling": without_recycling,
    "plain-producer": with_plain_producer,
    "sweep": without_sweep,
    "rewind": without_rewind,
    "nothing, but gauges": with_gauges,
    "polling": without_polling,
    "completed-offsets": without_completed_offsets,
}
"""The defence that is taken away to what takes it; scenarios add theirs here, one line each."""
