"""Declared topics against a real cluster."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from headwater.local.broker import KafkaBroker
from headwater.local.ports import choose_port
from streams.ensure import (
    DECLARED,
    ClusterUnavailableError,
    TopicDifference,
    declarations,
    ensure,
)
from streams.hop import Hop, JourneyError
from streams.retries import RetryLater
from streams.settings import Kafka, Settings
from topics.ingest import DOCUMENT_CHANGED, DOCUMENT_HEAD, DOCUMENT_PARSED
from topics.topic import Topic


def settings_for(bootstrap: str, **kafka: object) -> Settings:
    return Settings(kafka=Kafka.model_validate({"bootstrap": bootstrap, "deadline_s": 10.0, **kafka}))


def own_topic(like: Topic[object] = DOCUMENT_CHANGED) -> Topic[object]:  # type: ignore[type-var,assignment]
    return replace(like, name=f"rag.test.{uuid.uuid4().hex}.v1")


def copy(_: object) -> None:
    """A step."""


def test_when_all_is_declared_then_each_topic_has_dead_letters() -> None:
    names = [made.name for made in declarations(Kafka())]
    assert len(names) == len(set(names)) == 2 * len(DECLARED) + 1
    assert {"rag.document.changed.v1.dlq", "cdc.dlq"} <= set(names)


def test_when_topics_are_declared_then_cleanup_and_retention_follow() -> None:
    made = {one.name: one for one in declarations(Kafka(partitions=3))}
    changed, parsed = made[DOCUMENT_CHANGED.name], made[DOCUMENT_PARSED.name]
    assert changed.config["cleanup.policy"] == "compact"
    assert "retention.ms" not in changed.config
    assert (parsed.config["cleanup.policy"], parsed.config["retention.ms"]) == ("delete", str(2 * 86_400_000))
    assert made[DOCUMENT_HEAD.name].config["min.compaction.lag.ms"] == "3600000"
    assert made["rag.document.erased.v1"].config["retention.ms"] == "-1"
    assert (changed.partitions, made[DOCUMENT_CHANGED.dead_letters].partitions) == (3, 1)


def test_when_a_hop_is_tried_again_later_then_its_retry_topics_are_as_wide_as_its_topic() -> None:
    topic = own_topic()
    hop = Hop((topic,), copy, (), retries=RetryLater((5, 300)))
    made = {one.name: one for one in declarations(Kafka(partitions=3, replication=2), [topic], [hop])}
    assert set(made) == {topic.name, f"{topic.name}.retry.5s", f"{topic.name}.retry.5m", topic.dead_letters}
    later = made[f"{topic.name}.retry.5m"]
    assert (later.partitions, later.replication, later.config["cleanup.policy"]) == (3, 2, "delete")


def test_when_two_hops_would_share_retry_topics_then_that_is_refused() -> None:
    topic = own_topic()
    hops = [Hop((topic,), copy, (), retries=RetryLater((5,))) for _ in range(2)]
    with pytest.raises(JourneyError, match="one hop with retry topics"):
        declarations(Kafka(), [topic], hops)


def test_when_a_difference_is_printed_then_it_says_what_is_wanted_and_found() -> None:
    assert (
        str(TopicDifference("t", "setting", "retention.ms", "5", "7"))
        == "t: retention.ms should be 5, is 7 (left alone)"
    )
    assert str(TopicDifference("t", "created")) == "t: created"


@pytest.mark.live
def test_when_a_topic_is_missing_then_it_is_created_once(kafka: KafkaBroker) -> None:
    settings, topic = settings_for(kafka.bootstrap), own_topic()
    assert [str(d) for d in ensure(settings, dry_run=True, topics=[topic])] == [
        f"{topic.name}: missing",
        f"{topic.name}.dlq: missing",
    ]
    assert [d.what for d in ensure(settings, topics=[topic])] == ["created", "created"]
    assert ensure(settings, topics=[topic]) == []


@pytest.mark.live
def test_when_a_topic_differs_then_it_is_reported_and_left_alone(kafka: KafkaBroker) -> None:
    topic = own_topic()
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(topic.name, 6, 1, config={"cleanup.policy": "delete"})])[topic.name].result(10)
    found = [str(d) for d in ensure(settings_for(kafka.bootstrap), topics=[topic])]
    assert f"{topic.name}: partitions should be 4, is 6 (left alone)" in found
    assert f"{topic.name}: cleanup.policy should be compact, is delete (left alone)" in found
    assert len(admin.list_topics(topic.name, timeout=10).topics[topic.name].partitions) == 6


@pytest.mark.live
def test_when_everything_is_declared_then_one_call_creates_it(kafka: KafkaBroker) -> None:
    settings = settings_for(kafka.bootstrap)
    ensure(settings)
    assert ensure(settings) == []


def test_when_no_broker_answers_then_the_error_says_what_to_do() -> None:
    settings = settings_for(f"127.0.0.1:{choose_port('nothing')}", deadline_s=0.5)
    with pytest.raises(ClusterUnavailableError, match="headwater up"):
        ensure(settings)
