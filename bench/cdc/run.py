"""Claim: a row committed in PostgreSQL is searchable within 150 ms, and one deleted is gone within 120 ms (p95).

A full stack of its own on free ports follows one table through Debezium on Kafka Connect. Each trial commits an update
(or a delete) of a row while everything is at rest, and a reader looks, again and again, until the change has followed;
the time counts from before the commit to after the look that found it. With `--index weaviate` index and view of heads
are those of the full profile (Weaviate, Redis), and the reader is a process beside the worker that retrieves
(`readers.py`). With `--index local` both are the worker's own, and the reader asks whole questions over HTTP.

Prints a line per target, and one JSON object as its last line; the raw milliseconds are written beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg

from adapters.connect_rest import ConnectApi
from adapters.postgres_source import PostgresAddress
from bench.cdc.readers import Asking, LookingOn, Retrieving, settings_of
from bench.cdc.stages import Trial, stages, summary
from headwater.database_sources import DatabaseSources
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack
from streams.settings import load, user_cache

CLAIM: Final = "cdc"
TARGETS: Final = {
    "hashing": {"update": {"p50_ms": 80.0, "p95_ms": 150.0}, "delete": {"p95_ms": 120.0}},
    "minilm": {"update": {"p95_ms": 250.0}},
}
TENANT: Final = "bench"
TOPIC: Final = "cdc.public.gates"
# A worker that runs learns of a new topic with its next look at the cluster: only the first trial waits for that.
GIVE_UP_S: Final = 120.0
WARM: Final = 20
# Between two looks, so that the reader does not take the machine from what it waits for.
LOOK_AGAIN_S: Final = 0.002
# Between two trials: what follows a change (receipt, removal) has ended, and no trial keeps step with anybody's clock.
REST_S: Final = (0.15, 0.3)
TABLES: Final = {"gates": {"id_columns": ["id"], "body": "body", "title": "title", "tenant": TENANT}}
ALONE: Final = (("HEADWATER_INDEX__KIND", "local"), ("HEADWATER_HEADS__KIND", "memory"))


class Trials:
    """Updates and deletes against a running stack, each timed until the reader finds it so."""

    def __init__(self, stack: Stack, reader: LookingOn, rows: int) -> None:
        self._reader = reader
        self._rest = random.Random(7)
        self._rows = psycopg.connect(
            f"host=127.0.0.1 port={stack.addresses.postgres_port} user=headwater dbname=postgres"
        )
        self._rows.execute("CREATE TABLE gates (id int PRIMARY KEY, title text, body text)")
        self._rows.execute("ALTER TABLE gates REPLICA IDENTITY FULL")
        filler = [(number, f"Gate {_word(number)}", _text(number, "rest")) for number in range(1_000, 1_000 + rows)]
        self._rows.cursor().executemany("INSERT INTO gates VALUES (%s, %s, %s)", filler)
        self._rows.commit()

    def close(self) -> None:
        self._rows.close()

    def update(self, trial: int) -> Trial:
        """A row's new text, until the reader finds it."""
        statement = (
            "INSERT INTO gates VALUES (1, 'Gate Tamarind', %s) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
        )
        word = _word(trial)
        return self._timed(1, lambda texts: any(word in text for text in texts), statement, _text(1, word))

    def delete(self, trial: int) -> Trial:
        """A row that was found and is deleted, until nothing of it is found any more."""
        number = 10_000 + trial
        self._timed(number, bool, "INSERT INTO gates VALUES (%s, 'Gate', %s)", number, _text(number, _word(trial)))
        return self._timed(number, lambda texts: not texts, "DELETE FROM gates WHERE id = %s", number)

    def _timed(self, number: int, followed: Callable[[list[str]], bool], statement: str, *values: object) -> Trial:
        time.sleep(self._rest.uniform(*REST_S))
        self._rows.execute(statement.encode(), values)
        began = time.time()
        self._rows.commit()
        committed = time.time()
        question, document = f"What is the code word of gate {number}?", f"gates/{number}"
        while not followed(self._reader.found(question, document)):
            if time.time() - began > GIVE_UP_S:
                raise TimeoutError(f"{statement!r} of {document!r} did not follow within {GIVE_UP_S:g} s")
            time.sleep(LOOK_AGAIN_S)
        return Trial(began, committed, time.time())


def _word(trial: int) -> str:
    """A word that no other trial has."""
    return "".join(chr(ord("a") + int(digit)) for digit in f"{7919 * (trial + 1):07d}") + "ium"


