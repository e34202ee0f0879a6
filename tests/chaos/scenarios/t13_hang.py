"""T13: one generation hangs, thousands of others on the same partition go on; then the worker is killed."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from confluent_kafka import TopicPartition

from tests.chaos.brokers import shared_broker
from tests.chaos.checker import Findings, Rules
from tests.chaos.copying import CopyRun, Plan
from tests.chaos.rows import consumer_of, ends, row_of, unread, usable
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged
from tests.chaos.slow_steps import hung as hung_record
from tests.chaos.slow_steps import noted
from tests.chaos.source import Flow

RATE: Final = 200.0
KEYS: Final = 2_000
SERVICE_MS: Final = 200
IN_FLIGHT: Final = 64
MAX_GAP: Final = 20_000
SLOWER: Final = 1.2
WINDOW: Final = 100
WARM_MS: Final = 2_000
CLOCK_MS: Final = 2
"""The stamps are whole milliseconds."""
COMMIT_S: Final = 0.3
"""Twice the time between two commits: what was completed since the last may be done again as well."""


def plan(bootstrap: str, flag: Path, **spec: Any) -> Plan:
    """One worker over one partition, far from what it could do: the time of a generation decides the p95."""
    worker = {"in_flight_keys": IN_FLIGHT, "max_gap": MAX_GAP}
    given = {"handler": f"generates:{SERVICE_MS}:{flag}", "runner": "keyed", "worker": worker, **spec}
    return Plan(bootstrap, Flow(rate=RATE, keys=KEYS), (1, 1), ("a",), spec=given)


def stamps(bootstrap: str, topic: str) -> dict[tuple[str, int], int]:
    """When each record was written first, in milliseconds, by what it says."""
    found: dict[tuple[str, int], int] = {}
    wanted = ends(bootstrap, topic)
    until = time.monotonic() + 30.0
    with consumer_of(bootstrap) as consumer:
        consumer.assign([TopicPartition(topic, partition, 0) for partition in wanted])
        while unread(consumer, topic, wanted) and time.monotonic() < until:
            messages = [message for message in consumer.consume(500, 0.2) if usable(message)]
            for what, at in [(row_of(message).what, message.timestamp()[1]) for message in messages]:
                found.setdefault(what, at)
    return found


@dataclass(frozen=True)
class Times:
    """When each record of a run was asked and answered."""

    asked: dict[tuple[str, int], int]
    answered: dict[tuple[str, int], int]

    @classmethod
    def of(cls, run: CopyRun) -> Times:
        return cls(stamps(run.plan.bootstrap, run.topic), stamps(run.plan.bootstrap, run.sink))

    @property
    def warm_at(self) -> int:
        """A while after the first answer: what was asked before the worker was there has been answered by then."""
        return min(self.answered.values()) + WARM_MS

    def p95_ms(self, since: int, key: str = "") -> float:
        """From a question to its answer, those of the hung key aside, which wait by right.

        The median of the p95 of every few: what else the machine does for a second does not decide.
        """
        judged = [what for what, at in self.asked.items() if at >= since and what in self.answered and what[0] != key]
        took = [self.answered[what] - self.asked[what] for what in judged]
        windows = [sorted(took[at : at + WINDOW]) for at in range(0, len(took) - WINDOW + 1, WINDOW)]
        return statistics.median(window[WINDOW * 95 // 100] for window in windows) if windows else math.inf


def committed(run: CopyRun) -> tuple[int, int, str]:
    """The group's offset, the end of the partition, and the metadata beside the offset."""
    with consumer_of(run.plan.bootstrap, **{"group.id": run.group}) as asking:
        at = asking.committed([TopicPartition(run.topic, 0)], timeout=10.0)[0]
    return max(0, at.offset), ends(run.plan.bootstrap, run.topic)[0], at.metadata or ""


def hung(folder: Path, seed: int, records: int, **spec: Any) -> tuple[Findings, dict[str, Any]]:
    """With the hang and, beside it at the same time, without: the others finish, then the worker is killed twice."""
    bootstrap = shared_broker().bootstrap
    flag = folder / "stuck" / "hang"
    flag.parent.mkdir(parents=True, exist_ok=True)
    flag.touch()
    calm, stuck = plan(bootstrap, folder / "never", **spec), plan(bootstrap, flag, **spec)
    with CopyRun(calm, folder / "calm", seed) as free, CopyRun(stuck, folder / "stuck", seed) as run:
        free.await_seen(records, 120.0)
        run.await_seen(records, 120.0)
        what = hung_record(flag)
        calmly, beside = Times.of(free), Times.of(run)
        since = max(calmly.warm_at, beside.warm_at)
        figures: dict[str, Any] = {"p95 ms without": calmly.p95_ms(since)}
        figures["p95 ms"] = beside.p95_ms(since, what.partition("/")[0])
        at, end, metadata = committed(run)
        figures |= {"gap": end - at, "metadata bytes": len(metadata)}
        run.fleet.kill("a")
        run.await_seen(run.reader.seen + int(RATE * 3), 60.0)
        # The hang ends with its process; the next one finds no flag.
        flag.unlink()
        run.fleet.kill("a")
        findings = run.finish(Rules(exactly_once=False, order="key"))
        begun = noted(Path(f"{flag}.begun"))
        return findings, {**figures, "begun": begun.total(), "begun twice": _again(begun, what), **run.figures()}


def _again(begun: Counter[str], hung: str) -> int:
    """Generations beyond the first of each record, the hung one aside, which has to come again."""
    return sum(times - 1 for what, times in begun.items() if what != hung)


def allowed(figures: dict[str, Any]) -> int:
    """What a kill may cost: the generations in flight, and those that ended since the last commit."""
    return int(figures["kills"]) * (IN_FLIGHT + int(RATE * COMMIT_S))


def run(form: Form, seed: int, folder: Path) -> Outcome:
    records = form.pick(1_500, 10_000)
    findings, figures = hung(folder, seed, records)
    outcome = judged(findings, **figures)
    with_hang, without = figures["p95 ms"], figures["p95 ms without"]
    outcome.require(with_hang <= SLOWER * without + CLOCK_MS, f"p95 {with_hang} ms, without the hang {without} ms")
    outcome.require(records // 2 < figures["gap"] <= MAX_GAP, f"the gap is {figures['gap']}")
    outcome.require(figures["begun twice"] <= allowed(figures), f"{figures['begun twice']} begun twice")
    return outcome


def control(form: Form, seed: int, folder: Path) -> Outcome:
    """Commits that do not say what is complete beyond them: after the kill all of it is generated again."""
    findings, figures = hung(folder, seed, form.pick(600, 3_000), defence="completed-offsets")
    outcome = control_outcome(findings, **figures)
    outcome.passed = figures["begun twice"] > allowed(figures)
    outcome.words = "" if outcome.passed else f"only {figures['begun twice']} were begun twice"
    return outcome


T13: Final = Scenario("T13", "one generation hangs among thousands", "a hang, then kill -9", run, control, timed=True)
