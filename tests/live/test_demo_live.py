"""The demonstration as a newcomer runs it: what it prints has to be true."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PLAN: dict[str, Any] = json.loads((ROOT / "examples" / "questions.json").read_text("utf-8"))
ANSWERS = {case["question"]: case["answer"] for case in PLAN["questions"]}


@pytest.mark.live
@pytest.mark.model
@pytest.mark.timeout(300)
def test_when_the_demo_runs_then_its_answers_are_those_of_the_documents_and_follow_them(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "headwater.cli.main", "demo"],
        cwd=ROOT,
        env={**os.environ, "HEADWATER_LOCAL__STATE_FOLDER": str(tmp_path / "state"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    asked, _, rest = done.stdout.partition("One document edited")
    edited, _, rest = rest.partition("One document deleted")
    deleted, _, _ = rest.partition("The way of the first answer")
    shown = {part.partition("\n")[0]: part for part in asked.split("\n> ")[1:]}
    demo = PLAN["demo"]
    answers = {**ANSWERS, demo["edit"]["question"]: demo["edit"]["old"], demo["delete"]["question"]: "fifty-two hours"}
    for question in demo["questions"]:
        assert answers[question] in shown[question], shown[question]
    assert demo["edit"]["new"] in edited and demo["edit"]["old"] not in edited
    assert demo["delete"]["document"] not in deleted
    assert "questions.json" not in done.stdout
