"""Asks two index generations the same questions, beside those who serve: nothing is asked of a worker.

The way of a comparison:
1. A local index belongs to one process, so what lies in its folder is copied, and the copy is asked. The log of objects
   is only ever added to, so a copy of any moment is whole but for its end, which opening drops.
2. The heads of both come from the log.
3. Golden questions, and those asked last, go through `retrieve` with each generation's model, store and heads.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adapters.one_serving import OneGeneration, OneServing
from processors.answer.retrieve import retrieve
from processors.measure.comparing import Comparison, compare
from processors.ports import Clock, Heads
from schemas.codec import Codec
from schemas.documents import GenerationRegistered
from schemas.queries import Query, QueryAsked, QueryPlanned
from streams.generation_log import HeadViews
from streams.generation_parts import GenerationParts
from streams.parts import Parts
from streams.reading import Reader, Slice
from streams.settings import Settings
from topics.answer import QUERY_ASKED

__all__ = ["Question", "asked_lately", "compare_generations", "golden"]

_LOG_FILE: Final = "objects.log"


@dataclass(frozen=True)
class Question:
    """A question, who asks it, and what is right, where somebody said so."""

    id: str
    tenant: str
    text: str
    groups: tuple[str, ...] = ()
    user: str = ""
    relevant: Mapping[str, int] | None = None


def golden(lines: Sequence[Mapping[str, Any]], tenant: str) -> list[Question]:
    """Questions of a golden set: `{id, question, passage | relevant, tenant?, groups?}`, as `eval retrieval` takes."""
    return [
        Question(
            id=f"golden/{line['id']}",
            tenant=str(line.get("tenant", tenant)),
            text=str(line["question"]),
            groups=tuple(line.get("groups", ())),
            relevant={str(name): int(grade) for name, grade in (line.get("relevant") or {line["passage"]: 1}).items()},
        )
        for line in lines
    ]


def asked_lately(settings: Settings, codec: Codec, clock: Clock, most: int) -> list[Question]:
    """The questions asked last, at most so many per partition."""
    with Reader(settings.kafka, codec, clock) as reader:
        events = [reading.event for reading in reader.read(QUERY_ASKED.name, Slice(last=most))]
    asked = [event for event in events if isinstance(event, QueryAsked)]
    return [
        Question(f"asked/{one.query.query_id}", one.tenant, one.query.question, one.query.groups, one.query.user)
        for one in sorted(asked, key=lambda one: one.occurred_at)[-most:]
    ]


def compare_generations(
    settings: Settings, codec: Codec, pair: Sequence[GenerationRegistered], questions: Sequence[Question]
) -> Comparison:
    """What the old and the new of a pair find. Raises what opening an index raises."""
    names = [registered.generation for registered in pair]
    with ExitStack() as stack:
        copies = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headwater-compare-")))
        root = Parts(_reading_from(settings, copies, names))
        root.__dict__["codec"] = codec
        stack.callback(root.close)
        heads = stack.enter_context(HeadViews(settings, codec, root.port("clock"), names))
        runs = []
        for registered in pair:
            with _opened(root, registered, heads.views[registered.generation]) as (serving, parts):
                runs.append({one.id: _found(serving, parts, one) for one in questions})
    relevant = {one.id: one.relevant for one in questions if one.relevant}
    return compare(runs[0], runs[1], relevant)


def _reading_from(settings: Settings, copies: Path, names: Sequence[str]) -> Settings:
    """The same settings over copies of the folders."""
    for name in names:
        log = settings.index.folder / name / _LOG_FILE
        if log.is_file():
            (copies / name).mkdir()
            shutil.copyfile(log, copies / name / _LOG_FILE)
    return settings.model_copy(update={"index": settings.index.model_copy(update={"folder": copies})})


@contextmanager
def _opened(root: Parts, registered: GenerationRegistered, heads: Heads) -> Iterator[tuple[OneServing, Parts]]:
    parts = GenerationParts(root, registered)
    try:
        yield (
            OneServing(OneGeneration(registered.generation, parts.port("embedder"), parts.port("store"), heads)),
            parts,
        )
    finally:
        parts.close()


def _found(serving: OneServing, parts: Parts, question: Question) -> tuple[str, ...]:
    """The documents found, each once, best first."""
    query = Query(query_id=question.id, question=question.text, groups=question.groups, user=question.user)
    planned = QueryPlanned(tenant=question.tenant, query=query, kind="retrieval", variants=(question.text,))
    (found,) = retrieve(planned, serving, parts.port("retrieval"), parts.port("clock"))
    return tuple(dict.fromkeys(passage.document for passage in found.passages))
