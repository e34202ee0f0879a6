"""A scenario: a fault, what must hold under it, and a control without the defence in which damage must be found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.chaos.checker import Findings

T = TypeVar("T")


@dataclass(frozen=True)
class Form:
    """The short form for every change, or the long one for the night.

    >>> Form(long=False).pick(short=6, long=200)
    6
    """

    long: bool = False

    def pick(self, short: T, long: T) -> T:
        """The figure of this form."""
        return long if self.long else short

    @property
    def name(self) -> str:
        return self.pick("short", "long")


@dataclass
class Outcome:
    """What a run showed: the checker's findings, measured figures, whether it passed, and in words what failed.

    A control passes where damage was found (`control_outcome`).
    """

    findings: Findings
    figures: dict[str, Any] = field(default_factory=dict)
    passed: bool = True
    words: str = ""
    seconds: float = 0.0

    def require(self, holds: bool, otherwise: str) -> None:
        """One more thing that must hold; where it does not, the run failed for this reason."""
        if not holds:
            self.passed = False
            self.words = f"{self.words}; {otherwise}".lstrip("; ")


def judged(findings: Findings, **figures: Any) -> Outcome:
    """The outcome of a run in which nothing may be damaged."""
    words = f"{findings.line()}\n{findings.examples()}" if findings.damage else ""
    return Outcome(findings, figures, not findings.damage, words)


def control_outcome(findings: Findings, *kinds: str, **figures: Any) -> Outcome:
    """The outcome of a control: passed where damage was found, of each of these kinds if any are named."""
    missing = [kind for kind in kinds if not findings.count(kind)]
    passed = findings.damage and not missing
    words = "" if passed else f"the control found no damage ({', '.join(missing) or 'of any kind'})"
    return Outcome(findings, figures, passed, words)


Runner = Callable[[Form, int, Path], Outcome]


@dataclass(frozen=True)
class Scenario:
    """One row of the table. `run` and `control` get a form, a seed and a folder of their own (it exists).

    A scenario that waits for its part has no `run`; it counts neither as passed nor as failed. In the short form run
    and control go side by side, unless they are `alone`: where they hurt the same broker, or time alone decides.
    Where times are compared (`timed`) no other scenario runs meanwhile. `short_s` is about how long its short form
    takes: the longest begin first.
    """

    name: str
    title: str
    fault: str = ""
    run: Runner | None = None
    control: Runner | None = None
    alone: bool = True
    timed: bool = False
    short_s: float = 20.0
