"""The cache of answers in the whole journey: given again only what would be answered now, to whom it would be."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from adapters.overlap_ranker import OverlapRanker
from processors.answer.reader import RuleReader
from processors.answer.writing import ExtractiveWriter, Written
from schemas.queries import AnswerGiven, AnswerWithheld, PromptAssembled
from tests.topology.cached_world import World, text

LEASE = "# Lease\n\nA lease at Marlow runs for twelve months."
OTHER = "# Canteen\n\nThe canteen opens at eight."
QUESTION = "How long does a lease at Marlow run?"


@pytest.fixture
def world() -> World:
    made = World(0)
    made.publish("lease.md", LEASE)
    made.publish("other.md", OTHER)
    return made


@pytest.mark.parametrize("seed", range(5))
def test_when_documents_access_and_generations_change_at_random_then_no_answer_given_again_is_stale(seed: int) -> None:
    world = World(seed)
    for number in range(12):
        world.publish(f"start-{number}.md", text(world.draw), world.draw.choice(("acme", "globex")))
    asked = [asked for _ in range(200) if (asked := world.turn())]
    stale = [one for one in asked if one.is_hit and one.is_stale]
    assert not stale, f"{len(stale)} stale, the first: {stale[0]}"
    # It shows something only where answers are given again and others are not.
    assert sum(one.is_hit for one in asked) >= 10
    assert world.told["matched"] > world.told["reread"] > 0 and world.told["changed"]


def test_when_the_same_is_asked_again_then_the_answer_says_from_which_it_is(world: World) -> None:
    first, second = world.ask(QUESTION), world.ask("how long does a lease at Marlow run")
    assert isinstance(second.cached, AnswerGiven)
    assert "twelve months" in second.cached.text
    assert (first.cached.cached_from, second.cached.cached_from) == ("", first.cached.answer_id)
    assert second.cached.question == "how long does a lease at Marlow run"


def test_when_an_answer_is_given_again_then_it_costs_nothing(world: World) -> None:
    first, second = world.ask(QUESTION), world.ask(QUESTION)
    assert (first.spent > 0, second.spent, second.is_hit) == (True, 0, True)
    assert world.told == {"miss": 1, "hit": 1}


def test_when_the_documents_do_not_say_then_that_is_given_again_until_one_does(world: World) -> None:
    question = "Who repaired the boiler?"
    world.ask(question)
    again = world.ask(question)
    assert isinstance(again.cached, AnswerWithheld) and again.is_hit
    world.publish("boiler.md", "# Boiler\n\nMrs Pike repaired the boiler.")
    found = world.ask(question)
    assert isinstance(found.cached, AnswerGiven) and not found.is_hit


CHANGES: dict[str, Callable[[World], None]] = {
    "edited": lambda world: world.publish("lease.md", LEASE.replace("twelve", "eighteen")),
    "moved": lambda world: world.publish("lease.md", f"# Preface\n\nAll of it holds.\n\n{LEASE}"),
    "deleted": lambda world: world.delete("lease.md"),
    "revoked": lambda world: world.grant("lease.md", ("group:board",)),
    "joined by one that is among the passages": lambda world: world.publish(
        "new.md", "# Lease\n\nSince May a lease at Marlow runs for nine months."
    ),
    "promoted away": lambda world: world.promote(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_when_a_document_changed_so_then_its_answer_is_not_given_again(
    world: World, change: Callable[[World], None]
) -> None:
    world.ask(QUESTION)
    change(world)
    asked = world.ask(QUESTION)
    assert not asked.is_hit and not asked.is_stale


def test_when_a_change_leaves_what_is_read_as_it_was_then_nothing_is_written_again(world: World) -> None:
    for number in range(3):
        world.publish(f"lease-{number}.md", f"# Lease\n\nA lease at Marlow, says clause {number}, has a form.")
    world.ask(QUESTION)
    world.publish("bridge.md", "# Bridge\n\nThe bridge at Marlow is old.")
    asked = world.ask(QUESTION)
    assert asked.is_hit and not asked.is_stale
    assert world.told == {"miss": 1, "matched": 1, "reread": 1}
    assert world.ask(QUESTION).is_hit and world.told["hit"] == 1


def test_when_a_generation_is_rolled_back_then_its_own_answers_hold_if_nothing_changed_meanwhile(world: World) -> None:
    world.ask(QUESTION)
    world.promote()
    world.ask(QUESTION)
    world.promote()
    assert world.ask(QUESTION).is_hit
    world.promote()
    world.publish("lease.md", LEASE.replace("twelve", "eighteen"))
    world.promote()
    asked = world.ask(QUESTION)
    assert not asked.is_hit and not asked.is_stale


@pytest.mark.parametrize(
    "who",
    [{"groups": ("group:ops",)}, {"user": "ada"}, {"max_passages": 1}, {"filters": {"document": "lease.md"}}],
    ids=["a group", "a user", "fewer passages", "a filter"],
)
def test_when_somebody_else_asks_or_for_other_passages_then_nothing_is_shared(
    world: World, who: dict[str, Any]
) -> None:
    world.ask(QUESTION)
    assert not world.ask(QUESTION, **who).is_hit
    assert world.ask(QUESTION, **who).is_hit
    assert world.ask(QUESTION).is_hit


def test_when_another_tenant_asks_then_nothing_is_shared(world: World) -> None:
    world.publish("lease.md", LEASE.replace("twelve", "six"), "globex")
    world.ask(QUESTION)
    asked = world.ask(QUESTION, "globex")
    assert not asked.is_hit and isinstance(asked.cached, AnswerGiven) and "six" in asked.cached.text


def test_when_nobody_may_read_anything_then_tenants_do_not_even_share_that(world: World) -> None:
    for tenant in ("acme", "globex"):
        world.publish("secret.md", "# Secret\n\nNobody reads this.", tenant, access=())
    world.delete("lease.md")
    world.delete("other.md")
    world.ask(QUESTION)
    asked = world.ask(QUESTION, "globex")
    assert not asked.is_hit and asked.cached.tenant == "globex"


def test_when_another_pipeline_answers_then_nothing_is_shared(world: World) -> None:
    world.ask(QUESTION)
    world.answers._pipeline = "p2"
    assert not world.ask(QUESTION).is_hit


class Interrupted(ExtractiveWriter):
    """Something happens between the search and the answer."""

    def __init__(self) -> None:
        super().__init__(OverlapRanker(), RuleReader())
        self.meanwhile: Callable[[], None] = lambda: None

    async def write(self, prompt: PromptAssembled) -> AsyncGenerator[Written, None]:
        self.meanwhile()
        async for item in super().write(prompt):
            yield item


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_when_something_changes_while_an_answer_is_written_then_it_is_not_given_again(
    change: Callable[[World], None],
) -> None:
    writer = Interrupted()
    world = World(0, writer=writer)
    world.publish("lease.md", LEASE)
    world.publish("other.md", OTHER)

    def once() -> None:
        writer.meanwhile = lambda: None
        change(world)

    writer.meanwhile = once
    world.ask(QUESTION)
    asked = world.ask(QUESTION)
    assert not asked.is_hit and not asked.is_stale
