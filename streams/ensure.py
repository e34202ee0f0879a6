"""Declared topics against the cluster: creates what is missing, never shrinks, never deletes, says what differs."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from processors.ports import Clock
from streams.access import AccessRefusedError, require_access
from streams.clients import MAX_BATCH_BYTES, client_config
from streams.errors import ClusterUnavailableError, TopicMissingError
from streams.hop import AnyTopic, Hop, JourneyError
from streams.selection import JOURNEYS
from streams.settings import Kafka, Settings
from topics.answer import ANSWER_TOPICS
from topics.ingest import DOCUMENT_HEAD, INGEST_TOPICS, SOURCE_CHANGES
from topics.measure import MEASURE_TOPICS
from topics.topic import MAX_SOURCE_BYTES

__all__ = [
    "DECLARED",
    "ClusterUnavailableError",
    "Declaration",
    "TopicDifference",
    "declarations",
    "ensure",
    "ensure_source_topics",
    "topic_configs",
    "wait_for_topics",
]

DECLARED: Final[tuple[AnyTopic, ...]] = (*INGEST_TOPICS, *ANSWER_TOPICS, *MEASURE_TOPICS)
HOPS: Final[tuple[Hop, ...]] = tuple(hop for journey in JOURNEYS.values() for hop in journey)

# Long enough for an operator to come back from a holiday and replay what failed.
_DEAD_LETTERS_KEPT: Final = timedelta(days=90)
_WAITING_KEPT: Final = timedelta(days=90)
# A reader of heads that is behind must still see each of them, or it misses what a head took out of the index.
_HEADS_UNCOMPACTED: Final = timedelta(hours=1)
_FOREVER: Final = "-1"
# What is covered by a tombstone, or too old, lies in a log for at most this much longer: receipts of erasures say so.
_FORGOTTEN_WITHIN: Final = timedelta(days=1)
# Longer than any replay takes: who reads a topic from its beginning must meet the delete of what it met before.
_TOMBSTONES_KEPT: Final = timedelta(days=7)

_TOO_MANY_IN_ONE: Final = 100
# A stack starts its worker beside its broker: soon enough to be felt as at once.
_LOOK_AGAIN_S: Final = 0.1

What = Literal["missing", "created", "partitions", "replication", "setting"]


@dataclass(frozen=True)
class Declaration:
    """A topic as it should be: the words of Kafka's own settings."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


@dataclass(frozen=True)
class TopicDifference:
    """One way in which the cluster is not what is declared; `created` says that it now is.

    >>> str(TopicDifference("rag.a.b.v1", "partitions", wanted="4", found="2"))
    'rag.a.b.v1: partitions should be 4, is 2 (left alone)'
    """

    topic: str
    what: What
    setting: str = ""
    wanted: str = ""
    found: str = ""

    def __str__(self) -> str:
        if self.what in ("missing", "created"):
            return f"{self.topic}: {self.what}"
        return f"{self.topic}: {self.setting or self.what} should be {self.wanted}, is {self.found} (left alone)"


def declarations(
    kafka: Kafka, topics: Sequence[AnyTopic] = (*DECLARED, SOURCE_CHANGES), hops: Sequence[Hop] = HOPS
) -> list[Declaration]:
    """Every topic that the platform needs, dead letters included; a source's own topics are the source's to make.

    Retry topics are those that one of `hops` declares. Raises JourneyError where two declare them for one topic.
    """
    ours = [_declare(topic, kafka) for topic in topics if not topic.raw]
    later = _retry_topics(topics, hops)
    letters = [_declare_dead_letters(topic, kafka) for topic in topics]
    return [*ours, *(_declare_retries(name, kafka) for names in later.values() for name in names), *letters]


