"""Examples in docstrings are run: one that lies fails."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from tests.house.tree import ROOT, dotted, modules

SHOWING = [path for path in modules() if ">>> " in (ROOT / path).read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", SHOWING, ids=str)
def test_when_a_docstring_shows_an_example_then_it_holds(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = doctest.testmod(importlib.import_module(dotted(path)), optionflags=doctest.ELLIPSIS)
    assert found.failed == 0, capsys.readouterr().out
