"""Claim: a cold ingest runs at more than 2,500 chunks a second, and wherever a model or a server bounds it, near that.

Three rows, one per call. Without arguments: 20,000 chunks over a real Kafka into the local index, hashing embedder,
from the first record to the last receipt; at least 2,500 a second. `--embedder minilm`: the same with the model, beside
the bare model in the same run; at least 90 % of its rate. `--index weaviate`: the index step into Weaviate, beside the
client's own import in the same run; at least 70 % of its rate. `--parts`: processor time of each step, in this process.
Writes the raw result beside this file and prints one JSON object as its last line; 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.ingest.cold import cold, running, say

CLAIM: Final = "ingest"
TARGETS: Final = {"hashing": {"chunks_per_s": 2_500.0}, "minilm": {"share": 0.9}, "weaviate": {"share": 0.7}}
DOCUMENTS: Final = {"hashing": 1_000, "minilm": 120, "weaviate": 500}


def hashing(asked: argparse.Namespace) -> dict[str, Any]:
    """The whole way over Kafka into the local index."""
    with running(_environment("hashing", asked.set)) as ingest:
        return cold(ingest, asked.documents)


def minilm(asked: argparse.Namespace) -> dict[str, Any]:
    """The same with the model, and the bare model before and after: a machine that slows down must not look like us."""
    import bench.ingest.model as model

    before = model.bare_rates(asked.documents)
    say(f"the bare model: {before} texts a second")
    with running(_environment("minilm", asked.set)) as ingest:
        found = cold(ingest, asked.documents)
    after = model.bare_rates(asked.documents)
    best = max(sum(rates) / 2 for rates in zip(before.values(), after.values(), strict=True))
    share = round(found["chunks_per_s"] / best, 3)
    return {**found, "bare_before_per_s": before, "bare_after_per_s": after, "share": share}


def weaviate(asked: argparse.Namespace) -> dict[str, Any]:
    """The index step on Weaviate and the bare client in turn."""
    import bench.ingest.weaviate as rows

    return rows.measured(asked.documents, asked.rounds)


def parts(asked: argparse.Namespace) -> dict[str, Any]:
    """Processor time per chunk of each step, with nothing of Kafka."""
    import bench.ingest.parts as steps

    return steps.measured(asked.documents)


def _environment(embedder: str, more: list[str]) -> tuple[tuple[str, str], ...]:
    told = [tuple(one.split("=", 1)) for one in more]
    return (("HEADWATER_EMBED__MODEL", embedder), *((name, value) for name, value in told))


def verdict(row: str, found: dict[str, Any]) -> list[str]:
    """What is missed, in words."""
    return [
        f"{name}: wanted at least {least:g}, got {found[name]:g}"
        for name, least in TARGETS.get(row, {}).items()
        if found[name] < least
    ]


def main() -> int:
    """Runs one row; 1 where its target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=0, help="of twenty paragraphs each")
    parser.add_argument("--embedder", choices=["hashing", "minilm"], default="hashing")
    parser.add_argument("--index", choices=["local", "weaviate"], default="local")
    parser.add_argument("--parts", action="store_true", help="processor time of each step instead")
    parser.add_argument("--rounds", type=int, default=3, help="of Weaviate and the bare client")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting for the stack")
    asked = parser.parse_args()
    row = "parts" if asked.parts else asked.index if asked.index == "weaviate" else asked.embedder
    asked.documents = asked.documents or DOCUMENTS.get(row, 200)
    run: dict[str, Callable[[argparse.Namespace], dict[str, Any]]]
    run = {"hashing": hashing, "minilm": minilm, "weaviate": weaviate, "parts": parts}
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
    found = {"machine": machine, **run[row](asked)}
    Path(__file__).with_name(f"raw-{row}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    missed = verdict(row, found)
    told = {"claim": CLAIM, "row": row, "target": TARGETS.get(row, {}), **found, "missed": missed, "met": not missed}
    print(json.dumps(told))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
