"""Claim: an edit of one paragraph embeds at most two chunks, three with overlap, whatever the strategy.

A document of 264 paragraphs of generated prose; 1,000 random edits of one paragraph, each of the same first state; what
is counted are texts that were never embedded before. CocoIndex and Pathway do the same edits in environments of their
own. Writes the raw results beside this file and the page `docs/bench-edits.md`. Prints one JSON object at last.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from bench.edits import contenders, ours, report
from bench.engine.environments import PeerMissingError, machine

CLAIM: Final = "edits"
SEED: Final = 7
HERE: Final = Path(__file__).parent


def measured_ours(name: str, edits: int) -> dict[str, Any]:
    """One strategy."""
    return ours.measure(ours.RULES[name], SEED, edits)


def measured_peer(name: str, edits: int) -> dict[str, Any]:
    """One peer; where it can't be had, the reason."""
    try:
        return contenders.measure(contenders.CONTENDERS[name], SEED, edits)
    except PeerMissingError as error:
        return {"missing": str(error)}


def measure(part: str, edits: int) -> None:
    """One part, its raw result written after each contender: what is stopped in the middle is not lost."""
    names, one = (ours.RULES, measured_ours) if part == "ours" else (contenders.CONTENDERS, measured_peer)
    found: dict[str, Any] = {"machine": machine(), "edits": edits, "results": {}}
    for name in names:
        began = time.monotonic()
        found["results"][name] = one(name, edits)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        (HERE / f"raw-{part}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Runs what is asked for and writes the page; 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="ours, peers; both if none is named")
    parser.add_argument("--edits", type=int, default=1_000, help="edits of one paragraph")
    arguments = parser.parse_args()
    for part in arguments.parts or ["ours", "peers"]:
        measure(part, arguments.edits)
    verdict = report.write(HERE)
    print(json.dumps({"claim": CLAIM, **verdict}))
    return 0 if verdict["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
