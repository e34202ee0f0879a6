"""Standing questions in the whole journey: every change of an answer is told, once and with why, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from adapters.overlap_ranker import OverlapRanker
from schemas.queries import AnswerChanged
from streams.standing import Owned
from streams.standing_settings import StandingQuestions
from tests.topology.cached_world import ACCESS, ASKERS, QUESTIONS, THINGS, text
from tests.topology.standing_world import ALL, AT_ONCE, StandingWorld
from topics.answer import QUERY_ASKED_BULK

LEASE = "# Lease\n\nA lease at Marlow runs for twelve months."
OTHER = "# Canteen\n\nThe canteen opens at eight."
QUESTION = "How long does a lease at Marlow run?"
KEY = "acme|lease"


@pytest.fixture
def world() -> StandingWorld:
    made = StandingWorld(0)
    made.publish("lease.md", LEASE)
    made.publish("other.md", OTHER)
    made.subscribe("lease", QUESTION)
    made.settle()
    return made


def changed_at_random(world: StandingWorld) -> None:
    draw = world.draw
    tenant, document = draw.choice(("acme", "acme", "globex")), f"{draw.choice(THINGS)}-{draw.randrange(3)}.md"
    dice = draw.random()
    if dice < 0.55:
        world.publish(document, text(draw), tenant, draw.choice(ACCESS[:3]))
    elif dice < 0.75:
        world.delete(document, tenant)
    elif dice < 0.95:
        world.grant(document, draw.choice(ACCESS), tenant)
    else:
        world.promote()


@pytest.mark.parametrize("seed", range(3))
def test_when_documents_access_and_generations_change_at_random_then_every_changed_answer_is_told_and_nothing_else(
    seed: int,
) -> None:
    world = StandingWorld(seed)
    for number in range(12):
        world.publish(f"start-{number}.md", text(world.draw), world.draw.choice(("acme", "globex")))
    for number, question in enumerate(QUESTIONS[:8]):
        tenant = ("acme", "acme", "globex")[number % 3]
        world.subscribe(f"q{number}", question, tenant, **ASKERS[number % 4])
    assert not world.settle().differences()
    told, before = 0, world.asked
    for number in range(45):
        # Some changes happen while nobody listens: whoever takes over finds them.
        world.lost = number % 7 == 0
        changed_at_random(world)
        if world.lost:
            world.restart()
        step = world.settle()
        assert not step.differences(), f"after {number}: {step.differences()}"
        events = [event for events in step.told.values() for event in events]
        told += len(events)
        assert all(event.reason != "UNKNOWN" and event.reason != "first" for event in events)
    # It shows something only where much is told, and much is found to stand without being asked.
    assert told >= 5
    assert world.asked - before < 45 * 8 / 2


def only(told: dict[str, list[AnswerChanged]]) -> AnswerChanged:
    ((event,),) = told.values()
    return event


def test_when_a_question_is_subscribed_to_then_its_answer_is_told_first(world: StandingWorld) -> None:
    world.subscribe("canteen", "When does the canteen open?")
    event = only(world.settle().told)
    assert (event.question_id, event.reason, event.before, event.causes) == ("canteen", "first", "", ())
    assert "eight" in event.after and event.citations[0].document == "other.md"


def test_when_a_cited_document_is_edited_then_the_event_says_so(world: StandingWorld) -> None:
    world.publish("lease.md", LEASE.replace("twelve", "eighteen"))
    event = only(world.settle().told)
    assert "twelve" in event.before and "eighteen" in event.after
    assert (event.reason, event.document, len(event.causes)) == ("edited", "lease.md", 1)
    assert event.version == event.citations[0].version
    assert event.answer_id != event.answer_id_before != ""


@pytest.mark.parametrize(
    "change",
    [lambda world: world.delete("lease.md"), lambda world: world.grant("lease.md", ("group:board",))],
    ids=["deleted", "revoked"],
)
def test_when_a_cited_document_is_deleted_or_revoked_then_both_look_the_same_and_its_words_are_not_sent_again(
    world: StandingWorld, change: Callable[[StandingWorld], None]
) -> None:
    was = world.answered.get("acme", "lease").answer
    change(world)
    event = only(world.settle().told)
    assert (event.reason, event.document, event.version) == ("gone", "lease.md", was.read[0].version)
    assert event.withheld == "not_in_documents" and event.before == "" and event.citations == ()
    assert "twelve" not in str(event)


def test_when_a_new_document_answers_better_then_the_event_names_it(world: StandingWorld) -> None:
    world.subscribe("boiler", "Who repaired the boiler?")
    assert only(world.settle().told).withheld == "not_in_documents"
    world.publish("boiler.md", "# Boiler\n\nMrs Pike repaired the boiler.")
    event = only(world.settle().told)
    assert (event.reason, event.document, event.withheld) == ("found", "boiler.md", "")


def test_when_a_document_is_edited_elsewhere_then_it_is_asked_again_and_nothing_is_told(world: StandingWorld) -> None:
    asked = world.asked
    world.publish("lease.md", f"# Preface\n\nAll of it holds.\n\n{LEASE}")
    assert not world.settle().told
    assert world.asked == asked + 1


def test_when_a_change_concerns_no_question_then_nothing_is_asked(world: StandingWorld) -> None:
    asked = world.asked
    world.publish("lease.md", LEASE, "globex")
    assert not world.settle().told and world.asked == asked


def test_when_another_generation_is_promoted_then_the_question_is_asked_of_it(world: StandingWorld) -> None:
    asked = world.asked
    world.promote()
    assert not world.settle().differences()
    assert world.asked == asked + 1
    assert world.answered.get("acme", "lease").query.ticket.generation == "g2"


def test_when_nobody_subscribes_any_more_then_nothing_is_told_and_its_answer_is_to_be_forgotten(
    world: StandingWorld,
) -> None:
    world.unsubscribe("lease")
    world.publish("lease.md", LEASE.replace("twelve", "six"))
    assert not world.settle().told
    assert world.watch.orphans(ALL) == [KEY]


def test_when_it_is_unsubscribed_while_it_is_being_asked_then_nothing_is_told(world: StandingWorld) -> None:
    world.publish("lease.md", LEASE.replace("twelve", "six"))
    (asked,) = world.watch.turn(ALL)
    world.unsubscribe("lease")
    world.cached.put(QUERY_ASKED_BULK, asked)
    world.cached.run()
    assert not world.heard()


def test_when_an_answer_comes_twice_then_it_is_told_once(world: StandingWorld) -> None:
    world.publish("lease.md", LEASE.replace("twelve", "six"))
    (asked,) = world.watch.turn(ALL)
    world.cached.put(QUERY_ASKED_BULK, asked)
    world.cached.put(QUERY_ASKED_BULK, asked)
    world.cached.run()
    assert len(world.heard()[KEY]) == 1


def test_when_the_process_ends_between_asking_and_telling_then_the_next_one_tells_the_same(
    world: StandingWorld,
) -> None:
    world.publish("lease.md", LEASE.replace("twelve", "six"))
    (lost,) = world.watch.turn(ALL)
    world.restart()
    (again,) = world.watch.turn(ALL)
    assert again == lost
    world.cached.put(QUERY_ASKED_BULK, again)
    world.cached.run()
    assert "six" in world.heard()[KEY][0].after


class Failing(OverlapRanker):
    """A ranker that fails while it is told to."""

    fails = False

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        if self.fails:
            raise RuntimeError("it fails")
        return super().score(question, texts)


def test_when_an_answer_was_made_without_a_part_of_the_platform_then_nothing_is_told_until_it_is_back() -> None:
    ranker = Failing()
    world = StandingWorld(0, ranker=ranker)
    world.publish("lease.md", LEASE)
    world.subscribe("lease", QUESTION)
    world.settle()
    ranker.fails = True
    world.publish("lease.md", LEASE.replace("twelve", "six"))
    assert not world.follow()
    ranker.fails = False
    world.clock.advance(AT_ONCE.deadline_s)
    assert "six" in only(world.follow()).after


def test_when_a_document_is_edited_while_the_question_is_being_asked_then_it_is_asked_once_more(
    world: StandingWorld,
) -> None:
    world.publish("lease.md", LEASE.replace("twelve", "six"))
    (asked,) = world.watch.turn(ALL)
    world.cached.put(QUERY_ASKED_BULK, asked)
    world.cached.run()
    assert "six" in only(world.heard()).after
    world.publish("lease.md", LEASE.replace("twelve", "seven"))
    told = only(world.follow())
    assert "six" in told.before and "seven" in told.after


def test_when_a_hundred_edits_come_in_a_second_then_a_question_is_asked_as_often_as_its_interval_allows() -> None:
    world = StandingWorld(0, AT_ONCE.model_copy(update={"interval_s": 1.0}))
    world.publish("lease.md", LEASE)
    world.subscribe("lease", QUESTION)
    world.settle()
    asked = world.asked
    for number in range(100):
        world.publish("lease.md", LEASE.replace("twelve", f"{number}"))
        world.follow()
        world.clock.advance(0.01)
    world.clock.advance(1.0)
    told = world.follow()
    assert 1 <= world.asked - asked <= 3
    assert "99 months" in told[KEY][-1].after


def test_when_more_is_due_than_may_be_asked_at_a_time_then_the_rest_waits_its_turn() -> None:
    world = StandingWorld(0, AT_ONCE.model_copy(update={"in_flight": 2}))
    world.publish("lease.md", LEASE)
    for number in range(5):
        world.subscribe(f"q{number}", QUESTION)
    assert len(world.watch.turn(ALL)) == 2 and not world.watch.turn(ALL)
    world.restart()
    assert len(world.settle().told) == 5


def test_when_an_answer_does_not_come_in_time_then_the_same_is_asked_again_later_each_time() -> None:
    world = StandingWorld(0, AT_ONCE.model_copy(update={"interval_s": 1.0, "deadline_s": 10.0}))
    world.publish("lease.md", LEASE)
    world.subscribe("lease", QUESTION)
    times, asked = [], []
    for second in range(200):
        if found := world.watch.turn(ALL):
            times.append(second)
            asked += found
        world.clock.advance(1.0)
    assert len({one.event_id for one in asked}) == 1
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == sorted(gaps) and gaps[0] >= 10 and len(times) < 12


def test_when_two_workers_share_the_questions_then_each_is_asked_by_one_and_taken_over_by_the_other() -> None:
    world = StandingWorld(0)
    world.publish("lease.md", LEASE)
    for number in range(12):
        world.subscribe(f"q{number}", QUESTION)
    first, second = (Owned(frozenset({partition}), 2) for partition in (0, 1))
    mine = {one.query.standing.question_id for one in world.watch.turn(first) if one.query.standing}
    world.restart()
    others = {one.query.standing.question_id for one in world.watch.turn(second) if one.query.standing}
    assert mine and others and mine.isdisjoint(others) and len(mine | others) == 12
    assert {one.query.standing.question_id for one in world.watch.turn(Owned(frozenset({0, 1}), 2))} == mine  # type: ignore[union-attr]


def test_when_a_tenant_has_more_than_its_bound_then_the_newest_are_not_watched(world: StandingWorld) -> None:
    world.questions._per_tenant = 2
    for number in range(3):
        world.subscribe(f"q{number}", QUESTION)
    world.subscribe("theirs", QUESTION, "globex")
    world.publish("lease.md", LEASE, "globex")
    assert set(world.follow()) == {"acme|q0", "globex|theirs"}
    world.unsubscribe("lease")
    assert set(world.follow()) == {"acme|q1"}


def test_when_a_subscription_asks_something_else_then_that_is_answered(world: StandingWorld) -> None:
    world.subscribe("lease", "When does the canteen open?")
    assert "eight" in only(world.settle().told).after


def test_when_two_tenants_choose_the_same_name_then_they_do_not_meet(world: StandingWorld) -> None:
    world.publish("lease.md", LEASE.replace("twelve", "two"), "globex")
    world.subscribe("lease", QUESTION, "globex")
    assert "two" in only(world.settle().told).after
    world.unsubscribe("lease", "globex")
    world.publish("lease.md", LEASE.replace("twelve", "three"))
    assert "three" in only(world.settle().told).after


def test_when_the_cache_holds_the_answer_then_a_standing_question_is_answered_anew_all_the_same(
    world: StandingWorld,
) -> None:
    world.ask(QUESTION)
    world.subscribe("again", QUESTION)
    assert only(world.settle().told).reason == "first"


def test_when_no_document_is_there_yet_then_nothing_is_asked_until_one_is() -> None:
    world = StandingWorld(0)
    world.subscribe("lease", QUESTION)
    assert not world.follow() and world.asked == 0
    world.publish("lease.md", LEASE)
    assert "twelve" in only(world.follow()).after


def test_when_settings_say_nothing_then_a_question_has_a_pause_and_a_worker_a_bound() -> None:
    chosen = StandingQuestions()
    assert chosen.interval_s > 0 and chosen.in_flight > 0 and chosen.share < 1
