"""Errors have families: one base per room, the suffix `Error`, a word on when each is raised."""

from __future__ import annotations

import ast
import importlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from processors.contract import Outcome
from tests.house.tree import ROOMS, dotted, functions, modules

# The local stack is a room of its own: it is started by people, not by the platform.
FAMILIES = (*(room for room in ROOMS if room != "headwater"), "headwater.local", "headwater.cli", "headwater")

BARE = ("Exception", "BaseException", "RuntimeError")


def defined() -> Iterator[type[BaseException]]:
    for path in modules():
        name = dotted(path)
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, type) and issubclass(value, BaseException) and value.__module__ == name:
                yield value


@pytest.fixture(scope="module")
def errors() -> list[type[BaseException]]:
    return list(defined())


def family(error: type[BaseException]) -> str:
    return next(name for name in FAMILIES if error.__module__ == name or error.__module__.startswith(f"{name}."))


def test_when_an_error_is_named_then_it_ends_in_error(errors: list[type[BaseException]]) -> None:
    """Outcomes keep their verbs: they say what the engine must do, not what was wrong."""
    named = [error for error in errors if not issubclass(error, Outcome)]
    assert [error.__name__ for error in named if not error.__name__.endswith("Error")] == []


def test_when_an_error_is_defined_then_it_says_when_it_is_raised(errors: list[type[BaseException]]) -> None:
    assert [error.__name__ for error in errors if not error.__doc__] == []


def test_when_a_room_has_errors_then_they_have_one_base(errors: list[type[BaseException]]) -> None:
    roots = defaultdict(set)
    for error in errors:
        ours = [base for base in error.__mro__[1:] if base.__module__.partition(".")[0] in ROOMS]
        # What has an underscore never leaves its module, and an outcome is no error.
        if not ours and not error.__name__.startswith("_") and error is not Outcome:
            roots[family(error)].add(error.__name__)
    assert {name: bases for name, bases in roots.items() if len(bases) > 1} == {}


@pytest.mark.parametrize("path", modules(), ids=str)
def test_when_something_is_raised_then_it_has_a_name_of_ours(path: Path) -> None:
    """A bare RuntimeError says nothing about what the caller should do next."""
    for name, function in functions(path):
        for node in ast.walk(function):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                raised = ast.unparse(node.exc.func)
                assert raised not in BARE, f"{path}:{name} raises {raised}"
