"""Settle: the view takes the head, then what nobody lists any more leaves the index, then the receipt.

In this order, and only for heads that are committed: a reader that goes by the old head still finds its objects, and
one that goes by the new head never misses any. It can run again at any time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from processors.contract import Reject
from processors.ingest.heads import NO_ACCESS_VERSION
from processors.ingest.memories import owner_in
from processors.ports import Duplicates, Heads, Index
from schemas.documents import DocumentHead, DocumentIndexed
from schemas.envelope import Event

__all__ = ["settle"]


def settle(
    events: Sequence[DocumentHead], store: Index, heads: Heads, duplicates: Duplicates | None = None
) -> list[list[Event] | Reject]:
    """One DocumentIndexed per head of the view's generation, nothing for others.

    With `duplicates` the receipt says which document, of those known by then, the new content is nearly equal to.

    Never fuse it with `index`: a head that is not committed yet must not delete.
    """
    for head in events:
        heads.fold(head)
    current = _current(events, heads)
    ours = [(head, now) for head in events if (now := _now(head, current))]
    _remove(ours, store)
    _patch_access(ours, store)
    return [[_receipt(head, _twin(head, duplicates))] if _now(head, current) else [] for head in events]


def _current(events: Sequence[DocumentHead], heads: Heads) -> dict[tuple[str, str], DocumentHead]:
    """What the view holds of every document of the batch, asked once per tenant: a view may be a round trip away."""
    by_tenant: defaultdict[str, set[str]] = defaultdict(set)
    for head in events:
        by_tenant[head.tenant].add(head.document)
    found = ((tenant, heads.get_many(tenant, sorted(documents))) for tenant, documents in by_tenant.items())
    return {(tenant, document): head for tenant, held in found for document, head in held.items()}


def _now(head: DocumentHead, current: Mapping[tuple[str, str], DocumentHead]) -> DocumentHead | None:
    """What the view holds for a head's document; None where the head is of a generation that the view is not of."""
    now = current.get((head.tenant, head.document))
    return now if now and now.generation == head.generation else None


def _remove(ours: Sequence[tuple[DocumentHead, DocumentHead]], store: Index) -> None:
    """Deletes what superseded heads alone listed; never what the view's head lists, however old the event is."""
    superseded: defaultdict[str, set[str]] = defaultdict(set)
    for head, now in ours:
        superseded[head.tenant] |= set(head.removed) - {chunk.object_id for chunk in now.chunks}
    for tenant, object_ids in superseded.items():
        if object_ids:
            store.remove(tenant, sorted(object_ids))


def _patch_access(ours: Sequence[tuple[DocumentHead, DocumentHead]], store: Index) -> None:
    """Brings the hint on the objects up to the view's head, once per document."""
    behind = {(now.tenant, now.document): now for head, now in ours if _touches_access(head) and now.chunks}
    for (tenant, _), now in behind.items():
        store.set_access(tenant, [chunk.object_id for chunk in now.chunks], now.access)


def _touches_access(head: DocumentHead) -> bool:
    """Whether the filter hint on objects may be behind: the list changed, maybe while chunks were on the way."""
    return head.outcome == "access" or (head.added > 0 and head.access_version != NO_ACCESS_VERSION)


def _twin(head: DocumentHead, duplicates: Duplicates | None) -> str:
    """Another document like this one; asked for new content only, since access lists and deletes say nothing."""
    # Whether a note says the same as a document is nobody's business.
    if duplicates is None or owner_in(head.document):
        return ""
    duplicates.fold(head)
    return duplicates.like(head) if head.outcome == "indexed" and head.words_hash else ""


def _receipt(head: DocumentHead, twin: str) -> DocumentIndexed:
    """The receipt names the version it is about: that of the access list where only this changed."""
    return DocumentIndexed(
        tenant=head.tenant,
        document=head.document,
        version=head.access_version if head.outcome == "access" else head.version,
        outcome=head.outcome,
        generation=head.generation,
        kept=head.kept,
        added=head.added,
        removed=len(head.removed),
        near_duplicate_of=twin,
    )
