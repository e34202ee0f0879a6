"""`headwater top`: pages become rates, rates become states, and the picture fits the terminal and leaves it clean."""

from __future__ import annotations

import io
import json
import math
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from rich.console import Console
from typer.testing import CliRunner

from headwater.cli.hop_rates import Growth, HopRow, Tally, Watched, growths, quantile, rows
from headwater.cli.hop_table import COLUMNS, chosen, fitting, picture
from headwater.cli.main import app
from headwater.cli.worker_page import HopNumbers, PageError, WorkerPage, fetch_page, read_page
from headwater.local.ports import choose_port
from streams import metrics
from streams.ops import OpsServer

ROOT = Path(__file__).parents[2]
HOP = "headwater.ingest.parse.v1"


def page(at: float, began: float = 1.0, lag: float = 0.0, **counts: float) -> WorkerPage:
    gauges = {"lag_records": lag, "paused": counts.pop("paused", 0.0), "in_flight_records": counts.pop("flying", 0.0)}
    return WorkerPage(at, began, {HOP: HopNumbers(counts=dict(counts), gauges=gauges)})


def looked(*pages: WorkerPage, url: str = "http://a") -> Watched:
    worker = Watched(url)
    for each in pages:
        worker.saw(each)
    return worker


def row_of(*workers: Watched) -> HopRow:
    (row,) = rows(workers)
    return row


def serving() -> OpsServer:
    return OpsServer("127.0.0.1", 0, lambda: (True, ""), lambda: (True, ""))


def test_when_a_real_page_is_read_then_every_kind_of_metric_is_found() -> None:
    metrics.RECORDS.labels("top.page").inc(7)
    metrics.EVENTS.labels("top.page", "a").inc(2)
    metrics.EVENTS.labels("top.page", "b").inc(3)
    metrics.PAUSED.labels("top.page").set(1)
    metrics.STEP_SECONDS.labels("top.page").observe(0.003)
    read = read_page(generate_latest().decode(), at=5.0)
    hop = read.hops["top.page"]
    assert (hop.counts["records"], hop.counts["events"], hop.gauges["paused"]) == (7, 5, 1)
    assert (hop.buckets["step_seconds"][0.0025], hop.buckets["step_seconds"][math.inf]) == (0, 1)
    assert hop.counts["step_seconds_count"] == 1
    assert (read.at, read.began > 0) == (5.0, True)


@pytest.mark.parametrize("text", ['headwater_hop_records_total{hop="a" 1', "<html><body>", "a b c d"])
def test_when_something_else_answers_then_it_is_said(text: str) -> None:
    with pytest.raises(PageError, match="no metrics page"):
        read_page(text, at=0.0)


def test_when_a_page_speaks_of_no_hop_then_there_is_none() -> None:
    assert read_page("", at=0.0).hops == {}


def test_when_a_worker_is_asked_then_its_page_comes_or_a_word_of_why_not() -> None:
    metrics.RECORDS.labels("top.asked").inc()
    with serving() as server:
        url = f"http://127.0.0.1:{server.port}"
        assert fetch_page(url, 0.0, 5.0).hops["top.asked"].counts["records"] >= 1
        assert fetch_page(f"{url}/metrics", 0.0, 5.0).hops
        with pytest.raises(PageError, match="status 404"):
            fetch_page(f"{url}/nowhere", 0.0, 5.0)
    with pytest.raises(PageError, match="connection refused"):
        fetch_page(url, 0.0, 5.0)


def test_when_two_pages_are_compared_then_rates_are_per_second() -> None:
    row = row_of(looked(page(10.0, records=100, events=10), page(12.0, records=160, events=11, lag=5)))
    assert (row.hop, row.read_per_s, row.written_per_s, row.lag) == ("ingest.parse", 30.0, 0.5, 5)


