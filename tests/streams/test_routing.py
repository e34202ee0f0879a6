"""Partitions by the same hash as Java's, and the asker's own partition for replies."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException, murmur2
from hypothesis import given
from hypothesis import strategies as st

from schemas.documents import DocumentChanged, DocumentHead
from schemas.envelope import Version
from schemas.queries import AnswerDelta
from streams import headers as names
from streams.errors import ClusterUnavailableError, TopicMissingError
from streams.routing import Router
from topics.answer import ANSWER_DELTA
from topics.ingest import DOCUMENT_CHANGED, DOCUMENT_HEAD


class Cluster:
    """Stands where a producer does: answers with partitions, or with an error."""

    def __init__(self, partitions: int = 4, error: Exception | None = None) -> None:
        self.partitions = partitions
        self.error = error
        self.asked = 0

    def list_topics(self, topic: str, timeout: float) -> SimpleNamespace:
        self.asked += 1
        if self.error:
            raise self.error
        found = SimpleNamespace(error=None, partitions=dict.fromkeys(range(self.partitions)))
        return SimpleNamespace(topics={topic: found})


# org.apache.kafka.common.utils.UtilsTest.testMurmur2
JAVA = [
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
]


@pytest.mark.parametrize(("key", "hashed"), JAVA)
def test_when_a_key_is_hashed_then_the_partition_is_javas(key: bytes, hashed: int) -> None:
    assert murmur2(key, 1_000) == (hashed & 0x7FFFFFFF) % 1_000


def changed(document: str) -> DocumentChanged:
    return DocumentChanged(tenant="acme", document=document, media_type="text/plain")


@given(st.text(min_size=1), st.integers(min_value=1, max_value=64))
def test_when_a_head_has_another_key_then_it_is_still_where_its_document_is(document: str, partitions: int) -> None:
    router = Router(Cluster(partitions))
    none = Version(source=0, offset=0)
    head = DocumentHead(tenant="acme", document=document, version=none, access_version=none, generation="g2")
    assert router.partition(DOCUMENT_HEAD, head) == router.partition(DOCUMENT_CHANGED, changed(document))


@pytest.mark.parametrize(
    ("header", "expected"),
    [(b"2", 2), (b"0", 0), (b"9", None), (b"-1", None), (b"x", None)],
)
def test_when_a_reply_partition_is_named_then_it_wins_if_it_exists(header: bytes, expected: int | None) -> None:
    router = Router(Cluster(4))
    delta = AnswerDelta(tenant="acme", query_id="q1", index=0, text="A")
    by_key = router.partition(ANSWER_DELTA, delta)
    assert router.partition(ANSWER_DELTA, delta, [(names.REPLY_PARTITION, header)]) == (
        by_key if expected is None else expected
    )


def test_when_a_topic_takes_no_replies_then_the_header_means_nothing() -> None:
    router = Router(Cluster(4))
    plain = router.partition(DOCUMENT_CHANGED, changed("a"))
    assert (
        router.partition(DOCUMENT_CHANGED, changed("a"), [(names.REPLY_PARTITION, b"%d" % ((plain + 1) % 4))]) == plain
    )


def test_when_partitions_were_asked_for_then_they_are_not_asked_for_again_until_forgotten() -> None:
    cluster = Cluster(4)
    router = Router(cluster)
    router.partition(DOCUMENT_CHANGED, changed("a"))
    router.partition(DOCUMENT_CHANGED, changed("b"))
    assert cluster.asked == 1
    router.forget(DOCUMENT_CHANGED.name)
    cluster.partitions = 8
    assert (router.count(DOCUMENT_CHANGED.name), cluster.asked) == (8, 2)


@pytest.mark.parametrize(
    ("cluster", "error", "words"),
    [
        (Cluster(0), TopicMissingError, "headwater topics ensure"),
        (Cluster(4, KafkaException(KafkaError(KafkaError._TRANSPORT))), ClusterUnavailableError, "no answer within"),
    ],
)
def test_when_partitions_cant_be_known_then_the_error_says_why(
    cluster: Cluster, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Router(cluster).partition(DOCUMENT_CHANGED, changed("a"))
