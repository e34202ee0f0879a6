"""T11: all is read again from 0, twice, then old records are strewn in between: the state is the same.

Of a hop with retry topics the state is what a reader keeps that goes by versions: per key the newest, whatever comes
later. Every repeat of a record has the event ids of the first time, so that nobody is charged twice. Of the ingest
journey it is the index itself: heads, objects and vectors, on the local index and on Weaviate; and nothing is embedded.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from schemas.documents import DocumentDeleted
from streams.parts import Parts
from tests.chaos.brokers import shared_broker
from tests.chaos.checker import Evidence, Findings, Rules, check
from tests.chaos.copying import CopyRun, Plan
from tests.chaos.replay_index import IndexRun, shuffled
from tests.chaos.replay_texts import Change, changes, newest
from tests.chaos.retried import LATER, originals, reset, retry_topics, settled, strew
from tests.chaos.rows import Row, make_topics, read_topic
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged
from tests.chaos.source import Flow

REPLAYS: Final = 2
KINDS: Final = ("local", "weaviate")
AGAIN: Final = Rules(exactly_once=False, order="none")


def state(rows: Sequence[Row], fenced: bool = True) -> dict[str, int]:
    """Per key the version that a reader keeps; without the fence whatever came last."""
    kept: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: (row.partition, row.offset)):
        if not fenced or row.seq >= kept.get(row.key, -1):
            kept[row.key] = row.seq
    return kept


def digest(kept: dict[str, int]) -> str:
    return hashlib.sha256(repr(sorted(kept.items())).encode()).hexdigest()[:16]


def again(run: CopyRun, handler: str) -> bool:
    """Workers begin anew, with records that fail anew; whether they came to the end."""
    run.fleet.start(*run.plan.slots, handler=handler)
    done = settled(run)
    run.fleet.stop_all()
    return done


def replays(run: CopyRun, seed: int, folder: Path) -> tuple[bool, int]:
    """Twice from 0, then a shuffled handful of old records through the retry topics; whether all came to the end."""
    done = True
    for number in range(REPLAYS):
        reset(run)
        done = again(run, f"flaky:{folder}/again-{number}") and done
    chance = random.Random(seed)
    found = originals(run)
    strewn = strew(run, chance.sample(found, len(found) // 3), chance)
    return again(run, f"flaky:{folder}/again-0") and done, strewn


def replayed(form: Form, seed: int, folder: Path, fenced: bool) -> tuple[Findings, Findings, dict[str, Any]]:
    """What the first pass and all of them together show, and the figures."""
    total = form.pick(300, 20_000)
    flow = Flow(rate=0.0, total=total, bulk=total)
    spec = {"handler": f"flaky:{folder}/first", "later": LATER}
    copy = CopyRun(Plan(shared_broker().bootstrap, flow, spec=spec), folder, seed)
    make_topics(copy.plan.bootstrap, dict.fromkeys(retry_topics(copy), copy.plan.partitions[0]))
    with copy as run:
        run.source.finish()
        done = settled(run)
        first = run.finish(Rules())
        all_done, strewn = replays(run, seed, folder)
        source, output = read_topic(run.plan.bootstrap, run.topic), read_topic(run.plan.bootstrap, run.sink)
        waited = [len(read_topic(run.plan.bootstrap, name)) for name in retry_topics(run)]
    every = check(Evidence(source, output), AGAIN)
    wanted, kept = state(source), state(output, fenced)
    for key in wanted:
        if kept.get(key) != wanted[key]:
            every.add("inconsistent", f"{key}: wanted {wanted[key]}, kept {kept.get(key)}")
    ids = {row.event_id for row in output}
    figures = {
        "in retry topics": waited,
        "strewn": strewn,
        "written again": len(output) - len(source),
        "event ids beyond one per record": len(ids) - len(source),
        "state": f"{digest(kept)}, recomputed {digest(wanted)}",
        "came to the end": done and all_done,
    }
    return first, every, figures


def indexed(kind: str, form: Form, seed: int, folder: Path, defence: str = "") -> tuple[Findings, dict[str, Any]]:
    """The ingest journey: what the replays and the old changes in between did to the index."""
    made, within_s = changes(form.pick(300, 20_000), seed), form.pick(90.0, 600.0)
    findings = Findings(source=len(made))
    with IndexRun(folder, kind) as run:
        run.publish(made)
        seconds = [run.work(within_s)]
        first = run.state()
        judge_first(run, made, findings)
        for _ in range(REPLAYS):
            run.reset()
            seconds.append(run.work(within_s))
        replayed = run.state()
        run.publish(shuffled(made, random.Random(seed)))
        seconds.append(run.work(within_s, defence))
        last = run.state()
    for what, state in (("replayed", replayed), ("shuffled", last)):
        for document in first.differing(state):
            findings.add("inconsistent", f"{document}: not the same once it was {what}")
    figures = {
        "records": len(made),
        "documents": len(first.documents),
        "objects": first.objects,
        "index": f"{first.digest}, replayed {replayed.digest}, shuffled {last.digest}",
        "embedded": first.embeddings,
        "embedded again": last.embeddings - first.embeddings,
        "heads again": last.heads_written - first.heads_written,
        "seconds": [round(one, 1) for one in seconds],
    }
    return findings, figures


def judge_first(run: IndexRun, made: Sequence[Change], findings: Findings) -> None:
    """Whether the first pass came to the newest change of every document at all."""
    parts = Parts(run.settings)
    heads = run.heads(parts)
    parts.close()
    for document, change in newest(made).items():
        head = heads.get(document)
        if head is None or head.version != change.version or head.gone != isinstance(change, DocumentDeleted):
            findings.add("lost", f"{document}: wanted version {change.version}, its head is {head and head.version}")


def run(form: Form, seed: int, folder: Path) -> Outcome:
    first, every, figures = replayed(form, seed, folder / "hop", fenced=True)
    outcome = judged(every, **figures)
    outcome.figures["first pass"] = first.line()
    outcome.require(not first.damage, f"first pass: {first.line()}\n{first.examples()}")
    outcome.require(figures["came to the end"], "the group did not come to the end in time")
    outcome.require(figures["event ids beyond one per record"] == 0, "a repeat has another id")
    outcome.require(min(figures["in retry topics"]) > 0, "nothing went through a retry topic")
    for kind in KINDS:
        found, seen = indexed(kind, form, seed, folder / kind)
        outcome.figures[f"{kind} index"] = seen
        outcome.require(not found.damage, f"{kind} index: {found.line()}\n{found.examples()}")
        outcome.require(seen["embedded"] > 0 == seen["embedded again"], f"{kind} index: a replay embedded")
    return outcome


def control(form: Form, seed: int, folder: Path) -> Outcome:
    """Without the fence the old records that come last are the state, of a hop and of the index."""
    _, every, figures = replayed(form, seed + 1, folder / "hop", fenced=False)
    outcome = control_outcome(every, "inconsistent", **figures)
    found, seen = indexed("local", Form(long=False), seed, folder / "local", defence="version")
    outcome.figures["local index"] = {**seen, "damage": found.line()}
    outcome.require(found.count("inconsistent") > 0, "the control found no damage in the index")
    return outcome


T11: Final = Scenario(
    "T11", "replay of a hop and of ingest", "offsets to 0 twice, old records shuffled through", run, control
)
