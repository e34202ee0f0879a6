"""Heads in Redis, folded from a real log by several processes' followers: flushed, killed, put back, never wrong."""

from __future__ import annotations

import random
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import redis

from adapters.errors import HeadsClosedError, HeadsUnavailableError, UnavailableError
from adapters.host import SystemClock, SystemIds
from adapters.redis_heads import RedisHeads, RedisOptions
from adapters.schema_registry import ConfluentSchemaIds
from headwater.local.broker import KafkaBroker
from headwater.local.parts import OwnPart
from headwater.local.redis_server import RedisServer
from processors.contract import Stop
from processors.ingest.heads import NO_ACCESS_VERSION
from schemas.codec import Codec
from schemas.documents import DocumentHead, HeadChunk
from schemas.envelope import Version
from streams.ensure import ensure
from streams.follow_heads import HeadsFollower
from streams.publishing import Entrance, Publisher
from streams.settings import Kafka, Registry, Settings
from topics.ingest import DOCUMENT_HEAD

pytestmark = pytest.mark.live

DOCUMENTS = [f"d{n}" for n in range(40)]
TENANT = "acme"


@pytest.fixture(scope="module")
def settings(kafka: KafkaBroker, registry: OwnPart) -> Settings:
    made = Settings(
        kafka=Kafka(bootstrap=kafka.bootstrap, deadline_s=10.0), registry=Registry(url=registry.url, auto_register=True)
    )
    ensure(made)
    return made


@dataclass
class Log:
    """Heads of a generation of this test's own, on the topic that all tests share."""

    settings: Settings
    publisher: Publisher
    codec: Codec
    generation: str = field(default_factory=lambda: f"g-{uuid.uuid4()}")
    version: int = 0

    def write(self, documents: list[str]) -> None:
        """The next version of some documents."""
        self.version += 1
        sent = [self.publisher.send(DOCUMENT_HEAD, self.head(name, self.version)) for name in documents]
        for one in sent:
            self.publisher.wait(one)

    def head(self, document: str, version: int) -> DocumentHead:
        return DocumentHead(
            tenant=TENANT,
            document=document,
            version=Version(source=0, offset=version),
            access_version=NO_ACCESS_VERSION,
            generation=self.generation,
            chunks=(HeadChunk(name="c", object_id=f"{document}-{version}"),),
        )

    @contextmanager
    def followed(self, options: RedisOptions) -> Iterator[tuple[RedisHeads, HeadsFollower]]:
        """A view as one process has it, with its follower."""
        view = RedisHeads(options, self.generation, SystemIds())
        follower = HeadsFollower(view, self.codec, self.settings.kafka, SystemClock())
        follower.start()
        try:
            yield view, follower
        finally:
            follower.stop()
            view.close()


@pytest.fixture
def log(settings: Settings) -> Iterator[Log]:
    codec = Codec(ConfluentSchemaIds(settings.registry.url, True))
    with Publisher(settings.kafka, codec, Entrance(SystemClock(), SystemIds(), "test")) as publisher:
        yield Log(settings, publisher, codec)


class Asker(threading.Thread):
    """Asks for every document, again and again: what was there must not go away or go back."""

    def __init__(self, view: RedisHeads) -> None:
        super().__init__(daemon=True)
        self.damage: list[str] = []
        self.answers = self.refusals = 0
        self.reasons: set[str] = set()
        self._view = view
        self._seen: dict[str, Version] = {}
        self._stop_asking = threading.Event()

    def run(self) -> None:
        while not self._stop_asking.is_set():
            try:
                found = self._view.get_many(TENANT, DOCUMENTS)
            except UnavailableError as error:
                self.refusals += 1
                self.reasons.add(type(error).__name__)
                time.sleep(0.001)
                continue
            self.answers += 1
            self.damage += [f"{name} is gone" for name in self._seen.keys() - found.keys()]
            for name, head in found.items():
                if head.version < self._seen.get(name, head.version):
                    self.damage.append(f"{name} went back from {self._seen[name]} to {head.version}")
                self._seen[name] = head.version

    def end(self) -> None:
        self._stop_asking.set()
        self.join(10.0)


def have_answered(askers: list[Asker], wanted: list[int]) -> bool:
    return all(asker.answers > most for asker, most in zip(askers, wanted, strict=True))


def until(check: Callable[[], bool], timeout_s: float = 20.0) -> None:
    give_up = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.01)


def versions(view: RedisHeads) -> dict[str, int]:
    return {name: head.version.offset for name, head in view.get_many(TENANT, DOCUMENTS).items()}


def test_when_redis_is_flushed_while_two_processes_follow_and_ask_then_no_answer_is_wrong(
    log: Log, redis_server: RedisServer, redis_options: RedisOptions
) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    log.write(DOCUMENTS)
    with ExitStack() as stack:
        views = [stack.enter_context(log.followed(redis_options)) for _ in range(2)]
        for _, follower in views:
            follower.catch_up(20.0)
        askers = [Asker(view) for view, _ in views]
        for asker in askers:
            asker.start()
        server = redis.Redis.from_url(redis_server.url, protocol=2)
        for _ in range(6):
            log.write(chance.sample(DOCUMENTS, 10))
            time.sleep(chance.uniform(0.0, 0.1))
            server.flushall()
            until(partial(have_answered, askers, [asker.answers + 20 for asker in askers]))
        log.write(DOCUMENTS)
        views[0][1].catch_up(20.0)
        assert set(versions(views[1][0]).values()) == {log.version}
        for asker in askers:
            asker.end()
        server.close()
    assert [asker.damage for asker in askers] == [[], []]
    assert sum(asker.refusals for asker in askers) > 0
    assert set.union(*(asker.reasons for asker in askers)) == {"HeadsClosedError"}