@pytest.mark.parametrize(
    ("began", "then", "now", "grown"),
    [(1.0, 100, 160, 60), (2.0, 100, 160, 160), (2.0, 100, 30, 30), (1.0, 100, 30, 30), (1.0, 100, 100, 0)],
)
def test_when_a_worker_was_restarted_then_it_counts_from_nothing(
    began: float, then: float, now: float, grown: float
) -> None:
    found = growths(page(0.0, records=then), page(1.0, began=began, records=now))
    assert found[HOP].counts["records"] == grown


def test_when_a_counter_appears_between_two_looks_then_all_of_it_is_new() -> None:
    row = row_of(looked(page(0.0, records=1), page(1.0, records=1, dead_letters=2)))
    assert row.dead_letters == Tally(total=2, new=2)


def test_when_a_restart_was_watched_then_what_is_new_goes_on_and_the_total_begins_anew() -> None:
    worker = looked(page(0.0, aborts=5), page(1.0, aborts=7), page(2.0, began=9.0, aborts=1))
    assert row_of(worker).aborts == Tally(total=1, new=3)


def test_when_several_workers_run_a_hop_then_they_are_added_up() -> None:
    first = looked(page(0.0, records=0), page(1.0, records=10, lag=3), url="http://a")
    second = looked(page(0.0, records=0), page(2.0, records=10, lag=4), url="http://b")
    row = row_of(first, second)
    assert (row.workers, row.read_per_s, row.lag) == (2, 15.0, 7)


def test_when_looks_get_old_then_they_do_not_count() -> None:
    pages = [page(float(n), records=1_000) for n in range(10)]
    worker = looked(page(-1.0, records=0), *pages)
    assert row_of(worker).read_per_s == 0
    assert sum(one.seconds for one in worker.window) <= 5.0


def test_when_a_worker_goes_away_then_its_hops_stay_and_after_its_return_rates_begin_anew() -> None:
    worker = looked(page(0.0, records=0), page(1.0, records=10))
    worker.missed("connection refused", 2.0)
    worker.missed("connection refused", 3.0)
    row = row_of(worker)
    assert (row.state, row.workers, row.lag, row.read_per_s, worker.away_since) == ("away", 0, None, None, 2.0)
    worker.saw(page(9.0, began=8.0, records=5))
    assert (row_of(worker).state, row_of(worker).read_per_s) == ("…", None)
    worker.saw(page(10.0, began=8.0, records=9))
    assert row_of(worker).read_per_s == 4.0


BEFORE = {"records": 10.0, "aborts": 0.0, "stalls": 0.0, "dead_letters": 0.0, "retries": 0.0}


@pytest.mark.parametrize(
    ("after", "state"),
    [
        ({}, "idle"),
        ({"records": 20}, "working"),
        ({"flying": 3}, "working"),
        ({"records": 20, "retries": 1}, "retrying"),
        ({"records": 20, "retries": 1, "dead_letters": 1}, "failing"),
        ({"records": 20, "stalls": 1}, "stalled"),
        ({"records": 20, "aborts": 1, "dead_letters": 1}, "aborting"),
        ({"records": 20, "aborts": 1, "paused": 1}, "paused"),
        ({"lag": 1}, "stuck"),
        ({"lag": 1, "flying": 1}, "working"),
        ({"records": 20, "lag": 1}, "working"),
        ({"records": 20, "lag": 100}, "behind"),
    ],
)
def test_when_counters_grew_then_the_worst_of_it_is_the_state(after: dict[str, Any], state: str) -> None:
    assert row_of(looked(page(0.0, **BEFORE), page(5.0, **{**BEFORE, **after}))).state == state


@pytest.mark.parametrize(
    ("q", "buckets", "expected"),
    [
        (0.5, {}, None),
        (0.5, {0.1: 0.0, math.inf: 0.0}, None),
        (0.5, {0.1: 10.0, math.inf: 10.0}, 0.05),
        (0.95, {0.1: 50.0, 0.2: 100.0, math.inf: 100.0}, 0.19),
        (0.5, {0.1: 0.0, 0.2: 0.0, 0.4: 4.0, math.inf: 4.0}, 0.3),
        (0.99, {0.1: 1.0, math.inf: 100.0}, 0.1),
    ],
)
def test_when_a_quantile_is_asked_for_then_it_is_linear_within_its_bucket(
    q: float, buckets: dict[float, float], expected: float | None
) -> None:
    found = quantile(q, buckets)
    assert found == expected if expected is None else found == pytest.approx(expected)


