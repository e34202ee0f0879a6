"""What only a real Weaviate can show: refusals, crashes, and what a crash leaves behind."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adapters.errors import IndexUnavailableError
from adapters.weaviate_aliases import ServingAlias
from adapters.weaviate_connection import IndexSchemaError, opened
from adapters.weaviate_index import Shape, WeaviateIndex, WeaviateOptions
from adapters.weaviate_names import object_uuid, tenant_name
from adapters.weaviate_reading import PAGE
from headwater.local.weaviate import WeaviateServer
from processors.ports import IndexObject
from schemas.envelope import Version
from tests.conformance.objects import EMBEDDER, EVERYONE, indexed

pytestmark = pytest.mark.live

_READY_S = 60.0


def found_by_both(index: WeaviateIndex, thing: IndexObject) -> bool:
    """Each object of these tests has a word of its own: its name."""
    words = index.search_text(thing.tenant, thing.object_id, 5, EVERYONE)
    near = index.search_vector(thing.tenant, EMBEDDER.embed([thing.chunk.text])[0], 20, EVERYONE)
    return all(thing.object_id in [one.object.object_id for one in found] for found in (words, near))


def named(names: Sequence[str]) -> list[IndexObject]:
    return [indexed(name, f"{name} {name}s {name}x stands on the quay") for name in names]


@pytest.fixture
def raw(weaviate_index: WeaviateIndex, weaviate_options: WeaviateOptions) -> Iterator[Any]:
    """The client's own view of the tenant that the tests write to."""
    weaviate_index.upsert([indexed("first", "the first object makes the tenant")])
    client = opened(weaviate_options)
    yield client.collections.use(weaviate_index.shape.collection).with_tenant(tenant_name("acme"))
    client.close()


@pytest.mark.parametrize("other", [{"dimension": 8}, {"model": "another"}])
def test_when_a_collection_is_of_another_model_or_dimension_then_it_is_refused(
    weaviate_index: WeaviateIndex, weaviate_options: WeaviateOptions, other: dict[str, Any]
) -> None:
    with pytest.raises(IndexSchemaError, match="never mixed"):
        WeaviateIndex(weaviate_options, replace(weaviate_index.shape, **other))


def test_when_the_key_is_wrong_then_the_setting_is_named(weaviate_options: WeaviateOptions) -> None:
    with pytest.raises(IndexUnavailableError, match=r"index\.api_key"):
        opened(replace(weaviate_options, api_key="wrong"))


def test_when_a_vector_has_another_dimension_then_nothing_is_written(weaviate_index: WeaviateIndex) -> None:
    good = indexed("a", "a red valve")
    with pytest.raises(ValueError, match="wanted a vector of dimension 32"):
        weaviate_index.upsert([good, replace(good, object_id="b", vector=b"\0" * 16)])
    assert list(weaviate_index.walk()) == []


def test_when_the_index_is_quantised_then_scores_are_those_of_the_vectors_all_the_same(
    weaviate_index: WeaviateIndex, weaviate_options: WeaviateOptions
) -> None:
    shape = replace(weaviate_index.shape, generation=f"q{uuid.uuid4().hex}", quantize=True)
    things = named([f"gate{number}" for number in range(8)])
    with WeaviateIndex(weaviate_options, shape) as quantised:
        quantised.upsert(things)
        found = quantised.search_vector("acme", EMBEDDER.embed([things[3].chunk.text])[0], 8, EVERYONE)
        quantised.drop()
    asked = np.frombuffer(things[3].vector, "<f4")
    exact = {one.object_id: float(np.frombuffer(one.vector, "<f4") @ asked) for one in things}
    assert {one.object.object_id: one.score for one in found} == pytest.approx(exact, abs=1e-6)
    assert {one.object.vector for one in found} == {b""}


def test_when_fields_are_odd_then_they_come_back_equal(weaviate_index: WeaviateIndex) -> None:
    thing = indexed(
        "odd\x00 ✓", "\x00 \u2028 漢字 🙂 \\ \" 'quoted'", document="a/../b?c#d", access=("group:a b", "user:ä")
    )
    chunk = replace_chunk(thing, ordinal=2**31, start=2**40, heading_path=("A", "", "  B "), page=None, kind="code")
    thing = replace(chunk, version=Version(source=2**63 - 1, offset=2**53 + 1), title="", source_uri="")
    weaviate_index.upsert([thing])
    assert list(weaviate_index.walk("acme")) == [thing]


def replace_chunk(thing: IndexObject, **fields: Any) -> IndexObject:
    import msgspec

    return replace(thing, chunk=msgspec.structs.replace(thing.chunk, **fields))


def test_when_there_are_more_than_a_page_then_all_are_walked_known_and_removed(weaviate_index: WeaviateIndex) -> None:
    names = [f"n{number}" for number in range(2 * PAGE + 3)]
    weaviate_index.upsert(named(names))
    assert {thing.object_id for thing in weaviate_index.walk("acme")} == set(names)
    assert weaviate_index.existing("acme", [*names, "unknown"]) == set(names)
    assert weaviate_index.remove("acme", names) == len(names)
    assert list(weaviate_index.walk("acme")) == []


