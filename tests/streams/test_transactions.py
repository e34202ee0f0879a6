"""What stays of a producer that was given up: nothing."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from adapters.host import SystemClock
from streams import transactions
from streams.bounded import StuckError
from streams.settings import load
from streams.sweeping import Reach
from streams.transactions import ProducerLostError, TransactionalProducer

NOBODY = "127.0.0.1:1"


class FailingClient:
    """Stands where the library's producer would be, and never gets its offsets across."""

    def __init__(self, failure: Callable[[], Exception]) -> None:
        self._failure = failure

    def poll(self, _timeout_s: float) -> int:
        return 0

    def begin_transaction(self) -> None:
        """Needs no broker."""

    def send_offsets_to_transaction(self, *_given: Any) -> None:
        raise self._failure()

    def purge(self) -> None:
        """Has nothing to send."""


@pytest.mark.parametrize(
    "failure",
    [lambda: StuckError("no answer"), lambda: KafkaException(KafkaError(KafkaError._TRANSPORT))],
    ids=["stuck", "indefinite"],
)
def test_when_a_producer_is_given_up_then_nothing_holds_it(
    failure: Callable[[], Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is held lives on, and its threads wake up a thousand times a second after a broker was lost."""
    monkeypatch.setattr(transactions, "GIVE_UP_AFTER_S", 0.0)
    kafka = load(kafka={"bootstrap": NOBODY, "deadline_s": 1.0, "transaction_timeout_ms": 1_000}).kafka
    producer = TransactionalProducer(kafka, "t-a", Reach("t", "in", ()), SystemClock())
    producer._producer = FailingClient(failure)
    held = weakref.ref(producer._producer)
    with pytest.raises(ProducerLostError):
        producer.commit((), [TopicPartition("in", 0, 1)], None)
    producer.close()
    gc.collect()
    assert held() is None
