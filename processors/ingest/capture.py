"""Capture: a source's row change becomes a change of a document, of its access list, or of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec

from processors.contract import Reject
from processors.ingest.mapping import TopicMapping
from processors.ingest.topic_records import captured
from processors.ports import Claims
from schemas.changes import UNAVAILABLE, ChangeError, Row, RowChange, SourceRecord, read_change
from schemas.documents import AccessChanged, Claim, DocumentChanged, DocumentDeleted, DocumentHead
from schemas.envelope import Version

__all__ = [
    "INLINE_BYTES",
    "MAX_COLUMN_CHARS",
    "Captured",
    "HeadsOf",
    "SourceMapping",
    "TableMapping",
    "capture",
    "document_name",
]

INLINE_BYTES: Final = 256_000
"""Larger bodies are claim-checked, as they are at every other door (`streams/publishing.py`)."""

MAX_COLUMN_CHARS: Final = 12_000_000
"""Where our connectors cut a longer body off, so that no row is too large for its topic and stops the others."""

Captured = DocumentChanged | DocumentDeleted | AccessChanged
HeadsOf = Callable[[str], Iterable[DocumentHead]]
"""The committed heads of the documents whose names begin so."""


@dataclass(frozen=True)
class TableMapping:
    """Which columns of a table make a document. Declare one per table that is to be searchable.

    >>> TableMapping(id_columns=("id",), body="text", tenant="acme").media_type
    'text/plain'

    The tenant is a column (`tenant_column`) or the same for all rows (`tenant`). The access column holds a JSON array,
    an array, or words between commas; a document without one is open to its whole tenant. `truncate`: a truncated
    table names no rows, so it is refused unless that is to be ignored, or to delete every document of the table.
    """

    id_columns: tuple[str, ...]
    body: str
    tenant: str = ""
    tenant_column: str = ""
    title: str = ""
    media_type: str = "text/plain"
    access_column: str = ""
    uri_column: str = ""
    truncate: Literal["reject", "ignore", "delete"] = "reject"

    def __post_init__(self) -> None:
        if not self.id_columns or bool(self.tenant) == bool(self.tenant_column):
            raise ValueError(
                "wanted id_columns, and either tenant or tenant_column, "
                f"got {self.id_columns!r}, {self.tenant!r} and {self.tenant_column!r}"
            )


@dataclass(frozen=True)
class SourceMapping:
    """The declared tables and topics, by name; what stands elsewhere is none of our business. `avro` reads a value."""

    tables: Mapping[str, TableMapping] = field(default_factory=dict)
    topics: Mapping[str, TopicMapping] = field(default_factory=dict)
    avro: Callable[[bytes], Any] = lambda _: None


def document_name(table: str, values: Iterable[Any]) -> str:
    """The document of a row: table and primary key, each part quoted, so that no two keys can look alike.

    >>> document_name("pages", ["a/b", 7])
    'pages/a%2Fb/7'
    """
    return "/".join([table, *(quote(str(value), safe="") for value in values)])


def capture(record: SourceRecord, mapping: SourceMapping, claims: Claims, heads_of: HeadsOf) -> Iterator[Captured]:
    """The document's events that a record tells of: none for tombstones, messages, and tables without a mapping.

    The version is the source's position, then the record's offset: what Debezium repeats after a crash is older.
    """
    if (declared := mapping.topics.get(record.topic)) is not None:
        yield captured(record, declared, mapping.avro)
        return
    try:
        change = read_change(record)
    except ChangeError as error:
        raise Reject(str(error)) from error
    table = mapping.tables.get(change.table) if change else None
    if change is None or table is None:
        return
    version = Version(source=change.position, offset=record.offset)
    if change.operation == "truncate":
        yield from _truncated(change, table, version, heads_of)
        return
    row = _Captured(change, table, version)
    events = [row.deleted()] if change.operation == "delete" else row.changed()
    # The freshness clock starts where the change was committed, if the source says when.
    trail = {"source": change.committed_at} if change.committed_at else {}
    yield from (msgspec.structs.replace(_claimed(event, claims), trail=trail) for event in events)


def _truncated(
    change: RowChange, table: TableMapping, version: Version, heads_of: HeadsOf
) -> Iterator[DocumentDeleted]:
    """A delete for every document of the table that was older; what came back since then has a higher version.

    Rows that are still on their way are not among them: `source add` lets the database delete row by row instead.
    """
    if table.truncate == "reject":
        raise Reject(
            f"table {change.table!r} was truncated, which names no documents; delete its rows one by one, "
            "or declare truncate: delete or truncate: ignore"
        )
    if table.truncate == "ignore":
        return
    for head in heads_of(f"{change.table}/"):
        if not head.gone and head.version < version:
            yield DocumentDeleted(
                tenant=head.tenant, document=head.document, reason="its table was truncated", version=version
            )


def _claimed(event: Captured, claims: Claims) -> Captured:
    """A large body goes where large bodies are kept, and the event names it."""
    if not isinstance(event, DocumentChanged) or event.body is None or len(event.body) <= INLINE_BYTES:
        return event
    sha256 = hashlib.sha256(event.body).hexdigest()
    claim = Claim(uri=claims.put(event.body), sha256=sha256, size=len(event.body))
    return msgspec.structs.replace(event, body=None, claim=claim)


@dataclass(frozen=True)
class _Captured:
    """A row change seen through its table's mapping."""

    change: RowChange
    table: TableMapping
    version: Version

    @property
    def tenant(self) -> str:
        if self.table.tenant:
            return self.table.tenant
        return str(self._known(self.table.tenant_column))

    @property
    def document(self) -> str:
        return document_name(self.change.table, [self._known(column) for column in self.table.id_columns])

    @property
    def _left(self) -> tuple[str, str] | None:
        """Tenant and name that the document had before this change, where it had others."""
        before, column = self.change.before, self.table.tenant_column
        names = [*self.table.id_columns, *([column] if column else [])]
        if any(before.get(name) is None for name in names):
            return None
        was_named = document_name(self.change.table, [before[name] for name in self.table.id_columns])
        was = (str(before[column]) if column else self.tenant, was_named)
        return was if was != (self.tenant, self.document) else None

    def deleted(self, reason: str = "deleted at the source") -> DocumentDeleted:
        return DocumentDeleted(tenant=self.tenant, document=self.document, reason=reason, version=self.version)

    def changed(self) -> Iterator[Captured]:
        """Access first: it takes nothing away when it is early, and a revocation must not wait for the content."""
        if (left := self._left) is not None:
            # Another tenant's document, or one of another name, from now on: what was there must not stay.
            yield DocumentDeleted(tenant=left[0], document=left[1], reason="moved at the source", version=self.version)
        if self.table.access_column and (left or self._may_differ(self.table.access_column)):
            yield AccessChanged(tenant=self.tenant, document=self.document, access=self._access(), version=self.version)
        if left is None and self._content_is_untouched():
            return
        if (body := self._column(self.table.body)) in (None, ""):
            # What was there is to be found no longer; refusing the empty text would leave it in the index.
            yield self.deleted("its text was emptied")
            return
        if len(str(body)) >= MAX_COLUMN_CHARS:
            raise Reject(
                f"wanted a text of less than {MAX_COLUMN_CHARS:,} characters in column {self.table.body!r} of table "
                f"{self.change.table!r}, got one that was cut off there; split the document"
            )
        yield DocumentChanged(
            tenant=self.tenant,
            document=self.document,
            media_type=self.table.media_type,
            body=str(body).encode(),
            title=str(self._column(self.table.title) or "") if self.table.title else "",
            source_uri=str(self._column(self.table.uri_column) or "") if self.table.uri_column else "",
            access=self._access() if self.table.access_column else ("*",),
            version=self.version,
        )

    def _content_is_untouched(self) -> bool:
        """Whether only other columns changed, as far as the record can tell.

        Without the row as it was, a body that came unchanged says that the content is the same; the access list alone
        then goes on, for a revocation must not be lost with it.
        """
        content = [name for name in (self.table.body, self.table.title, self.table.uri_column) if name]
        if self.change.before and all(name in self.change.before for name in content):
            return not any(self._may_differ(name) for name in content)
        return bool(self.table.access_column) and self.change.after.get(self.table.body) == UNAVAILABLE

    def _may_differ(self, column: str) -> bool:
        now = self.change.after.get(column)
        return now != UNAVAILABLE and (column not in self.change.before or self.change.before[column] != now)

    def _access(self) -> tuple[str, ...]:
        """Who may see it. A list that says nothing admits nobody."""
        stated = self._column(self.table.access_column)
        if isinstance(stated, str) and stated.lstrip().startswith("["):
            try:
                stated = json.loads(stated)
            except ValueError as error:
                raise Reject(f"wanted a JSON array in column {self.table.access_column!r}, got {stated!r}") from error
        if isinstance(stated, str):
            stated = stated.split(",")
        if not isinstance(stated, list | None):
            raise Reject(f"wanted an array in column {self.table.access_column!r}, got {type(stated).__name__}")
        return tuple(word for entry in stated or () if (word := str(entry).strip()))

    def _column(self, column: str) -> Any:
        """A column's value now; from the row as it was where the record leaves a large one out."""
        row = self.change.after
        if column not in row:
            raise self._unknown(column, row)
        if row[column] != UNAVAILABLE:
            return row[column]
        # A replica identity over an index leaves its other columns null, and null is never too large to come along.
        if (was := self.change.before.get(column)) not in (None, UNAVAILABLE):
            return was
        raise Reject(
            f"column {column!r} of table {self.change.table!r} did not come with the change ({UNAVAILABLE}); "
            "set REPLICA IDENTITY FULL on the table, then update the row again"
        )

    def _known(self, column: str) -> Any:
        """A column that names the document: from whichever of row and key has it."""
        for row in (self.change.after, self.change.before, self.change.key):
            if row.get(column) is not None:
                return row[column]
        raise self._unknown(column, self.change.after or self.change.before or self.change.key)

    def _unknown(self, column: str, row: Row) -> Reject:
        return Reject(
            f"wanted column {column!r} of table {self.change.table!r}, got {', '.join(sorted(row)) or 'no columns'}; "
            "correct the mapping, or set REPLICA IDENTITY FULL if it is missing in deletes only"
        )
