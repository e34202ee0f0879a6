"""Where the time of an update goes: from topic to topic, by what the records and the receipts say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.host import SystemClock
from adapters.schema_registry import ConfluentSchemaIds
from headwater.local.stack import Stack
from schemas.codec import Codec
from schemas.documents import DocumentIndexed
from streams.reading import Reader
from streams.settings import load
from topics.ingest import DOCUMENT_INDEXED

__all__ = ["Trial", "stages", "summary"]

STEPS: Final = ("capture", "parse", "redact", "chunk", "embed", "index")


@dataclass(frozen=True)
class Trial:
    """One update: when its commit began and had ended, and when a reader had found it; seconds since 1970."""

    began: float
    committed: float
    found: float

    @property
    def milliseconds(self) -> float:
        return (self.found - self.began) * 1000


def stages(stack: Stack, trials: Sequence[Trial], topic: str, document: str) -> dict[str, dict[str, float]]:
    """Milliseconds from moment to moment of the newest updates of one document, the last one being found.

    `connect` ends when the row's change stands on its topic; `found` begins when the step `index` has its head ready,
    and holds the transaction, the view and the last look of the reader. `settle` is no part of it: the receipt comes
    after the index step as well, beside whoever searches already.
    """
    settings = load(kafka={"bootstrap": stack.addresses.bootstrap})
    codec = Codec(ConfluentSchemaIds(stack.addresses.registry_url))
    with Reader(settings.kafka, codec, SystemClock()) as reader:
        rows = [one.at / 1e6 for one in reader.read(topic) if _is_of(one.value, document)]
        events = [one.event for one in reader.read(DOCUMENT_INDEXED.name)]
    trails = [one.trail for one in events if isinstance(one, DocumentIndexed) and one.document == document]
    last = len(trials)
    spans: dict[str, list[float]] = {}
    for trial, row, trail in zip(trials, rows[-last:], trails[-last:], strict=True):
        moments = {"commit": trial.committed, "connect": row}
        moments |= {step: trail[step] / 1e6 for step in STEPS if step in trail}
        before = trial.began
        for name, moment in (*moments.items(), ("found", trial.found)):
            spans.setdefault(name, []).append((moment - before) * 1000)
            before = moment
        if "settle" in trail and "index" in trail:
            spans.setdefault("settle", []).append((trail["settle"] - trail["index"]) / 1000)
    return {stage: summary(values) for stage, values in spans.items()}


def summary(milliseconds: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and the slowest."""
    ordered = sorted(milliseconds)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

    return {"p50_ms": at(0.5), "p95_ms": at(0.95), "max_ms": round(ordered[-1], 1)}


def _is_of(value: bytes | None, document: str) -> bool:
    """Whether a change is of the row that makes the document."""
    row: Any = json.loads(value)["after"] if value else None
    return bool(row) and f"gates/{row['id']}" == document
