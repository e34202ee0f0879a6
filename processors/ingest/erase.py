"""Erase: everything of a document leaves every store, is looked for again, and the receipt says what was found.

The way of a plan (`erase`):
1. Wait until the delete that came with the plan is a head, in every generation: nothing older can come back from
   then on.
2. Remove from every store what was planned and what is there now; where a newer life of the document has begun, what
   belongs to it stays.
3. Read every store again.
4. One receipt. A store that is away pauses the hop before it, so there is no half one; done again after a crash, it
   says the same, since it counts what was planned.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from processors.contract import Reject, Stop
from processors.ingest.erasing import Erasable, ErasureLog, Lives, LogForgets
from schemas.documents import DocumentErased, DocumentHead, ErasurePlanned, ErasureRequested, StoreErasure
from schemas.envelope import Event, Micros

__all__ = ["LETTERS", "erase"]

LETTERS: Final = "dead letters"
"""The store whose things only time removes: a dead letter is evidence of what went wrong."""

_LOOK_AGAIN_S: Final = 0.2


def erase(
    plans: Sequence[ErasurePlanned], erasables: Iterable[Erasable], erasure_log: ErasureLog, lives: Lives
) -> list[list[Event] | Reject]:
    """One DocumentErased per plan; or the request again, where a newer change of the source outran its delete.

    Raises Stop while a delete is on its way.
    """
    return [[_erased(plan, erasables, erasure_log, lives)] for plan in plans]


def _erased(
    plan: ErasurePlanned, erasables: Iterable[Erasable], erasure_log: ErasureLog, lives: Lives
) -> DocumentErased | ErasureRequested:
    # 1. The delete is a head.
    heads = lives.heads(plan.tenant, plan.document)
    if plan.deleted and any(_is_outrun(plan, head, erasure_log) for head in heads):
        return ErasureRequested(tenant=plan.tenant, document=plan.document, reason=plan.reason, request=plan.request)
    life = _life(heads)
    planned = {store.store: frozenset(store.things) for store in plan.stores}
    stays = frozenset(chunk.object_id for chunk in life.chunks) if life else frozenset[str]()
    # 2. Remove.
    removing = {}
    for store in erasables:
        there = store.held(plan.tenant, plan.document, life) - stays
        removing[store.name] = (there | planned.get(store.name, frozenset())) - stays
        store.erase(plan.tenant, plan.document, there)
    # 3. Read again.
    stores = []
    for store in erasables:
        left = store.held(plan.tenant, plan.document, life) - stays
        removed = removing[store.name] - left
        stores.append(StoreErasure(store=store.name, removed=len(removed), left=len(left)))
    # 4. The receipt.
    letters = any(store.store == LETTERS and store.left for store in stores)
    forgets = erasure_log.forgets(letters)
    return DocumentErased(
        tenant=plan.tenant,
        document=plan.document,
        stores=tuple(stores),
        forgotten_by=_forgotten_by(forgets),
        request=plan.request,
        reason=plan.reason,
        note="; ".join(_notes(plan, stores, life) + _elsewhere(lives) + _bounds(forgets, erasure_log.answers_forget())),
    )


def _life(heads: Iterable[DocumentHead | None]) -> DocumentHead | None:
    """The life that began after the delete, with what any generation lists of it; None where there is none."""
    alive = [head for head in heads if head is not None and not head.gone]
    if not alive:
        return None
    return msgspec.structs.replace(alive[0], chunks=tuple(chunk for head in alive for chunk in head.chunks))


def _elsewhere(lives: Lives) -> list[str]:
    names = ", ".join(lives.unreached)
    return (
        [f"not open where it was erased, each forgets it by its own worker: index generation {names}"] if names else []
    )


def _is_outrun(plan: ErasurePlanned, head: DocumentHead | None, erasure_log: ErasureLog) -> bool:
    """Whether a change that came before the delete is newer than it. Raises Stop while the delete is on its way.

    A head that is alive and newer than the plan is such a change, one that the delete still follows, or a new life:
    the last word in the log of changes tells them apart.
    """
    if head is None or head.version <= plan.after:
        raise Stop(f"the delete of document {plan.document!r} is not a head yet", after_s=_LOOK_AGAIN_S)
    if head.gone:
        return False
    standing = erasure_log.standing(plan.tenant, plan.document)
    if standing.alive:
        return False
    if standing.deleted is None or standing.deleted > head.version:
        raise Stop(f"the delete of document {plan.document!r} is not a head yet", after_s=_LOOK_AGAIN_S)
    return True


def _forgotten_by(forgets: Iterable[LogForgets]) -> Micros:
    moments = [log.by for log in forgets]
    known = [by for by in moments if by is not None]
    return max(known, default=Micros(0)) if len(known) == len(moments) else Micros(0)


def _notes(plan: ErasurePlanned, stores: Sequence[StoreErasure], life: DocumentHead | None) -> list[str]:
    notes = []
    if not plan.deleted and not any(store.removed or store.left for store in stores):
        notes.append("nothing of it was there: never known, or erased before")
    if life is not None:
        notes.append("a new life began after the delete and stays: the document was published again")
    if any(store.store == LETTERS and store.left for store in stores):
        notes.append(f"its {LETTERS} go by their topics' retention")
    return notes


def _bounds(forgets: Sequence[LogForgets], quoting: Sequence[LogForgets]) -> list[str]:
    unbounded = [f"{log.topic} ({log.setting})" for log in (*forgets, *quoting) if log.by is None]
    notes = [f"no bound on forgetting: {', '.join(unbounded)}"] if unbounded else []
    if latest := _forgotten_by(quoting):
        day = datetime.fromtimestamp(latest / 1_000_000, UTC).date()
        notes.append(f"answers that quoted it go by their topics' retention, the last by {day}")
    return notes
