"""What one tenant of a Weaviate collection holds: rows by id, which of them are in doubt, and how they go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from adapters.weaviate_names import object_uuid
from adapters.weaviate_seals import Seals

if TYPE_CHECKING:
    from weaviate.collections import Collection

__all__ = ["MARKS", "PAGE", "doubtful", "forget", "pages", "rows", "seal_uuid", "searchable", "unhinted"]

# Far below what one call may return (10,000) or delete, and what a filter by ids takes without slowing down.
PAGE: Final = 256
MARKS: Final = ["writer", "call"]

Rows = dict[str, Any]
"""Rows by their UUID."""


def pages(names: Iterable[str]) -> Iterator[list[str]]:
    """The names, each once, in bounded pages."""
    held = list(dict.fromkeys(names))
    for start in range(0, len(held), PAGE):
        yield held[start : start + PAGE]


def seal_uuid(writer: str) -> str:
    """Where a writer's seal stands, among the objects of the tenant."""
    return object_uuid(f"seal {writer}")


def rows(held: Collection[Any, Any], uuids: Sequence[str], properties: list[str]) -> Rows:
    """The rows of these UUIDs that are stored, at most a page of them."""
    found = held.query.fetch_objects_by_ids(uuids, limit=len(uuids), return_properties=properties)
    return {str(row.uuid): row for row in found.objects}


def doubtful(held: Collection[Any, Any], tenant: str, found: Rows, seals: Seals) -> list[str]:
    """The UUIDs among these rows (with `writer` and `call`) whose write is not known to be whole."""

    def covered(row: Any) -> bool:
        return seals.covers(tenant, row.properties["writer"] or "", int(row.properties["call"] or 0))

    open_ = {uuid: row for uuid, row in found.items() if not covered(row)}
    writers = {str(row.properties["writer"]) for row in open_.values()}
    for page in pages(writers):
        for row in rows(held, [seal_uuid(writer) for writer in page], MARKS).values():
            seals.read(tenant, row.properties["writer"], int(row.properties["call"]))
    return [uuid for uuid, row in open_.items() if not covered(row)]


def searchable(held: Collection[Any, Any], uuids: Sequence[str], vector: Sequence[float]) -> set[str]:
    """Those of a page of UUIDs that a search by vector can find."""
    from weaviate.classes.query import Filter

    near = held.query.near_vector(
        list(vector), limit=len(uuids), filters=Filter.by_id().contains_any(uuids), return_properties=[]
    )
    return {str(row.uuid) for row in near.objects}


def unhinted(held: Collection[Any, Any], uuids: Sequence[str], access: tuple[str, ...]) -> set[str]:
    """Those of a page of UUIDs that a filter by any of these principals does not find."""
    from weaviate.classes.query import Filter

    if not access:
        return set()
    only = Filter.by_id().contains_any(uuids) & Filter.by_property("access").contains_all(list(access))
    found = held.query.fetch_objects(filters=only, limit=len(uuids), return_properties=[])
    return set(uuids) - {str(row.uuid) for row in found.objects}


def forget(held: Collection[Any, Any], uuids: Sequence[str]) -> int:
    """Deletes a page of UUIDs; a call deletes a bounded number, so it asks until none is left."""
    from weaviate.classes.query import Filter

    gone = 0
    # Each round deletes at least one, so that there are never more rounds than UUIDs.
    for _ in range(len(uuids) + 1):
        done = held.data.delete_many(Filter.by_id().contains_any(uuids))
        gone += done.successful
        if done.failed:
            raise OSError(f"it kept {done.failed} of {done.matches} objects that were to be deleted")
        if not done.matches:
            return gone
    raise OSError(f"{len(uuids)} objects were deleted {gone} times and still match")
