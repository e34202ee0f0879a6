"""Plays the part of the workers in tests of the door: reads questions from the topic, answers as the question says."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import cast

from confluent_kafka import Consumer

from adapters.host import SystemClock, SystemIds
from schemas.codec import Codec
from schemas.envelope import Event, Version
from schemas.queries import AnswerDelta, AnswerGiven, AnswerWithheld, Citation, QueryAsked, WithheldReason
from streams.clients import consumer_config
from streams.publishing import Entrance, Publisher
from streams.settings import Kafka
from topics.answer import ANSWER_DELTA, ANSWER_GIVEN, QUERY_ASKED

WORDS = ("A lease ", "runs for ", "twelve months [1].")


def entrance() -> Entrance:
    return Entrance(SystemClock(), SystemIds(), "test")


def citation() -> Citation:
    return Citation(
        number=1,
        document="lease.md",
        version=Version(source=0, offset=3),
        object_id="o1",
        chunk="c1",
        title="Lease",
        source_uri="",
        quote="A lease runs for twelve months.",
        start=0,
        end=31,
    )


class Answerer:
    """Answers `withhold REASON`, `silence`, `twice`, and anything else with three deltas and a cited answer."""

    def __init__(self, kafka: Kafka, codec: Codec) -> None:
        self._codec = codec
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._publisher = Publisher(kafka, codec, entrance())
        group = f"answerer-{SystemIds().new()}"
        self._consumer = Consumer(consumer_config(kafka, group, **{"auto.offset.reset": "latest"}))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.asked: list[QueryAsked] = []

    def __enter__(self) -> Answerer:
        self._consumer.subscribe([QUERY_ASKED.name], on_assign=lambda *_: self._ready.set())
        self._thread.start()
        assert self._ready.wait(20)
        # The end of the topic is resolved at the first fetch; a question before it would be missed.
        self._stop.wait(0.3)
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(20)
        self._consumer.close()
        self._publisher.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(0.1)
            if message is None or message.error() is not None:
                continue
            asked = self._codec.decode(message.value() or b"", QUERY_ASKED.events)
            assert isinstance(asked, QueryAsked)
            self.asked.append(asked)
            headers = [(name, value or b"") for name, value in message.headers() or ()]
            for event in _replies(asked):
                topic = ANSWER_DELTA if isinstance(event, AnswerDelta) else ANSWER_GIVEN
                self._publisher.publish(topic, event, headers)


def _replies(asked: QueryAsked) -> list[Event]:
    query, tenant = asked.query, asked.tenant
    if query.question == "silence":
        return []
    if query.question.startswith("withhold "):
        reason = cast("WithheldReason", query.question.split()[1])
        return [
            AnswerWithheld(
                tenant=tenant, answer_id=query.query_id, question=query.question, reason=reason, message=f"so: {reason}"
            )
        ]
    deltas = [
        AnswerDelta(tenant=tenant, query_id=query.query_id, index=index, text=text) for index, text in enumerate(WORDS)
    ]
    given = AnswerGiven(
        tenant=tenant,
        answer_id=query.query_id,
        question=query.question,
        text="".join(WORDS),
        citations=(citation(),),
        model="extractive",
        prompt_version="1",
    )
    return [*deltas, *deltas, given, given] if query.question == "twice" else [*deltas, given]
