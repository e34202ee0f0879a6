"""Standing questions over a real broker: what is told of edits, deletes and new documents; no kill loses any of it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater import Client
from schemas.queries import AnswerChanged, Query, QuestionStanding
from streams.parts import Parts
from streams.publishing import Publisher
from streams.selection import select
from streams.worker import Worker
from tests.live.erasure_world import TENANT, World, killed, until
from tests.live.erasure_world import world as opened
from tests.live.gateway_process import RunningGateway
from tests.live.in_process import working
from tests.streams.answerer import entrance
from topics.answer import ANSWER_CHANGED, QUERY_ASKED_BULK, QUESTION_ANSWERED, QUESTION_STANDING

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

COLOURS = ("teal", "amber", "crimson", "ivory", "violet", "copper")
PIERS = ("Amber", "Basil", "Cedar")
KILLS = 6


@pytest.fixture
def world(tmp_path: Path, cache_folder: Path, small_program: tuple[str, ...]) -> Iterator[World]:
    with opened(tmp_path, cache_folder, small_program) as made:
        yield made


def of_lamp(pier: str) -> str:
    return f"Which colour has the lamp of pier {pier}?"


def lamp(pier: str, colour: str) -> str:
    return f"# Pier {pier}\n\nThe lamp of pier {pier} has the colour {colour}.\n"


def subscribe(world: World, question_id: str, question: str, active: bool = True) -> None:
    event = QuestionStanding(
        tenant=TENANT, question_id=question_id, query=Query(query_id="", question=question), active=active
    )
    with Publisher(world.settings.kafka, world.codec, entrance()) as publisher:
        publisher.publish(QUESTION_STANDING, event)


def told(world: World, question_id: str) -> list[AnswerChanged]:
    events = [reading.event for reading in world.readings(ANSWER_CHANGED.name)]
    return [event for event in events if isinstance(event, AnswerChanged) and event.question_id == question_id]


def says(world: World, question_id: str, words: str) -> AnswerChanged:
    """The newest that was told, once it says so."""

    def newest() -> AnswerChanged | None:
        events = told(world, question_id)
        return events[-1] if events and words in events[-1].after else None

    found: AnswerChanged = until(newest, f"{words!r} of {question_id}")
    return found


def test_when_documents_change_then_subscribers_are_told_what_and_why(world: World) -> None:
    with working(Worker(world.settings, select(("ingest", "answer")), Parts(world.settings))):
        subscribe(world, "amber", of_lamp("Amber"))
        subscribe(world, "boiler", "Who repaired the boiler of the Mermaid?")
        world.publish("amber.md", lamp("Amber", "teal"))
        assert says(world, "amber", "teal").reason == "first"
        world.publish("amber.md", lamp("Amber", "crimson"))
        edited = says(world, "amber", "crimson")
        assert (edited.reason, edited.document) == ("edited", "amber.md") and "teal" in edited.before
        world.publish("boiler.md", "# The Mermaid\n\nMrs Pike repaired the boiler of the Mermaid.\n")
        found = says(world, "boiler", "Pike")
        assert (found.reason, found.document) == ("found", "boiler.md")
        world.publish("amber.md", None)
        gone: AnswerChanged = until(lambda: [e for e in told(world, "amber") if e.reason == "gone"], "gone")[0]
        assert (gone.before, gone.document, gone.withheld) == ("", "amber.md", "not_in_documents")
        subscribe(world, "amber", of_lamp("Amber"), active=False)
        until(lambda: _buried(world, "amber"), "the last answer to be buried")
        count = len(told(world, "amber"))
        world.publish("amber.md", lamp("Amber", "ivory"))
        world.publish("boiler.md", "# The Mermaid\n\nMr Roe repaired the boiler of the Mermaid.\n")
        says(world, "boiler", "Roe")
        assert len(told(world, "amber")) == count
    asked = [reading.key for reading in world.readings(QUERY_ASKED_BULK.name)]
    with working(Worker(world.settings, select(("ingest", "answer")), Parts(world.settings))):
        world.publish("boiler.md", "# The Mermaid\n\nMs Lee repaired the boiler of the Mermaid.\n")
        says(world, "boiler", "Lee")
    # Whoever takes over asks what changed, and nothing else.
    assert len(asked) == len(set(asked))
    assert len(world.readings(QUERY_ASKED_BULK.name)) == len(asked) + 1


def test_when_people_subscribe_by_http_kafka_or_command_then_each_hears_of_a_change(world: World) -> None:
    kafka, registry = world.settings.kafka.bootstrap, world.settings.registry.url
    worker = Worker(world.settings, select(("ingest", "answer")), Parts(world.settings))
    with (
        working(worker),
        RunningGateway(world.settings) as gateway,
        Client(gateway.wait_ready().url, tenant=TENANT) as by_http,
        Client(kafka=kafka, registry=registry, tenant=TENANT) as by_kafka,
    ):
        by_http.publish("amber.md", lamp("Amber", "teal"))
        until(lambda: world.heads().get("amber.md"), "the document")
        first, second = by_http.subscribe(of_lamp("Amber")), by_kafka.subscribe(of_lamp("Amber"), question_id="amber")
        code, (added,) = world.command("standing", "add", of_lamp("Amber"), "--tenant", TENANT, "--name", "by command")
        assert (code, added["name"]) == (0, "by command")
        for client, standing in ((by_http, first), (by_kafka, second), (by_kafka, "by command")):
            changes = client.changes(standing, for_s=60.0)
            assert (told := next(changes)).reason == "first" and "teal" in told.after
        listening = [by_http.changes(second, for_s=60.0, since_s=0.0), by_kafka.changes(first, for_s=60.0)]
        by_kafka.publish("amber.md", lamp("Amber", "copper"))
        for changes in listening:
            told = next(change for change in changes if change.reason == "edited")
            assert "teal" in told.before and "copper" in told.after and told.causes[0].document == "amber.md"
            assert told.version == told.citations[0].version
        until(lambda: len(told_of(world)) == 6, "all three to be told twice")
        rows = world.command("standing", "list", "--tenant", TENANT)[1]
        assert {row["name"] for row in rows} == {first.question_id, "amber", "by command"}
        assert all(row["state"] == "answered" and "copper" in row["answer"] for row in rows)
        by_http.unsubscribe(first)
        by_kafka.unsubscribe(second)
        world.command("standing", "remove", "by command", "--tenant", TENANT)
        until(lambda: all(_buried(world, name) for name in (first.question_id, "amber", "by command")), "all to end")
        assert list(by_http.changes(first, for_s=0.5, since_s=0.0)) == []


def told_of(world: World) -> list[AnswerChanged]:
    return [event for one in world.readings(ANSWER_CHANGED.name) if isinstance(event := one.event, AnswerChanged)]


def _buried(world: World, question_id: str) -> bool:
    mine = [one for one in world.readings(QUESTION_ANSWERED.name) if one.key == f"{TENANT}|{question_id}"]
    return bool(mine) and mine[-1].value is None


def test_when_the_worker_is_killed_again_and_again_then_no_change_is_lost_and_none_is_told_twice(world: World) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    world.environment["HEADWATER_STANDING__INTERVAL_S"] = "0.1"
    colours = dict.fromkeys(PIERS, "teal")
    for pier in PIERS:
        world.publish(f"{pier.lower()}.md", lamp(pier, "teal"))
        subscribe(world, pier, of_lamp(pier))
    for _ in range(KILLS):
        with world.worker("ingest", "answer") as process:
            # From its first breath to the middle of telling; edits go on while nobody is there, too.
            until(lambda: told(world, PIERS[0]), "the first worker to tell") if not told(world, PIERS[0]) else None
            for _ in range(chance.randrange(1, 6)):
                pier = chance.choice(PIERS)
                colours[pier] = chance.choice([one for one in COLOURS if one != colours[pier]])
                world.publish(f"{pier.lower()}.md", lamp(pier, colours[pier]))
                time.sleep(chance.uniform(0.0, 0.6))
            time.sleep(chance.uniform(0.0, 4.0))
            killed(process)
    with world.worker("ingest", "answer"):
        for pier in PIERS:
            says(world, pier, colours[pier])
    for pier in PIERS:
        events = told(world, pier)
        assert len({event.event_id for event in events}) == len(events)
        assert events[0].reason == "first" and all(event.reason == "edited" for event in events[1:])
        # Each begins where the one before it ended: nothing was told twice, nothing was left out.
        assert [event.before for event in events[1:]] == [event.after for event in events[:-1]]
        assert all(event.before != event.after for event in events)
