"""A run and its control side by side: two groups of workers on the same brokers, under the same faults, in one go.

A fault that takes seconds to come and to heal is then paid for once, and the control had no milder ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.chaos.checker import Findings, Rules
from tests.chaos.copying import CopyRun, Plan
from tests.chaos.rows import TopicUnreadError
from tests.chaos.scenario import Form, Outcome, Runner

Both = Callable[[Form, int, Path], tuple[Outcome, Outcome]]
"""Runs both, and returns the run's outcome and the control's."""


def beside(both: Both) -> tuple[Runner, Runner]:
    """The run and the control of a scenario: the run does the work of both, the control tells what it was.

    >>> Scenario("T2", "brokers", "kill -9", *beside(both))  # doctest: +SKIP
    """
    kept: dict[tuple[bool, int], Outcome] = {}

    def run(form: Form, seed: int, folder: Path) -> Outcome:
        kept.pop((form.long, seed), None)
        outcome, control = both(form, seed, folder)
        kept[form.long, seed] = control
        return outcome

    def control(form: Form, seed: int, _folder: Path) -> Outcome:
        missing = Outcome(Findings(), {}, False, "the run that it goes beside did not end")
        return kept.pop((form.long, seed), missing)

    return run, control


def joined(whole: tuple[Outcome, Outcome], name: str, part: tuple[Outcome, Outcome]) -> tuple[Outcome, Outcome]:
    """A run and its control, and a part of both that was run by itself: what it found goes under its name."""
    for one, more in zip(whole, part, strict=True):
        one.figures[name] = more.findings.line()
        one.figures |= {f"{name}: {what}": figure for what, figure in more.figures.items()}
        one.require(more.passed, f"{name}: {more.words}")
    return whole


class Copies:
    """A defended copy and an undefended one beside it: `run` and `control`.

    `control_drained` says after `finish` whether the control got through: otherwise what it lost may only be late.
    """

    def __init__(self, run: CopyRun, control: CopyRun) -> None:
        self.run = run
        self.control = control
        self.control_drained = False

    def fault(self, what: str, target: str) -> None:
        """Notes a fault in the timelines of both."""
        for copy in (self.run, self.control):
            copy.fleet.fault(what, target)

    def finish(self, rules: Rules, drain_s: tuple[float, float]) -> tuple[Findings, Findings]:
        """Ends both at once. A control that lost something never drains, so it has a time of its own."""
        with ThreadPoolExecutor(2) as pool:
            run = pool.submit(self.run.finish, rules, drain_s=drain_s[0])
            control = pool.submit(self._finish_control, rules, drain_s[1])
            return run.result(), control.result()

    def _finish_control(self, rules: Rules, drain_s: float) -> Findings:
        self.control.source.finish()
        self.control_drained = self.control.drain(drain_s)
        self.control.fleet.stop_all()
        try:
            return self.control.judge(rules)
        except TopicUnreadError as error:
            # A transaction that nobody ends: what lies behind it is as good as lost.
            findings = Findings(source=self.control.source.written)
            findings.add("unreadable", str(error))
            return findings


def without(plan: Plan, defence: str, **changes: Any) -> Plan:
    """The same plan for workers that lack a defence; `changes` replace fields of the plan, `spec` those of its own."""
    spec = {**plan.spec, **changes.pop("spec", {}), "defence": defence}
    return replace(plan, spec=spec, **changes)


@contextmanager
def copies(plan: Plan, bare: Plan, folder: Path, seed: int) -> Iterator[Copies]:
    """Two copies that flow, side by side.

    >>> with copies(plan, without(plan, "transaction"), folder, seed) as both:  # doctest: +SKIP
    ...     both.run.finish(Rules())
    """
    runs = CopyRun(plan, folder / "defended", seed), CopyRun(bare, folder / "bare", seed)
    with ExitStack() as stack:
        for one in runs:
            # One that never came up has nothing to end.
            stack.push(one)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(CopyRun.__enter__, runs))
        yield Copies(*runs)
