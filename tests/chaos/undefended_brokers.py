"""Controls for faults of brokers, networks and disks: a producer that trusts one broker, one that sweeps nothing."""

from __future__ import annotations

from typing import Any

import confluent_kafka


def with_plain_producer() -> None:
    """No transaction, one acknowledgement, no sequence numbers: what only a leader had is lost, repetitions double."""
    from tests.chaos.undefended import WithoutTransaction

    class PlainProducer(WithoutTransaction):
        def __init__(self, config: dict[str, Any]) -> None:
            super().__init__({**config, "acks": 1, "enable.idempotence": False})

        def commit_transaction(self, *_: Any) -> None:
            # It does not wait either, so that one broker that stalls does not spare the others.
            self.poll(0)
            self.commit_positions()

    confluent_kafka.Producer = PlainProducer
    # There is no transaction to undo what a sweep writes. This imports the engine, which must find its producer then.
    without_sweep()


def without_rewind() -> None:
    """Goes on after a batch that failed, instead of going back to it."""
    from streams import batches

    batches.BatchHop._rewind = lambda hop: hop._held.clear()  # type: ignore[assignment,method-assign]


def without_sweep() -> None:
    """A new producer leaves open what its predecessor did."""
    from streams import transactions

    vars(transactions)["sweep"] = lambda *_: None
