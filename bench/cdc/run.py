"""Claim: a row committed in PostgreSQL is searchable within 150 ms, and one deleted is gone within 120 ms (p95).

A full stack of its own on free ports follows one table through Debezium. Each trial commits an update (or a delete) of
a row and asks over HTTP, one question after the other, until the answer follows; the time counts from before the commit
to after the answer is read. The receipts say where the time went. Prints one JSON object as its last line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg

from adapters.connect_rest import ConnectApi
from adapters.host import SystemClock
from adapters.postgres_source import PostgresAddress
from adapters.schema_registry import ConfluentSchemaIds
from headwater.client import Answer, Client
from headwater.database_sources import DatabaseSources
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack
from schemas.codec import Codec
from schemas.documents import DocumentIndexed
from streams.reading import Reader
from streams.settings import load, user_cache
from topics.ingest import DOCUMENT_INDEXED

CLAIM: Final = "cdc"
TARGETS: Final = {"update": {"p50_ms": 80.0, "p95_ms": 150.0}, "delete": {"p95_ms": 120.0}}
TENANT: Final = "bench"
# A worker that runs learns of a new topic with its next look at the cluster: only the first trial waits for that.
GIVE_UP_S: Final = 120.0
TABLES: Final = {"gates": {"id_columns": ["id"], "body": "body", "title": "title", "tenant": TENANT}}
STAGES: Final = ("capture", "parse", "redact", "chunk", "embed", "index", "settle")


class Trials:
    """Updates and deletes against a running stack, each timed until the answer follows."""

    def __init__(self, stack: Stack, client: Client, rows: int) -> None:
        self._client = client
        self._rows = psycopg.connect(
            f"host=127.0.0.1 port={stack.addresses.postgres_port} user=headwater dbname=postgres"
        )
        self.commits: dict[str, float] = {}
        self._rows.execute("CREATE TABLE gates (id int PRIMARY KEY, title text, body text)")
        self._rows.execute("ALTER TABLE gates REPLICA IDENTITY FULL")
        filler = [(number, f"Gate {_word(number)}", _text(number, "rest")) for number in range(1_000, 1_000 + rows)]
        self._rows.cursor().executemany("INSERT INTO gates VALUES (%s, %s, %s)", filler)
        self._rows.commit()

    def close(self) -> None:
        self._rows.close()

    def update(self, trial: int) -> float:
        """Milliseconds from the commit of a row's new text to the first answer that says it."""
        began = self._commit(
            "INSERT INTO gates VALUES (1, 'Gate Tamarind', %s) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            _text(1, _word(trial)),
        )
        self.commits[f"update {trial}"] = time.time()
        return self._until("What is the code word of gate 1?", lambda answer: _word(trial) in answer.text, began)

    def delete(self, trial: int) -> float:
        """Milliseconds from the commit of a delete to the first answer that no longer rests on the row."""
        number, document = 10_000 + trial, f"gates/{10_000 + trial}"
        question = f"What is the code word of gate {number}?"
        self._commit("INSERT INTO gates VALUES (%s, 'Gate', %s)", number, _text(number, _word(trial)))
        self._until(question, lambda answer: any(c.document == document for c in answer.citations), time.monotonic())
        began = self._commit("DELETE FROM gates WHERE id = %s", number)
        return self._until(question, lambda answer: all(c.document != document for c in answer.citations), began)

    def _commit(self, statement: str, *values: object) -> float:
        self._rows.execute(statement.encode(), values)
        began = time.monotonic()
        self._rows.commit()
        return began

    def _until(self, question: str, arrived: Callable[[Answer], bool], began: float) -> float:
        while not arrived(self._client.ask(question)):
            if time.monotonic() - began > GIVE_UP_S:
                raise TimeoutError(f"the answer to {question!r} did not follow within {GIVE_UP_S:g} s")
        return (time.monotonic() - began) * 1000


def _word(trial: int) -> str:
    """A word that no other trial has."""
    return "".join(chr(ord("a") + int(digit)) for digit in f"{7919 * (trial + 1):07d}") + "ium"


def _text(number: int, word: str) -> str:
    return f"Gate {number} stands at the mill race.\n\nThe code word of gate {number} is {word}.\n"