def ensure(
    settings: Settings,
    dry_run: bool = False,
    topics: Sequence[AnyTopic] = (*DECLARED, SOURCE_CHANGES),
    hops: Sequence[Hop] = HOPS,
) -> list[TopicDifference]:
    """Create the declared topics that the cluster lacks, and say how the others differ. Use it before anything runs.

        >>> ensure(settings)[0]  # doctest: +SKIP
        TopicDifference(topic='rag.document.changed.v1', what='created', ...)

    A topic with other partitions, replicas or settings than declared is left alone: each of these changes can lose
    records or their order. With `dry_run` nothing is created. Raises ClusterUnavailableError.
    """
    cluster = _Cluster(settings.kafka)
    wanted = declarations(settings.kafka, topics, hops)
    existing = cluster.partitions_and_replicas()
    missing = [declared for declared in wanted if declared.name not in existing]
    if not dry_run:
        cluster.create(missing)
    present = [declared for declared in wanted if declared.name in existing]
    configs = cluster.configs([declared.name for declared in present])
    verb: What = "missing" if dry_run else "created"
    differences = [TopicDifference(declared.name, verb) for declared in missing]
    for declared in present:
        differences.extend(_compare(declared, existing[declared.name], configs.get(declared.name, {})))
    return differences


def ensure_source_topics(settings: Settings, names: Iterable[str]) -> list[str]:
    """Create a source's own topics where they are missing, with room for its largest rows; returns the new ones."""
    cluster, kafka = _Cluster(settings.kafka), settings.kafka
    missing = sorted(set(names) - set(cluster.partitions_and_replicas()))
    config = {"cleanup.policy": "delete", "max.message.bytes": str(MAX_SOURCE_BYTES)}
    cluster.create([Declaration(name, kafka.partitions, kafka.replication, config) for name in missing])
    return missing


