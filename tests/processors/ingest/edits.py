"""Documents of generated prose and what an author does to one paragraph of them."""

from __future__ import annotations

import random
from collections.abc import Callable

STEMS = ("bar", "del", "fim", "gor", "hul", "jat", "kem", "lis", "mon", "nar")
Edit = Callable[[list[str], int, random.Random], None]


def prose(draw: random.Random, mean: float = 45, topic: int | None = None) -> str:
    """A paragraph of about `mean` words about one topic, in sentences."""
    about = draw.randrange(40) if topic is None else topic
    count = max(3, min(round(draw.lognormvariate(0, 0.5) * mean), 110))
    text = [f"{draw.choice(STEMS)}{draw.choice('aeiou')}{about * 4 + draw.randrange(4)}" for _ in range(count)]
    for begin in range(0, count, 12):
        text[begin] = text[begin].capitalize()
        text[min(begin + 11, count - 1)] += "."
    return " ".join(text)


def document(seed: int, paragraphs: int = 264) -> list[str]:
    """Paragraphs whose topic goes on for one to six of them."""
    draw = random.Random(seed)
    texts: list[str] = []
    while len(texts) < paragraphs:
        topic = draw.randrange(40)
        texts += [prose(draw, topic=topic) for _ in range(draw.randint(1, 6))]
    return texts[:paragraphs]


# In one place each; a move is a removal and an insertion.
ONE_PLACE: dict[str, Edit] = {
    "adds": lambda texts, at, draw: texts.__setitem__(at, f"{texts[at]} {prose(draw, 8)}"),
    "rewrites": lambda texts, at, draw: texts.__setitem__(at, prose(draw)),
    "corrects": lambda texts, at, _: texts.__setitem__(at, texts[at].replace("a", "o", 1)),
    "inserts": lambda texts, at, draw: texts.insert(at, prose(draw)),
    "removes": lambda texts, at, _: texts.__delitem__(at),
}


def move(texts: list[str], at: int, draw: random.Random) -> None:
    texts.insert(draw.randrange(len(texts) - 1), texts.pop(at))
