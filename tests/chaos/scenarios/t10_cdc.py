"""T10: a table changes at random while all that follows it is killed: in the end the index is the table.

PostgreSQL, Debezium on Kafka Connect (exactly-once), two ingest workers, Weaviate and Redis. A reader in a process of
its own polls the real retrieval, through the fence, all the while: no answer may mix two revisions of a document, go
back to an older one, bring back what was gone, or say what was rolled back.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.chaos.cdc_judge import judge_end, judge_reads
from tests.chaos.cdc_parts import CdcParts
from tests.chaos.cdc_reader import ReaderSpec
from tests.chaos.cdc_run import FLUSH, CdcRun
from tests.chaos.cdc_writer import Writer
from tests.chaos.checker import Findings
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged

PAUSES_S: Final = (2.0, 5.0)
LONG_PAUSES_S: Final = (3.0, 15.0)
DOWN_S: Final = 2.0
"""How long at most something that was killed stays away before it is begun again."""


def wear(run: CdcRun, writer: Writer, targets: Sequence[str], pauses_s: tuple[float, float], seed: int) -> float:
    """Writes while one target after the other is killed; returns the seconds it took."""
    chance = random.Random(seed)
    began, threads, left = time.monotonic(), writer.run(), list(targets)
    while left or any(thread.is_alive() for thread in threads):
        time.sleep(chance.uniform(*pauses_s))
        if left:
            target = left.pop()
            run.kill(target)
            time.sleep(chance.uniform(0.0, 0.0 if target == FLUSH else DOWN_S))
        run.revive()
    return time.monotonic() - began


def scheduled(run: CdcRun, form: Form, seed: int) -> list[str]:
    """Whom to kill: each once, or many at random."""
    chance = random.Random(seed)
    return form.pick(chance.sample(run.targets, len(run.targets)), chance.choices(run.targets, k=80))


def run(form: Form, seed: int, folder: Path) -> Outcome:
    documents, operations = form.pick(60, 5_000), form.pick(600, 50_000)
    findings = Findings()
    reader = ReaderSpec(str(folder), documents, seed=seed)
    with CdcParts(folder) as parts, CdcRun(parts, [reader]) as made:
        writer = Writer(parts.postgres.dsn, documents, operations, seed, rate=form.pick(20.0, 75.0))
        writer.create()
        made.follow()
        targets = scheduled(made, form, seed)
        written_s = wear(made, writer, targets, form.pick(PAUSES_S, LONG_PAUSES_S), seed)
        equal_s = made.await_equal(form.pick(90.0, 1_800.0))
        settled = made.await_settled(form.pick(60.0, 300.0))
        made.stop_workers()
        refused = judge_reads(made.history(reader.name), writer.committed, findings)
        figures = judge_end(made, documents, findings)
    outcome = judged(findings, **figures, **_written(writer, made))
    outcome.figures |= {"reads": findings.seen, "reads refused": dict(refused)}
    outcome.figures |= {"written in s": round(written_s, 1), "equal after s": round(equal_s, 1)}
    outcome.require(settled, "superseded objects were not removed in time")
    outcome.require(findings.seen > form.pick(300, 3_000), "the reader saw too little")
    outcome.require(not writer.problems, "the writer failed")
    return outcome


def control(form: Form, seed: int, folder: Path) -> Outcome:  # damage shows soon, or never
    """Without the fence a reader is given what the index holds: two revisions at a time. Without the proof that the
    view of heads is whole, what a flushed Redis does not know is gone, and comes back."""
    documents, findings = 60, Findings()
    spec = {"folder": str(folder), "documents": documents, "seed": seed}
    readers = [ReaderSpec(**spec, defence=one, name=f"without-{one}") for one in ("fence", "proof")]  # type: ignore[arg-type]  # fields by name
    with CdcParts(folder) as parts, CdcRun(parts, readers) as made:
        # Slowly, so that what was gone for a moment is seen to come back as it was.
        writer = Writer(parts.postgres.dsn, documents, 240, seed, rate=10.0)
        writer.create()
        made.follow()
        # A view that holds nothing yet has nothing to lose.
        made.await_equal(60.0)
        wear(made, writer, [FLUSH] * 40, (0.2, 0.5), seed)
        made.await_equal(60.0)
        made.stop_workers()
        damage = {}
        for reader in readers:
            found = Findings()
            judge_reads(made.history(reader.name), writer.committed, found)
            damage[reader.name] = found.line()
            _merge(findings, found, {"fence": ("inconsistent",), "proof": ("unexpected", "backwards")}[reader.defence])
        figures = {**damage, **_written(writer, made)}
    return control_outcome(findings, "inconsistent", "unexpected", **figures)


def _merge(findings: Findings, found: Findings, kinds: Sequence[str]) -> None:
    """Takes over the damage that a reader is there to show."""
    findings.seen += found.seen
    for kind in kinds:
        for example in found.found[kind]:
            findings.add(kind, example)


def _written(writer: Writer, made: CdcRun) -> dict[str, Any]:
    return {
        "operations": dict(writer.done),
        "problems of the writer": writer.problems,
        "kills": {name: count for name, count in made.kills.items() if count},
    }


T10: Final = Scenario(
    "T10",
    "CDC truth: PostgreSQL, Debezium, Weaviate, Redis",
    "kill -9 of Connect, workers, Weaviate and Redis, flushes, at random",
    run,
    control,
)
