"""Index: objects first, then the head that lists them. Stateless: what a document is stands in the view of heads.

The way of a batch (`index`):
1. Read the heads that are committed, of every document in the batch.
2. Plan: each event against the heads that the ones before it leave.
3. Ask which of the objects the index holds; write the others in one call, which returns once they are searchable.
4. A manifest whose objects are not all held is refused, and what follows it is planned anew.
5. Emit heads and receipts; the engine writes them and the offsets in one transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from processors.contract import Outcome, Reject, Stop
from processors.ingest.planning import Held, Indexable, Plan
from processors.ports import Heads, Index
from schemas.documents import DocumentHead
from schemas.envelope import Event

__all__ = ["fold", "index"]


def index(events: Sequence[Indexable], store: Index, heads: Heads, generation: str) -> list[list[Event] | Reject]:
    """A head for every manifest, delete and access change that is news; a receipt for every one that is not.

    The view must hold every committed head of these documents before. Raises Stop where the index fails or has lost
    objects that a head lists: nothing was decided then.
    """
    # 1. The heads that are committed.
    committed = _committed(events, heads)
    held: set[Held] = set()
    refused: dict[int, str] = {}
    while True:
        # 2. Plan, 3. write.
        plan = Plan.of(events, committed, generation, refused)
        held |= _written(plan, store, held)
        # 4. Refuse; every round refuses at least one manifest more, so there is a last one.
        missing = plan.missing(held)
        if not missing:
            return plan.outputs
        refused |= _refusals(plan, missing)


def fold(events: Iterable[Event], heads: Heads) -> None:
    """Gives the view the heads that were just committed. Use it after the transaction, for freshness."""
    for event in events:
        if isinstance(event, DocumentHead):
            heads.fold(event)


def _committed(events: Sequence[Indexable], heads: Heads) -> dict[tuple[str, str], DocumentHead]:
    by_tenant: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for event in events:
        by_tenant[event.tenant][event.document] = None
    return {
        (tenant, document): head
        for tenant, documents in by_tenant.items()
        for document, head in heads.get_many(tenant, documents).items()
    }


def _written(plan: Plan, store: Index, held: set[Held]) -> set[Held]:
    """The objects of a plan that the index holds now, after writing those that it did not."""
    asked: defaultdict[str, list[str]] = defaultdict(list)
    for tenant, object_id in sorted(plan.needed() - held):
        asked[tenant].append(object_id)
    with _pausing_where_it_fails():
        have = {(tenant, found) for tenant, ids in asked.items() for found in store.existing(tenant, ids)}
        new = [thing for place, thing in plan.objects.items() if place not in have and place not in held]
        if new:
            store.upsert(new)
    return have | {(thing.tenant, thing.object_id) for thing in new}


@contextmanager
def _pausing_where_it_fails() -> Iterator[None]:
    """Any failure of the index pauses the hop. Halving the batch instead would plan its second half without the heads
    of the first, which nobody can see yet."""
    try:
        yield
    except Outcome:
        raise
    except Exception as error:
        raise Stop(f"the index failed: {type(error).__name__}: {error}") from error


def _refusals(plan: Plan, missing: dict[int, list[str]]) -> dict[int, str]:
    """Manifests to refuse. Raises Stop if only objects are missing that heads list already: then the index was lost."""
    refusals = {}
    for position, ids in missing.items():
        new = [object_id for object_id in ids if object_id not in plan.stayed[position]]
        if new:
            head = plan.manifests[position]
            refusals[position] = (
                f"wanted all {len(head.chunks)} chunks of document {head.document!r} in the index, {len(new)} are "
                "missing: look for them in the dead letters of the steps before, then publish the document again"
            )
    if not refusals:
        head = plan.manifests[min(missing)]
        raise Stop(
            f"the index lacks objects that the head of document {head.document!r} lists ({missing[min(missing)][0]}, "
            f"and {sum(map(len, missing.values())) - 1} more): it was lost; "
            "replay rag.document.redacted.v1 to build it again",
            after_s=5.0,
        )
    return refusals
