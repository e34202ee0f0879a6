"""Long-term memory through the journeys in memory: a user's notes are found by their own questions, and by nobody's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from adapters.answer_cache import MemoryAnswers
from adapters.erasables import IndexObjects, SessionTurns
from adapters.host import SystemClock
from adapters.overlap_ranker import OverlapRanker
from adapters.session_memory import MemorySessions
from processors.answer.caching import Answers
from processors.ingest.memories import MemoryLimits, owner_of, reader_of, root_of
from schemas.documents import AccessChanged, ErasureRequested
from schemas.envelope import Micros
from schemas.memories import MemoryForgotten, MemoryKept
from schemas.queries import AnswerGiven, AnswerWithheld, PassagesFound, PassagesRanked, Query, QueryAsked
from streams.driver import Driver
from streams.ingest import INGEST
from streams.memory_view import MemoryView
from tests.topology.cached_world import said
from tests.topology.ports import CountingEmbedder, changed, driver, memory_ports
from topics.answer import ANSWER_GIVEN, PASSAGES_FOUND, PASSAGES_RANKED, PROMPT_ASSEMBLED, QUERY_ASKED
from topics.ingest import (
    ACCESS_CHANGED,
    DOCUMENT_CHANGED,
    DOCUMENT_ERASED,
    DOCUMENT_HEAD,
    ERASURE_REQUESTED,
    MEMORY_KEPT,
)
from topics.measure import COST_RECORDED

NOTE = "My desk stands in the Berlin office."
QUESTION = "Where does my desk stand?"
LEASE = "# Lease\n\nA lease at Marlow runs for twelve months. The lessee pays on the first of each month.\n"
ADA, BOB = owner_of("acme", "ada"), owner_of("acme", "bob")

Answer = AnswerGiven | AnswerWithheld


class Line:
    """The journeys, with ways to keep, forget and ask."""

    def __init__(self, **chosen: Any) -> None:
        self.memories = MemoryView(per_user=3)
        self.keeping = MemoryLimits(chars=200, per_user=3)
        self.ports = memory_ports(memories=self.memories, keeping=self.keeping, **chosen)
        self.driver: Driver = driver(self.ports)
        self.count = 0
        self.publish("lease.md", LEASE)

    def publish(self, name: str, text: str, tenant: str = "acme", **more: Any) -> None:
        self.driver.put(DOCUMENT_CHANGED, changed(name, text, tenant, **more))
        self.driver.run()

    def keep(self, text: str, memory: str = "m1", tenant: str = "acme", user: str = "ada") -> None:
        owner = owner_of(tenant, user)
        self.put(MemoryKept(tenant=tenant, owner=owner, memory=memory, text=text, occurred_at=self.now()))

    def forget(self, memory: str = "m1", erase: bool = False, tenant: str = "acme", user: str = "ada") -> None:
        owner = owner_of(tenant, user)
        self.put(MemoryForgotten(tenant=tenant, owner=owner, memory=memory, erase=erase, event_id=f"gone-{memory}"))

    def put(self, event: MemoryKept | MemoryForgotten) -> None:
        self.memories.fold(event)
        self.driver.put(MEMORY_KEPT, event)
        self.driver.run()

    def ask(self, question: str = QUESTION, tenant: str = "acme", **who: Any) -> Answer:
        self.count += 1
        query = Query(query_id=f"q{self.count}", question=question, **{"user": "ada", "memory": True, **who})
        self.driver.put(QUERY_ASKED, QueryAsked(tenant=tenant, event_id=query.query_id, query=query))
        self.driver.run()
        (answer,) = (one for one in self.driver.events(ANSWER_GIVEN) if one.answer_id == query.query_id)
        found: Answer = answer
        return found

    def found(self) -> PassagesFound:
        """What the last search found."""
        found: PassagesFound = self.driver.events(PASSAGES_FOUND)[-1]
        return found

    def ranked(self) -> PassagesRanked:
        ranked: PassagesRanked = self.driver.events(PASSAGES_RANKED)[-1]
        return ranked

    def heads(self, document: str) -> Any:
        return self.ports["heads"].get("acme", document)

    def now(self) -> Micros:
        self.count += 1
        return Micros(self.count)


@pytest.fixture
def line() -> Line:
    return Line()


def test_when_a_note_is_kept_then_a_later_question_of_its_user_is_answered_from_it_and_says_so(line: Line) -> None:
    line.keep(NOTE)
    answer = line.ask()
    assert isinstance(answer, AnswerGiven) and NOTE in answer.text
    (citation,) = answer.citations
    assert (citation.memory, citation.document, citation.quote) == ("m1", f"{root_of(ADA)}/m1", NOTE)
    assert "a note of the asker's own, not a document" in line.driver.events(PROMPT_ASSEMBLED)[-1].prompt


@pytest.mark.parametrize(
    "who",
    [
        {"memory": False},
        {"user": "bob"},
        {"tenant": "globex"},
        {"user": "bob", "groups": (reader_of(ADA), "user:ada")},
        {"memory": False, "groups": (reader_of(ADA), "user:ada")},
        {"user": "bob", "groups": (reader_of(ADA),), "filters": {"document": f"{root_of(ADA)}/m1"}},
    ],
    ids=["memory off", "another user", "another tenant", "says so", "says so, memory off", "names it"],
)
def test_when_somebody_else_asks_or_memory_is_off_then_the_note_is_not_there(line: Line, who: dict[str, Any]) -> None:
    line.publish("other.md", "# Other\n\nNothing to see here.\n", "globex")
    line.keep(NOTE)
    answer = line.ask(**who)
    assert "Berlin" not in str(answer)
    assert not any("Berlin" in passage.text for passage in line.found().passages)


def test_when_the_access_list_of_a_note_is_opened_then_only_its_owner_reads_it_all_the_same(line: Line) -> None:
    line.keep(NOTE)
    grant = AccessChanged(tenant="acme", event_id="a", document=f"{root_of(ADA)}/m1", access=("*", reader_of(ADA)))
    line.driver.put(ACCESS_CHANGED, grant)
    line.driver.run()
    for who in ({"user": "bob"}, {"user": "bob", "memory": False}, {"memory": False}):
        assert "Berlin" not in str(line.ask(**who))
        assert not any("Berlin" in passage.text for passage in line.found().passages)
    assert "Berlin" in str(line.ask())


def test_when_a_document_pretends_to_be_for_a_note_s_reader_then_it_is_no_note(line: Line) -> None:
    line.publish("desk.md", "My desk stands in the Paris office.", access=(reader_of(ADA),))
    answer = line.ask()
    assert "Paris" not in str(answer)


def test_when_a_question_asks_for_its_memory_without_a_user_then_it_is_told_so(line: Line) -> None:
    answer = line.ask(user="")
    assert isinstance(answer, AnswerWithheld) and answer.reason == "invalid_question"
    assert "Wanted a user" in answer.message


def test_when_notes_are_asked_for_then_the_documents_chosen_are_those_without_notes() -> None:
    line = Line()
    for number in range(12):
        line.publish(f"lease-{number}.md", f"# Lease {number}\n\nA lease at pier {number} runs for {number} months.\n")
    for number in range(3):
        line.keep(f"How many months does my lease at pier 7 run? It is {number} months.", f"m{number}")
    question = "How many months does a lease at pier 7 run?"
    line.ask(question, memory=False)
    without = line.ranked().passages
    line.ask(question)
    documents = [one for one in line.ranked().passages if not one.document.startswith("memory/")]
    notes = line.ranked().passages[len(documents) :]
    assert [one.object_id for one in documents] == [one.object_id for one in without]
    assert len(notes) == 2 and all(one.scores["rank"] > documents[0].scores["rank"] for one in notes)
    assert {source.passage.object_id for source in line.driver.events(PROMPT_ASSEMBLED)[-1].sources} >= {
        one.object_id for one in without
    }


def test_when_notes_fit_worse_than_every_document_that_was_found_then_none_is_read(line: Line) -> None:
    for number in range(8):
        line.publish(f"lease-{number}.md", f"# Lease {number}\n\nA lease at Marlow runs for {number} months.\n")
    line.keep("Cheese is what I eat.")
    line.ask("How many months does a lease at Marlow run?")
    assert any(one.document.startswith("memory/") for one in line.found().passages)
    assert not any(one.document.startswith("memory/") for one in line.ranked().passages)


def test_when_no_question_asks_for_notes_then_they_cost_nothing() -> None:
    lines = [Line(embedder=CountingEmbedder()), Line(embedder=CountingEmbedder())]
    lines[1].keep(NOTE)
    for line in lines:
        line.ports["embedder"].texts.clear()
        line.ask("How long does a lease run?", memory=False)
    (without, with_notes) = (line.found() for line in lines)
    assert without.rounds == with_notes.rounds and without.fenced == with_notes.fenced == 0
    assert [one.document for one in without.passages] == [one.document for one in with_notes.passages]
    assert lines[0].ports["embedder"].texts == lines[1].ports["embedder"].texts


def test_when_a_note_is_kept_then_its_embedding_is_a_cost_line_of_its_tenant(line: Line) -> None:
    before = len(line.driver.events(COST_RECORDED))
    line.keep(NOTE)
    new = line.driver.events(COST_RECORDED)[before:]
    assert new and all(cost.tenant == "acme" for cost in new)


def test_when_a_note_is_said_anew_then_the_new_words_are_found(line: Line) -> None:
    line.keep(NOTE)
    line.keep(NOTE.replace("Berlin", "Lisbon"))
    assert "Lisbon" in str(line.ask()) and "Berlin" not in str(line.ask())


def test_when_a_note_is_forgotten_then_it_is_gone_and_no_replay_brings_it_back(line: Line) -> None:
    line.keep(NOTE)
    line.keep("The canteen of my office opens at eight.", "m2")
    line.forget()
    for _ in range(2):
        assert "Berlin" not in str(line.ask())
        assert "eight" in str(line.ask("When does the canteen of my office open?"))
        assert line.heads(f"{root_of(ADA)}/m1").gone
        line.driver.rewind(INGEST.hop("keep"))
        line.driver.run()
    # Also where whoever replays knows nothing yet of what was forgotten.
    line.ports["memories"].__init__(per_user=3)
    line.driver.rewind(INGEST.hop("keep"))
    seen = list[str]()
    for _ in range(3):
        line.driver.run()
        seen.append(str(line.ask()))
    assert not any("Berlin" in one for one in seen)
    assert [note.memory for note in line.memories.notes("acme", ADA)] == ["m2"]


def test_when_a_user_has_too_many_notes_or_one_that_can_t_be_kept_then_it_is_forgotten_with_the_reason(
    line: Line,
) -> None:
    for number in range(4):
        line.keep(f"My locker number {number} is green.", f"m{number}")
    line.keep("x" * 201, "long", user="bob")
    line.keep("a\x00b", "control", user="bob")
    line.keep(" \n", "empty", user="bob")
    events = line.driver.events(MEMORY_KEPT)
    reasons = {one.memory: one.reason for one in events if isinstance(one, MemoryForgotten)}
    assert set(reasons) == {"m3", "long", "control", "empty"}
    assert "beyond the 3 notes" in reasons["m3"] and "200 characters, got 201" in reasons["long"]
    assert [note.memory for note in line.memories.notes("acme", ADA)] == ["m0", "m1", "m2"]
    assert not line.memories.notes("acme", BOB)
    assert all(head.gone for head in line.driver.events(DOCUMENT_HEAD) if head.document.endswith(("m3", "long")))
    assert not line.driver.dead_letters(MEMORY_KEPT)


def test_when_a_note_changes_then_no_answer_is_given_again_that_it_would_change() -> None:
    line = Line(answers=Answers(MemoryAnswers(SystemClock()), "p"))
    line.publish("other.md", "# Desks\n\nA desk stands on four legs.\n")
    first, alone = line.ask(), line.ask(memory=False)
    assert line.ask().cached_from == first.answer_id
    line.keep(NOTE)
    with_note = line.ask()
    assert isinstance(with_note, AnswerGiven) and NOTE in with_note.text and not with_note.cached_from
    assert line.ask().cached_from == with_note.answer_id
    # The same words of others, and of the same user without memory, share nothing of it.
    assert "Berlin" not in str(line.ask(user="bob"))
    assert line.ask(memory=False).cached_from == alone.answer_id
    assert line.ask().cached_from == with_note.answer_id
    line.keep(NOTE.replace("Berlin", "Lisbon"))
    assert "Lisbon" in str(line.ask())
    line.forget()
    assert "Berlin" not in str(again := line.ask()) and "Lisbon" not in str(again)


def test_when_a_user_is_forgotten_then_nothing_of_them_is_left_and_receipts_say_so() -> None:
    sessions = MemorySessions(SystemClock())
    line = Line(sessions=sessions)
    store = line.ports["store"]
    line.ports["erasables"] = (IndexObjects("g1", store), SessionTurns(sessions))
    line.driver = driver(line.ports)
    for user in ("ada", "bob"):
        line.keep(NOTE, "m1", user=user)
        line.keep("My locker is green.", "m2", user=user)
        line.ask(user=user, session="s")
        line.ask("Which colour has my locker?", user=user, session="t")
    line.forget("m2")
    assert len(sessions.of(ADA)) == len(sessions.of(BOB)) == 2
    for memory in line.memories.names("acme", ADA):
        line.forget(memory, erase=True)
    line.driver.put(ERASURE_REQUESTED, ErasureRequested(tenant="acme", event_id="all", document=root_of(ADA)))
    line.driver.run()
    receipts = {one.document: one for one in line.driver.events(DOCUMENT_ERASED)}
    assert set(receipts) == {root_of(ADA), f"{root_of(ADA)}/m1", f"{root_of(ADA)}/m2"}
    assert all(store.left == 0 for one in receipts.values() for store in one.stores)
    removed = [store.removed for one in receipts.values() for store in one.stores if store.store == "sessions"]
    assert sum(removed) == 2
    assert receipts[f"{root_of(ADA)}/m1"].request == "gone-m1"
    assert not sessions.of(ADA) and len(sessions.of(BOB)) == 2
    documents = {found.document for found in store.walk("acme")}
    assert documents == {"lease.md", f"{root_of(BOB)}/m1", f"{root_of(BOB)}/m2"}
    assert not line.memories.notes("acme", ADA)
    assert "Berlin" not in str(line.ask()) and "Berlin" in str(line.ask(user="bob"))


class Failing(OverlapRanker):
    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        raise RuntimeError("away")


def test_when_the_ranker_fails_then_the_answer_says_so_and_no_note_is_read_unjudged() -> None:
    line = Line(ranker=Failing())
    line.keep(NOTE)
    line.ask()
    assert line.ranked().degraded == ("rerank",)
    assert {one.document for one in line.ranked().passages} == {"lease.md"}


THINGS = ("desk", "locker", "bicycle", "parcel")
PLACES = ("Berlin", "Lisbon", "Oslo", "Turin", "Ghent", "Malmo", "Porto", "Graz")
WHO: tuple[dict[str, Any], ...] = (
    {"user": "ada"},
    {"user": "bob"},
    {"user": "ada", "memory": False},
    {"user": "ada", "tenant": "globex"},
    {"user": "bob", "groups": (reader_of(ADA),)},
)


@pytest.mark.parametrize("seed", range(3))
def test_when_notes_and_documents_change_at_random_then_no_answer_is_stale_and_none_holds_another_user_s_note(
    seed: int,
) -> None:
    draw, told = Random(seed), Counter[str]()
    line = Line(answers=Answers(MemoryAnswers(SystemClock()), "p", tell=lambda how: told.update([how])))
    line.publish("globex.md", LEASE, "globex")
    fresh = driver({**line.ports, "answers": Answers()})
    held: dict[tuple[str, str], dict[str, str]] = {}
    ever = set[str]()
    for number in range(60):
        thing, place = draw.choice(THINGS), f"{draw.choice(PLACES)}-{number}"
        tenant, user = draw.choice((("acme", "ada"), ("acme", "bob"), ("globex", "ada")))
        own, dice = held.setdefault((tenant, user), {}), draw.random()
        if dice < 0.25 and len(own) < 3:
            # A name that was given up does not come back.
            memory = draw.choice(sorted(own)) if own and draw.random() < 0.4 else f"m{number}"
            own[memory] = place
            ever.add(place)
            line.keep(f"My {thing} stands in the {place} office.", memory, tenant, user)
        elif dice < 0.35 and own:
            memory = draw.choice(sorted(own))
            del own[memory]
            line.forget(memory, tenant=tenant, user=user)
        elif dice < 0.45:
            line.publish(f"{thing}.md", f"A {thing} stands in the {place} hall.", draw.choice(("acme", "globex")))
        else:
            who = draw.choice(WHO)
            question = f"Where does my {thing} stand?"
            cached = line.ask(question, **who)
            again = answered(fresh, question, f"f{number}", **who)
            assert said(cached) == said(again), f"after {number}: {who}"
            mine = held.get((who.get("tenant", "acme"), who["user"]), {}) if who.get("memory", True) else {}
            searched = f"{fresh.events(PASSAGES_FOUND)[-1]} {cached}"
            assert not [place for place in ever - set(mine.values()) if f"{place} office" in searched]
    assert told["hit"] >= 2


def answered(line: Driver, question: str, query_id: str, tenant: str = "acme", **who: Any) -> Answer:
    """The answer of a line that keeps none."""
    query = Query(query_id=query_id, question=question, **{"memory": True, **who})
    line.put(QUERY_ASKED, QueryAsked(tenant=tenant, event_id=query_id, query=query))
    line.run()
    (answer,) = (one for one in line.events(ANSWER_GIVEN) if one.answer_id == query_id)
    found: Answer = answer
    return found
