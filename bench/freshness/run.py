"""Claim: an edit is answered, and a delete is gone, within a quarter of a second through the read path.

A stack of its own on free ports holds the sample documents. Each trial changes one sentence of one document (or deletes
a document) over Kafka and asks over HTTP, one question after the other, until the answer follows; the time counts from
before the change is produced to after the answer is read. Prints one JSON object as its last line.
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

from adapters.host import SystemClock, SystemIds
from adapters.memory import MemoryClaims
from adapters.schema_registry import ConfluentSchemaIds
from headwater.client import Answer, Client
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack
from schemas.codec import Codec
from schemas.documents import DocumentDeleted
from schemas.envelope import Event
from streams.publishing import Entrance, Publisher, Upload, document_changed
from streams.settings import load, user_cache
from topics.ingest import DOCUMENT_CHANGED

CLAIM: Final = "freshness"
TARGET_MS: Final = {"hashing": 150.0, "minilm": 250.0}
CORPUS: Final = Path(__file__).parents[2] / "examples" / "corpus"
MEDIA: Final = {".md": "text/markdown", ".html": "text/html", ".txt": "text/plain"}
TENANT: Final = "bench"
GIVE_UP_S: Final = 10.0


class Trials:
    """Edits and deletes against a running stack, each timed until the answer follows."""

    def __init__(self, stack: Stack, client: Client) -> None:
        self._client = client
        settings = load(kafka={"bootstrap": stack.addresses.bootstrap})
        codec = Codec(ConfluentSchemaIds(stack.addresses.registry_url))
        self._publisher = Publisher(settings.kafka, codec, Entrance(SystemClock(), SystemIds(), CLAIM))

    def close(self) -> None:
        self._publisher.close()

    def fill(self) -> None:
        """The sample documents, and one that the trials change."""
        for path in sorted(CORPUS.rglob("*")):
            if path.suffix in MEDIA:
                self._put(str(path.relative_to(CORPUS)), path.read_text(encoding="utf-8"), MEDIA[path.suffix])
        self._put("gate.md", _gate(0), "text/markdown")
        self._until("What is the code word of gate Tamarind?", lambda answer: _word(0) in answer.text, 120.0)

    def edit(self, trial: int) -> float:
        """Milliseconds from the change of a sentence to the first answer that says it."""
        began = time.monotonic()
        self._put("gate.md", _gate(trial), "text/markdown")
        return self._until(
            "What is the code word of gate Tamarind?", lambda a: _word(trial) in a.text, GIVE_UP_S, began
        )

    def delete(self, trial: int) -> float:
        """Milliseconds from the delete of a document to the first answer that no longer rests on it."""
        name, question = f"lamp-{trial}.md", f"Which colour has the lamp of pier {_word(trial)}?"
        self._put(
            name, f"# Pier {_word(trial)}\n\nThe lamp of pier {_word(trial)} has the colour teal.\n", "text/markdown"
        )
        self._until(question, lambda answer: "teal" in answer.text, GIVE_UP_S)
        began = time.monotonic()
        self._publisher.publish(DOCUMENT_CHANGED, DocumentDeleted(tenant=TENANT, document=name))
        return self._until(question, lambda a: all(c.document != name for c in a.citations), GIVE_UP_S, began)

    def _put(self, document: str, text: str, media_type: str) -> None:
        upload = Upload(tenant=TENANT, document=document, body=text.encode(), media_type=media_type)
        event: Event = document_changed(upload, MemoryClaims())
        self._publisher.publish(DOCUMENT_CHANGED, event)

    def _until(
        self, question: str, arrived: Callable[[Answer], bool], most_s: float, began: float | None = None
    ) -> float:
        start = time.monotonic() if began is None else began
        while not arrived(self._client.ask(question)):
            if time.monotonic() - start > most_s:
                raise TimeoutError(f"the answer to {question!r} did not follow within {most_s:g} s")
        return (time.monotonic() - start) * 1000


def _word(trial: int) -> str:
    """A word that no other trial has."""
    return "".join(chr(ord("a") + int(digit)) for digit in f"{7919 * (trial + 1):07d}") + "ium"


def _gate(trial: int) -> str:
    return (
        "# Gate Tamarind\n\nGate Tamarind stands at the head of the mill race and is opened by hand.\n\n"
        f"## Code word\n\nThe code word of gate Tamarind is {_word(trial)}.\n\n"
        "## Keeper\n\nThe keeper of the gate lives in the cottage beside the weir.\n"
    )


@contextmanager
def running(embedder: str) -> Iterator[Stack]:
    """A stack of its own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder:
        environment = (("HEADWATER_EMBED__MODEL", embedder), ("HEADWATER_TENANTS", json.dumps([TENANT])))
        spec = StackSpec(Path(folder) / "state", user_cache(), detached=False, environment=environment)
        with Stack(spec, lambda line: print(line, file=sys.stderr)) as stack:
            yield stack


def measured(embedder: str, trials: int) -> dict[str, list[float]]:
    """The milliseconds of each trial."""
    with running(embedder) as stack, Client(stack.addresses.gateway_url, tenant=TENANT) as client:
        runs = Trials(stack, client)
        runs.fill()
        for warm in range(1, 6):
            runs.edit(10_000 + warm)
        found = {
            "edit": [runs.edit(n) for n in range(1, trials + 1)],
            "delete": [runs.delete(n) for n in range(trials)],
        }
        runs.close()
        return found


def summary(milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

    return {"p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99), "max_ms": round(ordered[-1], 1)}


def main() -> int:
    """Runs the trials; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100, help="trials of each kind")
    parser.add_argument("--embedder", choices=[*TARGET_MS, "both"], default="both")
    arguments = parser.parse_args()
    embedders = list(TARGET_MS) if arguments.embedder == "both" else [arguments.embedder]
    ours: dict[str, Any] = {}
    for embedder in embedders:
        raw = measured(embedder, arguments.trials)
        path = Path(__file__).with_name(f"raw-{embedder}.json")
        machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
        path.write_text(json.dumps({"machine": machine, **{k: [round(v, 1) for v in raw[k]] for k in raw}}) + "\n")
        ours[embedder] = {kind: summary(raw[kind]) for kind in raw}
    met = all(kind["p95_ms"] < TARGET_MS[embedder] for embedder in ours for kind in ours[embedder].values())
    target = {embedder: {"p95_ms": TARGET_MS[embedder]} for embedder in embedders}
    print(json.dumps({"claim": CLAIM, "target": target, "ours": ours, "peers": {}, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