def _text(number: int, word: str) -> str:
    return f"Gate {number} stands at the mill race.\n\nThe code word of gate {number} is {word}.\n"


@contextmanager
def running(arguments: argparse.Namespace) -> Iterator[tuple[Stack, LookingOn]]:
    """A stack of its own and who looks at it, gone afterwards."""
    told = (*(ALONE if arguments.index == "local" else ()), *(tuple(pair.split("=", 1)) for pair in arguments.set))
    environment = (
        ("HEADWATER_EMBED__MODEL", arguments.embedder),
        ("HEADWATER_TENANTS", json.dumps([TENANT])),
        ("HEADWATER_SOURCES__TABLES", json.dumps(TABLES)),
        *told,
    )
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder:
        Path(folder).chmod(0o711)
        spec = StackSpec(Path(folder) / "state", user_cache(), detached=False, environment=environment, profile="full")
        with Stack(spec, _say) as stack, _reader(arguments, stack) as reader:
            yield stack, reader


def _reader(arguments: argparse.Namespace, stack: Stack) -> LookingOn:
    if arguments.index == "local" or arguments.reader == "answers":
        return Asking(stack.addresses.gateway_url, TENANT)
    return Retrieving(settings_of(stack, arguments.embedder), TENANT)


def follow(stack: Stack) -> None:
    """Begin to follow the table."""
    settings = load(
        kafka={"bootstrap": stack.addresses.bootstrap},
        sources={"tables": TABLES, "connect": stack.addresses.connect_url},
    )
    address = PostgresAddress("127.0.0.1", stack.addresses.postgres_port, "postgres", "headwater")
    with ConnectApi(stack.addresses.connect_url) as connect:
        DatabaseSources(settings, connect).add("bench", address, ["public.gates"])


def measured(arguments: argparse.Namespace) -> tuple[dict[str, list[Trial]], dict[str, dict[str, float]]]:
    """The trials of each kind, and where the time of the updates went."""
    with running(arguments) as (stack, reader):
        trials = Trials(stack, reader, arguments.rows)
        follow(stack)
        for warm in range(WARM):
            trials.update(20_000 + warm)
        found = {kind: list(_told(kind, run, arguments.trials)) for kind, run in _runs(trials)}
        trials.close()
        return found, stages(stack, found["update"], TOPIC, "gates/1")


def _runs(trials: Trials) -> tuple[tuple[str, Callable[[int], Trial]], ...]:
    return ("update", trials.update), ("delete", trials.delete)


def _told(kind: str, run: Callable[[int], Trial], count: int) -> Iterator[Trial]:
    for number in range(count):
        yield run(number)
        if (number + 1) % 50 == 0:
            _say(f"{kind}: {number + 1} of {count}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def verdicts(ours: dict[str, dict[str, float]], embedder: str) -> bool:
    """Says of each target whether it was met; whether all were."""
    met = True
    for kind, bars in TARGETS[embedder].items():
        for name, most in bars.items():
            fits = ours[kind][name] < most
            print(f"{kind} {name}: {ours[kind][name]} (wanted < {most:g}): {'met' if fits else 'missed'}")
            met = met and fits
    return met


def main() -> int:
    """Runs the trials; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200, help="trials of each kind")
    parser.add_argument("--rows", type=int, default=500, help="rows that are there beside those of the trials")
    parser.add_argument("--embedder", choices=["hashing", "minilm"], default="hashing")
    parser.add_argument("--index", choices=["local", "weaviate"], default="weaviate", help="where chunks are searched")
    parser.add_argument("--reader", choices=["passages", "answers"], default="passages", help="what a look is")
    parser.add_argument("--set", action="append", default=[], help="a setting of the stack, NAME=VALUE; may repeat")
    arguments = parser.parse_args()
    reader = "answers" if arguments.index == "local" else arguments.reader
    raw, where = measured(arguments)
    milliseconds = {kind: [round(one.milliseconds, 1) for one in trials] for kind, trials in raw.items()}
    ours: dict[str, dict[str, float]] = {kind: summary(values) for kind, values in milliseconds.items()}
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
    path = Path(__file__).with_name(f"raw-{arguments.index}-{reader}-{arguments.embedder}.json")
    path.write_text(json.dumps({"machine": machine, "stages": where, **milliseconds}) + "\n")
    met = verdicts(ours, arguments.embedder)
    told: dict[str, Any] = {"index": arguments.index, "reader": reader, "embedder": arguments.embedder}
    result = {"claim": CLAIM, **told, "target": TARGETS[arguments.embedder], "ours": ours, "stages": where, "met": met}
    print(json.dumps(result))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
