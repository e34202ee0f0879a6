"""The Kafka clients of a worker, noting what the engine does with them: assignments, transactions and their outcome.

They take the place of confluent_kafka's own before the engine is imported, so that the engine runs as it is and nothing
of the harness is in it. Every record they produce says in a header which attempt wrote it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import confluent_kafka
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from tests.chaos.history import History, State
from tests.chaos.rows import ATTEMPT


class Recorder:
    """Numbers the attempts of this process and writes its history. One per process."""

    def __init__(self, history: History, who: str) -> None:
        self.history = history
        self.who = f"{who}-{os.getpid()}"
        self._count = 0

    def attempt(self) -> str:
        """A new name for what is about to be written."""
        self._count += 1
        return f"{self.who}/{self._count}"

    def note(self, op: str, state: State = "ok", **fields: Any) -> None:
        self.history.add(op, state, pid=os.getpid(), **fields)


class RecordedProducer(Producer):  # type: ignore[misc]  # the client library has no types
    """A producer that notes begin, commit and abort, and signs every record with its attempt."""

    recorder: ClassVar[Recorder]

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.attempt = f"{self.recorder.who}/0"
        self.offsets: list[list[Any]] = []
        self.produced = 0

    def init_transactions(self, *given: Any) -> None:
        self.recorder.note("init")
        super().init_transactions(*given)

    def begin_transaction(self, *given: Any) -> None:
        super().begin_transaction(*given)
        self.attempt, self.offsets, self.produced = self.recorder.attempt(), [], 0
        self.recorder.note("begin", attempt=self.attempt)

    def produce(self, *given: Any, headers: Any = (), **more: Any) -> None:
        signed = [*(headers or ()), (ATTEMPT, self.attempt.encode())]
        super().produce(*given, headers=signed, **more)
        self.produced += 1

    def send_offsets_to_transaction(self, positions: list[TopicPartition], *given: Any) -> None:
        self.offsets = [[one.topic, one.partition, one.offset] for one in positions]
        super().send_offsets_to_transaction(positions, *given)

    def commit_transaction(self, *given: Any) -> None:
        self._ended("commit", super().commit_transaction, given)

    def abort_transaction(self, *given: Any) -> None:
        self._ended("abort", super().abort_transaction, given)

    def _ended(self, op: str, call: Callable[..., None], given: tuple[Any, ...]) -> None:
        said: dict[str, Any] = {"attempt": self.attempt, "offsets": self.offsets, "records": self.produced}
        try:
            call(*given)
        except KafkaException as error:
            known = error.args[0].fatal() or error.args[0].txn_requires_abort()
            self.recorder.note(op, "fail" if known else "info", reason=str(error.args[0]), **said)
            raise
        self.recorder.note(op, **said)


class RecordedConsumer(Consumer):  # type: ignore[misc]  # the client library has no types
    """A consumer that notes which partitions it is given and which are taken away."""

    recorder: ClassVar[Recorder]
    latest: ClassVar[Any] = None
    """The member of the group that this process made last: what an engine without transactions commits with."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.config = config

    def subscribe(self, topics: list[str], **callbacks: Any) -> None:
        RecordedConsumer.latest = self
        noted = {name: self._noting(name.removeprefix("on_"), call) for name, call in callbacks.items()}
        super().subscribe(topics, **noted)

    def _noting(self, op: str, call: Callable[..., None]) -> Callable[..., None]:
        def noted(consumer: Any, partitions: Iterable[TopicPartition]) -> None:
            listed = list(partitions)
            self.recorder.note(op, partitions=[[one.topic, one.partition] for one in listed])
            call(consumer, listed)

        return noted


def install(history: History, who: str) -> Recorder:
    """Puts the recording clients in place of the library's; call it before anything imports the engine."""
    recorder = Recorder(history, who)
    RecordedProducer.recorder = RecordedConsumer.recorder = recorder
    confluent_kafka.Producer, confluent_kafka.Consumer = RecordedProducer, RecordedConsumer
    return recorder
