"""The table of the long form: rows of this run replace older ones of the same scenarios."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.checker import Findings
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged
from tests.chaos.table import BEGIN, END, Line, write_table

PAGE = f"before\n{BEGIN}\n{END}\nafter\n"


def damaged() -> Findings:
    findings = Findings(source=3, output=2)
    findings.add("lost", "k/1")
    return findings


def line(name: str, seed: int = 7) -> Line:
    scenario = Scenario(name, f"scenario {name}", "kill | stop")
    outcomes = {"run": judged(Findings(source=3, output=3), kills=4), "control": control_outcome(damaged(), "lost")}
    return Line(scenario, seed, outcomes)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    return path


def rows(page: Path) -> list[str]:
    return [row for row in page.read_text(encoding="utf-8").splitlines() if row.startswith("| T")]


def test_when_scenarios_were_run_then_their_rows_stand_in_order_with_seed_figures_and_control(page: Path) -> None:
    write_table([line("T13"), line("T2")], page)
    first, second = rows(page)
    assert first.startswith("| T2 |") and second.startswith("| T13 |")
    assert "| 7 |" in first and "kills: 4" in first and "1 lost" in first and "kill / stop" in first
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n")


def test_when_one_is_run_again_then_only_its_row_changes(page: Path) -> None:
    write_table([line("T1", seed=1), line("T2", seed=1)], page)
    write_table([line("T1", seed=9)], page)
    first, second = rows(page)
    assert "| 9 |" in first and "| 1 |" in second


def test_when_a_run_failed_then_its_row_says_so(page: Path) -> None:
    broken = Line(Scenario("T1", "copy"), 7, {"run": judged(damaged())})
    write_table([broken], page)
    assert "**failed**" in rows(page)[0]
    assert not broken.passed


def test_when_the_page_has_no_place_for_it_then_it_is_said(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="chaos:begin"):
        write_table([], page)


def test_when_a_control_finds_nothing_then_it_fails_and_says_what_it_missed() -> None:
    outcome = control_outcome(damaged(), "duplicated")
    assert not outcome.passed and "duplicated" in outcome.words


def test_when_more_is_required_then_the_first_reason_is_not_lost() -> None:
    outcome = Outcome(Findings())
    outcome.require(True, "never said")
    outcome.require(False, "one")
    outcome.require(False, "two")
    assert not outcome.passed and outcome.words == "one; two"


def test_when_a_form_is_asked_then_it_gives_its_own_figure() -> None:
    assert [Form(long).pick("short", "long") for long in (False, True)] == ["short", "long"]