def test_when_steps_were_timed_then_only_those_between_the_looks_count() -> None:
    def timed(at: float, slow: float, fast: float) -> WorkerPage:
        numbers = HopNumbers(buckets={"step_seconds": {0.01: fast, 1.0: fast + slow, math.inf: fast + slow}})
        return WorkerPage(at, 1.0, {HOP: numbers})

    row = row_of(looked(timed(0.0, slow=1_000, fast=0), timed(1.0, slow=1_000, fast=100)))
    assert [row.step_p50_s, row.step_p95_s] == pytest.approx([0.005, 0.0095])


def many() -> list[HopRow]:
    base = row_of(looked(page(0.0, **BEFORE), page(1.0, **{**BEFORE, "records": 5_000, "lag": 1_234_567, "aborts": 3})))
    names = [f"ingest.{step}" for step in ("capture", "parse", "redact", "chunk", "embed", "index", "settle")]
    idle = replace(base, hop="answer.a-very-long-name-of-a-hop", state="idle", lag=0)
    return [replace(base, hop=name) for name in names] + [idle]


def drawn(found: list[HopRow], workers: list[Watched], width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    console.print(picture(found, workers, width, now=12.0))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (26, ["HOP", "STATE", "LAG"]),
        (60, ["HOP", "STATE", "LAG", "IN/s", "OUT/s", "P95", "DEAD"]),
        (80, ["HOP", "STATE", "LAG", "IN/s", "OUT/s", "P50", "P95", "RETRIES", "DEAD"]),
        (160, [column.title for column in COLUMNS]),
    ],
)
def test_when_the_terminal_is_narrow_then_what_matters_most_is_there(width: int, titles: list[str]) -> None:
    found = many()
    assert [column.title for column, _ in chosen(found, width)] == titles
    lines = drawn(found, [looked(page(0.0))], width)
    assert lines[1].split("  ")[0].rstrip() == "HOP"
    assert max(map(len, lines)) <= width
    assert len(lines) == 2 + len(found)
    assert all("1.2M" in line for line in lines[2:-1])


def test_when_there_is_room_then_every_column_is_shown() -> None:
    assert [column for column, _ in chosen(many(), 200)] == list(COLUMNS)
    assert "3 +3" in drawn(many(), [], 200)[2]


def test_when_a_worker_is_away_then_the_picture_says_since_when_and_why() -> None:
    worker = looked(page(0.0), page(1.0))
    worker.missed("connection refused", 2.0)
    lines = drawn(rows([worker]), [worker], 80)
    assert lines[0].startswith("1 worker, 1 away")
    assert "http://a is away for 10s: connection refused; asking again" in lines[-1]
    assert max(map(len, drawn(rows([worker]), [worker], 40))) <= 40


def test_when_there_are_too_few_lines_then_idle_hops_are_left_out_first() -> None:
    found = many()
    found[0] = replace(found[0], state="idle")
    assert [row.hop for row in fitting(found, lines=10)] == [row.hop for row in found[1:7]]
    assert fitting(found, lines=40) == found
    assert len(fitting(found, lines=1)) == 1


def test_when_a_window_holds_no_growth_then_nothing_is_divided_by_it() -> None:
    assert row_of(looked(page(1.0, records=1), page(1.0, records=2))).read_per_s is None
    assert Growth(0.0, {}, {}).lag == 0


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["top", *arguments], catch_exceptions=False)


