"""Dead letters on a real broker: found, shown, put back once; through forgery, rivals and transactions left open."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message, Producer, murmur2
from typer.testing import CliRunner, Result

from adapters.host import SystemClock
from adapters.schema_registry import MemorySchemaIds
from headwater.cli.main import app
from headwater.local.broker import KafkaBroker
from headwater.local.ports import choose_port
from processors.contract import Reject
from schemas.codec import Codec
from schemas.failures import SOURCE_TOPIC, DeadLetter
from schemas.measures import FeedbackGiven
from streams.batches import BatchHop
from streams.clients import producer_config
from streams.ensure import ensure
from streams.errors import ClusterUnavailableError
from streams.hop import Hop
from streams.letters import REPLAY_ID, LetterReader
from streams.replaying import Choice, Replay, ReplayError, plan
from streams.settings import Kafka, Settings
from tests.streams.bench_hops import DEADLINE_S, Bench, copy, eventually, feedback, running
from topics.ingest import ACCESS_CHANGED

pytestmark = pytest.mark.live

NOBODY = f"http://127.0.0.1:{choose_port('nothing')}"
EVERY = Choice()
FORGED = ((SOURCE_TOPIC, b"rag.answer.given.v1"), ("traceparent", b"00-x"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that remembers no stack."""
    monkeypatch.chdir(tmp_path)


def kafka_of(broker: KafkaBroker, **more: Any) -> Kafka:
    return Kafka(bootstrap=broker.bootstrap, **{"deadline_s": 10.0, **more})


def dlq(broker: KafkaBroker, *arguments: str) -> Result:
    there, before = ("--kafka", broker.bootstrap, "--registry", NOBODY), logging.getLogger().handlers[:]
    try:
        return CliRunner().invoke(app, ["dlq", *arguments, *there], catch_exceptions=False)
    finally:
        # A command logs to a stderr that ends with it; hops of this process go on.
        logging.getLogger().handlers[:] = before


