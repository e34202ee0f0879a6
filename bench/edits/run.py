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


def measured_ours(edits: int) -> dict[str, Any]:
    """Every strategy."""
    found = {}
    for name, rule in ours.RULES.items():
        began = time.monotonic()
        found[name] = ours.measure(rule, SEED, edits)
        _say(f"{name}: {time.monotonic() - began:.0f} s")
    return found


def measured_peers(edits: int) -> dict[str, Any]:
    """Every peer; where one can't be had, the reason."""
    found: dict[str, Any] = {}
    for name, contender in contenders.CONTENDERS.items():
        began = time.monotonic()
        try:
            found[name] = contenders.measure(contender, SEED, edits)
        except PeerMissingError as error:
            found[name] = {"missing": str(error)}
        _say(f"{name}: {time.monotonic() - began:.0f} s")
    return found


def main() -> int:
    """Runs what is asked for and writes the page; 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="ours, peers; both if none is named")
    parser.add_argument("--edits", type=int, default=1_000, help="edits of one paragraph")
    arguments = parser.parse_args()
    measures = {"ours": measured_ours, "peers": measured_peers}
    for part in arguments.parts or list(measures):
        found = {"machine": machine(), "edits": arguments.edits, "results": measures[part](arguments.edits)}
        (HERE / f"raw-{part}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    verdict = report.write(HERE)
    print(json.dumps({"claim": CLAIM, **verdict}))
    return 0 if verdict["met"] else 1


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
