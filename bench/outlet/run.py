"""Claim: what may not be said is hidden sentence by sentence, clean text passes as it is, and it costs microseconds.

1. *Clean text.* The labelled set of `bench/redaction`, redacted first, and any passages given by `--passages` (JSON
   lines with a `text`), sentence by sentence through the gate: how many sentences come out otherwise. Once with the
   default rules and once with every kind masked.
2. *Labelled text.* The same set as it is, every kind masked: how many labelled spans are hidden entirely.
3. *Cost.* Time of the gate per sentence, of screening a passage that is quoted, and of hearing a word of a stream. Of
   the passages also how many would be quoted otherwise.
4. *Streaming.* Word by word: how many words after its own last one a sentence is shown.

The last line is one JSON object; it is written beside this file too.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from processors.answer.outlet import Gate, Outlet
from processors.answer.sentences import sentences
from processors.answer.whole_sentences import WholeSentences
from processors.ingest.policies import RedactionPolicy
from processors.ingest.recognise import HIDDEN, PatternRecogniser
from processors.ingest.redact import replaced
from schemas.queries import Sentence

CLAIM: Final = "outlet"
HERE: Final = Path(__file__).parent
LABELLED: Final = HERE.parent / "redaction" / "labelled.jsonl"
CORPUS: Final = HERE.parents[1] / "examples" / "corpus"
POLICIES: Final = {
    "default": RedactionPolicy(),
    "all kinds": RedactionPolicy(default=dict.fromkeys(PatternRecogniser().kinds, "mask")),
}
SHOWN: Final = 5


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def said(text: str) -> list[Sentence]:
    return [Sentence(text=" ".join(span.text.split()), cites=(1,)) for span in sentences(text)]


def gate_of(policy: RedactionPolicy) -> Gate:
    gate = Outlet(policy).gate("bench")
    assert gate is not None
    return gate


def passed(gate: Gate, given: Iterable[Sentence]) -> list[Sentence]:
    return [one for sentence in given for one in gate.take(sentence)] + gate.rest()


def changed(policy: RedactionPolicy, texts: Sequence[str]) -> dict[str, Any]:
    """How many sentences of texts come out otherwise, and some of them."""
    count, otherwise = 0, list[str]()
    for text in texts:
        before = said(text)
        after = {one.text for one in passed(gate_of(policy), before)}
        count += len(before)
        otherwise += [one.text for one in before if one.text not in after]
    return {"texts": len(texts), "sentences": count, "changed": len(otherwise), "some": otherwise[:SHOWN]}


def hidden(policy: RedactionPolicy, rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Of labelled spans, those of which nothing is shown: read whole, and read sentence by sentence."""
    spans = whole = by_sentence = 0
    for row in rows:
        shown = " ".join(one.text for one in passed(gate_of(policy), said(row["text"])))
        kept = replaced(row["text"], "bench", policy)
        for _, start, end in row["spans"]:
            spans += 1
            whole += kept[start:end] == HIDDEN * (end - start)
            by_sentence += " ".join(row["text"][start:end].split()) not in shown
    return {"labelled": spans, "hidden_whole": whole, "hidden_by_sentence": by_sentence}


def microseconds(policy: RedactionPolicy, texts: Sequence[str]) -> dict[str, float]:
    """Processor time of one sentence at the gate; a sentence stands in an answer of three."""
    times = []
    for text in texts:
        for start in range(0, len(three := said(text)), 3):
            gate = gate_of(policy)
            for sentence in three[start : start + 3]:
                began = time.thread_time_ns()
                gate.take(sentence)
                times.append((time.thread_time_ns() - began) / 1_000)
    return {"sentences": len(times), "p50_us": at(times, 0.5), "p99_us": at(times, 0.99), "mean_us": mean(times)}


def screened(policy: RedactionPolicy, texts: Sequence[str]) -> dict[str, float]:
    """What it takes to look through a passage before it is quoted, and how many are not quoted as they are."""
    outlet, times, hidden = Outlet(policy), list[float](), 0
    for text in texts:
        began = time.thread_time_ns()
        hidden += bool(outlet.find("bench", text))
        times.append((time.thread_time_ns() - began) / 1_000)
    return {"passages": len(times), "changed": hidden, "p50_us": at(times, 0.5), "p99_us": at(times, 0.99)}


def streamed(texts: Sequence[str]) -> dict[str, Any]:
    """Word by word: how late each sentence is shown, in words, and what hearing a word costs."""
    late, heard_us = list[int](), list[float]()
    for text in texts:
        for position, ends in _shown(" ".join(one.text for one in said(text)), heard_us):
            late.append(position - ends)
    spread = {f"{words} words": late.count(words) for words in sorted(set(late))[:SHOWN]}
    return {
        "sentences": len(late),
        "late_p50_words": at(late, 0.5),
        "late_p99_words": at(late, 0.99),
        "spread": spread,
        "hearing_mean_us_per_word": mean(heard_us),
    }


def _shown(text: str, heard_us: list[float]) -> Iterator[tuple[int, int]]:
    """For each sentence that is shown before the end: after how many words that was, and with which it ends."""
    words, gate, heard = text.split(" "), gate_of(POLICIES["default"]), WholeSentences()
    said_words = 0
    for position, word in enumerate(words, start=1):
        began = time.thread_time_ns()
        whole = heard.hear(f"{word} ")
        heard_us.append((time.thread_time_ns() - began) / 1_000)
        for sentence in (one for each in whole for one in gate.take(each)):
            said_words += len(sentence.text.split())
            yield position, said_words


def at(values: Sequence[float], share: float) -> float:
    return round(sorted(values)[int(share * (len(values) - 1))], 1)


def mean(values: Sequence[float]) -> float:
    return round(statistics.fmean(values), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=Path, nargs="*", default=[], help="JSON lines with a text each")
    arguments = parser.parse_args()
    rows = lines(LABELLED)
    corpus = [path.read_text(encoding="utf-8") for path in sorted(CORPUS.rglob("*")) if path.suffix in (".md", ".txt")]
    given = {path.stem: [str(line["text"]) for line in lines(path)] for path in arguments.passages}
    result: dict[str, Any] = {"claim": CLAIM, "recogniser": PatternRecogniser().version}
    for name, policy in POLICIES.items():
        clean = {"labelled, redacted": [replaced(row["text"], "bench", policy) for row in rows], **given}
        result[name] = {what: changed(policy, texts) for what, texts in clean.items()}
        result[name]["cost"] = microseconds(policy, corpus)
        result[name]["screening"] = screened(policy, [text for texts in given.values() for text in texts] or corpus)
    result["labelled"] = hidden(POLICIES["all kinds"], rows)
    result["streaming"] = streamed(corpus)
    result["machine"] = {"python": platform.python_version(), "processor": platform.machine()}
    print(json.dumps(result, indent=2, ensure_ascii=False))
    (HERE / "raw.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main()
