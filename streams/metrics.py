"""What every hop counts and times, under its step's word (`conventions.md`, Prometheus)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from schemas.documents import DocumentIndexed
from schemas.envelope import Event

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)

RECORDS: Final = Counter("headwater_hop_records_total", "Records read.", ["hop"])
EVENTS: Final = Counter("headwater_hop_events_total", "Records written.", ["hop", "topic"])
DEAD_LETTERS: Final = Counter("headwater_hop_dead_letters_total", "Records given up.", ["hop"])
BATCH_RECORDS: Final = Histogram(
    "headwater_hop_batch_records", "Records of a batch.", ["hop"], buckets=(1, 2, 5, 10, 50, 100, 250, 500, 1000)
)
STEP_SECONDS: Final = Histogram(
    "headwater_hop_step_seconds", "Time in the steps of a batch or record.", ["hop"], buckets=_SECONDS
)
TRANSACTION_SECONDS: Final = Histogram(
    "headwater_hop_transaction_seconds", "Time from begin to commit.", ["hop"], buckets=_SECONDS
)
ABORTS: Final = Counter("headwater_hop_aborts_total", "Transactions aborted.", ["hop"])
RECYCLES: Final = Counter("headwater_hop_producer_recycles_total", "Producers replaced after an error.", ["hop"])
PAUSED_SECONDS: Final = Counter("headwater_hop_paused_seconds_total", "Time spent waiting for a dependency.", ["hop"])
PAUSED: Final = Gauge("headwater_hop_paused", "1 while the hop waits for a dependency.", ["hop"])
LAG: Final = Gauge("headwater_hop_lag_records", "Records not yet read, by position.", ["hop"])
IN_FLIGHT: Final = Gauge("headwater_hop_in_flight_records", "Records read and not yet committed.", ["hop"])
IN_FLIGHT_BYTES: Final = Gauge("headwater_hop_in_flight_bytes", "Bytes of the records in flight.", ["hop"])
COMMIT_AGE: Final = Gauge(
    "headwater_hop_commit_age_seconds", "Since the last commit, while a record is in flight; else 0.", ["hop"]
)
PARTITIONS: Final = Gauge("headwater_hop_partitions", "Partitions assigned to this worker.", ["hop"])
REBALANCES: Final = Counter("headwater_hop_rebalances_total", "Assignments received from the group.", ["hop"])
REBALANCE_SECONDS: Final = Histogram(
    "headwater_hop_rebalance_seconds", "From losing partitions to the next assignment.", ["hop"], buckets=_SECONDS
)
STALLS: Final = Counter("headwater_hop_stalls_total", "Partitions found standing still and sought again.", ["hop"])
REPLACED: Final = Counter(
    "headwater_hop_consumers_replaced_total", "Consumers given up and begun anew, since seeking did not help.", ["hop"]
)
RETRIES: Final = Counter("headwater_hop_retries_total", "Further attempts at a record that failed alone.", ["hop"])
PARKED: Final = Gauge("headwater_hop_parked_keys", "Keys whose records wait in order in a retry topic.", ["hop"])
PASSED_OVER: Final = Counter(
    "headwater_hop_passed_over_total", "Records that somebody had completed already, passed over.", ["hop"]
)
EXPIRED: Final = Counter(
    "headwater_hop_expired_total", "Records answered by the hop's guard, not by its step.", ["hop"]
)

FRESHNESS: Final = Histogram(
    "headwater_index_freshness_seconds",
    "From the moment a change entered the platform to its receipt.",
    ["outcome"],
    buckets=(0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0),
)
MICROS_PER_SECOND: Final = 1_000_000


def observe_freshness(events: Iterable[Event]) -> None:
    """Notes how long each receipt took. Use it once the receipts are committed."""
    for event in events:
        if isinstance(event, DocumentIndexed) and event.trail:
            seconds = (event.occurred_at - min(event.trail.values())) / MICROS_PER_SECOND
            FRESHNESS.labels(event.outcome).observe(max(0.0, seconds))
