"""What a schema registry knows: ids, subjects, versions and levels, folded from a log and asked by the HTTP side."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.errors import AvroException
from avro.schema import Schema, parse

from headwater.local.errors import LocalStackError

__all__ = ["DEFAULT_LEVEL", "LEVELS", "STORE_AWAY", "RegistryError", "SchemaTable", "canonical"]

DEFAULT_LEVEL: Final = "BACKWARD_TRANSITIVE"
LEVELS: Final = (
    "NONE",
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
)

# Confluent's code for a store that does not answer, here Kafka. Answered with 503, so that clients try again.
STORE_AWAY: Final = 50001

Record = tuple[bytes, bytes]


class RegistryError(LocalStackError):
    """A refusal with Confluent's error code; the HTTP status is the code's first three digits, or 503 for Kafka's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def status(self) -> int:
        """The HTTP status that goes with the code."""
        return 503 if self.code == STORE_AWAY else int(str(self.code)[:3])


def canonical(schema: str) -> str:
    """The text by which two schemas are the same: whitespace aside, everything counts, documentation too.

    >>> canonical('{"type" : "string"}')
    '{"type":"string"}'

    Raises RegistryError 42201 for what is no Avro schema.
    """
    try:
        parse(schema)
        return json.dumps(json.loads(schema), separators=(",", ":"), ensure_ascii=False)
    except (AvroException, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RegistryError(42201, f"the schema is not valid Avro: {error}") from error


@dataclass
class SchemaTable:
    """All state of a registry in memory; `fold` is the only way that it changes."""

    texts: dict[int, str] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    subjects: dict[str, dict[int, int]] = field(default_factory=dict)
    levels: dict[str, str] = field(default_factory=dict)

    def fold(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the log in; records of a kind that a later release may add are passed over."""
        if value is None:
            return
        body = json.loads(value)
        kind = json.loads(key)["keytype"]
        if kind == "SCHEMA":
            self.texts[body["id"]] = body["schema"]
            self.ids[body["schema"]] = body["id"]
            self.subjects.setdefault(body["subject"], {})[body["version"]] = body["id"]
        elif kind == "CONFIG":
            self.levels[body["subject"]] = body["compatibilityLevel"]

    def schema_record(self, subject: str, text: str) -> Record:
        """The record that would register a canonical schema: its old id where the text is known, else the next one."""
        version = max(self.subjects.get(subject, {}), default=0) + 1
        schema_id = self.ids.get(text) or max(self.texts, default=0) + 1
        key = {"keytype": "SCHEMA", "subject": subject, "version": version}
        return _json(key), _json({"subject": subject, "version": version, "id": schema_id, "schema": text})

    def level_record(self, subject: str, level: str) -> Record:
        """The record that would set a subject's level, or that of all subjects for an empty name."""
        if level not in LEVELS:
            raise RegistryError(42203, f"the compatibility level {level!r} is none of {', '.join(LEVELS)}")
        key = {"keytype": "CONFIG", "subject": subject}
        return _json(key), _json({"subject": subject, "compatibilityLevel": level})

    def level(self, subject: str) -> str:
        """The level that holds for a subject."""
        return self.levels.get(subject) or self.levels.get("") or DEFAULT_LEVEL

    def versions(self, subject: str) -> dict[int, int]:
        """Version to id of a subject. Raises RegistryError 40401 for one that has none."""
        if subject not in self.subjects:
            raise RegistryError(40401, f"Subject {subject!r} not found.")
        return self.subjects[subject]

    def version(self, subject: str, wanted: str) -> dict[str, Any]:
        """One version, by number or 'latest', in Confluent's words."""
        versions = self.versions(subject)
        number = _number(wanted, versions)
        schema_id = versions[number]
        return {"subject": subject, "version": number, "id": schema_id, "schema": self.texts[schema_id]}

    def find(self, subject: str, text: str) -> dict[str, Any] | None:
        """The version under which a subject has a canonical schema, or None."""
        schema_id = self.ids.get(text)
        for number, held in list(self.subjects.get(subject, {}).items()):
            if held == schema_id:
                return self.version(subject, str(number))
        return None

    def conflicts(self, subject: str, text: str, against: str | None = None) -> list[str]:
        """Why a schema may not follow the versions of a subject (or the one named by `against`); empty when it may."""
        level = self.level(subject)
        versions = self.subjects.get(subject, {})
        if level == "NONE" or not versions:
            return []
        if against is not None:
            numbers = [_number(against, versions)]
        else:
            numbers = sorted(versions) if level.endswith("_TRANSITIVE") else [max(versions)]
        new = parse(text)
        found: list[str] = []
        for number in numbers:
            old = parse(self.texts[versions[number]])
            found += [f"version {number}: {problem}" for problem in _problems(level, new, old)]
        return found


def _problems(level: str, new: Schema, old: Schema) -> list[str]:
    pairs: list[tuple[Schema, Schema]] = []
    if not level.startswith("FORWARD"):
        pairs.append((new, old))
    if not level.startswith("BACKWARD"):
        pairs.append((old, new))
    problems: list[str] = []
    for reader, writer in pairs:
        result = ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)
        if result.compatibility is not SchemaCompatibilityType.compatible:
            kinds = ", ".join(sorted({kind.value for kind in result.incompatibilities}))
            problems.append(f"{kinds} ({', '.join(sorted(result.messages))})")
    return problems


def _number(wanted: str, versions: dict[int, int]) -> int:
    if wanted in ("latest", "-1"):
        return max(versions)
    if not wanted.isdecimal() or int(wanted) < 1:
        raise RegistryError(42202, f"The specified version {wanted!r} is not a valid version id.")
    if int(wanted) not in versions:
        raise RegistryError(40402, f"Version {wanted} not found.")
    return int(wanted)


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