def test_when_a_shard_is_read_only_then_writes_pause_and_go_on_afterwards(
    weaviate_index: WeaviateIndex, raw: Any
) -> None:
    config = raw.config
    config.update_shards("READONLY", shard_names=tenant_name("acme"))
    with pytest.raises(IndexUnavailableError, match="refuses writes"):
        weaviate_index.upsert(named(["kept"]))
    config.update_shards("READY", shard_names=tenant_name("acme"))
    weaviate_index.upsert(named(["kept"]))
    assert found_by_both(weaviate_index, named(["kept"])[0])


def test_when_an_object_was_stored_in_part_then_it_is_not_held_and_writing_mends_it(
    weaviate_index: WeaviateIndex, raw: Any
) -> None:
    """As a killed server leaves it: the object is stored, its vector is not."""
    from adapters.weaviate_schema import properties_of

    (torn,) = named(["torn"])
    raw.data.insert(properties_of(torn, "killed.0", 1), uuid=object_uuid("torn"))
    assert weaviate_index.existing("acme", ["torn", "first"]) == {"first"}
    weaviate_index.upsert([torn])
    assert weaviate_index.existing("acme", ["torn"]) == {"torn"}
    assert found_by_both(weaviate_index, torn)


def test_when_a_call_has_not_ended_then_its_objects_are_not_held_until_they_are_written_anew(
    weaviate_index: WeaviateIndex, weaviate_options: WeaviateOptions, raw: Any
) -> None:
    from adapters.weaviate_schema import VECTOR, properties_of

    (open_,) = named(["open"])
    vector = EMBEDDER.embed([open_.chunk.text])[0].tolist()
    raw.data.insert(properties_of(open_, "killed.0", 1), uuid=object_uuid("open"), vector={VECTOR: vector})
    assert weaviate_index.existing("acme", ["open", "first"]) == {"first"}
    weaviate_index.upsert([open_])
    with WeaviateIndex(weaviate_options, weaviate_index.shape) as another:
        assert another.existing("acme", ["open", "first"]) == {"open", "first"}


def test_when_the_alias_is_switched_then_it_names_the_other_generation(weaviate_options: WeaviateOptions) -> None:
    corpus = f"test_{uuid.uuid4().hex}"
    shapes = [Shape("hashing", 4, corpus, generation) for generation in ("g1", "g2")]
    with (
        WeaviateIndex(weaviate_options, shapes[0]) as one,
        WeaviateIndex(weaviate_options, shapes[1]) as two,
        ServingAlias(weaviate_options, corpus) as alias,
    ):
        assert alias.target() is None
        for shape in (*shapes, shapes[0], shapes[0]):
            alias.point_to(shape.generation)
            assert alias.target() == shape.collection
        with pytest.raises(IndexSchemaError, match="build it first"):
            alias.point_to("g3")
        alias.remove()
        one.drop()
        two.drop()


def killed_while_writing(server: WeaviateServer, index: WeaviateIndex) -> tuple[list[IndexObject], list[IndexObject]]:
    """What was acknowledged and what was sent until the server was killed; it runs again afterwards."""
    acknowledged: list[IndexObject] = []
    sent: list[IndexObject] = []

    def write() -> None:
        for number in range(10_000):
            page = named([f"w{number}z{one}" for one in range(4 * PAGE)])
            sent.extend(page)
            try:
                index.upsert(page)
            except IndexUnavailableError:
                return
            acknowledged.extend(page)

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(2.5)
    server.child.kill()
    writer.join(30)
    assert not writer.is_alive()
    began = time.monotonic()
    with pytest.raises(IndexUnavailableError):
        index.search_text("acme", "before", 5, EVERYONE)
    assert time.monotonic() - began < 5
    server.begin(server.port)
    server.await_ready(_READY_S)
    return acknowledged, sent


def test_when_the_server_is_killed_then_every_acknowledged_object_is_found_and_no_half_one_is_held(
    weaviate_server: WeaviateServer, weaviate_index: WeaviateIndex
) -> None:
    weaviate_index.upsert(named(["before"]))
    acknowledged, sent = killed_while_writing(weaviate_server, weaviate_index)

    ids = [one.object_id for one in acknowledged]
    assert weaviate_index.existing("acme", [*ids, "before"]) == {*ids, "before"}
    held = weaviate_index.existing("acme", [one.object_id for one in sent])
    checked = [one for one in sent if one.object_id in held]
    sample = (*named(["before"]), *checked[:: -(len(checked) // 100 + 1)])
    assert [one.object_id for one in sample if not found_by_both(weaviate_index, one)] == []

    last = sent[-4 * PAGE :]
    weaviate_index.upsert(last)
    assert weaviate_index.existing("acme", [one.object_id for one in last]) == {one.object_id for one in last}
    assert [one.object_id for one in last[::9] if not found_by_both(weaviate_index, one)] == []
    assert weaviate_index.remove("acme", [one.object_id for one in sent]) == len(sent)
    assert [thing.object_id for thing in weaviate_index.walk("acme")] == ["before"]