def test_when_redis_comes_back_with_an_older_copy_then_it_answers_only_once_it_has_the_rest(
    log: Log, tmp_path: Path
) -> None:
    log.write(DOCUMENTS)
    server = RedisServer(tmp_path / "redis")
    with server, log.followed(RedisOptions(server.url, timeout_s=1.0)) as (view, follower):
        follower.catch_up(20.0)
        server.stop()
        shutil.copytree(server.data_folder, tmp_path / "copy")
        with pytest.raises(HeadsUnavailableError, match="is the server there"):
            view.get(TENANT, "d0")
        begin_again(server)
        follower.catch_up(20.0)
        log.write(DOCUMENTS)
        until(lambda: set(versions_or_none(view).values()) == {2})
        asker = Asker(view)
        asker.start()
        until(lambda: asker.answers > 20)
        server.child.kill()
        shutil.rmtree(server.data_folder)
        shutil.copytree(tmp_path / "copy", server.data_folder)
        begin_again(server)
        answers = asker.answers
        until(lambda: asker.answers > answers + 20)
        asker.end()
    assert asker.damage == []
    assert "HeadsUnavailableError" in asker.reasons


def begin_again(server: RedisServer) -> None:
    server.begin(server.port)
    server.await_ready(15.0)


def versions_or_none(view: RedisHeads) -> dict[str, int]:
    try:
        return versions(view)
    except UnavailableError:
        return {}


def test_when_redis_is_away_then_catching_up_waits_and_says_why_at_its_end(log: Log, tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    with server:
        options = RedisOptions(server.url, timeout_s=0.5)
    with log.followed(options) as (view, follower):
        with pytest.raises(Stop, match=r"within 0.5 s.*Connection refused"):
            follower.catch_up(0.5)
        with pytest.raises(HeadsUnavailableError):
            view.get(TENANT, "d0")
        begin_again(server)
        try:
            follower.catch_up(20.0)
            assert view.get(TENANT, "d0") is None
        finally:
            server.stop()


def test_when_redis_hangs_then_a_call_ends_within_twice_its_timeout(log: Log, tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        view = RedisHeads(RedisOptions(server.url, timeout_s=0.3), log.generation, SystemIds())
        view.open()
        server.child.pause()
        began = time.monotonic()
        with pytest.raises(HeadsUnavailableError, match="Timeout"):
            view.get(TENANT, "d0")
        assert time.monotonic() - began < 2.0
        server.child.resume()
        assert view.get(TENANT, "d0") is None
        view.close()


def test_when_redis_hung_while_a_stretch_was_given_then_nothing_is_answered_until_it_is_there(
    log: Log, tmp_path: Path
) -> None:
    """The log may be silent afterwards, and whether the stretch was taken is unknown."""
    with RedisServer(tmp_path / "redis") as server, log.followed(RedisOptions(server.url, timeout_s=0.3)) as pair:
        view, follower = pair
        follower.catch_up(20.0)
        server.child.pause()
        log.write(["d0"])
        time.sleep(1.5)
        with pytest.raises(HeadsUnavailableError):
            view.get(TENANT, "d0")
        server.child.resume()
        until(lambda: versions_or_none(view) == {"d0": 1})


def test_when_redis_would_drop_heads_or_takes_no_more_then_the_view_refuses(log: Log, tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        view = RedisHeads(RedisOptions(server.url), log.generation, SystemIds())
        view.open()
        admin = redis.Redis.from_url(server.url, protocol=2)
        admin.config_set("maxmemory", 1)
        head = log.head("d0", 1)
        assert not view.fold(head)
        with pytest.raises(HeadsUnavailableError, match="OutOfMemoryError"):
            view.get(TENANT, "d0")
        admin.config_set("maxmemory", 0)
        assert view.get(TENANT, "d0") == head
        admin.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(HeadsUnavailableError, match="noeviction"):
            view.mark()
        admin.close()
        view.close()


def test_when_the_log_was_created_again_then_a_view_of_the_old_one_is_forgotten(
    log: Log, redis_options: RedisOptions
) -> None:
    """Else its offsets would pass for those of the new log, and what is left of it for documents."""
    old = RedisHeads(redis_options, log.generation, SystemIds())
    old.mark("the topic that was deleted")
    old.fold(log.head("ghost", 7))
    old.open()
    log.write(["d0"])
    with log.followed(redis_options) as (view, follower):
        follower.catch_up(20.0)
        assert view.get(TENANT, "ghost") is None
        assert versions(view) == {"d0": 1}
    old.close()


def test_when_a_process_has_not_caught_up_itself_then_it_answers_nothing_although_others_do(
    log: Log, redis_options: RedisOptions
) -> None:
    log.write(["d0"])
    newcomer = RedisHeads(redis_options, log.generation, SystemIds())
    with log.followed(redis_options) as (view, follower):
        follower.catch_up(20.0)
        assert view.get(TENANT, "d0") is not None
        with pytest.raises(HeadsClosedError, match="this process has not caught up"):
            newcomer.get(TENANT, "d0")
    newcomer.close()
