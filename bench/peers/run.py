"""Claim: ahead of Pathway's document store and of a LangChain-style chain in quality and latency, or it says why not.

The passages of SQuAD 1.1 as chunks, their MiniLM vectors and those of the questions, computed once, are given to all.
Each way is asked a fixed sample of questions one at a time, then by eight askers, for ten passages; then a document is
edited, and questions are asked until its new text is found. Ours is measured over Kafka, from the question's topic to
that of the passages, and as the same steps in memory; the peers as their makers show them, and as quick as they can be.
`README.md` says what each way holds and why one is behind.

Prints a table, what is ahead and what behind, and one JSON object as its last line; results are written beside this.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from adapters.sentence_transformers import SentenceTransformerEmbedder
from bench.engine.environments import machine
from bench.peers import report
from bench.peers.contenders import PEERS, measured_peer
from bench.peers.in_memory import measured_in_memory
from bench.peers.material import material_of
from bench.peers.over_kafka import measured_over_kafka

CLAIM: Final = "peers"
PARTS: Final = ("kafka", "memory", "peers")
HERE: Final = Path(__file__).parent


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures of every way that was asked for."""
    material = material_of(arguments.squad, arguments.questions)
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as made:
        folder, embedder = Path(made), SentenceTransformerEmbedder()
        say(f"vectors of {len(material.passages)} passages and the questions")
        material.hand_over(folder, embedder)
        for part in arguments.parts:
            if part == "kafka":
                rows |= measured_over_kafka(material, folder, say)
            elif part == "memory":
                rows |= measured_in_memory(material, folder, embedder, say)
            else:
                rows |= {name: measured_peer(name, material, folder, say) for name in PEERS}
    return {name: report.figures(row, material.relevant) for name, row in rows.items()}


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def main() -> int:
    """Runs it; 1 where what decides is behind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", type=Path, required=True, help="folder of squad-1.1-{passages,questions}.jsonl")
    parser.add_argument("--questions", type=int, default=400, help="how many are drawn to be judged")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="those left out keep their rows")
    parser.add_argument("--note", default="", help="what else ran on the machine, for the raw result")
    arguments = parser.parse_args()
    raw = HERE / "raw.json"
    kept = json.loads(raw.read_text("utf-8"))["rows"] if raw.exists() and set(arguments.parts) < set(PARTS) else {}
    rows = {**kept, **measured(arguments)}
    rows = {name: rows[name] for name in (*report.OURS, *PEERS) if name in rows}
    told = {"machine": machine(), "note": arguments.note, "questions": arguments.questions, "rows": rows}
    raw.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    lines, met = report.verdicts(rows)
    print(report.table(rows), *lines, sep="\n")
    print(json.dumps({"claim": CLAIM, "rows": rows, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
