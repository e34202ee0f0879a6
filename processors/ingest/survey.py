"""Survey: what there is of a document that is to be erased, written down before anything is removed.

The delete and the plan go out in one transaction, so there is never the one without the other; and since the plan
stands in a log, a crash in the middle of the removal changes nothing on the receipt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from processors.contract import Reject
from processors.ingest.erasing import Erasable, ErasureLog, Lives
from processors.ingest.heads import NO_VERSION
from schemas.documents import DocumentDeleted, ErasurePlanned, ErasureRequested, StorePlan
from schemas.envelope import Event, Version

__all__ = ["survey"]


def survey(
    requests: Sequence[ErasureRequested], erasables: Iterable[Erasable], erasure_log: ErasureLog, lives: Lives
) -> list[list[Event] | Reject]:
    """A delete and a plan for every request; a plan alone where nothing of the document is known.

    A document whose versions are positions of a source gets a delete one step behind the newest of them; any other
    takes the offset of the delete itself.
    """
    return [_surveyed(request, erasables, erasure_log, lives) for request in requests]


def _surveyed(
    request: ErasureRequested, erasables: Iterable[Erasable], erasure_log: ErasureLog, lives: Lives
) -> list[Event]:
    tenant, document = request.tenant, request.document
    stores = tuple(
        StorePlan(store=store.name, things=tuple(sorted(store.held(tenant, document, None)))) for store in erasables
    )
    standing = erasure_log.standing(tenant, document)
    heads = [head for head in lives.heads(tenant, document) if head is not None]
    newest = max((standing.newest or NO_VERSION, *(head.version for head in heads)))
    # A change that is no head yet, a delete too, is waited for behind a delete of this erasure's own.
    last_known = min((head.version for head in heads), default=NO_VERSION)
    on_its_way = standing.newest is not None and standing.newest > last_known
    deleted = standing.alive or on_its_way or any(not head.gone for head in heads)
    plan = ErasurePlanned(
        tenant=tenant,
        document=document,
        request=request.request or request.event_id,
        reason=request.reason,
        stores=stores,
        deleted=deleted,
        after=newest,
    )
    if not deleted:
        return [plan]
    version = Version(source=newest.source, offset=newest.offset + 1) if newest.source > 0 else None
    reason = f"erased: {request.reason}" if request.reason else "erased"
    return [DocumentDeleted(tenant=tenant, document=document, reason=reason, version=version), plan]
