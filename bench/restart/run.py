"""Claim: a restart without a change is caught up within a second and costs nothing; nor does a replay of everything.

A stack of its own on free ports holds 5,000 documents. The worker is stopped and started again; from the moment that it
says it is ready, the clock runs until every group has all its partitions again, none has lag, and the view of heads
answers and holds its whole log. Then a first question is asked. After that everything is replayed: the groups of ingest
are put back to the beginning of their topics, and the worker is started once more. Each time it is counted what was
embedded, what was written into the index, and which heads were new.

Prints a line per target, and one JSON object as its last line; the result is written beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from adapters.host import SystemClock, SystemIds
from adapters.memory import MemoryClaims
from adapters.schema_registry import ConfluentSchemaIds
from bench.restart.counts import Counts, Groups, counted, written
from headwater.client import Client
from headwater.local.beside import client_settings
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack
from schemas.codec import Codec
from streams.parts import Parts
from streams.publishing import Entrance, Publisher, Upload, document_changed
from streams.settings import Settings, load, user_cache
from topics.ingest import DOCUMENT_CHANGED

CLAIM: Final = "restart"
TARGETS: Final = {"caught_up_s": 1.0, "embedded": 0, "index": 0, "heads": 0}
TENANT: Final = "bench"
GIVE_UP_S: Final = 900.0
LOOK_S: Final = 0.01
_PREFIX: Final = "HEADWATER_"
MACHINE: Final = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}


class Bench:
    """A running stack and what is asked of it."""

    def __init__(self, stack: Stack, settings: Settings, index: Callable[[], int], groups: Groups) -> None:
        self.stack, self.groups = stack, groups
        self._settings, self._index = settings, index

    def fill(self, documents: int) -> float:
        """Publishes documents of three paragraphs, each its own, and waits until all are settled; seconds."""
        began = time.monotonic()
        codec = Codec(ConfluentSchemaIds(self._settings.registry.url))
        with Publisher(self._settings.kafka, codec, Entrance(SystemClock(), SystemIds(), CLAIM)) as publisher:
            sent = [
                publisher.send(DOCUMENT_CHANGED, document_changed(_upload(n), MemoryClaims())) for n in range(documents)
            ]
            for one in sent:
                publisher.wait(one)
        self._await(lambda: self._heads_answer() and self.groups.settled(), "the documents were not all settled")
        return time.monotonic() - began

    def counts(self) -> Counts:
        return counted(self._settings, self._index())

    def start(self) -> dict[str, float]:
        """Starts the worker again: seconds until it is ready, and from then until it has caught up."""
        began = time.monotonic()
        self.stack.worker.child.start()
        self._await(self.stack.worker.is_ready, "the worker was not ready")
        ready = time.monotonic()
        self._await(self.groups.assigned, "the groups had not all their partitions")
        assigned = time.monotonic()
        self._await(lambda: self._heads_answer() and not self.groups.behind(), "the groups had lag")
        return {
            "ready_after_start_s": round(ready - began, 3),
            "assigned_s": round(assigned - ready, 3),
            "caught_up_s": round(time.monotonic() - ready, 3),
        }

    def ask(self) -> float:
        """Milliseconds until the first question is answered with a citation."""
        with Client(self.stack.addresses.gateway_url, tenant=TENANT) as client:
            began = time.monotonic()
            answer = client.ask("What is the code word of gate 17?")
            if not answer.citations:
                raise RuntimeError(f"the first question was not answered from the documents: {answer.text!r}")
            return round((time.monotonic() - began) * 1000, 1)

    def _heads_answer(self) -> bool:
        """Whether the worker's view of heads is open and holds its log."""
        text = httpx.get(f"{self.stack.worker.url}/metrics", timeout=10.0, trust_env=False).text
        found = dict(re.findall(r"^headwater_heads_(open|lag_records) (\S+)$", text, re.MULTILINE))
        return float(found["open"]) == 1.0 and float(found["lag_records"]) <= 0.0

    def _await(self, done: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + GIVE_UP_S
        while not done():
            if time.monotonic() > until:
                raise TimeoutError(f"{what} after {GIVE_UP_S:g} s")
            time.sleep(LOOK_S)


def _upload(number: int) -> Upload:
    body = (
        f"# Gate {number}\n\nGate {number} stands at the mill race and is opened at {number % 24} o'clock.\n\n"
        f"The code word of gate {number} is {_word(number)}.\n\nIts keeper is {_word(number * 31 + 7)} the elder.\n"
    )
    return Upload(tenant=TENANT, document=f"gate-{number}.md", body=body.encode(), media_type="text/markdown")


def _word(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in f"{7919 * (number + 1):08d}") + "ium"


@contextmanager
def running(arguments: argparse.Namespace) -> Iterator[Bench]:
    """A stack of its own, gone afterwards."""
    is_local = arguments.index == "local"
    environment = (("HEADWATER_EMBED__MODEL", arguments.embedder), ("HEADWATER_TENANTS", json.dumps([TENANT])))
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder, ExitStack() as closes:
        Path(folder).chmod(0o711)
        profile = "embedded" if is_local else "full"
        spec = StackSpec(Path(folder) / "state", user_cache(), detached=False, environment=environment, profile=profile)
        stack = closes.enter_context(Stack(spec, _say))
        settings = _settings(stack, arguments.embedder)
        groups = closes.enter_context(closing(Groups(settings)))
        parts = closes.enter_context(closing(Parts(settings)))
        folder_of_index = spec.state_folder / "index"
        yield Bench(stack, settings, lambda: written(folder_of_index if is_local else parts.port("store")), groups)


def _settings(stack: Stack, embedder: str) -> Settings:
    sections: dict[str, Any] = {
        "kafka": {"bootstrap": stack.addresses.bootstrap},
        "registry": {"url": stack.addresses.registry_url},
        "embed": {"model": embedder},
    }
    for name, value in client_settings(stack.servers):
        section, _, key = name.removeprefix(_PREFIX).lower().partition("__")
        sections.setdefault(section, {})[key] = value
    return load(**sections)


def measured(bench: Bench, documents: int) -> dict[str, Any]:
    """The restart, then the replay."""
    _say(f"filled in {bench.fill(documents):.1f} s")
    filled = bench.counts()
    bench.stack.worker.stop()
    restart: dict[str, Any] = bench.start()
    restart["first_answer_ms"] = bench.ask()
    restarted = bench.counts()
    restart |= restarted.since(filled)
    _say(json.dumps(restart))
    bench.stack.worker.stop()
    bench.groups.put_back("ingest")
    began = time.monotonic()
    replay: dict[str, Any] = bench.start()
    replay["seconds"] = round(time.monotonic() - began, 2)
    replay |= bench.counts().since(restarted)
    return {"filled": filled.since(Counts(0, 0, 0, 0)), "restart": restart, "replay": replay}


def verdicts(found: dict[str, Any], documents: int) -> bool:
    """Says of each target whether it was met; whether all were."""
    fits = {f"restart {name}": (found["restart"][name], most) for name, most in TARGETS.items()}
    fits |= {f"replay {name}": (found["replay"][name], TARGETS[name]) for name in ("embedded", "index", "heads")}
    met = True
    for name, (value, most) in fits.items():
        good = value < most if name.endswith("_s") else value == most
        print(f"{name}: {value} (wanted {'<' if name.endswith('_s') else ''} {most:g}): {'met' if good else 'missed'}")
        met = met and good
    whole = found["filled"]["heads"] >= documents and found["replay"]["receipts"] >= documents
    print(f"every document had a head, and was replayed: {'met' if whole else 'missed'}")
    return met and whole


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Runs it; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=5_000)
    parser.add_argument("--embedder", choices=["hashing", "minilm"], default="hashing")
    parser.add_argument("--index", choices=["local", "weaviate"], default="local")
    arguments = parser.parse_args()
    with running(arguments) as bench:
        found = measured(bench, arguments.documents)
    path = Path(__file__).with_name(f"raw-{arguments.index}-{arguments.embedder}.json")
    path.write_text(json.dumps({"machine": MACHINE, "documents": arguments.documents, **found}, indent=1) + "\n")
    met = verdicts(found, arguments.documents)
    print(json.dumps({"claim": CLAIM, "index": arguments.index, "target": TARGETS, "ours": found, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
