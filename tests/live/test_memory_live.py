"""Notes of users on a real Kafka: by HTTP, Kafka and command; through kills of worker and Redis; gone when asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from redis import Redis

from headwater import Answer, Client, MemoryRefusedError, MemoryUnknownError
from headwater.local.redis_server import RedisServer
from processors.ingest.memories import owner_of, root_of
from schemas.documents import DocumentRedacted
from schemas.queries import TurnRemembered
from streams.parts import Parts
from streams.selection import select
from streams.session_settings import SessionsSection
from streams.settings import Generate, Heads
from streams.worker import Worker
from tests.live.erasure_world import TENANT, World, killed, until
from tests.live.erasure_world import world as opened
from tests.live.gateway_process import RunningGateway
from tests.live.in_process import working
from topics.answer import TURN_REMEMBERED
from topics.ingest import DOCUMENT_REDACTED, MEMORY_KEPT

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

NOTE: Final = "My desk stands in the Berlin office."
QUESTION: Final = "Where does my desk stand?"
LEASE: Final = "# Lease\n\nA lease at Marlow runs for twelve months.\n"
ADA: Final = owner_of(TENANT, "ada")


@pytest.fixture
def world(
    tmp_path: Path, cache_folder: Path, small_program: tuple[str, ...], own_redis: RedisServer
) -> Iterator[World]:
    with opened(tmp_path, cache_folder, small_program) as made:
        # The hashing embedder is never sure; what is asked for here is not whether it should be.
        changed = {
            "heads": Heads(url=own_redis.url),
            "sessions": SessionsSection(kind="redis"),
            "generate": Generate(confidence_bar=0.02),
        }
        made.settings = made.settings.model_copy(update=changed)
        made.environment |= {
            "HEADWATER_HEADS__URL": own_redis.url,
            "HEADWATER_SESSIONS__KIND": "redis",
            "HEADWATER_GENERATE__CONFIDENCE_BAR": "0.02",
        }
        yield made


def asks(client: Client, user: str = "ada", memory: bool = True, session: str = "") -> Answer:
    return client.ask(QUESTION, user=user, memory=memory, session=session, timeout_s=30.0)


def recalled(client: Client, words: str, user: str = "ada") -> Answer:
    """The answer once it rests on the note."""

    def found() -> Answer | None:
        answer = asks(client, user)
        return answer if words in answer.text and answer.from_memory else None

    answer: Answer = until(found, f"{words!r} to be recalled")
    return answer


@dataclass
class Doors:
    """A gateway and clients by both ways, before a worker that runs."""

    world: World
    url: str
    by_http: Client
    by_kafka: Client

    @property
    def both(self) -> tuple[Client, Client]:
        return self.by_http, self.by_kafka

    def command(self, *words: str, user: str = "ada") -> list[dict[str, Any]]:
        code, lines = self.world.command(*words, "--url", self.url, "--tenant", TENANT, "--user", user)
        assert code == 0
        return lines


@pytest.fixture
def doors(world: World) -> Iterator[Doors]:
    kafka, registry = world.settings.kafka.bootstrap, world.settings.registry.url
    with (
        working(Worker(world.settings, select(("ingest", "answer")), Parts(world.settings))),
        RunningGateway(world.settings) as gateway,
        Client(gateway.wait_ready().url, tenant=TENANT) as by_http,
        Client(kafka=kafka, registry=registry, tenant=TENANT) as by_kafka,
    ):
        by_http.publish("lease.md", LEASE)
        by_http.publish("other.md", LEASE, tenant="globex")
        until(lambda: len(world.heads()) == 2, "the documents")
        yield Doors(world, gateway.url, by_http, by_kafka)


def test_when_notes_are_kept_by_http_kafka_and_command_then_all_list_them_and_later_questions_find_them(
    doors: Doors,
) -> None:
    first = doors.by_http.remember(NOTE, "ada")
    doors.by_kafka.remember("My locker is green.", "ada", memory="locker")
    (third,) = doors.command("memory", "add", "My bicycle is blue.")
    doors.by_kafka.remember("My desk stands in the Paris office.", "bob")
    names = [first.memory, "locker", third["memory"]]
    for client in doors.both:
        listed = client.memories("ada")
        assert [one.memory for one in listed] == names and listed[0].text == NOTE and listed[0].kept_at > 1e9
        assert client.memories("ada", tenant="globex") == () and client.memories("eve") == ()
    assert [row["memory"] for row in doors.command("memory", "list")] == names
    for client in doors.both:
        (citation,) = recalled(client, "Berlin").citations
        assert (citation.memory, citation.document) == (first.memory, f"{root_of(ADA)}/{first.memory}")
        assert "Berlin" not in asks(client, memory=False).text
        assert "Berlin" not in recalled(client, "Paris", "bob").text
        other = client.ask(QUESTION, "globex", user="ada", memory=True)
        assert "Berlin" not in other.text and not other.from_memory
    (answer,) = doors.command("ask", QUESTION, "--memory")
    assert answer["citations"][0]["memory"] == first.memory


def test_when_notes_are_forgotten_by_http_kafka_and_command_then_they_are_gone_and_those_of_others_are_unknown(
    doors: Doors,
) -> None:
    for name in ("desk", "locker", "bicycle"):
        doors.by_http.remember(NOTE, "ada", memory=name)
    recalled(doors.by_http, "Berlin")
    for client in doors.both:
        said = [_unknown(client, "desk", "bob"), _unknown(client, "never", "ada")]
        assert said[0].replace("desk", "?") == said[1].replace("never", "?")
    doors.by_http.forget("desk", "ada")
    assert [one.memory for one in doors.by_kafka.memories("ada")] == ["locker", "bicycle"]
    doors.by_kafka.forget("locker", "ada")
    doors.command("memory", "remove", "bicycle")
    for client in doors.both:
        assert client.memories("ada") == ()
        until(lambda by=client: "Berlin" not in asks(by).text, "the notes to be gone")  # type: ignore[misc]
        with pytest.raises(MemoryRefusedError, match="does not come back"):
            client.remember(NOTE, "ada", memory="desk")
    kept = httpx.post(f"{doors.url}/v1/memories", json={"tenant": TENANT, "user": "cleo", "text": "x" * 1_001})
    assert kept.status_code == 422 and "at most 1000 characters, got 1001" in kept.json()["detail"]


def _unknown(client: Client, memory: str, user: str) -> str:
    with pytest.raises(MemoryUnknownError) as unknown:
        client.forget(memory, user)
    return str(unknown.value)


def test_when_a_user_is_forgotten_then_no_store_holds_anything_of_them_and_the_receipts_say_so(
    doors: Doors, own_redis: RedisServer
) -> None:
    world, client = doors.world, doors.by_http
    for user in ("ada", "bob"):
        client.remember(NOTE, user, memory="desk")
        client.remember("My locker is green.", user, memory="locker")
        recalled(client, "Berlin", user)
    for answer in [asks(client, user, session="s") for user in ("ada", "bob")]:
        until(lambda one=answer: _is_turn(world, one), "the turn")  # type: ignore[misc]
    client.forget("locker", "ada")
    (done,) = doors.command("memory", "forget-user", "--wait")
    assert (done["memories"], done["receipts"]) == (2, 3)
    stores = {store["store"]: (store["removed"], store["left"]) for store in done["stores"]}
    # A turn that quotes a note is planned for with the note as well as with its user.
    assert stores["sessions"][0] >= 1 and stores[MEMORY_KEPT.name][0] >= 1
    assert all(left == 0 for _, left in stores.values())
    assert all(one.memories("ada") == () for one in doors.both)
    assert not asks(client).from_memory and recalled(client, "Berlin", "bob")
    with Redis.from_url(own_redis.url) as held:
        values = [value for name in held.scan_iter("*:of:*") for value in held.hvals(name)]
        names = [name for name in held.scan_iter(f"*:of:{ADA}*") for value in held.hvals(name) if value]
    assert any(b"Berlin" in value for value in values) and not names
    for topic in (MEMORY_KEPT.name, DOCUMENT_REDACTED.name):
        mine = {one.key: one for one in world.readings(topic) if ADA in one.key}
        assert mine and all(one.value is None for one in mine.values()), topic
    told = doors.by_kafka.forget_user("bob")
    assert told.memories == 2 and len(told.requests) == 3
    until(lambda: _receipts(world, "bob") == set(told.requests), "the receipts")
    assert client.memories("bob") == () and not asks(client, "bob").from_memory
    # Forgotten in the same breath in which it was kept: nothing comes late.
    client.remember(NOTE, "cleo", memory="desk")
    told = client.forget_user("cleo")
    until(lambda: _receipts(world, "cleo") == set(told.requests), "the receipts")
    name = f"{root_of(owner_of(TENANT, 'cleo'))}/desk"
    assert world.heads()[name].gone and not asks(client, "cleo").from_memory
    last = {one.key: one.event for one in world.readings(DOCUMENT_REDACTED.name)}
    assert not isinstance(last.get(f"{TENANT}|{name}"), DocumentRedacted)


def _is_turn(world: World, answer: Answer) -> bool:
    events = [one.event for one in world.readings(TURN_REMEMBERED.name)]
    return any(isinstance(event, TurnRemembered) and event.answer_id == answer.answer_id for event in events)


def _receipts(world: World, user: str) -> set[str]:
    root = root_of(owner_of(TENANT, user))
    documents = (root, f"{root}/desk", f"{root}/locker")
    return {receipt.request for document in documents for receipt in world.receipts(document)}


def test_when_worker_and_redis_are_killed_and_redis_is_flushed_then_notes_survive_and_sessions_say_that_they_did_not(
    world: World, own_redis: RedisServer
) -> None:
    with RunningGateway(world.settings) as gateway, Client(gateway.wait_ready().url, tenant=TENANT) as client:
        world.publish("lease.md", LEASE)
        client.remember(NOTE, "ada", memory="desk")
        with world.worker("ingest", "answer") as process:
            until(lambda: len(world.heads()) == 2, "the document and the note")
            recalled(client, "Berlin")
            killed(process)
        with world.worker("ingest", "answer"):
            recalled(client, "Berlin")
            own_redis.stop()
            away = asks(client, session="s")
            assert away.from_memory and "Berlin" in away.text and away.degraded == ("session",)
            own_redis.begin(own_redis.port)
            own_redis.await_ready()
            until(lambda: not asks(client, session="s").degraded, "Redis to be asked again")
            own_redis.child.kill()
            own_redis.begin(own_redis.port)
            own_redis.await_ready()
            with Redis.from_url(own_redis.url) as held:
                held.flushall()
            until(lambda: not asks(client, session="s").degraded, "Redis to be asked again")
            assert recalled(client, "Berlin") and [one.text for one in client.memories("ada")] == [NOTE]
