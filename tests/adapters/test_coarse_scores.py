"""The first look in one byte per dimension: what searches find by it is what comparing everything exactly finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from adapters.coarse_scores import CoarseScores
from adapters.local_index import LocalIndex
from adapters.vector_shelf import VectorShelf
from processors.ports import IndexObject, Vectors
from schemas.documents import Chunk
from schemas.envelope import Version

DIMENSION = 48
# More than from where the first look is taken.
MANY = 9_000
EVERYONE = frozenset({"*"})


def unit(numbers: Vectors) -> Vectors:
    lengths = np.linalg.norm(numbers, axis=-1, keepdims=True)
    made: Vectors = (numbers / lengths).astype("<f4")
    return made


def thing(number: int, vector: Vectors, access: tuple[str, ...] = ("*",), tenant: str = "acme") -> IndexObject:
    text = f"gate {number} of {number % 7} rivers"
    chunk = Chunk(name=f"c{number}", ordinal=0, text=text, start=0, end=len(text), tokens=5)
    return IndexObject(
        str(number), tenant, f"d{number}", Version(source=0, offset=number), "", "", access, chunk, vector.tobytes()
    )


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return unit(np.random.default_rng(7).standard_normal((MANY, DIMENSION)).astype(np.float32))


@pytest.fixture
def shelf(vectors: Vectors) -> Iterator[VectorShelf]:
    made = VectorShelf(DIMENSION)
    for number, vector in enumerate(vectors):
        access = ("group:few",) if number % 100 == 0 else ("*",)
        made.put(thing(number, vector, access), vector, number + 1)
    assert made._rows.coarse is not None
    yield made


def exactly(vectors: Vectors, asked: Vectors, limit: int, among: list[int]) -> list[str]:
    scores = vectors[among] @ asked
    return [str(among[n]) for n in np.argsort(-scores, kind="stable")[:limit]]


def test_when_vectors_are_many_then_the_nearest_are_those_of_an_exact_comparison(
    shelf: VectorShelf, vectors: Vectors
) -> None:
    asked = unit(np.random.default_rng(8).standard_normal((50, DIMENSION)).astype(np.float32))
    among = [number for number in range(MANY) if number % 100]
    for one in asked:
        found = shelf.search(one, 10, EVERYONE)
        assert [candidate.object.object_id for candidate in found] == exactly(vectors, one, 10, among)
        assert found[0].score == pytest.approx(float(vectors[int(found[0].object.object_id)] @ one), abs=1e-6)


def test_when_few_may_be_read_then_those_are_found_among_the_many(shelf: VectorShelf, vectors: Vectors) -> None:
    asked = vectors[1]
    found = [candidate.object.object_id for candidate in shelf.search(asked, 300, frozenset({"group:few"}))]
    assert found == exactly(vectors, asked, 300, list(range(0, MANY, 100)))


def test_when_a_vector_is_written_anew_or_dropped_then_the_next_search_goes_by_that(
    shelf: VectorShelf, vectors: Vectors
) -> None:
    new = unit(-vectors[5])
    shelf.put(thing(5, new), new, MANY + 1)
    assert shelf.search(new, 1, EVERYONE)[0].object.object_id == "5"
    assert shelf.search(vectors[5], 1, EVERYONE)[0].object.object_id != "5"
    shelf.drop("5")
    assert shelf.search(new, 1, EVERYONE)[0].object.object_id != "5"


def test_when_the_rows_grow_and_the_dead_are_left_behind_then_all_that_live_are_found(
    shelf: VectorShelf, vectors: Vectors
) -> None:
    for number in range(0, MANY, 2):
        shelf.drop(str(number))
    more = unit(np.random.default_rng(9).standard_normal((2 * MANY, DIMENSION)).astype(np.float32))
    for number, vector in enumerate(more, start=MANY):
        shelf.put(thing(number, vector), vector, 2 * MANY + number)
    for number in (1, MANY - 1, MANY, 3 * MANY - 1):
        vector = vectors[number] if number < MANY else more[number - MANY]
        assert shelf.search(vector, 1, EVERYONE)[0].object.object_id == str(number)


def test_when_a_vector_is_nothing_but_zeros_then_its_score_is_zero() -> None:
    coarse = CoarseScores(1, 4)
    coarse.take(np.array([0]), np.zeros((1, 4), np.float32))
    assert coarse.of(np.ones(4, np.float32), 1).tolist() == [0.0]


def test_when_words_are_searched_without_a_filter_first_then_tenants_and_access_still_hold(tmp_path: Path) -> None:
    vector = unit(np.ones((1, DIMENSION), np.float32))[0]
    with LocalIndex(tmp_path) as index:
        index.upsert([thing(number, vector) for number in range(40)])
        index.upsert([thing(number, vector, ("group:few",)) for number in range(40, 60)])
        index.upsert([thing(number, vector, tenant="other") for number in range(60, 70)])
        for tenant, access, wanted in (
            ("acme", EVERYONE, range(40)),
            ("acme", frozenset({"group:few"}), range(40, 60)),
            ("other", EVERYONE, range(60, 70)),
            ("other", frozenset({"group:few"}), range(0)),
        ):
            for limit in (3, 100):
                found = index.search_text(tenant, "gate rivers", limit, access)
                assert {one.object.object_id for one in found} <= {str(number) for number in wanted}
                assert len(found) == min(limit, len(wanted))
