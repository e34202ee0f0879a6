"""T7: 1 % can't be decoded, 1 % raises, one record kills the process: exactly those are dead letters, each once.

Then the cause is mended and the letters are put back, twice: what can be delivered is delivered, once.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from adapters.host import SystemClock
from streams.letters import Letter, LetterReader
from streams.replaying import Choice, Replay
from streams.settings import Kafka
from tests.chaos.brokers import shared_broker
from tests.chaos.checker import Evidence, Findings, Rules, check
from tests.chaos.copying import CopyRun, Plan
from tests.chaos.poison_steps import fails_for_good
from tests.chaos.rows import CODEC, read_topic
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged
from tests.chaos.source import Flow

JUNK: Final = b"\x07 no event at all"
KEYS: Final = 32
BACK_S: Final = 30.0
LOOK_S: Final = 0.3
REASONS: Final = {
    "undecodable": "wanted",
    "raises": "can't do",
    "deadly": "in a row while it handled this record alone",
}
What = tuple[str, int]


def numbered(seed: int, total: int) -> list[What]:
    """Key and number of each record, as the source draws them."""
    chance, seqs, found = random.Random(seed), Counter[str](), list[What]()
    for _ in range(total):
        key = f"k{chance.randrange(KEYS)}"
        found.append((key, seqs[key]))
        seqs[key] += 1
    return found


class Poisoned:
    """What a run is given: which records are undecodable, which raise, which one kills."""

    def __init__(self, seed: int, total: int, limit: int) -> None:
        self.limit = limit
        says = numbered(seed, total)
        chance = random.Random(seed + 1)
        raising = {what for what in says if fails_for_good(*what)}
        junk = chance.sample([n for n in range(total) if says[n] not in raising], total // 100)
        healthy = sorted(set(range(total // 4, total // 2)) - set(junk))
        deadly = next(says[n] for n in healthy if says[n] not in raising)
        self.kinds = {
            **{says[n]: "undecodable" for n in junk},
            **dict.fromkeys(raising, "raises"),
            deadly: "deadly",
        }
        self.flow = Flow(rate=0.0, total=total, keys=KEYS, bulk=total, poison=dict.fromkeys(junk, JUNK))
        self.handler = f"poison:{deadly[0]}/{deadly[1]}"

    @property
    def doomed(self) -> frozenset[What]:
        return frozenset(self.kinds)


def unlike(letters: Iterable[Letter], poisoned: Poisoned) -> list[str]:
    """What is wrong with the headers of the dead letters."""
    wrong = []
    for letter in letters:
        seq = next(value for name, value in letter.original if name == "seq")
        what = ((letter.raw_key or b"").decode(), int(seq or b"-1"))
        kind = poisoned.kinds.get(what, "healthy")
        place = (letter.source[0].endswith(".in.v1"), letter.source[1] is not None, letter.source[2] is not None)
        if REASONS.get(kind, "?") not in letter.reason or not all(place) or not letter.said("dlq.step"):
            wrong.append(f"{what}: {kind}, says {letter.reason!r} of {letter.source}")
        if kind == "deadly" and (letter.attempts, letter.said("dlq.exception")) != (poisoned.limit, "Crashed"):
            wrong.append(f"{what}: {letter.attempts} attempts")
    return wrong


def mend(run: CopyRun, poisoned: Poisoned) -> tuple[Findings, list[int]]:
    """The step is mended, the letters that can be decoded are put back twice; what there is then, how many went."""
    kafka = Kafka(bootstrap=run.plan.bootstrap, deadline_s=20.0)
    went = []
    run.fleet.start(*run.plan.slots, handler="copy")
    run.fleet.await_ready()
    with LetterReader(kafka, CODEC, SystemClock()) as reader:
        spots = frozenset(
            letter.spot for letter in reader.letters(run.letters) if REASONS["undecodable"] not in letter.reason
        )
        for _ in range(2):
            with Replay(kafka, SystemClock(), reader, run.letters) as replay:
                went.append(sum(not planned.problem for planned in replay.run(Choice(spots=spots))))
    kinds = poisoned.kinds.items()
    wanted, until = run.source.written - sum(kind == "undecodable" for _, kind in kinds), time.monotonic() + BACK_S
    while len(read_topic(run.plan.bootstrap, run.sink)) < wanted and time.monotonic() < until:
        time.sleep(LOOK_S)
    run.fleet.stop_all()
    source = {row.what: row for row in read_topic(run.plan.bootstrap, run.topic)}
    letters = [row for row in read_topic(run.plan.bootstrap, run.letters) if row.seq >= 0]
    junk = frozenset(what for what, kind in kinds if kind == "undecodable")
    evidence = Evidence(list(source.values()), read_topic(run.plan.bootstrap, run.sink), letters=letters, doomed=junk)
    # What is put back comes after what followed it.
    return check(evidence, Rules(order="none")), went


def poisoning(form: Form, seed: int, folder: Path, **worker: Any) -> tuple[CopyRun, Poisoned]:
    """A copy of poisoned records, not begun yet. Each death costs a session: the short form has fewer of them."""
    limit = form.pick(2, 3)
    poisoned = Poisoned(seed, form.pick(1_200, 20_000), limit)
    settings = {"crash_limit": limit, "crash_watch_s": form.pick(0.3, 3.0), "attempts": 2, **worker}
    spec = {"handler": poisoned.handler, "batch": form.pick(30, 500), "worker": settings}
    return CopyRun(Plan(shared_broker().bootstrap, poisoned.flow, spec=spec), folder, seed), poisoned


def run(form: Form, seed: int, folder: Path) -> Outcome:
    made, poisoned = poisoning(form, seed, folder)
    with made as copy:
        copy.source.finish()
        copy.await_seen(copy.source.written - len(poisoned.doomed), 120.0)
        findings = copy.finish(Rules(), poisoned.doomed)
        with LetterReader(Kafka(bootstrap=copy.plan.bootstrap, deadline_s=20.0), CODEC, SystemClock()) as reader:
            wrong = unlike(reader.letters(copy.letters), poisoned)
        deaths = sum(copy.fleet.restarts.values())
        mended, went = mend(copy, poisoned)
        outcome = judged(findings, **Counter(poisoned.kinds.values()), deaths=deaths, replayed=went)
    outcome.figures["after the replays"] = mended.line()
    outcome.require(not wrong, f"dead letters: {wrong[:3]}")
    outcome.require(not mended.damage, f"after the replays: {mended.line()}\n{mended.examples()}")
    expected = sum(kind != "undecodable" for kind in poisoned.kinds.values())
    outcome.require(went == [expected, 0], f"wanted {expected} letters put back and none again, got {went}")
    outcome.require(poisoned.limit <= deaths <= 8, f"wanted the killer found within 8 deaths, got {deaths}")
    return outcome


def control(form: Form, seed: int, folder: Path) -> Outcome:
    """Without isolation the record kills every worker for ever, and what lies behind it is never delivered."""
    made, poisoned = poisoning(replace(form, long=False), seed, folder, crash_limit=0)
    with made as copy:
        copy.source.finish()
        arrived = copy.await_seen(copy.source.written - len(poisoned.doomed), 12.0)
        findings = copy.finish(Rules(), poisoned.doomed, drain_s=1.0)
        return control_outcome(findings, "lost", arrived=arrived, deaths=sum(copy.fleet.restarts.values()))


T07: Final = Scenario("T7", "poison", "1 % undecodable, 1 % raises, one record kills its process", run, control, False)
