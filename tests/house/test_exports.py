"""Public is what `__all__` lists; the rest has an underscore and stays where it is."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from tests.house.tree import ROOMS, dotted, modules, tree


def listed(path: Path) -> list[str] | None:
    """What a module's `__all__` lists; None where it has none."""
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


@pytest.mark.parametrize("path", [path for path in modules() if listed(path) is not None], ids=str)
def test_when_a_module_lists_its_names_then_each_is_there_and_public(path: Path) -> None:
    module = importlib.import_module(dotted(path))
    names = listed(path) or []
    assert len(set(names)) == len(names)
    for name in names:
        assert hasattr(module, name), f"{path} lists {name!r}, which it does not have"
        assert not name.startswith("_") or name == "__version__"


@pytest.mark.parametrize("path", modules(), ids=str)
def test_when_a_module_imports_ours_then_it_takes_public_names(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.ImportFrom) or (node.module or "").partition(".")[0] not in ROOMS:
            continue
        private = [alias.name for alias in node.names if alias.name.startswith("_") and alias.name != "__version__"]
        assert not private, f"{path} imports {private[0]!r} from {node.module}: rename it, or ask for what you need"


@pytest.mark.parametrize("path", modules(), ids=str)
def test_when_a_module_opens_then_its_first_line_says_what_it_is(path: Path) -> None:
    said = ast.get_docstring(tree(path))
    source_is_empty = not tree(path).body
    assert said or source_is_empty, f"{path} has no docstring"


def test_when_summaries_are_read_then_no_two_modules_say_the_same() -> None:
    said: dict[str, Path] = {}
    for path in modules():
        first = (ast.get_docstring(tree(path)) or str(path)).splitlines()[0]
        assert first not in said, f"{path} and {said[first]} open with the same words"
        said[first] = path


def test_when_strangers_import_headwater_then_the_names_are_these() -> None:
    import headwater

    assert "Client" in headwater.__all__
    for name in headwater.__all__:
        assert getattr(headwater, name) is not None
