"""What is asked and what changes, in which order: documents, a question log as people write one, edits in between."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final, Literal

THINGS: Final = ("pump", "valve", "boiler", "bridge", "ferry", "lamp", "gate", "tower", "mill", "canal", "weir", "lock")
PLACES: Final = ("Marlow", "Henley", "Goring", "Sonning", "Cookham", "Hurley", "Iffley", "Osney", "Bray", "Teddington")
DETAILS: Final = ("north", "south", "old", "new", "upper", "lower", "inner", "outer", "first", "second")
ASKERS: Final = ((), (), (), ("group:staff",))
# How often a question is worded in its own way, with a small slip, or in another way that comes back as well.
SLIPS: Final = 0.25
REWORDED: Final = 0.25
REWORDINGS: Final = ("Can you tell me {}?", "I would like to know {}.", "{} - please answer shortly")


@dataclass(frozen=True)
class Ask:
    """Somebody asks."""

    question: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """A document gets another text, loses its readers, comes or goes."""

    kind: Literal["edit", "delete", "add", "restrict"]
    document: str
    text: str = ""


@dataclass(frozen=True)
class Material:
    """Documents by name, questions about them, texts that may come later; and the questions by what they are about."""

    documents: dict[str, str]
    questions: tuple[str, ...]
    later: dict[str, str]
    groups: tuple[tuple[str, ...], ...]


def from_files(passages: Path, questions: Path, seed: int) -> Material:
    """Passages and questions in JSON lines; a tenth of the passages comes later."""
    texts = {line["id"]: line["text"] for line in map(json.loads, passages.read_text(encoding="utf-8").splitlines())}
    lines = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines()]
    asked = [line["question"] for line in lines]
    about: defaultdict[str, list[str]] = defaultdict(list)
    for line in lines:
        about[line["passage"]].append(line["question"])
    draw = random.Random(seed)
    draw.shuffle(asked)
    later = set(draw.sample(sorted(texts), len(texts) // 10))
    return Material(
        {name: text for name, text in texts.items() if name not in later},
        tuple(asked),
        {name: text for name, text in texts.items() if name in later},
        tuple(tuple(group) for group in about.values()),
    )


def made(seed: int) -> Material:
    """Twelve hundred small documents that resemble one another, and two questions about each."""
    draw = random.Random(seed)
    places = [(detail, thing, place) for detail in DETAILS for thing in THINGS for place in PLACES]
    draw.shuffle(places)
    texts = {f"{detail}-{thing}-{place}.md": _told(detail, thing, place, draw) for detail, thing, place in places}
    wordings = ("When was the {} built?", "What does the {} cost?")
    groups = tuple(tuple(each.format(f"{d} {thing} at {place}") for each in wordings) for d, thing, place in places)
    asked = [question for group in groups for question in group]
    draw.shuffle(asked)
    later = set(list(texts)[: len(texts) // 10])
    return Material(
        {name: text for name, text in texts.items() if name not in later},
        tuple(asked),
        {name: text for name, text in texts.items() if name in later},
        groups,
    )


def question_log(material: Material, asks: int, distinct: int, per_change: int, seed: int) -> Iterator[Ask | Change]:
    """The most asked question is asked twice as often as the second, three times as often as the third, and so on;
    after each `per_change` questions something changes."""
    draw = random.Random(seed)
    asked = material.questions[:distinct]
    weights = list(accumulate(1.0 / rank for rank in range(1, len(asked) + 1)))
    changes = _changes(material, draw)
    for number in range(1, asks + 1):
        (question,) = draw.choices(asked, cum_weights=weights)
        yield Ask(_worded(question, draw), draw.choice(ASKERS))
        if per_change and number % per_change == 0:
            yield next(changes)


def _changes(material: Material, draw: random.Random) -> Iterator[Change]:
    texts, later = dict(material.documents), dict(material.later)
    while True:
        kind = draw.choices(("edit", "delete", "add", "restrict"), (6, 1, 2, 1))[0]
        name = draw.choice(sorted(texts))
        if kind == "edit":
            texts[name] = _edited(texts[name], draw)
            yield Change("edit", name, texts[name])
        elif kind == "delete":
            later[name] = texts.pop(name)
            yield Change("delete", name)
        elif kind == "restrict":
            yield Change("restrict", name)
        elif later:
            new = draw.choice(sorted(later))
            texts[new] = later.pop(new)
            yield Change("add", new, texts[new])


def _worded(question: str, draw: random.Random) -> str:
    dice = draw.random()
    if dice < SLIPS:
        return draw.choice((question.rstrip("?"), question[0].lower() + question[1:], question.replace(" ", "  ", 1)))
    if dice < SLIPS + REWORDED:
        return draw.choice(REWORDINGS).format(question[0].lower() + question[1:].rstrip("?"))
    return question


def _edited(text: str, draw: random.Random) -> str:
    """One sentence more, somewhere."""
    sentences = text.split(". ")
    note = f"In {draw.randint(1990, 2026)} this was looked at again by the office in {draw.choice(PLACES)}"
    sentences.insert(draw.randrange(len(sentences) + 1), note)
    return ". ".join(sentences)


def _told(detail: str, thing: str, place: str, draw: random.Random) -> str:
    name = f"{detail} {thing} at {place}"
    facts: Sequence[str] = (
        f"The {name} was built in {draw.randint(1700, 1990)}",
        f"It costs {draw.randint(2, 9_000)} pounds a year to keep the {name}",
        f"It is painted {draw.choice(('red', 'green', 'blue', 'white'))}",
    )
    return ". ".join(facts) + "."
