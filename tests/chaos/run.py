"""`make chaos`: runs the scenarios and their controls, says what came of each, ends with 'N passed, N failed'.

Scenarios mostly wait. In the short form several go on at a time, each on topics and groups of its own, those that hurt
a broker on one of their own; where time decides (`Scenario.timed`) nothing else runs beside. The long form takes one
after the other.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.chaos.brokers import stop_shared
from tests.chaos.checker import Findings
from tests.chaos.scenario import Form, Outcome, Runner, Scenario
from tests.chaos.scenarios.registry import SCENARIOS
from tests.chaos.table import Line, write_table

BUILD: Final = Path("build/chaos")
FAILED: Final = BUILD / "failed"
"""The names of what failed last, for a second try: `make chaos SCENARIO=$(cat build/chaos/failed)`."""
DEFAULT_SEED: Final = 7
AT_ONCE: Final = 3

Say = Callable[[str], object]


def chosen(names: str) -> list[Scenario]:
    """The scenarios named, comma separated, all where none is. Raises SystemExit with the names there are."""
    wanted = [name.strip().upper() for name in names.split(",") if name.strip()]
    known = {scenario.name: scenario for scenario in SCENARIOS}
    if unknown := [name for name in wanted if name not in known]:
        raise SystemExit(f"wanted a scenario of {', '.join(known)}, got {', '.join(unknown)}")
    return [known[name] for name in wanted] or list(SCENARIOS)


def attempt(runner: Runner, form: Form, seed: int, folder: Path) -> Outcome:
    """Runs one scenario or control; an exception is a failure with its traceback kept in the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.monotonic()
    try:
        outcome = runner(form, seed, folder)
    except Exception as error:
        (folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
        outcome = Outcome(Findings(), {}, False, f"{type(error).__name__}: {error}")
    outcome.seconds = time.monotonic() - began
    said: dict[str, Any] = {"passed": outcome.passed, "words": outcome.words, "figures": outcome.figures, "seed": seed}
    said |= {"findings": outcome.findings.line(), "examples": outcome.findings.examples()}
    (folder / "outcome.json").write_text(json.dumps(said, indent=1, default=str), encoding="utf-8")
    return outcome


def conduct(scenario: Scenario, form: Form, seed: int, say: Say) -> Line:
    """A scenario and its control, with a line for each."""
    # The long form goes on for hours; a short one of the same seed beside it must not take its folder.
    folder = BUILD / f"{scenario.name}-{seed}{form.pick('', '-long')}"
    say(f"{scenario.name}: {scenario.title}; seed {seed}, {form.name} form")
    line = Line(scenario, seed)
    began = time.monotonic()
    runners = {name: runner for name, runner in (("run", scenario.run), ("control", scenario.control)) if runner}
    with ThreadPoolExecutor(1 if scenario.alone or form.long else len(runners)) as pool:
        going = {name: pool.submit(attempt, runner, form, seed, folder / name) for name, runner in runners.items()}
        for name, one in going.items():
            line.outcomes[name] = one.result()
            tell(name, line.outcomes[name], say)
    line.seconds = time.monotonic() - began
    return line


def tell(name: str, outcome: Outcome, say: Say) -> None:
    """A line about a run or a control, its figures, and what was wrong."""
    verdict = "ok" if outcome.passed else "FAILED"
    say(f"  {name} {verdict} in {outcome.seconds:.0f} s: {outcome.findings.line()}")
    for what, figure in outcome.figures.items():
        say(f"    {what}: {figure}")
    if not outcome.passed:
        say(f"    {outcome.words}")


def one_by_one(scenarios: Sequence[Scenario], form: Form, seed: int) -> Iterator[Line]:
    """Each with the machine to itself; what it says comes as it happens."""
    for scenario in scenarios:
        yield conduct(scenario, form, seed, partial(print, flush=True))


def side_by_side(scenarios: Sequence[Scenario], form: Form, seed: int) -> Iterator[Line]:
    """Several at a time; what one says comes together, once it is over."""

    def told(scenario: Scenario) -> tuple[Line, list[str]]:
        said = list[str]()
        return conduct(scenario, form, seed, said.append), said

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for over in as_completed([pool.submit(told, scenario) for scenario in scenarios]):
            line, said = over.result()
            print("\n".join(said), flush=True)
            yield line


def conducted(scenarios: Sequence[Scenario], form: Form, seed: int) -> Iterator[Line]:
    """All of them, in the manner of the form."""
    beside = [] if form.long else [scenario for scenario in scenarios if not scenario.timed]
    # What takes longest begins first, so that none is left over at the end.
    yield from side_by_side(sorted(beside, key=lambda one: -one.short_s), form, seed)
    yield from one_by_one([scenario for scenario in scenarios if scenario not in beside], form, seed)


def main(arguments: Sequence[str]) -> int:
    """Runs what was asked for; 1 where anything failed."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--scenario", default="", help="names, comma separated; all where none is given")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="the seed of every random choice")
    parser.add_argument("--long", action="store_true", help="the long form, and its table into docs/reliability.md")
    asked = parser.parse_args(arguments)
    form, lines, began = Form(asked.long), list[Line](), time.monotonic()
    scenarios = chosen(asked.scenario)
    for scenario in scenarios:
        if scenario.run is None:
            print(f"{scenario.name}: {scenario.title}", flush=True)
    try:
        for line in conducted([scenario for scenario in scenarios if scenario.run], form, asked.seed):
            lines.append(line)
            if form.long:
                write_table([line])
    finally:
        stop_shared()
    failed = [line for line in lines if not line.passed]
    took = ", ".join(f"{line.scenario.name} {line.seconds:.0f}" for line in lines)
    print(f"{time.monotonic() - began:.0f} s in all: {took}")
    FAILED.write_text(",".join(line.scenario.name for line in failed), encoding="utf-8")
    if failed:
        print(f"failed: {FAILED.read_text(encoding='utf-8')}")
    print(f"{len(lines) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
