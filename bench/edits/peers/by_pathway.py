"""Pathway over a sequence of states of one document: how often its embedder was called.

Runs in the peer's own environment. Reads JSON from stdin (`states`, `chunk_chars`, `overlap_chars`, `cached`), writes
JSON. The splitter is the one that Pathway's own RecursiveSplitter wraps.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pathway as pw
from langchain_text_splitters import RecursiveCharacterTextSplitter

asked: dict[str, Any] = json.load(sys.stdin)
splitter = RecursiveCharacterTextSplitter(chunk_size=asked["chunk_chars"], chunk_overlap=asked["overlap_chars"])
calls = 0
cuts: list[int] = []
QUIET_S = 0.15
DEADLINE_S = 20.0


class Document(pw.Schema):  # type: ignore[misc]  # the peer is not installed here
    name: str = pw.column_definition(primary_key=True)
    text: str


class States(pw.io.python.ConnectorSubject):  # type: ignore[misc]  # as above
    """Gives the states one by one, each once the one before has gone through."""

    def run(self) -> None:
        for state in asked["states"]:
            seen, before = len(cuts), calls
            self.next(name="document", text=state)
            self.commit()
            self._wait(seen, before)
            counts.append(calls - before)

    def _wait(self, seen: int, before: int) -> None:
        """Until the text was cut and no call came for a while."""
        end = time.monotonic() + DEADLINE_S
        last, since = before, time.monotonic()
        while time.monotonic() < end:
            if calls != last:
                last, since = calls, time.monotonic()
            if len(cuts) > seen and time.monotonic() - since > QUIET_S:
                return
            time.sleep(0.02)


counts: list[int] = []


@pw.udf(deterministic=True)  # type: ignore[untyped-decorator]
def cut(text: str) -> list[str]:
    parts: list[str] = splitter.split_text(text)
    cuts.append(len(parts))
    return parts


@pw.udf(deterministic=True, cache_strategy=pw.udfs.InMemoryCache() if asked["cached"] else None)  # type: ignore[untyped-decorator]
def embed(text: str) -> float:
    global calls
    calls += 1
    return float(len(text))


documents = pw.io.python.read(States(), schema=Document, autocommit_duration_ms=20)
chunks = documents.select(chunk=cut(pw.this.text)).flatten(pw.this.chunk)
embedded = chunks.select(pw.this.chunk, vector=embed(pw.this.chunk))
pw.io.subscribe(embedded, on_change=lambda *_, **__: None)
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
print(json.dumps({"counts": counts, "chunks": cuts[-1], "version": pw.__version__}))
