"""Made-up questions that a passage no longer answers: one word of a question that it answers is swapped.

The kinds are those that people wrote for SQuAD 2.0 (Rajpurkar et al. 2018): a name or a number of something else, the
opposite, a denial, another thing. What is swapped in mostly stands in the same passage, so it is no sign by itself.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from processors.answer.words import STOP_WORDS, stem, word_list

__all__ = ["Article", "made_up"]

# Either side is put for the other.
_PAIRS: Final = tuple(
    pair.split("/")
    for pair in sorted(
        word_list(
            """first/last first/second most/least before/after largest/smallest biggest/smallest highest/lowest
    oldest/newest
    oldest/youngest longest/shortest best/worst more/less more/fewer increase/decrease increased/decreased north/south
    increases/decreases east/west northern/southern eastern/western northeast/southwest high/low large/small big/small
    long/short early/late earlier/later higher/lower larger/smaller greater/lesser major/minor old/new older/newer
    maximum/minimum majority/minority upper/lower inner/outer above/below inside/outside internal/external top/bottom
    front/back win/lose won/lost begin/end began/ended start/stop started/stopped accept/reject accepted/rejected
    allow/forbid allow/prevent allowed/prohibited support/oppose supported/opposed agree/disagree agreed/disagreed
    buy/sell bought/sold gain/lose gained/lost founded/dissolved create/destroy created/destroyed build/demolish
    built/destroyed open/close opened/closed join/leave joined/left enter/leave arrive/leave arrived/left born/died
    add/remove added/removed include/exclude included/excluded attack/defend attacked/defended import/export
    cause/prevent caused/prevented rise/fall rose/fell grow/shrink grew/shrank continue/stop continued/stopped
    encourage/discourage encouraged/discouraged improve/worsen improved/worsened help/hinder love/hate loved/hated
    like/hate liked/disliked likes/dislikes formed/disbanded remain/leave keep/discard give/take gave/took
    send/receive sent/received push/pull public/private rich/poor strong/weak good/bad positive/negative right/wrong
    male/female man/woman men/women king/queen father/mother son/daughter brother/sister husband/wife
    boyfriend/girlfriend teacher/student employer/employee ally/enemy friend/enemy same/different common/rare
    commonly/rarely always/never often/never ancient/modern success/failure successful/unsuccessful possible/impossible
    able/unable easy/difficult hard/soft hot/cold warm/cool light/dark light/heavy fast/slow near/far
    advantage/disadvantage benefit/harm happy/sad happy/unhappy expensive/cheap clean/dirty full/empty up/down
    popular/unpopular legal/illegal known/unknown used/unused direct/indirect formal/informal dependent/independent
    voluntary/mandatory morning/evening day/night winter/summer civilian/military urban/rural domestic/foreign
    national/local"""
        )
    )
)
_OPPOSITE: Final = {
    one: sorted({other for pair in _PAIRS for other in pair if one in pair and other != one})
    for one in {word for pair in _PAIRS for word in pair}
}
# What a question asks by; another word in its place would ask for something that may well be there.
_ASKS: Final = word_list("what which who whom when where whose many much name type kind year number")
_WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_NUMBER: Final = re.compile(r"\b\d(?:[\d,.]*\d)?\b")
_NAME: Final = re.compile(r"(?<!^)(?<![.?!] )\b[A-Z][\w'’-]*(?: (?:of|the|de|van|von|and) (?=[A-Z])| [A-Z][\w'’-]*)*")
_DENIED: Final = re.compile(r"\b(?:did|does|do|is|was|were|are|can|could|would|should|has|had)\b", re.IGNORECASE)
_SHORTEST_WORD: Final = 4
# How often what is swapped in comes from the passage itself, where that has such a thing.
_FROM_HERE: Final = 0.6
_ALIKE: Final = 0.7
_SELDOM: Final = 0.5


@dataclass(frozen=True)
class Article:
    """The names and words of an article and its questions, out of which others are put in."""

    names: tuple[str, ...]
    words: tuple[str, ...]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Article:
        """Reads them out of passages and questions."""
        return cls(
            tuple(sorted({name for text in texts for name in _names(text)})),
            tuple(sorted({word for text in texts for word in _WORD.findall(text) if _is_content(word)})),
        )


def made_up(question: str, passage: str, article: Article, chance: random.Random) -> str | None:
    """The question with one thing swapped, so that the passage does not answer it; None where nothing can be swapped.

    >>> made_up("Who was born in 1984?", "Ada was born in 1984, Ben in 1985.", Article((), ()), random.Random(5))
    'Who was born in 1985?'
    """
    swaps: list[_Swap] = [_name, _number, _opposite, _denied, _word, _word]
    chance.shuffle(swaps)
    asked = _Asked(question, passage, article)
    tried = (swap(asked, chance) for swap in swaps)
    return next((found for found in tried if found and found != question), None)


@dataclass(frozen=True)
class _Asked:
    question: str
    passage: str
    article: Article


_Swap = Callable[[_Asked, random.Random], str | None]


def _name(asked: _Asked, chance: random.Random) -> str | None:
    found = list(_names_within(asked.question))
    here, anywhere = (
        _strangers(names, asked.question) for names in (sorted(set(_names(asked.passage))), asked.article.names)
    )
    if not found or not anywhere + here:
        return None
    return _swapped(asked.question, chance.choice(found), chance.choice(_nearby(here, anywhere, chance)))


def _number(asked: _Asked, chance: random.Random) -> str | None:
    found = list(_NUMBER.finditer(asked.question))
    if not found:
        return None
    old = chance.choice(found)
    said = old.group()
    here = [
        one
        for one in sorted(set(_NUMBER.findall(asked.passage)))
        if len(one) == len(said) and one not in asked.question
    ]
    if said.isdecimal():
        farthest = max(2, min(60, int(said) // 4 + 2))
        other = str(max(1, int(said) + chance.choice((-1, 1)) * chance.randint(1, farthest)))
    else:
        other = said[:-1] + str((int(said[-1]) + chance.randint(1, 8)) % 10)
    return _swapped(asked.question, old, chance.choice(_nearby(here, [other], chance)))


def _opposite(asked: _Asked, chance: random.Random) -> str | None:
    found = [word for word in _WORD.finditer(asked.question) if word.group().lower() in _OPPOSITE]
    if not found:
        return None
    old = chance.choice(found)
    new = chance.choice(_OPPOSITE[old.group().lower()])
    return _swapped(asked.question, old, new.capitalize() if old.group()[0].isupper() else new)


def _denied(asked: _Asked, chance: random.Random) -> str | None:
    found = _DENIED.search(asked.question)
    # Half as often as the others: a denial is plain to see.
    if not found or chance.random() < _SELDOM:
        return None
    said = found.group()
    shortened = "can't" if said.lower() == "can" else f"{said}n't"
    return _swapped(asked.question, found, chance.choice((shortened, shortened, f"{said} never", f"{said} not")))


def _word(asked: _Asked, chance: random.Random) -> str | None:
    found = [word for word in _WORD.finditer(asked.question) if _is_content(word.group()) and word.group() not in _ASKS]
    strange = _strangers(asked.article.words, asked.question)
    if not found or not strange:
        return None
    old = chance.choice(found)
    # Of like ending, it is mostly of like kind.
    alike = [word for word in strange if word[-2:] == old.group()[-2:]]
    others = alike if alike and chance.random() < _ALIKE else strange
    held = set(_WORD.findall(asked.passage))
    return _swapped(
        asked.question, old, chance.choice(_nearby([word for word in others if word in held], others, chance))
    )


def _nearby(here: list[str], anywhere: list[str], chance: random.Random) -> list[str]:
    return here if here and (not anywhere or chance.random() < _FROM_HERE) else anywhere


def _strangers(found: Sequence[str], question: str) -> list[str]:
    """Those that share no word with the question."""
    asked = {stem(word.lower()) for word in _WORD.findall(question)}
    return [one for one in found if not asked & {stem(word.lower()) for word in _WORD.findall(one)}]


def _names_within(text: str) -> Iterator[re.Match[str]]:
    return (found for found in _NAME.finditer(text) if found.group().lower() not in STOP_WORDS)


def _names(text: str) -> list[str]:
    return [found.group() for found in _names_within(text)]


def _is_content(word: str) -> bool:
    return word.islower() and len(word) >= _SHORTEST_WORD and word not in STOP_WORDS


def _swapped(question: str, old: re.Match[str], new: str) -> str:
    return question[: old.start()] + new + question[old.end() :]
