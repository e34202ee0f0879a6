"""Claim: the first cited sentence of an answer is there within 80 ms, over HTTP, with MiniLM and no model server.

A stack of its own on free ports holds the sample documents. Their questions are asked one after the other as a stream;
the time counts from before the request to the first piece of text that ends with a citation. Prints one JSON object as
its last line; the result is written beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from bench.freshness.run import TENANT, Trials, running, summary
from headwater.client import Client
from headwater.values import Delta

CLAIM: Final = "firstword"
TARGET_MS: Final = 80.0
QUESTIONS: Final = Path(__file__).parents[2] / "examples" / "questions.json"
CITED: Final = re.compile(r"\[\d+\]\s*$")
WARM: Final = 20


def first_cited(client: Client, question: str) -> float | None:
    """Milliseconds until the first cited sentence is whole; None where there is none."""
    began, text = time.monotonic(), ""
    found: float | None = None
    for reply in client.ask_stream(question):
        if isinstance(reply, Delta) and found is None:
            text += reply.text
            if CITED.search(text):
                found = (time.monotonic() - began) * 1000
    return found


def measured(embedder: str, rounds: int) -> list[float]:
    """The milliseconds of each question that was answered, every question as often as there are rounds."""
    texts = [str(line["question"]) for line in json.loads(QUESTIONS.read_text(encoding="utf-8"))["questions"]]
    with running(embedder) as stack, Client(stack.addresses.gateway_url, tenant=TENANT) as client:
        with closing(Trials(stack, client)) as trials:
            trials.fill()
        for question in texts[:WARM]:
            first_cited(client, question)
        times = [first_cited(client, question) for _ in range(rounds) for question in texts]
    return [each for each in times if each is not None]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embedder", default="minilm", choices=["minilm", "hashing"])
    parser.add_argument("--rounds", type=int, default=10, help="how often each sample question is asked")
    arguments = parser.parse_args()
    times = measured(arguments.embedder, arguments.rounds)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
    ours = {"answers": len(times), **summary(times)}
    met = ours["p50_ms"] < TARGET_MS
    raw = {"machine": machine, **ours, "ms": [round(each, 1) for each in times]}
    Path(__file__).with_name(f"raw-{arguments.embedder}.json").write_text(json.dumps(raw) + "\n", encoding="utf-8")
    print(f"first cited sentence p50 {ours['p50_ms']} ms, wanted under {TARGET_MS:g}: {'met' if met else 'MISSED'}")
    print(json.dumps({"claim": CLAIM, "target": {"p50_ms": TARGET_MS}, "ours": ours, "peers": {}, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
