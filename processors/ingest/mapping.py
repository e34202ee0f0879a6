"""A declared mapping from somebody else's JSON, or Avro record, to a document: which field says what.

A path is like a JSON pointer: `/author/name`, `/lines/0`. `@key` is the key of a Kafka record, as text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

from processors.contract import Reject
from schemas.documents import DocumentChanged, DocumentDeleted
from schemas.envelope import Version

__all__ = ["KEY", "FieldMapping", "TopicMapping", "mapped", "tombstoned"]

KEY: Final = "@key"
"""The path of a record's key."""

_DOCUMENT_CHARS: Final = 1_024


@dataclass(frozen=True)
class FieldMapping:
    """Which fields of a record make a document. Declare one per topic or webhook.

    >>> FieldMapping(tenant="acme", id=("/id",), body="/text").media_type
    'text/plain'

    The tenant is the same for all (`tenant`) or a field (`tenant_field`). `prefix` stands before the id, so that two
    sources can't mean the same document by chance. `version` is a field that holds a whole number which grows with each
    change; without one, the order of arrival counts. A record whose field `deleted` holds something true is a delete.
    Access is an array, or words between commas; a document without the field is open to its whole tenant.
    """

    body: str
    id: tuple[str, ...] = ("/id",)
    tenant: str = ""
    tenant_field: str = ""
    prefix: str = ""
    title: str = ""
    access: str = ""
    uri: str = ""
    deleted: str = ""
    version: str = ""
    media_type: str = "text/plain"

    def __post_init__(self) -> None:
        if not self.id or bool(self.tenant) == bool(self.tenant_field):
            raise ValueError(
                f"wanted id, and either tenant or tenant_field, got {self.id!r}, {self.tenant!r} and "
                f"{self.tenant_field!r}"
            )
        paths = (*self.id, self.body, self.tenant_field, self.title, self.access, self.uri, self.deleted, self.version)
        wrong = [path for path in paths if path and path != KEY and not path.startswith("/")]
        if wrong:
            raise ValueError(f"wanted paths that begin with '/', or {KEY!r}, got {wrong[0]!r}")


@dataclass(frozen=True)
class TopicMapping(FieldMapping):
    """The same for a Kafka topic, with how its values are written: JSON, or Avro with a schema registry's framing."""

    format: Literal["json", "avro"] = "json"


def mapped(record: Any, mapping: FieldMapping, key: bytes = b"", offset: int = 0) -> DocumentChanged | DocumentDeleted:
    """The document's event that a record tells of. Raises Reject, saying which field is missing or what it holds.

    >>> mapped({"id": 7, "text": "Hello."}, FieldMapping(tenant="acme", body="/text", prefix="notes")).document
    'notes/7'
    """
    fields = _Fields(record, key)
    tenant, document = _named(fields, mapping)
    version = _version(fields, mapping, offset)
    if mapping.deleted and _is_true(fields.get(mapping.deleted)):
        return DocumentDeleted(tenant=tenant, document=document, reason="deleted at the source", version=version)
    body = fields.get(mapping.body)
    if body in (None, ""):
        # What was there is to be found no longer; refusing the empty text would leave it in the index.
        return DocumentDeleted(tenant=tenant, document=document, reason="its text was emptied", version=version)
    return DocumentChanged(
        tenant=tenant,
        document=document,
        media_type=mapping.media_type,
        body=_text(body, mapping.body).encode(),
        title=_text(fields.get(mapping.title) or "", mapping.title) if mapping.title else "",
        source_uri=_text(fields.get(mapping.uri) or "", mapping.uri) if mapping.uri else "",
        access=_access(fields.get(mapping.access)) if mapping.access and fields.has(mapping.access) else ("*",),
        version=version,
    )


def tombstoned(mapping: FieldMapping, key: bytes) -> DocumentDeleted:
    """The delete that a tombstone means, where the key alone names the document. Raises Reject."""
    if mapping.version:
        raise Reject(
            f"a tombstone has no field {mapping.version!r} to take a version from; "
            "declare the field `deleted`, and send a record with it instead"
        )
    tenant, document = _named(_Fields({}, key), mapping)
    return DocumentDeleted(tenant=tenant, document=document, reason="deleted at the source")


@dataclass(frozen=True)
class _Fields:
    """A record, asked by path."""

    record: Any
    key: bytes

    def has(self, path: str) -> bool:
        return self._find(path)[0]

    def get(self, path: str) -> Any:
        return self._find(path)[1]

    def _find(self, path: str) -> tuple[bool, Any]:
        if path == KEY:
            try:
                return bool(self.key), self.key.decode()
            except UnicodeDecodeError as error:
                raise Reject(f"wanted a key in UTF-8, got {self.key[:40]!r}") from error
        found = self.record
        for part in path.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
                found = found[int(name)]
            else:
                return False, None
        return True, found


def _named(fields: _Fields, mapping: FieldMapping) -> tuple[str, str]:
    tenant = mapping.tenant or _required(fields, mapping.tenant_field)
    parts = [quote(_required(fields, path), safe="") for path in mapping.id]
    document = "/".join([mapping.prefix, *parts] if mapping.prefix else parts)
    if "|" in tenant or len(document) > _DOCUMENT_CHARS:
        raise Reject(f"wanted a tenant without '|' and a name of at most {_DOCUMENT_CHARS} characters, got {tenant!r}")
    return tenant, document


def _required(fields: _Fields, path: str) -> str:
    found = fields.get(path)
    if found in (None, "") or isinstance(found, dict | list | bool):
        names = ", ".join(sorted(map(str, fields.record))[:8]) if isinstance(fields.record, dict) else ""
        raise Reject(f"wanted text or a number at {path!r}, got {found!r}; the record has: {names or 'no fields'}")
    return str(found)


def _version(fields: _Fields, mapping: FieldMapping, offset: int) -> Version | None:
    if not mapping.version:
        return None
    found = fields.get(mapping.version)
    text = str(found)
    if isinstance(found, bool) or not text.isascii() or not text.isdigit():
        raise Reject(f"wanted a whole number that is not negative at {mapping.version!r}, got {found!r}")
    return Version(source=int(text), offset=offset)


def _text(found: Any, path: str) -> str:
    if isinstance(found, bytes):
        try:
            return found.decode()
        except UnicodeDecodeError as error:
            raise Reject(f"wanted text in UTF-8 at {path!r}, got {found[:40]!r}") from error
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, default=str)


def _access(stated: Any) -> tuple[str, ...]:
    """Who may see it. A list that says nothing admits nobody."""
    if isinstance(stated, str):
        stated = stated.split(",")
    if stated is not None and not isinstance(stated, Sequence):
        raise Reject(f"wanted an access list as an array or words between commas, got {type(stated).__name__}")
    return tuple(word for entry in stated or () if (word := str(entry).strip()))


def _is_true(found: Any) -> bool:
    return found not in (None, False, 0, "", "false", "False", "0")
