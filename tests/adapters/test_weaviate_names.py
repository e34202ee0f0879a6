from __future__ import annotations

import re
import uuid

import pytest

from adapters.weaviate_names import alias_name, collection_name, object_uuid, tenant_name

ODD = [
    "",
    "_",
    "__",
    "a",
    "A",
    "a b",
    "a_b",
    "a_20b",
    "a:b",
    "*",
    "**",
    "ä",
    "名",
    "\ud800",
    "x" * 64,
    "x" * 65,
    "_" * 30,
]


def test_when_names_differ_then_their_tenants_differ() -> None:
    assert len({tenant_name(name) for name in ODD}) == len(ODD)


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_when_a_name_is_odd_then_weaviate_takes_its_tenant(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", tenant_name(name))


def test_when_generations_differ_then_their_collections_differ() -> None:
    made = {collection_name("c", generation) for generation in ("g1", "g_1", "g-1", "g_5f1", "")}
    assert len(made) == 5


@pytest.mark.parametrize("corpus", ["", "a b", "a-b", "ä", "x" * 81])
def test_when_a_corpus_can_not_be_a_name_then_it_is_refused(corpus: str) -> None:
    with pytest.raises(ValueError, match=r"index\.corpus"):
        alias_name(corpus)


def test_when_an_id_is_a_uuid_then_it_stays_and_others_become_one() -> None:
    own = str(uuid.uuid5(uuid.NAMESPACE_OID, "x"))
    assert object_uuid(own) == own
    assert len({object_uuid(own), object_uuid(own.upper()), object_uuid("x"), object_uuid("X")}) == 4
    assert all(uuid.UUID(object_uuid(name)) for name in ("", "x", own.upper()))