@contextmanager
def running(arguments: argparse.Namespace) -> Iterator[Stack]:
    """A stack of its own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder:
        Path(folder).chmod(0o711)
        environment = (
            ("HEADWATER_EMBED__MODEL", arguments.embedder),
            ("HEADWATER_TENANTS", json.dumps([TENANT])),
            ("HEADWATER_SOURCES__TABLES", json.dumps(TABLES)),
            *(tuple(pair.split("=", 1)) for pair in arguments.set),
        )
        spec = StackSpec(Path(folder) / "state", user_cache(), detached=False, environment=environment, profile="full")
        with Stack(spec, lambda line: print(line, file=sys.stderr)) as stack:
            yield stack


def follow(stack: Stack) -> None:
    """Begin to follow the table."""
    settings = load(
        kafka={"bootstrap": stack.addresses.bootstrap},
        sources={"tables": TABLES, "connect": stack.addresses.connect_url},
    )
    address = PostgresAddress("127.0.0.1", stack.addresses.postgres_port, "postgres", "headwater")
    with ConnectApi(stack.addresses.connect_url) as connect:
        DatabaseSources(settings, connect).add("bench", address, ["public.gates"])


def stages(stack: Stack, commits: list[float]) -> dict[str, dict[str, float]]:
    """From each update's commit to its capture, and from step to step, by the trails of the receipts."""
    settings = load(kafka={"bootstrap": stack.addresses.bootstrap})
    codec = Codec(ConfluentSchemaIds(stack.addresses.registry_url))
    with Reader(settings.kafka, codec, SystemClock()) as reader:
        events = [reading.event for reading in reader.read(DOCUMENT_INDEXED.name)]
    trails = [e.trail for e in events if isinstance(e, DocumentIndexed) and e.document == "gates/1"]
    spans: dict[str, list[float]] = {}
    for commit, trail in zip(commits, trails[-len(commits) :], strict=False):
        before = commit * 1e6
        for stage in (stage for stage in STAGES if stage in trail):
            spans.setdefault(stage, []).append((trail[stage] - before) / 1000)
            before = trail[stage]
    return {stage: summary(values) for stage, values in spans.items()}


def summary(milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

    return {"p50_ms": at(0.5), "p95_ms": at(0.95), "max_ms": round(ordered[-1], 1)}


def measured(arguments: argparse.Namespace) -> tuple[dict[str, list[float]], dict[str, dict[str, float]]]:
    """The milliseconds of each trial, and where those of the updates went."""
    with running(arguments) as stack, Client(stack.addresses.gateway_url, tenant=TENANT) as client:
        trials = Trials(stack, client, arguments.rows)
        follow(stack)
        for warm in range(1, 11):
            trials.update(20_000 + warm)
        trials.commits.clear()
        found = {"update": [trials.update(number) for number in range(1, arguments.trials + 1)]}
        found["delete"] = [trials.delete(number) for number in range(arguments.trials)]
        trials.close()
        return found, stages(stack, list(trials.commits.values()))


def main() -> int:
    """Runs the trials; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200, help="trials of each kind")
    parser.add_argument("--rows", type=int, default=500, help="rows that are there beside those of the trials")
    parser.add_argument("--embedder", choices=["hashing", "minilm"], default="hashing")
    parser.add_argument("--index", default="local", help="names the result; --set says what makes it so")
    parser.add_argument("--set", action="append", default=[], help="a setting of the stack, NAME=VALUE; may repeat")
    arguments = parser.parse_args()
    raw, where = measured(arguments)
    ours: dict[str, Any] = {kind: summary(values) for kind, values in raw.items()}
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
    rounded = {kind: [round(value, 1) for value in values] for kind, values in raw.items()}
    path = Path(__file__).with_name(f"raw-{arguments.index}-{arguments.embedder}.json")
    path.write_text(json.dumps({"machine": machine, **rounded}) + "\n")
    met = all(ours[kind][name] < most for kind, bars in TARGETS.items() for name, most in bars.items())
    print(json.dumps({"claim": CLAIM, "target": TARGETS, "ours": ours, "stages": where, "peers": {}, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
