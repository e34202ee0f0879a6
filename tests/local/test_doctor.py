"""The doctor: each thing is there, or is named together with the way to get it."""

from __future__ import annotations

import importlib.metadata
import json
import socket
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from headwater.cli import doctor
from headwater.local.ports import HOST
from streams.settings import Local, Settings


def _examined(local: Local) -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor.examine(Settings(local=local))}


def test_when_all_is_there_then_every_required_check_is_ok(tmp_path: Path) -> None:
    checks = _examined(Local(state_folder=tmp_path / "not" / "yet"))
    assert [name for name, check in checks.items() if check.required and not check.ok] == []
    assert {"python", "java", "kafka jars", "disk", "ports", "import names", "embed extra", "sqlite"} <= set(checks)


def test_when_java_does_not_run_then_missing_with_a_way_to_get_it(tmp_path: Path) -> None:
    java = _examined(Local(state_folder=tmp_path, java="/nowhere/java"))["java"]
    assert not java.ok
    assert "headwater[local]" in java.remedy


def test_when_a_server_of_the_full_profile_is_missing_then_it_is_absent_with_a_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    redis = _examined(Local(state_folder=tmp_path))["redis"]
    assert (redis.ok, redis.required) == (False, False)
    assert "redis-server" in redis.remedy


def test_when_jars_are_missing_then_it_counts_them(tmp_path: Path) -> None:
    jars = _examined(Local(state_folder=tmp_path, cache_folder=tmp_path / "cache"))["kafka jars"]
    assert jars.found.startswith("Kafka 4.3.1: 0 of 92 pinned jars are here")


def test_when_a_port_that_was_asked_for_is_taken_then_it_is_named(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        ports = _examined(Local(state_folder=tmp_path, gateway_port=port))["ports"]
    assert (ports.ok, ports.found) == (False, f"taken: {port}")


def test_when_another_distribution_has_a_room_of_our_name_then_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = {
        **importlib.metadata.packages_distributions(),
        "schemas": ["headwater", "schemas"],
        "topics": ["headwater"],
    }
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: owners)
    names = _examined(Local(state_folder=tmp_path))["import names"]
    assert (names.ok, names.found) == (False, "schemas is also in schemas")


def test_when_run_as_a_command_then_json_and_exit_code_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    doctor.register(app)
    monkeypatch.setenv("HEADWATER_LOCAL__STATE_FOLDER", str(tmp_path))
    fine = CliRunner().invoke(app, ["--output", "json"])
    assert (fine.exit_code, json.loads(fine.stdout)["ok"]) == (0, True)
    monkeypatch.setenv("HEADWATER_LOCAL__JAVA", "/nowhere/java")
    broken = CliRunner().invoke(app, ["--output", "json"])
    assert (broken.exit_code, json.loads(broken.stdout)["ok"]) == (4, False)
    table = CliRunner().invoke(app, [])
    assert "MISSING  java" in table.stdout
    assert "-> uv pip install 'headwater[local]'" in table.stdout