def topic_configs(kafka: Kafka, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The settings that topics have on the cluster, by name. Raises ClusterUnavailableError."""
    return _Cluster(kafka).configs(list(names))


def wait_for_topics(settings: Settings, timeout_s: float, stop: threading.Event, clock: Clock) -> None:
    """Waits until the cluster answers and has every declared topic. Use it where a worker starts before its stack.

    Raises ClusterUnavailableError or TopicMissingError when that takes longer, KeyboardInterrupt when `stop` is set.
    """
    until = clock.monotonic() + timeout_s
    while not stop.wait(_LOOK_AGAIN_S):
        try:
            missing = [found for found in ensure(settings, dry_run=True) if found.what == "missing"]
            if not missing:
                return
            problem: Exception = TopicMissingError(missing[0].topic)
        except AccessRefusedError:
            raise
        except ClusterUnavailableError as error:
            problem = error
        if clock.monotonic() > until:
            raise problem
    raise KeyboardInterrupt


def _declare(topic: AnyTopic, kafka: Kafka) -> Declaration:
    config: dict[str, str] = {"cleanup.policy": topic.cleanup, "max.message.bytes": str(MAX_BATCH_BYTES)}
    if topic.cleanup == "delete":
        config["retention.ms"] = _millis(topic.retention) if topic.retention else _FOREVER
    if topic.cleanup == "compact":
        config["max.compaction.lag.ms"] = _millis(_FORGOTTEN_WITHIN)
        config["delete.retention.ms"] = _millis(_TOMBSTONES_KEPT)
    elif topic.retention:
        config["segment.ms"] = _millis(min(topic.retention, _FORGOTTEN_WITHIN))
    if topic is DOCUMENT_HEAD:
        config["min.compaction.lag.ms"] = _millis(_HEADS_UNCOMPACTED)
    return Declaration(topic.name, kafka.partitions, kafka.replication, config)


def _retry_topics(topics: Sequence[AnyTopic], hops: Sequence[Hop]) -> dict[str, tuple[str, ...]]:
    """The retry topics of each topic that a hop tries again later."""
    wanted: dict[str, tuple[str, ...]] = {}
    declared = [(topic, hop) for hop in hops if hop.retries for topic in hop.reads if topic in topics]
    for topic, hop in declared:
        assert hop.retries is not None
        if topic.name in wanted:
            # A record there would be read, and handled, by the other hop too.
            raise JourneyError(f"wanted one hop with retry topics of {topic.name!r}, got a second one: {hop.name!r}")
        wanted[topic.name] = hop.retries.topics(topic.name)
    return wanted


def _declare_retries(name: str, kafka: Kafka) -> Declaration:
    # The partitions of its topic: a key keeps its number. Kept long: what waits there lies nowhere else.
    config = {"cleanup.policy": "delete", "retention.ms": _millis(_WAITING_KEPT)}
    return Declaration(name, kafka.partitions, kafka.replication, {**config, "max.message.bytes": str(MAX_BATCH_BYTES)})


def _declare_dead_letters(topic: AnyTopic, kafka: Kafka) -> Declaration:
    # One partition: they are few, are read by people, and their order over keys is worth keeping.
    config = {
        "cleanup.policy": "delete",
        "retention.ms": _millis(_DEAD_LETTERS_KEPT),
        "max.message.bytes": str(MAX_SOURCE_BYTES + 256 * 1024 if topic.raw else MAX_BATCH_BYTES),
    }
    return Declaration(topic.dead_letters, 1, kafka.replication, config)


def _millis(duration: timedelta) -> str:
    return str(int(duration.total_seconds() * 1000))


def _compare(declared: Declaration, shape: tuple[int, int], config: dict[str, str]) -> Iterable[TopicDifference]:
    partitions, replicas = shape
    if partitions != declared.partitions:
        yield TopicDifference(declared.name, "partitions", "", str(declared.partitions), str(partitions))
    if replicas != declared.replication:
        yield TopicDifference(declared.name, "replication", "", str(declared.replication), str(replicas))
    for setting, wanted in declared.config.items():
        found = config.get(setting, wanted)
        if found != wanted:
            yield TopicDifference(declared.name, "setting", setting, wanted, found)


class _Cluster:
    """The few questions to the cluster, each within the deadline."""

    def __init__(self, kafka: Kafka) -> None:
        self._deadline_s = kafka.deadline_s
        self._bootstrap = kafka.bootstrap
        require_access(kafka)
        self._admin = AdminClient(client_config(kafka))

    def partitions_and_replicas(self) -> dict[str, tuple[int, int]]:
        try:
            found = self._admin.list_topics(timeout=self._deadline_s).topics
        except KafkaException as error:
            raise self._away("asking for the topics", error) from error
        return {
            name: (len(topic.partitions), max((len(part.replicas) for part in topic.partitions.values()), default=0))
            for name, topic in found.items()
        }

    def create(self, wanted: list[Declaration]) -> None:
        for start in range(0, len(wanted), _TOO_MANY_IN_ONE):
            new = [
                NewTopic(
                    made.name, num_partitions=made.partitions, replication_factor=made.replication, config=made.config
                )
                for made in wanted[start : start + _TOO_MANY_IN_ONE]
            ]
            limits = {"request_timeout": self._deadline_s, "operation_timeout": self._deadline_s}
            for name, future in self._admin.create_topics(new, **limits).items():
                self._created(name, future)

    def configs(self, names: list[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        futures = self._admin.describe_configs(asked, request_timeout=self._deadline_s)
        return {
            resource.name: {
                key: str(entry.value) for key, entry in self._answer("reading its settings", future).items()
            }
            for resource, future in futures.items()
        }

    def _created(self, name: str, future: Future[Any]) -> None:
        try:
            self._answer(f"creating {name!r}", future)
        except ClusterUnavailableError as error:
            cause = error.__cause__
            # Another process ensured at the same moment: what is wanted is there.
            if isinstance(cause, KafkaException) and cause.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return
            raise

    def _answer(self, doing: str, future: Future[Any]) -> Any:
        try:
            return future.result(self._deadline_s + 1.0)
        except (KafkaException, FutureTimeoutError) as error:
            raise self._away(doing, error) from error

    def _away(self, doing: str, error: Exception) -> ClusterUnavailableError:
        cause = error.args[0].str() if isinstance(error, KafkaException) else "no answer"
        return ClusterUnavailableError(
            f"{doing} at {self._bootstrap}: wanted an answer within {self._deadline_s:g} s, got: {cause}; "
            "is the broker running, and without TLS? `headwater up` starts one, `headwater status` says what runs; "
            "one with TLS or passwords: docs/security.md"
        )
