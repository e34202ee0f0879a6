"""The document under edit and the edits: 264 paragraphs of generated prose, one changed at a time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["EDITS", "PARAGRAPHS", "after_edits", "document"]

PARAGRAPHS: Final = 264
MEAN_WORDS: Final = 45
MOST_WORDS: Final = 110
_SPREAD: Final = 0.5
_SENTENCE_WORDS: Final = 12
_TOPICS: Final = 40
_TOPIC_WORDS: Final = 4
_MOST_OF_A_TOPIC: Final = 6
_STEMS: Final = ("bar", "del", "fim", "gor", "hul", "jat", "kem", "lis", "mon", "nar")
_ENDINGS: Final = "aeiou"

Edit = Callable[[list[str], int, random.Random], None]


def prose(draw: random.Random, mean: float = MEAN_WORDS, topic: int | None = None) -> str:
    """A paragraph in sentences of at most twelve words, its length lognormal about `mean`, its words of one topic."""
    count = max(3, min(round(draw.lognormvariate(0, _SPREAD) * mean), MOST_WORDS))
    about = draw.randrange(_TOPICS) if topic is None else topic
    words = [_word(draw, about) for _ in range(count)]
    for begin in range(0, count, _SENTENCE_WORDS):
        words[begin] = words[begin].capitalize()
        words[min(begin + _SENTENCE_WORDS - 1, count - 1)] += "."
    return " ".join(words)


def document(seed: int) -> list[str]:
    """The paragraphs before any edit; a topic goes on for a few of them."""
    draw = random.Random(seed)
    texts: list[str] = []
    while len(texts) < PARAGRAPHS:
        topic = draw.randrange(_TOPICS)
        texts += [prose(draw, topic=topic) for _ in range(draw.randint(1, _MOST_OF_A_TOPIC))]
    return texts[:PARAGRAPHS]


def _word(draw: random.Random, topic: int) -> str:
    return f"{draw.choice(_STEMS)}{draw.choice(_ENDINGS)}{topic * _TOPIC_WORDS + draw.randrange(_TOPIC_WORDS)}"


def _append(texts: list[str], at: int, draw: random.Random) -> None:
    texts[at] = f"{texts[at]} {prose(draw, 8)}"


def _rewrite(texts: list[str], at: int, draw: random.Random) -> None:
    texts[at] = prose(draw)


def _correct(texts: list[str], at: int, draw: random.Random) -> None:
    place = draw.randrange(len(texts[at]) - 1)
    texts[at] = f"{texts[at][:place]}q{texts[at][place + 1 :]}"


def _insert(texts: list[str], at: int, draw: random.Random) -> None:
    texts.insert(at, prose(draw))


def _remove(texts: list[str], at: int, draw: random.Random) -> None:  # noqa: ARG001  # every edit takes the same
    del texts[at]


def _move(texts: list[str], at: int, draw: random.Random) -> None:
    texts.insert(draw.randrange(len(texts) - 1), texts.pop(at))


EDITS: Final[dict[str, Edit]] = {
    "sentence added": _append,
    "rewritten": _rewrite,
    "letter corrected": _correct,
    "inserted": _insert,
    "removed": _remove,
    "moved": _move,
}
"""What an author does to one paragraph. A move touches two places, the one it leaves and the one it comes to."""


def after_edits(before: list[str], seed: int, edits: int) -> Iterator[tuple[str, list[str]]]:
    """The document after each of `edits` single edits of `before`, kind by kind in turn."""
    draw = random.Random(seed)
    kinds = list(EDITS.items())
    for number in range(edits):
        name, edit = kinds[number % len(kinds)]
        after = list(before)
        edit(after, draw.randrange(len(after)), draw)
        yield name, after
