"""Which view of heads a deployment gets, and what its follower makes of what it reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.heads_view import MemoryHeads
from adapters.host import SystemClock
from adapters.redis_heads import RedisHeads
from processors.answer.kept import KeptAnswer, Used
from processors.contract import Stop
from processors.ingest.heads import NO_ACCESS_VERSION
from processors.ports import Stretch
from schemas.documents import DocumentHead
from schemas.envelope import Event, Version
from schemas.queries import AnswerGiven
from streams.cache_settings import AnswerCaching
from streams.follow import Follower
from streams.follow_heads import HeadsFollower
from streams.parts import Parts
from streams.settings import Heads, IndexSection, Kafka, Settings
from topics.ingest import DOCUMENT_HEAD

KAFKA = Kafka(bootstrap="127.0.0.1:1", deadline_s=0.2)


@pytest.mark.parametrize(("kind", "view"), [("memory", MemoryHeads), ("redis", RedisHeads)])
def test_when_a_kind_of_view_is_set_then_that_is_built_and_it_is_closed(
    kind: str, view: type[MemoryHeads | RedisHeads]
) -> None:
    """Nothing is asked of Redis yet: it may come later than the worker."""
    heads = Parts(Settings(heads=Heads.model_validate({"kind": kind, "url": "redis://127.0.0.1:1/0"}))).port("heads")
    assert isinstance(heads, view)
    assert not heads.is_open
    heads.close()


@dataclass
class Message:
    """What the client gives: a record, or the end of a partition."""

    number: int
    at: int
    bytes_: bytes | None = None
    failed: int | None = None
    key_: bytes | None = None

    def key(self) -> bytes | None:
        return self.key_

    def partition(self) -> int:
        return self.number

    def offset(self) -> int:
        return self.at

    def value(self) -> bytes | None:
        return self.bytes_

    def error(self) -> Message | None:
        return self if self.failed is not None else None

    def code(self) -> int:
        assert self.failed is not None
        return self.failed


def head(document: str) -> DocumentHead:
    version = Version(source=0, offset=1)
    return DocumentHead(
        tenant="acme", document=document, version=version, access_version=NO_ACCESS_VERSION, generation="g1"
    )


def test_when_records_are_read_then_they_are_stretches_without_a_gap() -> None:
    """Ends of transactions and records that compaction took leave gaps in offsets, which are none in the log."""
    codec = Parts.memory_codec()
    follower = HeadsFollower(MemoryHeads("g1"), codec, KAFKA, SystemClock())
    follower._at = {0: 0, 1: 7}

    def record(partition: int, offset: int, name: str) -> Message:
        return Message(partition, offset, codec.encode(DOCUMENT_HEAD.subject, DOCUMENT_HEAD.events, head(name)))

    end, away = -191, -195
    read = [
        record(0, 2, "a"),
        record(1, 6, "old"),
        record(0, 9, "b"),
        Message(0, 10, b"not Avro"),
        Message(0, 11),
        Message(0, 13, failed=end),
        Message(2, 0, failed=away),
    ]
    found = {stretch: [one.document for one in heads] for stretch, heads in follower._pieces(read)}
    assert found == {Stretch(0, 0, 13): ["a", "b"]}


def test_when_the_brokers_are_away_then_catching_up_says_so_in_time() -> None:
    follower = HeadsFollower(MemoryHeads("g1"), Parts.memory_codec(), KAFKA, SystemClock())
    with pytest.raises(Stop, match=r"has not caught up within 0.3 s"):
        follower.catch_up(0.3)


def test_when_a_view_knows_a_key_already_then_its_record_is_passed_over_undecoded() -> None:
    codec, folded = Parts.memory_codec(), list[Event]()
    follower = Follower(DOCUMENT_HEAD, folded.append, codec, KAFKA, SystemClock())
    follower.known = {"ours"}.__contains__
    value = codec.encode(DOCUMENT_HEAD.subject, DOCUMENT_HEAD.events, head("a"))
    assert follower._take(Message(0, 3, value, key_=b"theirs")) == (0, 4)
    assert follower._take(Message(0, 4, value, key_=b"ours")) == (0, 5)
    assert folded == [head("a")]


def test_when_heads_are_folded_then_what_was_drawn_from_earlier_versions_is_dropped(tmp_path: Path) -> None:
    parts = Parts(Settings(cache=AnswerCaching(kind="memory"), kafka=KAFKA, index=IndexSection(folder=tmp_path)))
    cache = parts.port("answer_cache")
    given = AnswerGiven(
        tenant="acme", answer_id="q", question="?", text="", citations=(), model="m", prompt_version="1"
    )
    for name in ("a", "b"):
        used = (Used(name, Version(source=0, offset=0), "o"),)
        cache.put("acme", name, KeptAnswer(given, "g1", "found", "read", used))
    follower = parts._follow("heads")
    assert isinstance(follower, HeadsFollower)
    follower._at = {0: 0}
    assert follower._applies(None, Stretch(0, 0, 1), [head("a")])
    assert (cache.get("a"), cache.get("b") is None) == (None, False)
