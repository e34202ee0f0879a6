"""What everyone is given: the same chunks, the same questions, their vectors, and the edits, as files in one folder."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from adapters.sentence_transformers import SentenceTransformerEmbedder
from processors.ingest.passages import passage_text
from processors.ports import Vectors
from streams.trial import Line, read_lines

__all__ = ["EDITED", "EDITS", "GATE", "Material", "edited", "material_of", "vectors_in"]

SEED: Final = 7
# Not asked one at a time: for warming up, and for eight askers.
OTHERS: Final = 2_000
EDITS: Final = 60
EDITED: Final = "gate"
GATE: Final = "What is the code word of gate Tamarind?"


@dataclass(frozen=True)
class Material:
    """Passages, questions with a label, and questions that are only asked."""

    passages: Sequence[Line]
    judged: Sequence[Line]
    others: Sequence[Line]

    @property
    def relevant(self) -> dict[str, dict[str, int]]:
        return {str(line["id"]): {str(line["passage"]): 1} for line in self.judged}

    def documents(self) -> list[tuple[str, str, str]]:
        """Name, title and text of each passage."""
        return [(str(line["id"]), _title(line), str(line["text"])) for line in self.passages]

    def pairs(self, lines: Sequence[Line]) -> list[tuple[str, str]]:
        return [(str(line["id"]), str(line["question"])) for line in lines]

    def hand_over(self, folder: Path, embedder: SentenceTransformerEmbedder) -> None:
        """Writes the folder. The passages' token vectors are then in the embedder's cache, the questions' are not."""
        chunks = {str(line["id"]): whole(line) for line in self.passages}
        edits = [passage_text("Gate", (), edited(number)) for number in range(EDITS)]
        judged, others = self.pairs(self.judged), self.pairs(self.others)
        asked = [*(text for _, text in (*judged, *others)), GATE]
        vectors = np.concatenate(
            [embedder.embed([*chunks.values(), *edits]), SentenceTransformerEmbedder().embed(asked)]
        )
        np.save(folder / "vectors.npy", vectors.astype(np.float32))
        for name, held in (
            ("texts", [*chunks.values(), *edits, *asked]),
            ("chunks", chunks),
            ("judged", judged),
            ("others", others),
            ("edits", edits),
        ):
            (folder / f"{name}.json").write_text(json.dumps(held), encoding="utf-8")


def material_of(folder: Path, count: int) -> Material:
    """SQuAD 1.1's passages, and so many of its questions by a fixed seed."""
    passages = read_lines(folder / "squad-1.1-passages.jsonl", ("id", "text"))
    questions = read_lines(folder / "squad-1.1-questions.jsonl", ("id", "question", "passage"))
    drawn = random.Random(SEED).sample(questions, min(len(questions), count + OTHERS))
    return Material(passages, drawn[:count], drawn[count:])


def whole(line: Line) -> str:
    """What is embedded and searched of a passage: its article's name and its text."""
    return passage_text(_title(line), (), str(line["text"]))


def _title(line: Line) -> str:
    return str(line.get("article", "")).replace("_", " ")


def edited(number: int) -> str:
    """The text of the edited document."""
    word = "".join(chr(ord("a") + int(digit)) for digit in f"{7919 * (number + 1):07d}")
    return f"The code word of gate Tamarind is {word}ium. The gate stands at the head of the mill race."


def vectors_in(folder: Path) -> Mapping[str, Vectors]:
    """The vector of each text."""
    texts: Any = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    return dict(zip(texts, np.load(folder / "vectors.npy"), strict=True))
