"""The stack and its commands: all parts up, found again, stopped in order, nothing left running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headwater.local.errors import ChildDiedError, FolderInUseError, LocalStackError
from headwater.local.postgres import PostgresServer
from headwater.local.spec import Addresses, StackSpec, remembered_profile, require_profile
from headwater.local.stack import Stack

ROOT = Path(__file__).parents[2]
NAMES = ["kafka", "registry", "worker", "gateway"]
FULL = ["kafka", "registry", "redis", "weaviate", "postgres", "connect", "worker", "gateway"]


@pytest.fixture
def spec(tmp_path: Path, cache_folder: Path, small_program: tuple[str, ...]) -> Iterator[StackSpec]:
    spec = StackSpec(tmp_path / "state", cache_folder, detached=False, quick=True, program=small_program)
    yield spec
    Stack(spec).down()


@pytest.mark.live
def test_when_used_as_a_context_then_up_inside_and_nothing_runs_afterwards(spec: StackSpec) -> None:
    said: list[str] = []
    with Stack(spec, said.append) as stack:
        assert [part.name for part in stack.status() if part.ready] == NAMES
        pids = [part.child.pid for part in stack.parts]
        assert Addresses.read(spec.state_folder) == stack.addresses
        again = Stack(spec)
        again.up()
        assert [part.child.pid for part in again.parts] == pids
        assert [part.port for part in again.parts] == [part.port for part in stack.parts]
        assert [part.name for part in again.status() if part.memory_mb > 0] == NAMES
    assert not any(part.child.alive for part in stack.parts)
    assert [line for line in said if line.startswith("stopping")] == [f"stopping {name}" for name in reversed(NAMES)]


@pytest.mark.live
def test_when_a_part_fails_then_its_words_are_told_and_all_is_stopped(
    spec: StackSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_PROGRAM_FAILS", "worker")
    stack = Stack(spec)
    with pytest.raises(ChildDiedError, match=r"(?s)worker ended with exit status 1.*index folder is not writable"):
        stack.up()
    assert not any(part.child.alive for part in stack.parts)


@pytest.mark.live
def test_when_what_ran_before_was_not_started_here_then_it_is_left_running(spec: StackSpec) -> None:
    with Stack(spec) as first:
        with Stack(spec):
            pass
        assert all(part.child.alive for part in first.parts)
        first.worker.child.kill()
        with Stack(spec) as second:
            assert second.worker.child.alive
        assert not first.worker.child.alive
        assert first.gateway.child.alive


@pytest.mark.live
def test_when_the_profile_is_full_then_the_servers_beside_are_up_too_and_remembered(
    spec: StackSpec, postgres: PostgresServer
) -> None:
    # As root PostgreSQL runs as another user, who may not enter the folders that pytest makes.
    folder = Path(tempfile.mkdtemp(prefix="headwater-full-"))
    folder.chmod(0o711)
    full = replace(spec, state_folder=folder / "state", profile="full")
    try:
        with Stack(full) as stack:
            assert [part.name for part in stack.status() if part.ready] == FULL
            assert stack.worker.child.log_tail(5).startswith("all with sources")
            assert remembered_profile(full.state_folder) == "full"
            addresses = Addresses.read(full.state_folder)
            assert addresses == stack.addresses
            assert (addresses.connect_url.startswith("http://127.0.0.1:"), addresses.postgres_port > 0) == (True, True)
        assert not any(part.child.alive for part in stack.parts)
    finally:
        shutil.rmtree(folder)


@pytest.mark.live
def test_when_another_command_is_at_work_then_refused(spec: StackSpec) -> None:
    stack = Stack(spec)
    with stack._alone(), pytest.raises(FolderInUseError, match="another command starts or stops the stack"):
        Stack(spec).up()


def test_when_removed_then_only_what_the_stack_wrote(tmp_path: Path, cache_folder: Path) -> None:
    spec = StackSpec(tmp_path / "state", cache_folder)
    with pytest.raises(LocalStackError, match="none was ever started there"):
        Stack(spec).remove()
    (spec.state_folder / "kafka" / "data").mkdir(parents=True)
    (spec.state_folder / "stack.json").write_text("{}")
    (spec.state_folder / "thesis.txt").write_text("mine")
    assert Stack(spec).remove() == ["thesis.txt"]
    (spec.state_folder / "thesis.txt").unlink()
    (spec.state_folder / "stack.json").write_text("{}")
    assert Stack(spec).remove() == []
    assert not spec.state_folder.exists()


@pytest.mark.parametrize("notes", ["", "[]", "{}", '{"ports": {"worker": "x"}}', '{"addresses": {}}'])
def test_when_the_notes_are_damaged_then_as_if_there_were_none(tmp_path: Path, cache_folder: Path, notes: str) -> None:
    (tmp_path / "stack.json").write_text(notes)
    stack = Stack(StackSpec(tmp_path, cache_folder))
    assert [part.port for part in stack.parts] == [0, 0, 0, 0]
    assert Addresses.read(tmp_path) is None


def test_when_the_profile_is_unknown_then_refused_with_the_ones_there_are() -> None:
    require_profile("embedded")
    require_profile("full")
    with pytest.raises(LocalStackError, match="'embedded' or 'full', got 'tiny'"):
        require_profile("tiny")


def _headwater(state: Path, program: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HEADWATER_LOCAL__STATE_FOLDER": str(state), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*program, *arguments], env=environment, capture_output=True, text=True, timeout=90, check=False
    )


def _status(state: Path, program: tuple[str, ...]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = json.loads(_headwater(state, program, "status", "--output", "json").stdout)
    return parts


@pytest.mark.live
def test_when_started_from_the_command_line_then_status_and_down_find_it(
    tmp_path: Path, small_program: tuple[str, ...]
) -> None:
    # `up` starts Headwater's own commands, so the command line that stands for them must be told to start itself.
    state = tmp_path / "state"
    script = tmp_path / "up.py"
    script.write_text(
        "import sys; from pathlib import Path; from headwater.local.spec import StackSpec, stack_spec\n"
        "from headwater.local.stack import Stack; from streams.settings import load; from dataclasses import replace\n"
        f"Stack(replace(stack_spec(load()), program={small_program!r})).up()\n"
    )
    try:
        assert _headwater(state, (sys.executable, str(script))).returncode == 0
        parts = _status(state, small_program)
        assert [(part["name"], part["ready"]) for part in parts] == [(name, True) for name in NAMES]
        os.kill(parts[2]["pid"], signal.SIGKILL)
        assert _headwater(state, small_program, "status").returncode == 4
        logs = _headwater(state, small_program, "logs", "gateway")
        assert (logs.stdout, logs.returncode) == ("serving\n", 0)
        assert _headwater(state, small_program, "logs", "nobody").returncode == 2
        down = _headwater(state, small_program, "down", "--remove")
        assert (down.returncode, "stopped kafka, registry, gateway" in down.stderr) == (0, True)
        assert not state.exists()
    finally:
        _headwater(state, small_program, "down")


def test_when_nothing_runs_then_down_is_fine_and_status_says_so(tmp_path: Path, small_program: tuple[str, ...]) -> None:
    state = tmp_path / "state"
    down = _headwater(state, small_program, "down")
    assert (down.returncode, down.stderr) == (0, "nothing was running\n")
    assert [part["pid"] for part in _status(state, small_program)] == [None] * 4
    assert not state.exists()
    tiny = _headwater(state, small_program, "up", "--profile", "tiny")
    assert (tiny.returncode, "'embedded' or 'full'" in tiny.stderr) == (1, True)


@pytest.mark.live
def test_when_logs_are_followed_then_added_lines_are_printed(tmp_path: Path, small_program: tuple[str, ...]) -> None:
    log = tmp_path / "run" / "worker.log"
    log.parent.mkdir()
    log.write_text("one\n")
    environment = {**os.environ, "HEADWATER_LOCAL__STATE_FOLDER": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [*small_program, "logs", "-f"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == "worker   | one\n"
        time.sleep(0.5)
        with log.open("a") as stream:
            stream.write("two\nhalf")
        assert follower.stdout.readline() == "worker   | two\n"
        log.write_text("new\n")
        assert follower.stdout.readline() == "worker   | new\n"
        follower.kill()
