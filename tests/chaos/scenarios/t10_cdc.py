"""T10: a table changes at random while Connect and the workers are killed: in the end the index is the table.

A reader in the worker's own process polls the real retrieval, through the fence, all the while: no answer may mix two
revisions of a document, go back to an older one, or bring back what was gone. What follows the heads and the index by
settings (`HEADWATER_…` in the environment) is what the workers use.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any, Final

from streams.parts import Parts
from tests.chaos.cdc_run import WORDS, CdcRun, judge_reads
from tests.chaos.cdc_worker import TENANT, ReaderSpec
from tests.chaos.cdc_writer import Writer
from tests.chaos.checker import Findings
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged

TARGETS: Final = (*WORDS, "connect")
LONG_PAUSES_S: Final = (2.0, 15.0)


def judge_end(run: CdcRun, findings: Findings) -> dict[str, Any]:
    """Whether documents and index are the table: missing, stale, resurrected, tails of shrunk documents."""
    rows, heads = run.rows(), {head.document: head for head in run.heads()}
    findings.source, findings.output = len(rows), sum(not head.gone for head in heads.values())
    for document, title in rows.items():
        head = heads.get(document)
        if head is None or head.gone:
            findings.add("lost", f"{document}: wanted {title}, it is missing")
        elif head.title != title:
            findings.add("lost", f"{document}: wanted {title}, it is {head.title}")
    for document, head in heads.items():
        if not head.gone and document not in rows:
            findings.add("unexpected", f"{document}: {head.title} is no row")
    parts = Parts(run.settings)
    held = {found.object_id for found in parts.port("store").walk(TENANT)}
    parts.close()
    listed = {chunk.object_id for head in heads.values() for chunk in head.chunks}
    for name in listed - held:
        findings.add("lost", f"object {name} is listed and not held")
    return {"documents": len(rows), "objects": len(held), "held and not listed": len(held - listed)}


def followed(form: Form, seed: int, folder: Path, fenced: bool, kills: int) -> tuple[Findings, dict[str, Any]]:
    """One run, and what it shows."""
    documents, operations = form.pick(60, 5_000), form.pick(600, 50_000)
    findings, chance = Findings(), random.Random(seed)
    reader = ReaderSpec(str(folder), documents, fenced, seed)
    with CdcRun(folder, reader) as run:
        writer = Writer(run.postgres.dsn, documents, operations, seed)
        writer.create()
        run.follow()
        began, threads = time.monotonic(), writer.run()
        while any(thread.is_alive() for thread in threads) or kills > 0:
            time.sleep(chance.uniform(*form.pick((0.5, 1.5), LONG_PAUSES_S)))
            if kills > 0:
                kills -= 1
                run.kill(TARGETS[kills % len(TARGETS)] if not form.long else chance.choice(TARGETS))
            run.revive()
        written_s = time.monotonic() - began
        equal_s = run.await_equal(form.pick(60.0, 600.0))
        run.stop_workers()
        judge_reads(run.polls(), findings)
        figures = {
            **judge_end(run, findings),
            "operations": dict(writer.done),
            "problems of the writer": writer.problems,
            "kills": dict(run.kills),
            "reads": findings.seen,
            "written in s": round(written_s, 1),
            "equal after s": round(equal_s, 1),
        }
    return findings, figures


def run(form: Form, seed: int, folder: Path) -> Outcome:
    findings, figures = followed(form, seed, folder, fenced=True, kills=form.pick(3, 60))
    outcome = judged(findings, **figures)
    outcome.require(figures["reads"] > form.pick(100, 10_000), "the reader saw too little")
    outcome.require(not figures["problems of the writer"], "the writer failed")
    return outcome


def control(form: Form, seed: int, folder: Path) -> Outcome:
    """Without the fence a reader is given what the index holds: two revisions at a time."""
    findings, figures = followed(Form(long=False), seed, folder, fenced=False, kills=0)
    return control_outcome(findings, "inconsistent", **figures)


T10: Final = Scenario(
    "T10", "CDC truth: PostgreSQL, Debezium, index", "kill -9 of Connect and workers at random", run, control
)
