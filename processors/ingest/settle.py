"""Settle: the view takes the head, then what nobody lists any more leaves the index, then the receipt.

In this order, and only for heads that are committed: a reader that goes by the old head still finds its objects, and
one that goes by the new head never misses any. It can run again at any time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from processors.contract import Reject
from processors.ingest.heads import NO_ACCESS_VERSION
from processors.ports import Heads, Index
from schemas.documents import DocumentHead, DocumentIndexed
from schemas.envelope import Event

__all__ = ["settle"]


def settle(events: Sequence[DocumentHead], store: Index, heads: Heads) -> list[list[Event] | Reject]:
    """One DocumentIndexed per head. Never fuse it with `index`: a head that is not committed yet must not delete."""
    for head in events:
        heads.fold(head)
    current = {(head.tenant, head.document): heads.get(head.tenant, head.document) for head in events}
    _remove(events, current, store)
    for (tenant, _), now in current.items():
        if now and any(_touches_access(head) for head in events if _same_document(head, now)):
            store.set_access(tenant, [chunk.object_id for chunk in now.chunks], now.access)
    return [[_receipt(head)] for head in events]


def _remove(
    events: Sequence[DocumentHead], current: dict[tuple[str, str], DocumentHead | None], store: Index
) -> None:
    """Deletes what superseded heads alone listed; never what the view's head lists, however old the event is."""
    superseded: defaultdict[str, set[str]] = defaultdict(set)
    for head in events:
        now = current[head.tenant, head.document]
        listed = {chunk.object_id for chunk in now.chunks} if now else set()
        superseded[head.tenant] |= set(head.removed) - listed
    for tenant, object_ids in superseded.items():
        if object_ids:
            store.remove(tenant, sorted(object_ids))


def _touches_access(head: DocumentHead) -> bool:
    """Whether the filter hint on objects may be behind: the list changed, or may have while chunks were on their way."""
    return head.outcome == "access" or (head.added > 0 and head.access_version != NO_ACCESS_VERSION)


def _same_document(head: DocumentHead, other: DocumentHead) -> bool:
    return (head.tenant, head.document) == (other.tenant, other.document)


def _receipt(head: DocumentHead) -> DocumentIndexed:
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
    )