def test_when_asked_once_for_programs_then_one_line_of_json_comes() -> None:
    metrics.RECORDS.labels("headwater.ingest.chunk.v1").inc(3)
    with serving() as server:
        urls = [f"127.0.0.1:{server.port}", f"127.0.0.1:{choose_port('nobody')}"]
        done = run("--once", "--interval", "0.1", "--output", "json", "--url", urls[0], "--url", urls[1])
    assert done.exit_code == 0
    printed = json.loads(done.stdout)
    assert [worker["there"] for worker in printed["workers"]] == [True, False]
    assert printed["workers"][1]["reason"] == "connection refused"
    (hop,) = [hop for hop in printed["hops"] if hop["hop"] == "ingest.chunk"]
    assert (hop["state"], hop["read_per_s"]) == ("idle", 0.0)


def test_when_nobody_answers_then_once_ends_with_4_and_says_so() -> None:
    done = run("--once", "--interval", "0.1", "--url", f"127.0.0.1:{choose_port('nobody')}")
    assert done.exit_code == 4
    assert "connection refused" in done.stdout
    assert "\x1b" not in done.stdout


def test_when_no_worker_is_known_then_it_says_how_to_name_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("--once")
    assert done.exit_code == 2
    assert "--url" in done.output and "headwater up" in done.output


def test_when_a_worker_hangs_then_it_is_away_and_holds_nobody_up() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        done = run("--once", "--interval", "0.1", "--url", f"127.0.0.1:{silent.getsockname()[1]}")
    assert done.exit_code == 4
    assert "no answer in time" in done.stdout
    assert time.monotonic() - began < 12.0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "headwater.cli.main", "top", "--interval", "0.2", *arguments]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **more}


def test_when_piped_then_tables_follow_each_other_without_colours() -> None:
    with serving() as server:
        process = subprocess.Popen(
            command("--url", f"127.0.0.1:{server.port}"), env=environment(), stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        tables = [process.stdout.readline() for _ in range(60)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10.0) == 0
        process.stdout.close()
    assert sum(line.startswith("1 worker") for line in tables) >= 2
    assert "\x1b" not in "".join(tables)


@contextmanager
def terminal(*arguments: str, **more: str) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """The command on a terminal of its own: the process, our end, its end."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 100))
    process = subprocess.Popen(
        command(*arguments), env=environment(**more), stdin=its, stdout=its, stderr=its, start_new_session=True
    )
    try:
        yield process, ours, its
    finally:
        process.kill()
        process.wait(10.0)
        os.close(ours)
        os.close(its)


def shown(ours: int, until: bytes, timeout_s: float = 15.0) -> bytes:
    found, deadline = b"", time.monotonic() + timeout_s
    while until not in found:
        assert time.monotonic() < deadline, found[-2000:]
        if select.select([ours], [], [], 0.1)[0]:
            found += os.read(ours, 65536)
    return found


@pytest.mark.parametrize("end", ["q", "Q", "interrupt", "terminate"])
def test_when_it_is_ended_then_the_terminal_is_as_before(end: str) -> None:
    with serving() as server, terminal("--url", f"127.0.0.1:{server.port}") as (process, ours, its):
        before = termios.tcgetattr(its)
        began = shown(ours, b"q quits")
        assert b"\x1b[?1049h" in began and b"\x1b[?25l" in began
        assert termios.tcgetattr(its) != before
        if end in "Qq":
            os.write(ours, b"x" + end.encode())
        else:
            process.send_signal(signal.SIGINT if end == "interrupt" else signal.SIGTERM)
        left = shown(ours, b"\x1b[?1049l")
        assert process.wait(10.0) == 0
        assert b"\x1b[?25h" in left and b"Traceback" not in left
        assert termios.tcgetattr(its) == before


def test_when_no_colour_is_wanted_then_the_live_picture_has_none() -> None:
    with serving() as server, terminal("--url", f"127.0.0.1:{server.port}", NO_COLOR="1") as (_, ours, _):
        assert b"\x1b[1m" not in shown(ours, b"q quits")
