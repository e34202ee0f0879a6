"""The table of the long form in `docs/reliability.md`: one row per scenario, rows of other runs are kept."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.chaos.scenario import Outcome, Scenario

PAGE: Final = Path("docs/reliability.md")
BEGIN: Final = "<!-- chaos:begin -->"
END: Final = "<!-- chaos:end -->"
HEAD: Final = "| # | scenario | fault | seed | day | result | figures | control |\n| --- " + "| --- " * 7 + "|"


@dataclass
class Line:
    """A scenario that was run: its outcomes by name (run, control)."""

    scenario: Scenario
    seed: int
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return all(outcome.passed for outcome in self.outcomes.values())

    def row(self, day: str) -> str:
        """The line as a row of the table."""
        run, control = self.outcomes["run"], self.outcomes.get("control")
        damage = "-" if control is None else _cell(control.findings.line(), control.figures)
        cells = [
            self.scenario.name,
            self.scenario.title,
            self.scenario.fault,
            str(self.seed),
            day,
            run.findings.line() if run.passed else f"**failed**: {run.words.partition(chr(10))[0]}",
            _figures(run.figures),
            damage if control is None or control.passed else f"**no damage found**: {control.words}",
        ]
        return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def write_table(lines: Sequence[Line], page: Path = PAGE) -> None:
    """Puts the rows of these lines between the markers, in place of older rows of the same scenarios."""
    day = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(BEGIN)
    old, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"wanted {BEGIN} and {END} in {page}, to write the table between them")
    rows = {row.split("|")[1].strip(): row for row in old.splitlines() if re.match(r"\| T\d", row)}
    rows |= {line.scenario.name: line.row(day) for line in lines}
    ordered = [rows[name] for name in sorted(rows, key=lambda name: int(name[1:]))]
    table = "\n".join([HEAD, *ordered])
    page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def _figures(figures: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {figure}" for name, figure in figures.items())


def _cell(line: str, figures: dict[str, Any]) -> str:
    return _figures(figures) or line
