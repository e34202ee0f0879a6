"""Reads the replies to one asker: its own partition of the reply topics, in one thread, one hand-over per batch."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from adapters.errors import AdapterError
from schemas.codec import Codec, SchemaError
from schemas.queries import AnswerDelta, AnswerGiven, AnswerWithheld
from streams.clients import consumer_config
from streams.errors import StreamsError, TopicMissingError
from streams.hop import AnyTopic
from streams.settings import Kafka
from topics.answer import ANSWER_DELTA, ANSWER_GIVEN

__all__ = ["REPLY_TOPICS", "Reply", "ReplyReader"]

Reply = AnswerDelta | AnswerGiven | AnswerWithheld

REPLY_TOPICS: Final[tuple[AnyTopic, ...]] = (ANSWER_GIVEN, ANSWER_DELTA)
_BY_NAME: Final = {topic.name: topic for topic in REPLY_TOPICS}

_POLL_S: Final = 0.1
_BATCH: Final = 500
# Asked again until it is answered, and between two tries the end of the process is noticed.
_METADATA_S: Final = 2.0
# After a failure: soon enough that a person who restarts a broker does not wait for us.
_RETRY_S: Final = 0.5
_JOIN_S: Final = 10.0

_log = logging.getLogger(__name__)


class ReplyReader:
    """One thread that reads one partition of every reply topic, from the end. Use it once per exchange.

    `wanted` says by key whether anybody here waits for a record, before it is decoded; `hand_over` gets what came, in
    this thread; `prepare` does what a first question would otherwise wait for. `ready` says that replies to a question
    sent now would be seen. A cluster that is away is waited for.
    """

    def __init__(
        self,
        kafka: Kafka,
        codec: Codec,
        choose: Callable[[int], int],
        wanted: Callable[[str], bool],
        hand_over: Callable[[list[Reply]], None],
        prepare: Callable[[], None],
    ) -> None:
        self._kafka = kafka
        self._codec = codec
        self._choose = choose
        self._wanted = wanted
        self._hand_over = hand_over
        self._prepare = prepare
        self._stop = threading.Event()
        self._away = threading.Event()
        self._assigned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replies", daemon=True)
        self.partition = 0
        self.problem = "not started"

    @property
    def ready(self) -> bool:
        """Whether replies are read and, as far as is known, the cluster is there."""
        return self._assigned.is_set() and not self._away.is_set()

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread; what is under way is no longer handed over."""
        self._stop.set()
        self._thread.join(_JOIN_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except (KafkaException, StreamsError, AdapterError, SchemaError) as error:
                self._assigned.clear()
                self._say(str(error))
                self._stop.wait(_RETRY_S)

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            _log.warning("replies can't be read: %s; trying again", problem)
        self.problem = problem

    def _read(self) -> None:
        consumer = self._open()
        try:
            while not self._stop.is_set():
                self._pass_on(consumer)
                if self._away.is_set():
                    self._knock(consumer)
        finally:
            consumer.close()

    def _open(self) -> Consumer:
        """1. Choose the partition that every reply topic has. 2. Assign its end, known as a number: a position that
        is only resolved at the first fetch would miss an answer given before it. 3. Have the asker get ready too."""
        own = {"isolation.level": "read_uncommitted", "auto.offset.reset": "latest", "error_cb": self._on_error}
        consumer = Consumer(consumer_config(self._kafka, "headwater.gateway.replies.v1", **own))
        try:
            counts = [_partitions(consumer, topic.name) for topic in REPLY_TOPICS]
            self.partition = self._choose(min(counts))
            places = [TopicPartition(topic.name, self.partition) for topic in REPLY_TOPICS]
            ends = [consumer.get_watermark_offsets(place, timeout=_METADATA_S)[1] for place in places]
            consumer.assign([TopicPartition(p.topic, p.partition, end) for p, end in zip(places, ends, strict=True)])
            self._prepare()
        except BaseException:
            consumer.close()
            raise
        self._away.clear()
        self._assigned.set()
        self.problem = ""
        return consumer

    def _pass_on(self, consumer: Consumer) -> None:
        first = consumer.poll(_POLL_S)
        if first is None:
            return
        replies = [reply for message in (first, *consumer.consume(_BATCH - 1, 0)) for reply in self._replies(message)]
        if replies:
            self._hand_over(replies)

    def _replies(self, message: Message) -> Sequence[Reply]:
        error = message.error()
        if error is not None:
            _log.warning("reading replies: %s", error.str())
            return ()
        value = message.value()
        if value is None or not self._wanted((message.key() or b"").decode(errors="replace")):
            return ()
        topic = _BY_NAME[str(message.topic())]
        try:
            event: Any = self._codec.decode(value, topic.events)
        except (SchemaError, AdapterError) as problem:
            _log.warning("a reply at %s/%s can't be decoded: %s", topic.name, message.offset(), problem)
            return ()
        return (event,)

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._away.set()
            self.problem = "no broker can be reached"

    def _knock(self, consumer: Consumer) -> None:
        """Nothing tells of a broker that came back until something is read, so ask."""
        try:
            consumer.list_topics(ANSWER_GIVEN.name, timeout=_RETRY_S)
        except KafkaException:
            return
        self._away.clear()
        self.problem = ""


def _partitions(consumer: Consumer, topic: str) -> int:
    found = consumer.list_topics(topic, timeout=_METADATA_S).topics.get(topic)
    if found is None or found.error is not None or not found.partitions:
        raise TopicMissingError(topic)
    return len(found.partitions)
