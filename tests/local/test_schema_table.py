"""What the registry knows, without Kafka and HTTP: folded from records, asked for ids, versions and conflicts."""

from __future__ import annotations

import json

import pytest

from headwater.local.schema_table import LEVELS, RegistryError, SchemaTable, canonical


def _record(*required: str, optional: tuple[str, ...] = ()) -> str:
    fields = [{"name": name, "type": "string"} for name in required]
    fields += [{"name": name, "type": "string", "default": ""} for name in optional]
    return canonical(json.dumps({"type": "record", "name": "R", "fields": fields}))


def _table(*schemas: tuple[str, str]) -> SchemaTable:
    table = SchemaTable()
    for subject, schema in schemas:
        table.fold(*table.schema_record(subject, schema))
    return table


def test_when_folded_again_from_the_same_records_then_the_same_table() -> None:
    first = SchemaTable()
    log = []
    for subject, schema in (("s", _record("a")), ("t", _record("b")), ("s", _record("a", optional=("c",)))):
        log.append(first.schema_record(subject, schema))
        first.fold(*log[-1])
    log.append(first.level_record("t", "NONE"))
    first.fold(*log[-1])
    again = SchemaTable()
    for record in log:
        again.fold(*record)
    assert again == first
    assert (again.versions("s"), again.versions("t"), again.level("t")) == ({1: 1, 2: 3}, {1: 2}, "NONE")


def test_when_a_record_is_of_another_kind_or_removed_then_it_is_passed_over() -> None:
    table = SchemaTable()
    table.fold(b'{"keytype":"MODE","subject":"s"}', b'{"mode":"READONLY"}')
    table.fold(b'{"keytype":"SCHEMA","subject":"s","version":1}', None)
    assert table == SchemaTable()


def test_when_the_text_is_known_then_its_id_is_used_again() -> None:
    table = _table(("s", _record("a")), ("t", _record("a")), ("t", _record("a", optional=("b",))))
    assert (table.versions("s"), table.versions("t")) == ({1: 1}, {1: 1, 2: 2})
    assert table.find("t", _record("a")) == {"subject": "t", "version": 1, "id": 1, "schema": _record("a")}
    assert table.find("s", _record("a", optional=("b",))) is None


@pytest.mark.parametrize(
    ("level", "adds_required", "drops", "adds_optional"),
    [
        ("NONE", True, True, True),
        ("BACKWARD", False, True, True),
        ("BACKWARD_TRANSITIVE", False, True, True),
        ("FORWARD", True, False, True),
        ("FORWARD_TRANSITIVE", True, False, True),
        ("FULL", False, False, True),
        ("FULL_TRANSITIVE", False, False, True),
    ],
)
def test_when_a_level_is_set_then_it_decides_what_may_follow(
    level: str, adds_required: bool, drops: bool, adds_optional: bool
) -> None:
    assert level in LEVELS
    table = _table(("s", _record("a", "b")))
    table.fold(*table.level_record("", level))
    found = [not table.conflicts("s", schema) for schema in (_record("a", "b", "c"), _record("a"))]
    found.append(not table.conflicts("s", _record("a", "b", optional=("c",))))
    assert found == [adds_required, drops, adds_optional]


def test_when_transitive_then_every_version_counts_else_the_last() -> None:
    table = _table(("s", _record("a")), ("s", _record("a", optional=("b",))))
    assert table.conflicts("s", _record("a", "b")) == [
        "version 1: reader_field_missing_default_value (b)",
    ]
    table.fold(*table.level_record("s", "BACKWARD"))
    assert table.conflicts("s", _record("a", "b")) == []
    assert table.conflicts("s", _record("a", "b"), against="1")


@pytest.mark.parametrize(
    ("wanted", "code"), [("0", 42202), ("-2", 42202), ("x", 42202), ("3", 40402), ("latest", 0), ("-1", 0), ("2", 0)]
)
def test_when_a_version_is_asked_for_then_it_or_confluents_code(wanted: str, code: int) -> None:
    table = _table(("s", _record("a")), ("s", _record("a", optional=("b",))))
    if not code:
        assert table.version("s", wanted)["version"] == 2
        return
    with pytest.raises(RegistryError) as refused:
        table.version("s", wanted)
    assert (refused.value.code, refused.value.status) == (code, int(str(code)[:3]))


@pytest.mark.parametrize("schema", ["", "{", "12", '"strin"', '{"type":"record","name":"R"}', "null", "[]x"])
def test_when_it_is_no_schema_then_422(schema: str) -> None:
    with pytest.raises(RegistryError, match="not valid Avro") as refused:
        canonical(schema)
    assert refused.value.status == 422
