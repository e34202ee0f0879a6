"""T12: the end of a transaction, overtaken: its bytes reach the broker in the middle of a later one (KAFKA-17754).

A trial:
1. A worker commits. Its EndTxn is kept back and its connection cut; the client library says it again on another one.
2. Seconds later, when the worker's next transaction has written records and would add its offsets, it is made to wait.
   What it waits for is that its offsets arrive; its records go before them.
3. The old EndTxn arrives. Where it is taken for the end of this transaction, records are committed without offsets.
4. Every second time the worker is killed at that very moment; otherwise it goes on.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaError

from tests.chaos.behind import broker_behind_proxy, through
from tests.chaos.beside import beside, copies, without
from tests.chaos.checker import Findings, Rules
from tests.chaos.copying import CopyRun, Plan
from tests.chaos.frames import END_TXN, TXN_OFFSET_COMMIT, EndTxn, Request, end_txn_error
from tests.chaos.link import Trap
from tests.chaos.proxy import Front
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged
from tests.chaos.source import Flow

CAUGHT_WITHIN_S: Final = 20.0
# Below the transaction's timeout of 2.5 s, or the broker would end the transaction that is made to wait.
WAITS_S: Final = 2.0
# The records of a transaction are on their way to the log while its offsets are.
WRITTEN_S: Final = 0.2
RATE: Final = 100.0
# What a control has lost never drains.
DRAIN_S: Final = (60.0, 20.0)
TAKEN: Final = "taken for the end of this transaction"


@dataclass(frozen=True)
class Trials:
    """How many in each slot, and how long an EndTxn is late."""

    slots: tuple[str, ...]
    each: int
    late_s: tuple[float, float]


def trials_of(form: Form) -> Trials:
    return form.pick(Trials(("a", "b"), 2, (0.3, 1.0)), Trials(("a", "b", "c", "d"), 25, (1.0, 10.0)))


def trial(run: CopyRun, front: Front, slot: str, chance: random.Random, late_s: tuple[float, float]) -> str:
    """One trial; says what the broker answered to the old EndTxn, or why there was nothing to be answered."""
    name = f"{run.group}-{slot}".encode()
    old = front.catch(Trap(END_TXN, CAUGHT_WITHIN_S * 2, cut=True, wants=lambda asked: _commits(asked, name)))
    if not old.caught.wait(CAUGHT_WITHIN_S):
        return "missed: no commit"
    run.fleet.fault("EndTxn kept back, sender cut off", slot)
    time.sleep(chance.uniform(*late_s))
    middle = front.catch(Trap(TXN_OFFSET_COMMIT, WAITS_S, overtaken=True, wants=lambda asked: name in asked.frame))
    if not middle.caught.wait(CAUGHT_WITHIN_S):
        old.release()
        return "missed: no later transaction"
    time.sleep(WRITTEN_S)
    old.release()
    old.answered.wait(CAUGHT_WITHIN_S)
    run.fleet.fault("EndTxn released", slot)
    if chance.random() < 0.5:
        run.fleet.kill(slot)
    middle.release()
    return _said(old.answer)


def trials(run: CopyRun, front: Front, form: Form, seed: int) -> Counter[str]:
    """All trials, every slot its own, side by side."""
    wanted = trials_of(form)

    def of_slot(slot: str) -> list[str]:
        chance = random.Random(f"{seed}{slot}")
        return [trial(run, front, slot, chance, wanted.late_s) for _ in range(wanted.each)]

    with ThreadPoolExecutor(len(wanted.slots)) as pool:
        answers: Iterable[list[str]] = pool.map(of_slot, wanted.slots)
        return Counter(answer for slot in answers for answer in slot)


def both(form: Form, seed: int, folder: Path) -> tuple[Outcome, Outcome]:
    """Two copies through a broker of their own, with recycling and without, under the same trials."""
    slots = trials_of(form).slots
    with broker_behind_proxy(folder / "broker") as (broker, front):
        spec = {"kafka": through(broker.proxied_bootstrap), "batch": 20}
        plan = Plan(broker.bootstrap, Flow(RATE * len(slots)), (2 * len(slots), 3), slots, spec=spec)
        with copies(plan, without(plan, "recycling"), folder, seed) as runs:
            with ThreadPoolExecutor(2) as pool:
                asked = [pool.submit(trials, copy, front, form, seed) for copy in (runs.run, runs.control)]
                recycled, kept = (one.result() for one in asked)
            front.heal()
            found, damaged = runs.finish(Rules(), DRAIN_S)
            return _refused(found, runs.run, recycled), _taken(damaged, runs.control, kept)


def _refused(findings: Findings, run: CopyRun, answers: Counter[str]) -> Outcome:
    """With recycling: the old EndTxn has an old epoch, so the broker refuses it."""
    outcome = judged(findings, **run.figures(), trials=answers.total(), answers=dict(answers))
    outcome.require(TAKEN not in answers, f"an old EndTxn was taken for a new one: {dict(answers)}")
    missed = sum(count for answer, count in answers.items() if answer.startswith("missed"))
    outcome.require(missed <= answers.total() // 3, f"too many trials came to nothing: {dict(answers)}")
    return outcome


def _taken(findings: Findings, run: CopyRun, answers: Counter[str]) -> Outcome:
    """Without recycling: the epoch stays, and the old EndTxn commits half of a later transaction."""
    outcome = control_outcome(findings, **run.figures(), trials=answers.total(), answers=dict(answers))
    outcome.require(TAKEN in answers, f"no old EndTxn was taken for a new one: {dict(answers)}")
    return outcome


def _commits(request: Request, name: bytes) -> bool:
    end = EndTxn.of(request)
    return end.commits and end.transactional_id.encode() == name


def _said(answer: bytes | None) -> str:
    if answer is None:
        return "missed: no answer"
    code = end_txn_error(answer)
    return f"refused: {KafkaError(code).name()}" if code else TAKEN


T12: Final = Scenario(
    "T12", "delayed EndTxn", "the bytes of an EndTxn come late, inside the next transaction", *beside(both)
)
