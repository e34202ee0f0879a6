"""Every example runs as a person would run it, and prints what it promises."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater import Client, ClientError
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack
from headwater.local.weaviate_build import built

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
QUESTION = "What does parking cost a month?"


def run(example: str, *arguments: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HEADWATER_EMBED__MODEL": "hashing"}
    command = [sys.executable, str(EXAMPLES / example), *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=220, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Stack]:
    environment = (("HEADWATER_EMBED__MODEL", "hashing"),)
    spec = StackSpec(tmp_path_factory.mktemp("stack"), cache_folder, detached=False, environment=environment)
    with Stack(spec) as running:
        with Client(running.addresses.gateway_url, tenant="acme") as client:
            client.publish("parking.md", "# Parking\n\nParking costs fifty euros a month.")
            await_answer(client, QUESTION)
        yield running


def await_answer(client: Client, question: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(ClientError):
            if client.ask(question).answered:
                return
        time.sleep(0.1)
    raise AssertionError(f"{question!r} was not answered")


def test_when_a_step_of_your_own_runs_then_it_needs_no_broker() -> None:
    printed = run("05_your_own_processor.py")
    assert printed.splitlines()[:2] == ["guide.md", "  Mooring"]
    assert "rejected: wanted a document with headings" in printed


def test_when_the_client_is_used_over_http_then_the_answer_is_cited(stack: Stack) -> None:
    printed = run("03_client_http.py", stack.addresses.gateway_url)
    assert "The harbour office opens at nine." in printed
    assert "] Harbour:" in printed


def test_when_plain_kafka_is_used_then_somebody_answers(stack: Stack) -> None:
    there = (stack.addresses.bootstrap, stack.addresses.registry_url)
    printed = run("02_plain_kafka.py", *there, "acme", QUESTION)
    assert "fifty euros" in printed.splitlines()[0]
    assert "parking.md:" in printed
    assert "tenant" in run("02_plain_kafka.py", *there, "nobody-yet", QUESTION)


def test_when_answers_are_streamed_then_each_question_gets_its_own(stack: Stack) -> None:
    there = (stack.addresses.bootstrap, stack.addresses.registry_url)
    printed = run("04_client_async_stream.py", *there, "acme", QUESTION, "Which whales sing?")
    assert f"{QUESTION}\n  Parking costs fifty euros a month." in printed
    assert "Which whales sing?\n  The documents do not answer" in printed
    assert "TenantUnknownError" in run("04_client_async_stream.py", *there, "nobody-yet", QUESTION)


def test_when_everything_starts_with_the_script_then_it_ends_with_it(cache_folder: Path) -> None:
    printed = run("01_ask_without_docker.py")
    assert "twelve months" in printed
    assert "lease.md" in printed


@pytest.mark.timeout(240)
def test_when_rows_change_in_postgres_then_the_answers_follow(cache_folder: Path) -> None:
    if built(cache_folder) is None and shutil.which("go") is None:
        pytest.skip("wanted Weaviate: it was not built on this machine and there is no Go tool chain to build it with")
    printed = run("06_postgres_to_answer.py")
    assert "inserted: A mooring lease runs for twelve months." in printed
    assert "updated:  A mooring lease runs for two years." in printed
    assert "deleted:  The documents do not answer" in printed


def test_when_an_example_is_there_then_it_is_run_here() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'run("{path.name}"' not in here] == []
