"""A child process: started, found again, stopped, and never mistaken for another."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headwater.local.child import Child, ChildSpec, Identity
from headwater.local.errors import ChildDiedError, NotReadyError

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)

Start = Callable[..., Child]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts children that are stopped when the test is over."""
    children: list[Child] = []

    def starter(*command: str, name: str = "one", detached: bool = False) -> Child:
        child = Child(ChildSpec(name, command, tmp_path, (("SAID", "hello"),), detached))
        child.start()
        children.append(child)
        return child

    yield starter
    for child in children:
        child.stop(grace_s=0.1)


def _until(condition: Callable[[], bool], deadline_s: float = 10.0) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < deadline_s, "waited too long"
        time.sleep(0.01)


def test_when_started_then_it_runs_with_its_variables_and_a_log(start: Start) -> None:
    child = start("sh", "-c", "echo $SAID; exec sleep 60")
    _until(lambda: child.log_tail() == "hello")
    assert child.memory_bytes > 0
    child.stop(grace_s=5.0)
    assert not child.alive
    assert child.memory_bytes == 0
    assert not child.pid_path.exists()


def test_when_started_twice_then_one_process(start: Start) -> None:
    child = start("sleep", "60")
    pid = child.pid
    child.start()
    assert child.pid == pid
    assert Child(child.spec).pid == pid


def test_when_another_object_stops_it_then_it_is_gone(start: Start) -> None:
    child = start("sleep", "60", detached=True)
    Child(child.spec).stop(grace_s=5.0)
    assert not child.alive


def test_when_deaf_to_the_request_then_killed_after_the_grace(start: Start) -> None:
    child = start(sys.executable, "-c", STUBBORN)
    _until(lambda: child.log_tail() == "deaf")
    began = time.monotonic()
    child.stop(grace_s=0.3)
    assert 0.3 <= time.monotonic() - began < 5.0
    assert not child.alive


def test_when_paused_then_stop_still_ends_it_cleanly(start: Start) -> None:
    child = start("sleep", "60")
    pid = child.pid
    child.pause()
    _until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    began = time.monotonic()
    child.stop(grace_s=5.0)
    assert time.monotonic() - began < 2.0


def test_when_the_number_was_given_to_another_process_then_that_one_is_left_alone(start: Start) -> None:
    child = start("sleep", "60")
    child.kill()
    # Start times are counted in hundredths of a second: a number can't come round again within one.
    time.sleep(0.05)
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        old = json.loads(child.pid_path.read_text())
        child.pid_path.write_text(json.dumps({**old, "pid": bystander.pid}))
        later = Child(child.spec)
        assert not later.alive
        later.stop(grace_s=0.1)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_when_the_pid_file_is_lost_then_its_parent_still_stops_it(start: Start) -> None:
    child = start("sleep", "60")
    child.pid_path.unlink()
    child.stop(grace_s=5.0)
    assert Child(child.spec).pid is None
    assert not child.alive


@pytest.mark.parametrize("text", ["", "{", "12", '{"pid": 1}', '{"pid": 1, "started_ticks": 2, "boot": "x"}'])
def test_when_the_pid_file_is_damaged_or_of_another_boot_then_nothing_runs(tmp_path: Path, text: str) -> None:
    child = Child(ChildSpec("one", ("sleep", "60"), tmp_path))
    child.pid_path.write_text(text)
    assert not child.alive
    child.stop(grace_s=0.1)


def test_when_it_ends_before_it_is_ready_then_its_last_words_are_told(start: Start) -> None:
    child = start("sh", "-c", "echo no such index >&2; exit 7")
    with pytest.raises(ChildDiedError, match=r"one ended with exit status 7; the last it said:\nno such index"):
        child.await_ready(lambda: False, deadline_s=5.0)


def test_when_its_first_thread_ends_before_the_others_then_its_status_is_waited_for(start: Start) -> None:
    """As a JVM does that gives up: the kernel calls it a zombie already, and has no exit status yet."""
    program = (
        "import ctypes, os, threading, time\n"
        "def last(): time.sleep(0.3); os._exit(3)\n"
        "threading.Thread(target=last).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    child = start(sys.executable, "-c", program)
    with pytest.raises(ChildDiedError, match="one ended with exit status 3"):
        child.await_ready(lambda: False, deadline_s=5.0)


def test_when_it_is_dropped_while_it_runs_then_nothing_warns_and_it_is_reaped_at_the_next_start(tmp_path: Path) -> None:
    dropped = Child(ChildSpec("one", ("sleep", "60"), tmp_path))
    dropped.start()
    pid = dropped.pid
    assert pid is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del dropped
        gc.collect()
    found = Child(ChildSpec("one", ("sleep", "60"), tmp_path))
    found.stop(grace_s=5.0)
    other = Child(ChildSpec("other", ("sleep", "60"), tmp_path))
    other.start()
    assert not Path(f"/proc/{pid}").exists()
    other.stop(grace_s=5.0)


def test_when_it_is_not_ready_in_time_then_the_log_is_named(start: Start) -> None:
    child = start("sleep", "60")
    with pytest.raises(NotReadyError, match=r"not usable after 0\.1 s; its log is .*one\.log"):
        child.await_ready(lambda: False, deadline_s=0.1)


def test_when_the_command_does_not_exist_then_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ChildDiedError, match="'no-such-command' does not run"):
        Child(ChildSpec("one", ("no-such-command",), tmp_path, detached=True)).start()


def test_when_signalled_while_down_then_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ChildDiedError, match="wanted to send SIGSTOP to one, which does not run"):
        Child(ChildSpec("one", ("sleep", "60"), tmp_path)).pause()


def test_when_started_again_then_the_log_before_is_kept_once(start: Start) -> None:
    child = start("sh", "-c", "echo first; exec sleep 60")
    _until(lambda: child.log_tail() == "first")
    child.kill()
    child.start()
    _until(lambda: child.log_tail() == "first")
    assert child.log_path.with_suffix(".log.1").read_text() == "first\n"


def test_when_the_log_is_long_then_the_tail_is_its_end(start: Start) -> None:
    child = start("sh", "-c", "seq 1 40000; exec sleep 60")
    _until(lambda: child.log_tail(2) == "39999\n40000")
    assert child.log_tail(0) == ""


def test_when_a_thread_started_it_and_ends_then_it_lives_on(start: Start) -> None:
    started: list[Child] = []
    thread = threading.Thread(target=lambda: started.append(start("sleep", "60")))
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert started[0].alive


PARENT = """
import sys, time
from pathlib import Path
from headwater.local.child import Child, ChildSpec
child = Child(ChildSpec("one", ("sleep", "60"), Path(sys.argv[1]), detached=sys.argv[2] == "detached"))
child.start()
print("started", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("how", "survives"), [("tethered", False), ("detached", True)])
def test_when_the_parent_is_killed_then_only_a_detached_child_survives(
    tmp_path: Path, how: str, survives: bool
) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", PARENT, str(tmp_path), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        child = Child(ChildSpec("one", ("sleep", "60"), tmp_path))
        # The tether becomes the command a moment after it was started.
        _until(lambda: b"sleep" in Path(f"/proc/{child.pid}/cmdline").read_bytes()[:6])
        parent.send_signal(signal.SIGKILL)
    if survives:
        time.sleep(0.3)
        assert child.alive
        child.stop(grace_s=5.0)
    _until(lambda: not child.alive)


def test_when_a_process_is_asked_for_by_number_then_this_one_is_alive() -> None:
    identity = Identity.of(os.getpid())
    assert identity is not None
    assert identity.is_alive()
    assert Identity.of(2**22 + 1) is None
