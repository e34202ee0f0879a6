"""Claim: personal data and secrets are found, and what only looks like them is left alone.

Runs the recognisers over the labelled set beside this file, each half by itself, and prints precision, recall and F1 by
kind: a find counts where kind, start and end are all those of the label. Then megabytes per second over the sample
documents. `--presidio` does the same with Presidio's recognisers (extra `guard`). The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from processors.ingest.recognise import PatternRecogniser
from processors.ports import Recogniser

CLAIM: Final = "redaction"
SET: Final = Path(__file__).parent / "labelled.jsonl"
CORPUS: Final = Path(__file__).parents[2] / "examples" / "corpus"
LEAST_BYTES: Final = 2_000_000


def scores(recogniser: Recogniser, rows: Iterable[dict[str, Any]], wrong: list[str]) -> dict[str, dict[str, float]]:
    right, said, labelled = Counter[str](), Counter[str](), Counter[str]()
    for row in rows:
        want = {(kind, start, end) for kind, start, end in row["spans"]}
        got = {(one.kind, one.start, one.end) for one in recogniser.find(row["text"], recogniser.kinds)}
        labelled.update(kind for kind, *_ in want)
        said.update(kind for kind, *_ in got)
        right.update(kind for kind, *_ in want & got)
        if want != got:
            wrong.append(f"{row['id']} {row['text']!r}: wanted {sorted(want)}, got {sorted(got)}")
    table = {kind: _score(right[kind], said[kind], labelled[kind]) for kind in sorted(labelled | said)}
    return {**table, "all": _score(right.total(), said.total(), labelled.total())}


def _score(right: int, said: int, labelled: int) -> dict[str, float]:
    precision, recall = right / said if said else 1.0, right / labelled if labelled else 1.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"labelled": labelled, "precision": round(precision, 3), "recall": round(recall, 3), "f1": round(f1, 3)}


def megabytes_per_second(recogniser: Recogniser) -> float:
    """Processor time over the sample documents, one text each, again and again."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(CORPUS.rglob("*")) if path.suffix in (".md", ".txt")]
    size, began = 0, time.process_time()
    while size < LEAST_BYTES:
        for text in texts:
            recogniser.find(text, recogniser.kinds)
            size += len(text.encode())
    return size / 1e6 / (time.process_time() - began)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--presidio", action="store_true", help="Measure Presidio's recognisers instead.")
    arguments.add_argument("--wrong", action="store_true", help="Show what went wrong in the half for tuning.")
    given = arguments.parse_args()
    recogniser: Recogniser = PatternRecogniser()
    if given.presidio:
        from adapters.presidio import PresidioRecogniser

        recogniser = PresidioRecogniser()
    rows = [json.loads(line) for line in SET.read_text(encoding="utf-8").splitlines()]
    result: dict[str, Any] = {"claim": CLAIM, "recogniser": recogniser.version, "texts": len(rows)}
    for half in ("tune", "held"):
        wrong: list[str] = []
        result[half] = scores(recogniser, [row for row in rows if row["half"] == half], wrong)
        print(f"\n{half}\n| kind | labelled | precision | recall | F1 |\n| --- | --- | --- | --- | --- |")
        for kind, s in result[half].items():
            print(f"| {kind} | {s['labelled']:.0f} | {s['precision']:.3f} | {s['recall']:.3f} | {s['f1']:.3f} |")
        if given.wrong and half == "tune":
            print("\n".join(wrong), file=sys.stderr)
    result["megabytes_per_second"] = round(megabytes_per_second(recogniser), 2)
    result["machine"] = {"python": platform.python_version(), "processor": platform.machine()}
    print(f"\n{result['megabytes_per_second']} MB/s on one core\n{json.dumps(result)}")


if __name__ == "__main__":
    main()
