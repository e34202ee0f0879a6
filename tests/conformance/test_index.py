"""What every Index must do: the adapters of this suite are interchangeable."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.local_index import LocalIndex
from adapters.memory import MemoryIndex
from processors.ports import Candidate, Index
from tests.conformance.objects import EMBEDDER, EVERYONE, indexed

VALVE = "The red valve of the pump leaks when it is cold"
SNOW = "Snow falls on the hills in January"
TEA = "Tea is served at four in the garden"


@pytest.fixture(params=["local", "memory", pytest.param("weaviate", marks=pytest.mark.live)])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    if request.param == "memory":
        yield MemoryIndex()
        return
    if request.param == "weaviate":
        yield request.getfixturevalue("weaviate_index")
        return
    with LocalIndex(tmp_path / "index") as local:
        yield local


def names(found: list[Candidate]) -> list[str]:
    return [candidate.object.object_id for candidate in found]


def by_text(index: Index, text: str, tenant: str = "acme", access: frozenset[str] = EVERYONE) -> list[str]:
    return names(index.search_text(tenant, text, 10, access))


def by_vector(index: Index, text: str, tenant: str = "acme", access: frozenset[str] = EVERYONE) -> list[str]:
    return names(index.search_vector(tenant, EMBEDDER.embed([text])[0], 10, access))


def test_when_nothing_was_written_then_nothing_is_found(index: Index) -> None:
    assert by_text(index, "valve") == []
    assert by_vector(index, "valve") == []
    assert index.existing("acme", ["a"]) == set()
    assert index.remove("acme", ["a"]) == 0
    assert list(index.walk()) == []


def test_when_an_upsert_returns_then_both_searches_find_the_object_without_its_vector(index: Index) -> None:
    valve = indexed("a", VALVE)
    index.upsert([valve, indexed("b", SNOW)])
    assert index.search_text("acme", "leaking valves", 1, EVERYONE)[0].object == replace(valve, vector=b"")
    found = index.search_vector("acme", EMBEDDER.embed([VALVE])[0], 1, EVERYONE)[0]
    assert found.object == replace(valve, vector=b"")
    assert found.score == pytest.approx(1.0, abs=1e-5)


def test_when_several_match_then_the_best_comes_first_and_scores_fall(index: Index) -> None:
    index.upsert([indexed("a", SNOW), indexed("b", VALVE), indexed("c", "A valve, among much else that is said here")])
    texts = index.search_text("acme", "red valve", 10, EVERYONE)
    vectors = index.search_vector("acme", EMBEDDER.embed([VALVE])[0], 10, EVERYONE)
    assert names(texts) == ["b", "c"]
    assert names(vectors)[0] == "b"
    for found in (texts, vectors):
        scores = [candidate.score for candidate in found]
        assert scores == sorted(scores, reverse=True)


def test_when_written_twice_then_it_is_one(index: Index) -> None:
    for _ in range(3):
        index.upsert([indexed("a", VALVE), indexed("a", VALVE)])
    assert by_text(index, "valve") == ["a"]
    assert by_vector(index, VALVE) == ["a"]
    assert len(list(index.walk("acme"))) == 1


def test_when_written_anew_then_only_the_new_words_find_it(index: Index) -> None:
    index.upsert([indexed("a", VALVE), indexed("b", TEA)])
    index.upsert([indexed("a", SNOW)])
    assert by_text(index, "valve") == []
    assert by_text(index, "snow") == ["a"]
    assert by_vector(index, SNOW)[0] == "a"


def test_when_removed_then_nothing_finds_it(index: Index) -> None:
    index.upsert([indexed("a", VALVE), indexed("b", VALVE + " again")])
    assert index.remove("acme", ["a", "unknown", "a"]) == 1
    assert by_text(index, "valve") == ["b"]
    assert by_vector(index, VALVE) == ["b"]
    assert index.existing("acme", ["a", "b"]) == {"b"}
    assert index.remove("acme", ["a"]) == 0


def test_when_removed_and_written_again_then_it_is_found(index: Index) -> None:
    index.upsert([indexed("a", VALVE)])
    index.remove("acme", ["a"])
    index.upsert([indexed("a", VALVE)])
    assert by_text(index, "valve") == by_vector(index, VALVE) == ["a"]


def test_when_tenants_share_names_then_neither_sees_the_other(index: Index) -> None:
    index.upsert([indexed("a", VALVE, tenant="acme"), indexed("a", SNOW, tenant="zeta")])
    assert by_text(index, "valve snow", "acme") == ["a"]
    assert by_text(index, "valve", "zeta") == []
    assert by_vector(index, VALVE, "nobody") == []
    assert index.existing("nobody", ["a"]) == set()
    assert index.remove("zeta", ["a"]) == 1
    assert [found.chunk.text for found in index.walk()] == [VALVE]


@pytest.mark.parametrize("tenants", [("a", "a:b"), ("1:a", "a"), ("a b", "a"), ("*", "**"), ("ä", "a")])
def test_when_tenants_look_alike_then_they_stay_apart(index: Index, tenants: tuple[str, str]) -> None:
    first, second = tenants
    index.upsert([indexed("x", VALVE, tenant=first, access=("b:*",)), indexed("y", VALVE, tenant=second)])
    assert by_text(index, "valve", first, frozenset({"b:*", "*"})) == ["x"]
    assert by_text(index, "valve", second, frozenset({"b:*", "*"})) == ["y"]


@pytest.mark.parametrize(
    ("access", "asker", "visible"),
    [
        (("*",), {"*"}, True),
        (("group:ops",), {"*"}, False),
        (("group:ops",), {"*", "group:ops"}, True),
        (("group:ops", "user:ada"), {"*", "user:ada"}, True),
        ((), {"*", "group:ops"}, False),
        (("*",), set(), False),
    ],
)
def test_when_access_differs_then_only_readers_find_it(
    index: Index, access: tuple[str, ...], asker: set[str], visible: bool
) -> None:
    index.upsert([indexed("a", VALVE, access=access)])
    wanted = ["a"] if visible else []
    assert by_text(index, "valve", access=frozenset(asker)) == wanted
    assert by_vector(index, VALVE, access=frozenset(asker)) == wanted


def test_when_access_is_patched_then_the_hint_follows_and_the_rest_stays(index: Index) -> None:
    index.upsert([indexed("a", VALVE), indexed("b", SNOW)])
    index.set_access("acme", ["a", "unknown"], ("group:ops",))
    ops = EVERYONE | {"group:ops"}
    assert by_text(index, "valve") == []
    assert "a" not in by_vector(index, VALVE)
    assert by_text(index, "valve", access=ops) == ["a"]
    assert index.search_vector("acme", EMBEDDER.embed([VALVE])[0], 1, ops)[0].object == replace(
        indexed("a", VALVE), access=("group:ops",), vector=b""
    )
    index.set_access("acme", ["a"], ("*",))
    assert by_text(index, "valve") == ["a"]


def test_when_a_reader_may_see_little_then_it_is_found_behind_much_that_is_hidden(index: Index) -> None:
    index.upsert([indexed(f"h{number}", VALVE, access=("group:ops",)) for number in range(50)])
    index.upsert([indexed("mine", "One valve is in a long text about many other things in the house")])
    assert names(index.search_text("acme", "red valve", 2, EVERYONE)) == ["mine"]
    assert names(index.search_vector("acme", EMBEDDER.embed([VALVE])[0], 2, EVERYONE)) == ["mine"]


@pytest.mark.parametrize("limit", [0, 1, 3, 100])
def test_when_a_limit_is_given_then_no_more_are_returned(index: Index, limit: int) -> None:
    index.upsert([indexed(f"n{number}", VALVE) for number in range(5)])
    expected = min(limit, 5)
    assert len(index.search_text("acme", "valve", limit, EVERYONE)) == expected
    assert len(index.search_vector("acme", EMBEDDER.embed([VALVE])[0], limit, EVERYONE)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "?!…",
        "🙂",
        "\x00",
        'text:valve AND (red OR "',
        "valve^1000000 [a TO z] *:* -valve +/x/",
        "tenant:zeta",
        "\ud800 valve",
        "نص 漢字 текст",
        "valve " * 20_000,
        "".join(f"w{number} " for number in range(20_000)),
        "x" * 100_000,
    ],
    ids=["empty", "blank", "marks", "emoji", "nul", "operators", "boosts", "field", "surrogate", "scripts", "repeat",
         "many", "long"],
)  # fmt: skip
def test_when_a_question_is_odd_then_it_is_only_words(index: Index, text: str) -> None:
    index.upsert([indexed("a", VALVE), indexed("z", VALVE, tenant="zeta")])
    assert set(by_text(index, text)) <= {"a"}
    assert ("valve" in text) == (by_text(index, text) == ["a"])


def test_when_accents_or_case_differ_then_words_still_match(index: Index) -> None:
    index.upsert([indexed("a", VALVE)])
    assert by_text(index, "VALVE") == ["a"]


def test_when_walked_then_every_object_comes_once_and_whole(index: Index) -> None:
    objects = [indexed("a", VALVE), indexed("b", SNOW), indexed("a", TEA, tenant="zeta")]
    index.upsert(objects)
    assert sorted(index.walk("acme"), key=lambda found: found.object_id) == objects[:2]
    assert list(index.walk("zeta")) == objects[2:]
    assert len(list(index.walk())) == 3


def test_when_threads_write_and_search_then_nothing_breaks_or_is_lost(index: Index) -> None:
    failures: list[BaseException] = []
    done = threading.Event()

    def writer(part: int) -> None:
        for round_ in range(8):
            index.upsert([indexed(f"p{part}-{round_}-{number}", VALVE) for number in range(10)])
            index.remove("acme", [f"p{part}-{round_}-{number}" for number in range(0, 10, 2)])
            index.set_access("acme", [f"p{part}-{round_}-1"], ("group:x",))

    def reader() -> None:
        vector = EMBEDDER.embed([VALVE])[0]
        while not done.is_set():
            near = index.search_vector("acme", vector, 5, EVERYONE)
            assert all(found.score == pytest.approx(1.0, abs=1e-5) for found in near)
            assert {found.object.chunk.text for found in (*near, *index.search_text("acme", "valve", 5, EVERYONE))} <= {
                VALVE
            }

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)

        return run

    writers = [threading.Thread(target=guarded(lambda part=part: writer(part))) for part in range(2)]  # type: ignore[misc]
    readers = [threading.Thread(target=guarded(reader)) for _ in range(2)]
    for thread in (*writers, *readers):
        thread.start()
    for thread in writers:
        thread.join(60)
    done.set()
    for thread in readers:
        thread.join(10)
    assert failures == []
    assert len(list(index.walk("acme"))) == 2 * 8 * 5
