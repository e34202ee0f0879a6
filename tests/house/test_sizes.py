"""Law 2, small parts: modules, functions, parameters and nesting stay within what a reader can hold."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import ROOMS, ROOT, functions, modules

MODULE_LINES = 400
FUNCTION_LINES = 40
PARAMETERS = 6
NESTING = 3

# An exception is a line here with its reason; this list only shrinks.
WAIVERS: dict[str, str] = {}

OPTION = re.compile(r"Option\b|Argument\b")
FOLDERS = (*ROOMS, "tests", "examples", "bench")
NESTS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


def nesting(node: ast.AST, depth: int = 0) -> int:
    """The deepest block in a function; `elif` and `except` are as deep as their `if` and `try`."""
    deepest = depth
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        alternative = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deeper = isinstance(child, NESTS) and not alternative
        deepest = max(deepest, nesting(child, depth + deeper))
    return deepest


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Parameters as a caller sees them. Options of a command are none: typer reads them, nobody passes them."""
    given = function.args
    every = [one for one in (*given.posonlyargs, *given.args, *given.kwonlyargs) if one.arg not in ("self", "cls")]
    if any("typer." in _annotation(one) for one in every):
        every = [one for one in every if not OPTION.search(_annotation(one))]
    return len(every)


def _annotation(one: ast.arg) -> str:
    return ast.unparse(one.annotation) if one.annotation else ""


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def too_large(path: Path) -> Iterator[tuple[str, str]]:
    """What a module has too much of: its name and by how much."""
    lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
    if lines > MODULE_LINES:
        yield str(path), f"{lines} lines, at most {MODULE_LINES}: split it by topic"
    for name, function in functions(path):
        counted = (
            (lines_of(function), FUNCTION_LINES, "lines: name a part of it"),
            (parameters(function), PARAMETERS, "parameters: make a value class"),
            (nesting(function), NESTING, "levels of nesting: return early"),
        )
        for found, most, what in counted:
            if found > most:
                yield f"{path}:{name}", f"{found}, at most {most} {what}"


@pytest.mark.parametrize("path", modules(*FOLDERS), ids=str)
def test_when_a_module_is_measured_then_its_parts_are_small(path: Path) -> None:
    found = [f"{where}: {what}" for where, what in too_large(path) if where not in WAIVERS]
    assert not found, "\n".join(found)


def test_when_something_is_waived_then_it_needs_it_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    needed = {where for path in modules(*FOLDERS) for where, _ in too_large(path)}
    with capsys.disabled():
        for where, reason in WAIVERS.items():
            print(f"\nwaived: {where}: {reason}")
    assert not set(WAIVERS) - needed, "these no longer need their waiver: take it out"
    assert all(len(reason) > 20 for reason in WAIVERS.values())


def test_when_the_rooms_are_measured_then_their_medians_are_those_of_a_house_to_read() -> None:
    lines = [len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in modules()]
    bodies = [lines_of(function) for path in modules() for _, function in functions(path)]
    assert statistics.median(lines) <= 120
    assert statistics.median(bodies) <= 12


@pytest.mark.parametrize(
    ("source", "deep"),
    [
        ("def f():\n if a:\n  pass\n elif b:\n  pass\n elif c:\n  pass", 1),
        ("def f():\n for a in b:\n  if c:\n   with d:\n    pass", 3),
        ("def f():\n try:\n  pass\n except E:\n  if a:\n   pass", 2),
        ("def f():\n def g():\n  if a:\n   pass", 0),
    ],
)
def test_when_blocks_nest_then_they_are_counted_as_a_reader_would(source: str, deep: int) -> None:
    assert nesting(ast.parse(source).body[0]) == deep