def lines(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def put(kafka: Kafka, topic: str, *records: dict[str, Any]) -> list[tuple[int, int]]:
    """Writes records; where each of them lies."""
    placed: list[tuple[int, int]] = []
    producer = Producer(producer_config(kafka))
    for record in records:
        producer.produce(topic, **record, on_delivery=lambda _, m: placed.append((m.partition(), m.offset())))
    assert producer.flush(DEADLINE_S) == 0
    return placed


def a_letter(topic: str, offset: int, partition: int = 0, key: bytes = b"k", reason: str = "bad") -> dict[str, Any]:
    """A dead letter of a topic, ready to be written."""
    dead = DeadLetter(
        key=key, value=b"v%d" % offset, headers=(("event-id", b"e%d" % offset),), reason=reason, exception="Reject",
        step="copy", topic=topic, partition=partition, offset=offset, attempts=1,
    )  # fmt: skip
    return {"key": key, "value": dead.value, "headers": [*dead.headers, *dead.reason_headers()]}


def reader_of(kafka: Kafka) -> LetterReader:
    return LetterReader(kafka, Codec(MemorySchemaIds()), SystemClock())


def replayed(kafka: Kafka, topic: str, choice: Choice = EVERY) -> list[str]:
    """Replays; the problem of each letter, empty for one that was put back."""
    with reader_of(kafka) as reader, Replay(kafka, SystemClock(), reader, topic) as replay:
        return [planned.problem for planned in replay.run(choice)]


def raw(message: Message) -> tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
    return message.partition(), message.key(), message.value(), list(message.headers() or ())


def test_when_a_letter_is_replayed_then_its_hop_gets_it_once_however_often_that_is_asked(kafka: KafkaBroker) -> None:
    bench, mended = Bench(kafka.bootstrap), list[bool]()

    def picky(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        if event.comment == "1" and not mended:
            raise Reject("wanted no \x1b[31mones")
        yield event

    bench.put(feedback(0), feedback(1), feedback(2))
    bench.put_bytes(b"not avro at all", key=b"\xff\x00", headers=FORGED)
    topic, letters = bench.source.name, bench.source.dead_letters
    with running(bench.hop(BatchHop, [Hop((bench.source,), picky, (bench.middle,))])):
        assert bench.comments(bench.middle, 2) == ["0", "2"]
        refused, undecodable = (f"{one.partition()}@{one.offset()}" for one in bench.read(letters, 2))

        (pile,) = lines(dlq(kafka, "ls", "--topic", topic, "--output", "json"))[0]
        assert (pile["topic"], pile["letters"], pile["replayed"]) == (letters, 2, 0)
        assert {reason["step"]: reason["count"] for reason in pile["reasons"]} == {"decode": 1, "picky": 1}
        said = dlq(kafka, "ls").stdout
        assert f"{letters}  2 waiting" in said and "wanted no \\x1b[31mones" in said and "\x1b" not in said

        (shown,) = lines(dlq(kafka, "show", topic, undecodable, "--output", "json"))
        assert (shown["step"], shown["source"], shown["key"]) == ("decode", f"{topic}/0@3", "\\xff\x00")
        assert shown["headers"] == [["traceparent", "00-x"]]
        assert shown["value"] == {"bytes": 15, "text": "not avro at all"}
        assert "15 bytes, text: not avro at all" in dlq(kafka, "show", letters, undecodable).stdout

        (planned,) = lines(dlq(kafka, "replay", topic, "--reason", "ones", "--dry-run", "--output", "json"))
        assert (planned["letter"], planned["outcome"], planned["topic"]) == (refused, "would go", topic)
        mended.append(True)
        (first,) = lines(dlq(kafka, "replay", topic, "--offset", refused, "--yes", "--output", "json"))
        (second,) = lines(dlq(kafka, "replay", topic, "--offset", refused, "--yes", "--output", "json"))
        assert (first["outcome"], second["outcome"]) == ("put back", "left")
        assert second["problem"] == f"replayed before, to {topic}"
        assert bench.comments(bench.middle, 3) == ["0", "2", "1"]
        eventually(lambda: lines(dlq(kafka, "ls", "--topic", topic, "--output", "json"))[0][0]["letters"] == 1)
    assert "replayed   2" in dlq(kafka, "show", topic, refused).stdout


def test_when_a_record_comes_back_then_its_bytes_and_its_partition_are_those_it_had(kafka: KafkaBroker) -> None:
    bench, own = Bench(kafka.bootstrap, partitions=4), kafka_of(kafka)
    elsewhere = next(n for n in range(4) if n != murmur2(b"\xff\x00", 4))
    original = [("traceparent", b"00-x"), ("traceparent", b"00-y"), ("empty", None)]
    put(own, bench.source.name, {"key": b"\xff\x00", "value": b"junk", "headers": original, "partition": elsewhere})
    with running(bench.hop(BatchHop, [Hop((bench.source,), copy, (bench.middle,))])):
        assert len(bench.read(bench.source.dead_letters, 1)) == 1
    assert replayed(own, bench.source.dead_letters) == [""]
    first, again = (raw(message) for message in bench.read(bench.source.name, 2))
    assert again[:3] == first[:3] == (elsewhere, b"\xff\x00", b"junk")
    assert [name for name, _ in again[3]] == ["traceparent", "traceparent", "empty", REPLAY_ID]
    assert again[3][:2] == original[:2]


def test_when_the_partition_is_no_longer_there_or_was_never_known_then_the_key_leads(kafka: KafkaBroker) -> None:
    bench, own = Bench(kafka.bootstrap, partitions=4), kafka_of(kafka)
    letters = [a_letter(bench.source.name, 1, partition=9), a_letter(bench.source.name, -1, partition=-1)]
    put(own, bench.source.dead_letters, *letters)
    assert replayed(own, bench.source.dead_letters) == ["", ""]
    assert {message.partition() for message in bench.read(bench.source.name, 2)} == {murmur2(b"k", 4)}


def test_when_another_topic_is_named_then_the_letters_go_there(kafka: KafkaBroker) -> None:
    bench, own = Bench(kafka.bootstrap), kafka_of(kafka)
    put(own, bench.source.dead_letters, a_letter("not.its.topic", 0), a_letter(bench.source.name, 1))
    said = dlq(kafka, "replay", bench.source.name, "--dry-run").stdout.splitlines()
    assert said[0].startswith("0@0 left: its source") and said[1] == f"0@1 would go to {bench.source.name}/0"
    done = lines(dlq(kafka, "replay", bench.source.name, "--to", bench.middle.name, "--yes", "--output", "json"))
    assert [line["outcome"] for line in done] == ["put back", "put back"]
    assert [message.value() for message in bench.read(bench.middle.name, 2)] == [b"v0", b"v1"]
    assert bench.read(bench.source.name, 0) == []


def test_when_a_letter_names_a_topic_of_others_then_it_stays_until_one_is_named(kafka: KafkaBroker) -> None:
    bench, own = Bench(kafka.bootstrap), kafka_of(kafka)
    put(own, bench.source.dead_letters, a_letter(bench.sink.name, 0))
    (problem,) = replayed(own, bench.source.dead_letters)
    assert "--to" in problem
    assert bench.read(bench.sink.name, 0) == []


def test_when_two_replay_at_once_then_one_is_fenced_and_nothing_is_doubled(kafka: KafkaBroker) -> None:
    bench, own = Bench(kafka.bootstrap), kafka_of(kafka)
    letters = bench.source.dead_letters
    put(own, letters, *(a_letter(bench.source.name, n) for n in range(150)))
    with reader_of(own) as reader, Replay(own, SystemClock(), reader, letters) as first:
        putting = first.run(EVERY)
        next(putting)  # A parcel of a hundred is committed by then.
        assert [problem for problem in replayed(own, letters) if not problem] == [""] * 50
        with pytest.raises(ReplayError, match="another replay"):
            list(putting)
    found = [message.value() for message in bench.read(bench.source.name, 150)]
    assert found == [b"v%d" % n for n in range(150)]


def test_when_a_transaction_is_open_among_the_letters_then_a_replay_waits_for_its_end(kafka: KafkaBroker) -> None:
    bench, hasty = Bench(kafka.bootstrap), kafka_of(kafka, deadline_s=2.0)
    letters, source = bench.source.dead_letters, bench.source.name
    slow = Producer(producer_config(kafka_of(kafka), **{"transactional.id": f"slow-{uuid.uuid4().hex}"}))
    slow.init_transactions(10.0)
    slow.begin_transaction()
    slow.produce(letters, **a_letter(source, 0))
    assert slow.flush(10.0) == 0
    put(hasty, letters, a_letter(source, 1))
    # Where markers might lie behind what can't be read yet, putting anything back could double it.
    with pytest.raises(ClusterUnavailableError, match="a transaction that stays open"):
        replayed(hasty, letters)
    slow.commit_transaction(10.0)
    assert replayed(hasty, letters) == ["", ""]
    assert [message.value() for message in bench.read(source, 2)] == [b"v0", b"v1"]


def test_when_a_replay_died_in_the_middle_then_the_next_one_does_what_was_left(kafka: KafkaBroker) -> None:
    bench, own = Bench(kafka.bootstrap), kafka_of(kafka)
    letters = bench.source.dead_letters
    put(own, letters, *(a_letter(bench.source.name, n) for n in range(5)))
    with reader_of(own) as reader:
        dead = Replay(own, SystemClock(), reader, letters)
        dead._open()
        dead._producer.begin_transaction()
        for planned in plan(reader, letters, EVERY):
            assert not planned.problem
            dead._produce({"topic": bench.source.name, "value": b"half done"}, float("inf"))
        assert dead._producer.flush(10.0) == 0
    assert replayed(own, letters) == [""] * 5
    assert [message.value() for message in bench.read(bench.source.name, 5)] == [b"v%d" % n for n in range(5)]


def test_when_a_newer_state_of_its_key_came_then_an_old_letter_stays_unless_that_is_meant(kafka: KafkaBroker) -> None:
    own, topic, run = kafka_of(kafka), ACCESS_CHANGED.name, uuid.uuid4().hex
    ensure(Settings(kafka=own), topics=[ACCESS_CHANGED])
    key, alone = f"acme|{run}-a".encode(), f"acme|{run}-b".encode()
    (old, new) = put(own, topic, {"key": key, "value": b"old"}, {"key": key, "value": b"new"})
    (only,) = put(own, topic, {"key": alone, "value": b"only"})
    written = [a_letter(topic, o, p, k, run) for k, (p, o) in ((key, old), (key, new), (alone, only))]
    put(own, ACCESS_CHANGED.dead_letters, *written)
    with reader_of(own) as reader:
        found = list(plan(reader, ACCESS_CHANGED.dead_letters, Choice(reason=run)))
        assert [planned.problem for planned in found] == [
            f"superseded by the record of its key at {topic}/{new[0]}@{new[1]}", "", "",
        ]  # fmt: skip
        meant = plan(reader, ACCESS_CHANGED.dead_letters, Choice(reason=run, superseded=True))
        assert [planned.problem for planned in meant] == ["", "", ""]


def test_when_the_cluster_refuses_a_letter_then_its_parcel_stays_and_others_can_be_chosen(kafka: KafkaBroker) -> None:
    bench, own = Bench(kafka.bootstrap), kafka_of(kafka)
    ensure(Settings(kafka=own), topics=[ACCESS_CHANGED])
    keyless = {**a_letter(bench.source.name, 1), "key": None}
    put(own, bench.source.dead_letters, a_letter(bench.source.name, 0), keyless, a_letter(bench.source.name, 2))
    # A compacted topic takes no record without a key.
    with pytest.raises(ReplayError, match="validate record"):
        replayed(own, bench.source.dead_letters, Choice(to=ACCESS_CHANGED.name, superseded=True))
    others = Choice(frozenset({(0, 0), (0, 2)}), to=ACCESS_CHANGED.name, superseded=True)
    assert replayed(own, bench.source.dead_letters, others) == ["", ""]
    before = f"replayed before, to {ACCESS_CHANGED.name}"
    assert sorted(replayed(own, bench.source.dead_letters)) == ["", before, before]
    assert [message.value() for message in bench.read(bench.source.name, 1)] == [b"v1"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "0@99"), 1, "wanted a letter at 0@99"),
        (("show", "5@0"), 1, "wanted a letter at 5@0"),
        (("show", "no-such-event"), 1, "no letter of"),
        (("replay", "--offset", "0@99", "--yes"), 1, "wanted letters at 0@99"),
        (("replay",), 2, "wanted --yes"),
    ],
)
def test_when_a_command_cant_go_on_then_it_says_why(
    kafka: KafkaBroker, arguments: tuple[str, ...], code: int, words: str
) -> None:
    from headwater.cli.exits import code_of

    bench = Bench(kafka.bootstrap)
    put(kafka_of(kafka), bench.source.dead_letters, a_letter(bench.source.name, 1))
    command = ["dlq", arguments[0], bench.source.name, *arguments[1:], "--kafka", kafka.bootstrap]
    result = CliRunner().invoke(app, command)
    known = result.exception if isinstance(result.exception, Exception) else None
    assert (code_of(known) if known else result.exit_code) == code
    assert words in f"{result.output} {result.exception}"


def test_when_an_event_is_asked_for_by_its_id_then_its_newest_letter_is_shown(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)
    put(kafka_of(kafka), bench.source.dead_letters, *(a_letter(bench.source.name, n) for n in (7, 8, 7)))
    (shown,) = lines(dlq(kafka, "show", bench.source.name, "e7", "--output", "json"))
    assert (shown["letter"], shown["event_id"], shown["attempts"]) == ("0@2", "e7", 1)
