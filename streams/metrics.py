"""What every hop counts and times, under its step's word (`conventions.md`, Prometheus)."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from processors.ports import Clock
from schemas.documents import DocumentIndexed
from schemas.envelope import Event
from streams.records import Partition, Record

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
PAUSED_SECONDS: Final = Counter(
    "headwater_hop_paused_seconds_total", "Time in which a dependency is away, or enough is in hand.", ["hop"]
)
PAUSED: Final = Gauge("headwater_hop_paused", "1 while the hop waits for a dependency.", ["hop"])
LAG: Final = Gauge("headwater_hop_lag_records", "Records not yet read, by position.", ["hop", "topic"])
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
    "From a change's commit at its source, where it says when, else from its entrance, to its receipt.",
    ["outcome"],
    buckets=(0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0),
)
MICROS_PER_SECOND: Final = 1_000_000
# A worker that only lost partitions may get its next ones hours later: that is no pause.
REBALANCE_MOST_S: Final = 60.0
_PER_HOP: Final = (
    *(
        RECORDS,
        DEAD_LETTERS,
        BATCH_RECORDS,
        STEP_SECONDS,
        TRANSACTION_SECONDS,
        ABORTS,
        RECYCLES,
        PAUSED_SECONDS,
        PAUSED,
    ),
    *(IN_FLIGHT, IN_FLIGHT_BYTES, COMMIT_AGE, PARTITIONS, REBALANCES, REBALANCE_SECONDS, STALLS, REPLACED, RETRIES),
    *(PARKED, PASSED_OVER, EXPIRED),
)
_topics: dict[str, set[str]] = {}


def announce(hop: str) -> None:
    """Shows every metric of a hop, at zero. Use it when the hop begins: a rate can't see a counter's first step.

    >>> announce("ingest.parse"); DEAD_LETTERS.labels("ingest.parse")._value.get()
    0.0
    """
    for metric in _PER_HOP:
        metric.labels(hop)


def observe_positions(hop: str, positions: Mapping[Partition, tuple[int, int]], owned: int) -> None:
    """Notes how far behind a hop is, topic by topic, and how many partitions it owns.

    `positions` maps partitions to (next offset to read, end of what may be read). A topic that it lost counts as 0.
    """
    lags: Counts[str] = Counts()
    for (topic, _), (position, end) in positions.items():
        lags[topic] += max(0, end - position)
    known = _topics.setdefault(hop, set())
    known.update(lags)
    for topic in known:
        LAG.labels(hop, topic).set(lags[topic])
    PARTITIONS.labels(hop).set(owned)


def observe_rebalance(hop: str, seconds: float) -> None:
    """Notes an assignment, and how long ago partitions were lost before it."""
    REBALANCES.labels(hop).inc()
    if seconds < REBALANCE_MOST_S:
        REBALANCE_SECONDS.labels(hop).observe(seconds)


class InHand:
    """What a hop has read and not committed, and since when. Use one per hop; scrapes ask it from their own threads."""

    def __init__(self, hop: str, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None
        self._count = self._size = 0
        self._records, self._bytes = IN_FLIGHT.labels(hop), IN_FLIGHT_BYTES.labels(hop)
        COMMIT_AGE.labels(hop).set_function(self._age)

    def hold(self, records: int, size: int) -> None:
        """From now on it is this much."""
        self._count, self._size = records, size
        self._records.set(records)
        self._bytes.set(size)
        if not records:
            self._since = None
        elif self._since is None:
            self._since = self._clock.monotonic()

    def hold_batch(self, batch: Sequence[Record]) -> None:
        """From now on it is this batch, and nothing else."""
        self.hold(len(batch), _bytes_of(batch))

    def hold_more(self, ahead: Sequence[Record]) -> None:
        """These too: read ahead while a batch is worked on."""
        if ahead:
            self.hold(self._count + len(ahead), self._size + _bytes_of(ahead))

    def committed(self) -> None:
        """Some of it is: the age of the last commit counts from here."""
        if self._since is not None:
            self._since = self._clock.monotonic()

    def _age(self) -> float:
        since = self._since
        return 0.0 if since is None else self._clock.monotonic() - since


def observe_freshness(events: Iterable[Event]) -> None:
    """Notes how long each receipt took. Use it once the receipts are committed."""
    for event in events:
        if isinstance(event, DocumentIndexed) and event.trail:
            seconds = (event.occurred_at - min(event.trail.values())) / MICROS_PER_SECOND
            FRESHNESS.labels(event.outcome).observe(max(0.0, seconds))


def _bytes_of(records: Sequence[Record]) -> int:
    return sum(len(record.value or b"") for record in records)
