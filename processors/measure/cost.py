"""Cost: a line of the ledger for everything a step spent, each with an id that makes it count once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from processors.contract import Reject
from processors.measure.prices import Prices
from schemas.documents import EmbeddingComputed
from schemas.envelope import Event, derived_id
from schemas.measures import CostRecorded, SubjectKind
from schemas.queries import AnswerDrafted, PassagesFound, PassagesRanked, Usage


def cost(
    spent: EmbeddingComputed | PassagesFound | PassagesRanked | AnswerDrafted, prices: Prices
) -> Iterator[CostRecorded]:
    """Turns what an event says it spent into cost lines. A repeat of the event has the same line ids."""
    if not spent.event_id:
        raise Reject(f"wanted an event id to count {type(spent).__name__} once, got none; emit it through a hop")
    if isinstance(spent, EmbeddingComputed):
        yield from _lines(spent, "document", spent.document, _embedding(spent), prices)
    else:
        yield from _lines(spent, "query", spent.query.query_id, spent.usage, prices)


def _embedding(computed: EmbeddingComputed) -> tuple[Usage, ...]:
    return (
        Usage(step="embed", model=computed.model, unit="tokens_in", quantity=float(computed.tokens)),
        Usage(step="embed", model=computed.model, unit="seconds", quantity=computed.seconds),
    )


def _lines(
    spent: Event, subject: SubjectKind, subject_id: str, usages: Sequence[Usage], prices: Prices
) -> Iterator[CostRecorded]:
    for ordinal, usage in enumerate(usages):
        charge = prices.charge(usage.model, usage.unit, usage.quantity)
        yield CostRecorded(
            tenant=spent.tenant,
            line_id=derived_id(spent.event_id, "cost", ordinal),
            subject=subject,
            subject_id=subject_id,
            step=usage.step,
            model=usage.model,
            unit=usage.unit,
            quantity=usage.quantity,
            price_version=charge.price_version,
            cost_micros=charge.cost_micros,
            currency=prices.currency,
        )
