"""The command's habits: quick help, exit codes, data on stdout, settings and where they come from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headwater.cli.exits import code_of
from headwater.cli.main import app
from headwater.cli.output import dim
from headwater.local.ports import choose_port

ROOT = Path(__file__).parents[2]
NOBODY = choose_port("nothing")


def headwater(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headwater.cli.main", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_when_help_is_asked_for_then_nothing_heavy_is_loaded_first() -> None:
    """What makes help slow is what it imports; the clock of a busy machine would say nothing about that."""
    command = [sys.executable, "-X", "importtime", "-m", "headwater.cli.main", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "typer" in loaded
    heavy = {"confluent_kafka", "fastapi", "fastavro", "numpy", "pydantic", "tantivy", "torch", "weaviate"}
    assert loaded & (heavy | {"streams", "adapters", "processors", "schemas", "topics"}) == set()


def test_when_help_is_printed_then_every_way_in_is_there() -> None:
    words = headwater("--help").stdout
    for command in ("up", "ask", "publish", "watch", "tail", "trace", "topics", "run", "gateway", "config", "doctor"):
        assert f"  {command} " in words


AWAY = ("--kafka", f"127.0.0.1:{NOBODY}", "--registry", f"http://127.0.0.1:{NOBODY}")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("ask",), 2, "Missing argument"),
        (("ask", "How?", "-t", "acme", "--url", f"http://127.0.0.1:{NOBODY}"), 4, "can't be reached"),
        (("ask", "", "-t", "acme", "--url", f"http://127.0.0.1:{NOBODY}"), 1, "empty"),
        (("publish", "-", "-t", "acme"), 2, "wanted --document NAME"),
        (("publish", "absent.md", "-t", "acme"), 2, "wanted a file that exists"),
        (("access", "set", "acme", "a.md"), 2, "or --nobody"),
        (("access", "set", "acme", "a.md", "*", "--nobody"), 2, "or --nobody"),
        (("access", "set", "acme", "a.md", "ops"), 2, "wanted *, group:NAME or user:NAME, got 'ops'"),
        (("access", "set", "acme", "a.md", "group:ops", "user:ada", *AWAY), 4, "wanted"),
        (("watch", "absent", "-t", "acme"), 1, "wanted a folder"),
        (("topics", "describe", "absent"), 2, "wanted a declared topic"),
        (("topics", "ensure", *AWAY), 4, "headwater up"),
        (("tail", "rag.answer.given.v1", *AWAY), 4, "wanted"),
        (("trace", "a.md", "-t", "acme", *AWAY), 4, "wanted"),
        (("--config", "absent.yaml", "config", "show"), 2, "wanted a settings file"),
        (("nonsense",), 2, "No such command"),
    ],
)
def test_when_a_command_cant_go_on_then_its_exit_code_and_message_say_why(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = headwater(*arguments, cwd=tmp_path, HEADWATER_KAFKA__DEADLINE_S="1")
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_when_an_error_is_a_fault_of_the_program_then_it_has_no_exit_code_of_ours() -> None:
    assert code_of(ZeroDivisionError("oops")) is None


def test_when_output_is_no_terminal_then_it_has_no_colours() -> None:
    assert dim("text") == "text"


def test_when_topics_are_listed_then_no_cluster_is_asked() -> None:
    result = CliRunner().invoke(app, ["topics", "ls", "--output", "json"])
    rows = json.loads(result.stdout)
    assert rows[0]["topic"] == "rag.document.changed.v1"
    assert {"topic", "events", "cleanup", "retention", "restricted"} == set(rows[0])
    assert "rag.answer.given.v1" in CliRunner().invoke(app, ["topics", "ls"]).stdout


def test_when_settings_are_shown_then_each_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "headwater.yaml").write_text("gateway:\n  port: 1234\nkafka:\n  bootstrap: file:1\n")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "headwater_generate").write_text('{"api_key": "hidden"}')
    done = headwater(
        "config", "show", "--origin", "--output", "json", cwd=tmp_path,
        HEADWATER_KAFKA__BOOTSTRAP="env:1", HEADWATER_SECRETS_DIR=str(tmp_path / "secrets"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = {row["name"]: (row["value"], row["place"]) for row in json.loads(done.stdout)}
    assert shown["kafka.bootstrap"] == ("env:1", "environment")
    assert shown["gateway.port"] == (1234, "settings file")
    assert shown["generate.api_key"] == ("********", "secrets folder")
    assert shown["embed.batch"][1] == "default"
    assert "hidden" not in done.stdout


def test_when_a_settings_file_is_given_then_it_counts(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("gateway:\n  port: 4321\n")
    done = headwater("--config", "mine.yaml", "config", "show", "--origin", cwd=tmp_path)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("gateway.port")]
    assert line.split() == ["gateway.port", "4321", "settings", "file"]


HASHING = {"HEADWATER_EMBED__MODEL": "hashing"}


def test_when_nothing_changed_since_it_was_pinned_then_compat_says_so(tmp_path: Path) -> None:
    pinned = headwater("compat", "pin", cwd=tmp_path, **HASHING)
    assert (pinned.returncode, pinned.stdout) == (0, "") and "pinned answers-" in pinned.stderr
    done = headwater("compat", cwd=tmp_path, **HASHING)
    assert done.returncode == 0 and done.stdout.startswith("nothing differs from headwater.pins.yaml: answers-")


def test_when_something_changed_then_compat_says_what_it_means_and_what_to_do(tmp_path: Path) -> None:
    headwater("compat", "pin", "--file", "p.yaml", cwd=tmp_path, **HASHING)
    changed = {**HASHING, "HEADWATER_EMBED__DIMENSION": "128", "HEADWATER_RETRIEVE__PASSAGES": "4"}
    done = headwater("compat", "--file", "p.yaml", cwd=tmp_path, **changed)
    assert done.returncode == 3
    for said in (
        "dimension  384",
        "retrieve.passages  6       4",
        "every chunk has to be embedded again",
        "do: headwater",
    ):
        assert said in done.stdout
    assert done.stdout.endswith("4 things differ from p.yaml\n")
    told = json.loads(headwater("compat", "--json", "--file", "p.yaml", cwd=tmp_path, **changed).stdout)
    assert (told["compatible"], len(told["differences"]), told["not_compared"]) == (False, 4, [])
    assert set(told["differences"][0]) == {"section", "name", "pinned", "here", "means", "do"}


def test_when_there_are_no_pins_then_compat_says_how_to_write_them(tmp_path: Path) -> None:
    done = headwater("compat", cwd=tmp_path, **HASHING)
    assert (done.returncode, "write one with: headwater compat pin" in done.stderr) == (2, True)
