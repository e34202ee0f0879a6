"""The isolated parser: what crashes, hangs or swells becomes a reason, and the next document is read."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.errors import ParserUnavailableError
from adapters.isolated_parser import IsolatedParser, Isolation
from processors.contract import Reject

GOOD = (b"<h1>Tea</h1><p>It is hot.", "text/html")
# Quadratic to its reader: many seconds, and little memory.
IMPORTED_S = 2.0
SLOW = (b"[" * 400_000 + b"a" + b"](" * 100_000, "text/markdown")


@pytest.fixture
def parser() -> Iterator[IsolatedParser]:
    parser = IsolatedParser(Isolation(timeout_s=30.0, memory_mb=256, processes=2))
    yield parser
    parser.close()


def pids(parser: IsolatedParser) -> list[int]:
    """The processes that wait for a document."""
    return [process._process.pid for process in list(parser._idle.queue) if process is not None]


def busy_killer(parser: IsolatedParser, times: int) -> tuple[threading.Thread, set[int]]:
    """Kills whichever process reads, so many times, soon after it began; which ones it killed."""
    gone, idle_s = set[int](), {pid: cpu_s(pid) for pid in pids(parser)}

    def kill() -> None:
        until = time.monotonic() + 60.0
        while len(gone) < times and time.monotonic() < until:
            for pid in (children() | set(idle_s)) - set(pids(parser)) - gone:
                # A new one imports its readers first.
                if cpu_s(pid) > idle_s.get(pid, IMPORTED_S) + 0.2:
                    gone.add(pid)
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread, gone


def children() -> set[int]:
    """The processes that this one started to read documents: a broker of other tests may be among its children."""
    found = Path("/proc/self/task").glob("*/children")
    started = {int(pid) for path in found for pid in path.read_text(encoding="ascii").split()}
    return {pid for pid in started if b"reading_process" in command_of(pid)}


def command_of(pid: int) -> bytes:
    """How a process was started; nothing for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_when_a_document_takes_too_long_then_it_is_refused_and_the_next_is_read() -> None:
    parser = IsolatedParser(Isolation(timeout_s=1.0, memory_mb=256, processes=1))
    try:
        with pytest.raises(Reject, match=r"within 1 s .* takes longer; split it, or raise parse.timeout_s"):
            parser.parse(*SLOW)
        assert parser.parse(*GOOD).title == "Tea"
    finally:
        parser.close()


def test_when_a_text_is_harmless_then_no_process_is_asked(parser: IsolatedParser) -> None:
    for pid in pids(parser):
        os.kill(pid, signal.SIGSTOP)
    assert parser.parse(b"# Tea", "text/markdown").title == "Tea"
    assert parser.parse("naïve".encode(), "text/plain").pieces
    assert all(process is not None and process.read == 0 for process in list(parser._idle.queue))


def test_when_a_process_stands_still_then_the_clock_ends_it() -> None:
    parser = IsolatedParser(Isolation(timeout_s=1.0, processes=1))
    try:
        parser.parse(*GOOD)
        os.kill(pids(parser)[0], signal.SIGSTOP)
        with pytest.raises(Reject, match="takes longer"):
            parser.parse(*GOOD)
        assert parser.parse(*GOOD).title == "Tea"
    finally:
        parser.close()


def test_when_a_document_needs_too_much_memory_then_it_is_refused_and_the_next_is_read() -> None:
    parser = IsolatedParser(Isolation(timeout_s=30.0, memory_mb=64, processes=1))
    try:
        body = b"[" + b"[]," * 1_200_000 + b"[]]"
        with pytest.raises(Reject, match="within 30 s and 64 MB"):
            parser.parse(body, "application/json")
        assert parser.parse(*GOOD).title == "Tea"
    finally:
        parser.close()


def test_when_idle_processes_are_killed_then_no_document_hears_of_it(parser: IsolatedParser) -> None:
    assert parser.parse(*GOOD).title == "Tea"
    for pid in pids(parser):
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    assert [parser.parse(*GOOD).title for _ in range(3)] == ["Tea"] * 3


@pytest.mark.parametrize(("times", "brackets", "refused"), [(1, 60_000, False), (2, 200_000, True)])
def test_when_its_process_is_killed_then_a_document_is_tried_once_more(
    times: int, brackets: int, refused: bool
) -> None:
    parser = IsolatedParser(Isolation(timeout_s=60.0, memory_mb=512, processes=1))
    body = b"[" * brackets + b"a" + b"](" * (brackets // 3)
    try:
        parser.parse(*GOOD)
        killer, killed = busy_killer(parser, times)
        if refused:
            with pytest.raises(Reject, match=r"died \(SIGKILL\), twice"):
                parser.parse(body, "text/markdown")
        else:
            assert parser.parse(body, "text/markdown").pieces
        killer.join(60.0)
        assert len(killed) == times
        assert parser.parse(*GOOD).title == "Tea"
    finally:
        parser.close()


def test_when_a_process_read_its_share_then_another_takes_its_place() -> None:
    parser = IsolatedParser(Isolation(timeout_s=30.0, processes=1, documents=2))
    try:
        seen = set()
        for _ in range(5):
            assert parser.parse(*GOOD).title == "Tea"
            seen |= set(pids(parser))
        assert len(seen) == 3
    finally:
        parser.close()


def test_when_it_is_closed_then_its_processes_are_gone_and_nobody_is_refused(parser: IsolatedParser) -> None:
    parser.parse(*GOOD)
    before = pids(parser)
    parser.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in before)
    parser._idle.put(None)
    with pytest.raises(ParserUnavailableError, match="closed"):
        parser.parse(*GOOD)


def test_when_processes_cannot_start_then_the_hop_pauses_and_no_document_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adapters.isolated_parser._PROGRAM", "raise SystemExit(3)")
    parser = IsolatedParser(Isolation(processes=1))
    try:
        with pytest.raises(ParserUnavailableError, match="did not start"):
            parser.parse(*GOOD)
    finally:
        parser.close()


def test_when_a_process_is_asked_then_no_secret_of_ours_is_in_its_environment() -> None:
    parser = IsolatedParser(Isolation(processes=1), environment={"PATH": os.environ["PATH"]})
    try:
        assert parser.parse(*GOOD).title == "Tea"
        (pid,) = pids(parser)
        given = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert {one.partition(b"=")[0] for one in given if one} <= {b"PATH", b"LC_CTYPE"}
    finally:
        parser.close()
