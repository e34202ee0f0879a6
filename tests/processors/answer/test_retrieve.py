"""Retrieve: hybrid search, then the fence of section 2 of the system's design."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.errors import HeadsClosedError
from adapters.memory import ManualClock
from adapters.question_vectors import KeptVectors
from processors.answer.filters import FilterField, FilterFields
from processors.answer.limits import RetrievalLimits
from processors.answer.retrieve import by_id, digest_of, found_again, retrieve
from processors.contract import Reject
from schemas.envelope import Version
from schemas.queries import CacheTicket, PassagesFound, Query, QueryKind, QueryPlanned
from tests.processors.answer.corpus import Corpus, Interrupted, head

VALVE = "The red valve of the pump leaks when it is cold"
SEAL = "The red valve of the pump has a new seal now"
SNOW = "Snow falls on the hills in January"


def texts(found: PassagesFound) -> list[str]:
    return [passage.text for passage in found.passages]


def test_when_asked_then_the_best_passage_comes_first_with_its_scores() -> None:
    corpus = Corpus()
    corpus.add("pump.md", VALVE, "Tea is served at four")
    corpus.add("snow.md", SNOW)
    found = corpus.ask("Why does the red valve leak?")
    best = found.passages[0]
    assert best.text == VALVE
    assert set(best.scores) == {"bm25", "dense", "fused"}
    assert [passage.score for passage in found.passages] == sorted((p.score for p in found.passages), reverse=True)
    assert (found.fenced, found.rounds, found.plan) == (0, 1, ("Why does the red valve leak?",))


def test_when_found_then_version_and_title_are_the_heads_and_the_place_is_the_objects() -> None:
    corpus = Corpus()
    kept = corpus.add("pump.md", VALVE, version=1)
    corpus.heads.fold(head("pump.md", kept, version=9))
    passage = corpus.ask("red valve").passages[0]
    assert (passage.version, passage.title) == (Version(source=0, offset=9), "Title 9")
    chunk = kept[0].chunk
    assert (passage.chunk, passage.ordinal, passage.start, passage.end) == (
        chunk.name,
        chunk.ordinal,
        chunk.start,
        chunk.end,
    )
    assert (passage.object_id, passage.page, passage.source_uri) == (kept[0].object_id, 2, "file:pump.md")


def test_when_it_spent_tokens_then_usage_says_so() -> None:
    corpus = Corpus()
    usage = {line.unit: line for line in corpus.ask("red valve", "red valve", "scarlet valve now").usage}
    assert usage["tokens_in"].quantity == 5
    assert usage["tokens_in"].model == corpus.embedder.model
    assert usage["seconds"].quantity == 0


def test_when_a_question_comes_again_then_its_search_is_the_same_and_costs_no_tokens() -> None:
    told: list[bool] = []
    corpus = Corpus(limits=RetrievalLimits(asked=KeptVectors(10, told.append)))
    corpus.add("pump.md", VALVE, SNOW)
    first, same, again = (corpus.ask("red valve", query_id=query_id) for query_id in ("q1", "q1", "q2"))
    assert first.passages == same.passages == again.passages
    tokens = [line.quantity for found in (first, same, again) for line in found.usage if line.unit == "tokens_in"]
    assert tokens == [2, 2, 0] and told == [False, True, True]


def test_when_nothing_is_there_then_nothing_is_found() -> None:
    found = Corpus().ask("red valve")
    assert (found.passages, found.fenced, found.rounds) == ((), 0, 1)


def test_when_a_document_has_no_head_then_it_is_not_returned() -> None:
    corpus = Corpus()
    corpus.store.upsert(Corpus().add("new.md", VALVE))
    found = corpus.ask("red valve")
    assert (texts(found), found.fenced) == ([], 1)


def test_when_a_document_is_gone_then_it_is_not_returned() -> None:
    corpus = Corpus()
    corpus.add("pump.md", VALVE)
    corpus.heads.fold(head("pump.md", [], version=2, gone=True))
    found = corpus.ask("red valve")
    assert (texts(found), found.fenced, found.rounds) == ([], 1, 1)


def test_when_old_objects_linger_then_only_the_heads_are_returned() -> None:
    corpus = Corpus()
    corpus.add("pump.md", VALVE, version=1)
    corpus.add("pump.md", SEAL, version=2)
    found = corpus.ask("red valve pump")
    assert (texts(found), found.fenced) == ([SEAL], 1)


def test_when_a_newer_version_takes_over_during_the_search_then_its_text_is_found() -> None:
    corpus = Corpus()
    corpus.add("pump.md", VALVE, version=1)
    store = Interrupted(corpus.store, lambda: corpus.add("pump.md", SEAL, version=2))
    corpus.store = store  # type: ignore[assignment]
    found = corpus.ask("red valve pump")
    assert (texts(found), found.rounds) == ([SEAL], 2)


def test_when_a_document_is_deleted_during_the_search_then_it_is_not_returned_nor_searched_again() -> None:
    corpus = Corpus()
    corpus.add("pump.md", VALVE)
    store = Interrupted(corpus.store, lambda: corpus.heads.fold(head("pump.md", [], version=2, gone=True)))
    corpus.store = store  # type: ignore[assignment]
    found = corpus.ask("red valve")
    assert (texts(found), store.searches) == ([], 1)


def test_when_objects_come_before_their_head_then_the_old_version_still_answers() -> None:
    corpus = Corpus()
    corpus.add("pump.md", VALVE, version=1)
    newer = Corpus().add("pump.md", SEAL, version=2)
    corpus.store.upsert(newer)
    found = corpus.ask("red valve pump")
    assert (texts(found), found.rounds) == ([VALVE], 1)


@pytest.mark.parametrize(
    ("access", "user", "groups", "visible"),
    [
        (("*",), "", (), True),
        ((), "ada", ("group:ops",), False),
        (("user:ada",), "ada", (), True),
        (("user:ada",), "bob", (), False),
        (("group:ops",), "ada", ("group:dev", "group:ops"), True),
        (("group:ops",), "group:ops", (), False),
    ],
)
def test_when_access_is_limited_then_the_head_decides(
    access: tuple[str, ...], user: str, groups: tuple[str, ...], visible: bool
) -> None:
    corpus = Corpus()
    objects = corpus.add("pump.md", VALVE, access=access)
    corpus.store.upsert([replace(found, access=("*",)) for found in objects])
    assert texts(corpus.ask("red valve", user=user, groups=groups)) == ([VALVE] if visible else [])


def test_when_access_was_revoked_then_it_holds_although_the_hint_lags() -> None:
    corpus = Corpus()
    objects = corpus.add("pump.md", VALVE)
    corpus.heads.fold(head("pump.md", objects, version=2, access=("group:ops",)))
    assert texts(corpus.ask("red valve")) == []
    assert texts(corpus.ask("red valve", groups=("group:ops",))) == [VALVE]


def test_when_too_few_are_left_then_more_are_fetched() -> None:
    corpus = Corpus(limits=RetrievalLimits(candidates=2))
    gone = corpus.add("old.md", *(f"{VALVE} {number}" for number in range(10)))
    corpus.heads.fold(head("old.md", [], version=2, gone=True))
    corpus.add("pump.md", "A valve, among very many other things that are said at length in this text")
    found = corpus.ask("red valve of the pump leaks when cold")
    assert len(texts(found)) == 1
    assert found.rounds == 2
    assert found.fenced == len(gone)


def test_when_the_bounds_are_reached_then_it_stops() -> None:
    corpus = Corpus(limits=RetrievalLimits(candidates=2, rounds=2))
    corpus.add("old.md", *(f"{VALVE} {number}" for number in range(200)))
    corpus.heads.fold(head("old.md", [], version=2, gone=True))
    assert corpus.ask("red valve").rounds == 2
    corpus.limits = RetrievalLimits(candidates=2, widest=8)
    found = corpus.ask("red valve")
    assert (found.rounds, found.fenced <= 16) == (2, True)


def test_when_there_are_variants_then_what_any_of_them_finds_is_found_once() -> None:
    corpus = Corpus()
    corpus.add("pump.md", VALVE)
    corpus.add("snow.md", SNOW)
    found = corpus.ask("?", "red valve leaks", "snow on hills", "red valve")
    assert sorted(texts(found)) == sorted([VALVE, SNOW])


def test_when_there_are_more_than_wanted_then_the_best_candidates_are_kept() -> None:
    corpus = Corpus(limits=RetrievalLimits(candidates=3))
    corpus.add("pump.md", *(f"valve {'filler ' * number}" for number in range(8)))
    assert len(corpus.ask("valve").passages) == 3


@pytest.mark.parametrize(
    ("filters", "expected"),
    [({"document": "a.md"}, ["a.md"]), ({"source_uri": "file:b"}, ["b.md"]), ({"document": "c.md"}, [])],
)
def test_when_filtered_then_only_what_fits_is_returned(filters: dict[str, str], expected: list[str]) -> None:
    corpus = Corpus()
    corpus.add("a.md", VALVE)
    corpus.add("b.md", SEAL)
    assert [passage.document for passage in corpus.ask("valve", filters=filters).passages] == expected


def test_when_the_wanted_document_stands_far_behind_then_the_filter_still_finds_it() -> None:
    corpus = Corpus(limits=RetrievalLimits(candidates=2))
    corpus.add("many.md", *(f"{VALVE} {number}" for number in range(12)))
    corpus.add("one.md", "A valve, among very many other things that are said at length in this text")
    found = corpus.ask("red valve pump", filters={"document": "one.md"})
    assert [passage.document for passage in found.passages] == ["one.md"]


def test_when_a_filter_is_unknown_then_the_question_is_rejected() -> None:
    with pytest.raises(Reject, match=r"Wanted filters among document, source_uri, got 'colour'"):
        Corpus().ask("valve", filters={"colour": "red"})


def editions() -> Corpus:
    corpus = Corpus(limits=RetrievalLimits(fields=FilterFields({"year": FilterField("number")})))
    corpus.add("old.md", VALVE, properties={"year": "1990"})
    corpus.add("new.md", SEAL, properties={"year": "2020"})
    corpus.add("hidden.md", f"{SEAL} again", access=("group:ops",), properties={"year": "2021"})
    return corpus


def test_when_a_filter_was_drawn_then_only_what_passes_is_found_and_the_query_still_says_so() -> None:
    found = editions().ask("red valve", drawn={"year": ">=2000"})
    assert ([passage.document for passage in found.passages], found.degraded) == (["new.md"], ())
    assert found.query.drawn == {"year": ">=2000"}


def test_when_metadata_changes_then_the_head_decides_at_once_and_nothing_is_written_to_the_index() -> None:
    corpus = editions()
    objects = corpus.add("old.md", VALVE, version=2, properties={"year": "1990"})
    corpus.heads.fold(head("old.md", objects, version=3, properties={"year": "2019"}))
    found = corpus.ask("red valve", filters={"year": "2019"})
    assert [passage.document for passage in found.passages] == ["old.md"]


def test_when_a_drawn_filter_leaves_nothing_then_it_is_dropped_and_the_answer_says_so() -> None:
    found = editions().ask("red valve", drawn={"year": "1800"})
    assert {passage.document for passage in found.passages} == {"old.md", "new.md"}
    assert (found.degraded, found.rounds) == (("filters",), 2)
    assert found.query.drawn == {"year": "1800"}


def library(margin: float) -> Corpus:
    """A passage that fits the question, of another year than everything else, which does not."""
    fields = FilterFields({"year": FilterField("number")})
    corpus = Corpus(limits=RetrievalLimits(fields=fields, drawn_margin=margin))
    corpus.add("pump.md", VALVE, properties={"year": "1990"})
    for number in range(20):
        corpus.add(f"snow{number}.md", f"{SNOW} on day {number}", properties={"year": "2020"})
    return corpus


@pytest.mark.parametrize(("margin", "best", "degraded"), [(1.5, "pump.md", ("filters",)), (100.0, "snow", ())])
def test_when_a_drawn_filter_hides_what_fits_far_better_then_it_is_dropped(
    margin: float, best: str, degraded: tuple[str, ...]
) -> None:
    found = library(margin).ask("Why does the red valve of the pump leak in January?", drawn={"year": "2020"})
    assert found.passages[0].document.startswith(best) and found.degraded == degraded


def test_when_a_given_filter_hides_what_fits_far_better_then_it_holds_all_the_same() -> None:
    found = library(1.5).ask("Why does the red valve of the pump leak in January?", filters={"year": "2020"})
    assert found.passages and all(passage.document.startswith("snow") for passage in found.passages)


def test_when_a_given_filter_hides_what_fits_then_that_does_not_speak_against_a_drawn_one() -> None:
    question, snow = "Why does the red valve of the pump leak in January?", {"source_uri": "file:snow"}
    found = library(1.5).ask(question, filters=snow, drawn={"year": "2020"})
    assert found.passages and found.degraded == ()


def test_when_what_fits_is_hidden_from_the_asker_then_it_does_not_speak_against_a_drawn_filter() -> None:
    corpus = library(1.5)
    corpus.add("pump.md", VALVE, version=2, access=("group:ops",), properties={"year": "1990"})
    found = corpus.ask("Why does the red valve of the pump leak in January?", drawn={"year": "2020"})
    assert found.degraded == () and all(passage.document.startswith("snow") for passage in found.passages)


def test_when_a_drawn_filter_is_dropped_then_one_that_was_given_holds_and_nothing_hidden_is_seen() -> None:
    corpus = editions()
    found = corpus.ask("red valve", drawn={"year": "2021"}, filters={"document": "new.md"})
    assert [passage.document for passage in found.passages] == ["new.md"]
    assert "hidden.md" not in {p.document for p in corpus.ask("red valve", drawn={"year": "2021"}).passages}


def test_when_a_given_filter_leaves_nothing_then_nothing_is_found() -> None:
    found = editions().ask("red valve", filters={"year": "1800"})
    assert (found.passages, found.degraded) == ((), ())


def test_when_a_field_was_given_and_drawn_then_what_was_given_counts() -> None:
    found = editions().ask("red valve", drawn={"year": "2020"}, filters={"year": "1990"})
    assert [passage.document for passage in found.passages] == ["old.md"]


def test_when_a_drawn_filter_is_dropped_then_a_search_done_again_finds_the_same() -> None:
    corpus = editions()
    query = Query(query_id="q", question="red valve", drawn={"year": "1800"})
    planned = QueryPlanned(tenant="acme", query=query, kind="retrieval", variants=("red valve",))
    (found,) = retrieve(planned, corpus.serving, corpus.limits, ManualClock())
    vectors = [vector.astype("<f4").tobytes() for vector in corpus.embedder.embed(["red valve"])]
    with corpus.serving.lease("acme") as served:
        again = found_again(planned, vectors, served, corpus.limits)
    assert digest_of(by_id(again)) == digest_of(by_id(found.passages))


@pytest.mark.parametrize("kind", ["direct", "tool", "out_of_scope"])
def test_when_the_plan_needs_no_documents_then_none_are_searched(kind: QueryKind) -> None:
    corpus = Corpus()
    corpus.add("pump.md", VALVE)
    planned = QueryPlanned(tenant="acme", query=Query(query_id="q", question="Hello"), kind=kind, variants=("Hello",))
    found = list(retrieve(planned, corpus.serving, corpus.limits, ManualClock()))
    assert [(event.passages, event.usage) for event in found] == [((), ())]


def test_when_the_view_is_closed_then_nothing_is_answered() -> None:
    corpus = Corpus()
    corpus.add("pump.md", VALVE)
    corpus.heads.close()
    with pytest.raises(HeadsClosedError):
        corpus.ask("valve")


def test_when_fused_by_ranks_then_the_best_is_still_first() -> None:
    corpus = Corpus(limits=RetrievalLimits(fusion="ranks"))
    corpus.add("pump.md", VALVE)
    corpus.add("snow.md", SNOW)
    assert texts(corpus.ask("Why does the valve leak?"))[0] == VALVE


def test_when_repeated_then_the_same_comes_out() -> None:
    corpus = Corpus()
    corpus.add("pump.md", VALVE, VALVE, SEAL)
    assert corpus.ask("red valve") == corpus.ask("red valve")


def test_when_a_query_has_a_ticket_then_it_says_what_was_found_and_the_search_can_be_run_again_without_a_model() -> (
    None
):
    corpus = Corpus()
    corpus.add("pump.md", VALVE)
    ticket = CacheTicket(key="k", generation="g1")
    stamped = corpus.ask("red valve", ticket=ticket).query.ticket
    assert stamped is not None and stamped.found and (stamped.key, stamped.generation) == ("k", "g1")
    planned = QueryPlanned(
        tenant="acme", query=Query(query_id="q-2", question="red valve"), kind="retrieval", variants=("red valve",)
    )

    def again() -> str:
        with corpus.serving.lease("acme") as served:
            return digest_of(by_id(found_again(planned, stamped.vectors, served, corpus.limits)))

    assert again() == stamped.found
    corpus.add("snow.md", SNOW)
    assert again() != stamped.found


def test_when_another_generation_serves_than_was_planned_for_then_the_ticket_is_void() -> None:
    corpus = Corpus()
    assert corpus.ask("red valve", ticket=CacheTicket(key="k", generation="g0")).query.ticket is None
    assert corpus.ask("red valve").query.ticket is None
