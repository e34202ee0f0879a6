"""What a deployment holds and how far its groups are, asked from outside the worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from adapters.host import SystemClock
from adapters.schema_registry import ConfluentSchemaIds
from processors.ports import Index
from schemas.codec import Codec
from streams.clients import client_config
from streams.group_lag import GroupLag
from streams.reading import Reader
from streams.selection import select
from streams.settings import Settings
from topics.ingest import DOCUMENT_HEAD, DOCUMENT_INDEXED, EMBEDDING_COMPUTED

__all__ = ["Counts", "Groups", "counted", "written"]

ASK_S: Final = 10.0
# As many as groups follow each other on the way of a document, and one more.
LOOKS: Final = 3


@dataclass(frozen=True)
class Counts:
    """What was done so far; `index` changes with every write into the index."""

    embedded: int
    heads: int
    receipts: int
    index: int

    def since(self, before: Counts) -> dict[str, int]:
        """What was done since then."""
        was = asdict(before)
        return {name: value - was[name] for name, value in asdict(self).items()}


def counted(settings: Settings, index: int) -> Counts:
    """The records on the topics that tell what ingest did."""
    codec = Codec(ConfluentSchemaIds(settings.registry.url))
    with Reader(settings.kafka, codec, SystemClock()) as reader:
        found = Counter(
            reading.topic
            for topic in (EMBEDDING_COMPUTED, DOCUMENT_HEAD, DOCUMENT_INDEXED)
            for reading in reader.read(topic.name)
        )
    return Counts(found[EMBEDDING_COMPUTED.name], found[DOCUMENT_HEAD.name], found[DOCUMENT_INDEXED.name], index)


def written(store: Index | Path) -> int:
    """A number that grows with every write: the bytes of the local index' log, or the objects and seals of Weaviate.

    Each call of a writer ends with its seal, and a worker that was started anew is another writer.
    """
    if isinstance(store, Path):
        return sum(path.stat().st_size for path in store.rglob("objects.log"))
    held: Any = store
    collection = held._connected().collections.use(held.shape.collection)
    return sum(
        collection.with_tenant(tenant).aggregate.over_all(total_count=True).total_count
        for tenant in collection.tenants.get()
    )


class Groups:
    """The consumer groups of all journeys. Use it beside a worker of all of them; close it."""

    def __init__(self, settings: Settings) -> None:
        self._reads = {one.group: _topics(one.hops) for one in select(("all",))}
        self._admin = AdminClient(client_config(settings.kafka))
        self._lag = GroupLag(settings.kafka, SystemClock())
        self._asking = ThreadPoolExecutor(len(self._reads))

    def close(self) -> None:
        self._asking.shutdown()
        self._lag.close()

    def assigned(self) -> bool:
        """Whether every partition of every group has its owner."""
        asked = self._admin.describe_consumer_groups(list(self._reads), request_timeout=ASK_S)
        for group, future in asked.items():
            members = future.result(ASK_S).members
            held = {(at.topic, at.partition) for one in members for at in one.assignment.topic_partitions}
            if not held >= {place for topic in self._reads[group] for place in self._partitions(topic)}:
                return False
        return True

    def behind(self) -> int:
        """Records that some group has not handled. The groups are asked side by side: each answer takes a while."""
        return sum(self._asking.map(self._behind, self._reads))

    def settled(self) -> bool:
        """Whether nothing is left to do anywhere: no lag in several looks, as what one group ends another begins."""
        return not any(self.behind() for _ in range(LOOKS))

    def _behind(self, group: str) -> int:
        stands = (self._lag.of(group, topic) for topic in self._reads[group])
        return sum(one.records for each in stands for one in each.values())

    def put_back(self, journey: str) -> None:
        """Puts the groups of a journey back to the beginning of their topics; no member may be left in them."""
        for group, topics in self._reads.items():
            if group.startswith(f"headwater.{journey}."):
                begins = [TopicPartition(*place, 0) for topic in topics for place in self._partitions(topic)]
                request = [ConsumerGroupTopicPartitions(group, begins)]
                for future in self._admin.alter_consumer_group_offsets(request, request_timeout=ASK_S).values():
                    future.result(ASK_S)

    def _partitions(self, topic: str) -> Iterable[tuple[str, int]]:
        return [(topic, number) for number in self._admin.list_topics(topic, timeout=ASK_S).topics[topic].partitions]


def _topics(hops: Iterable[Any]) -> list[str]:
    """What fused hops read from outside themselves."""
    made = {topic.name for hop in hops for topic in hop.writes}
    return list(dict.fromkeys(topic.name for hop in hops for topic in hop.reads if topic.name not in made))
