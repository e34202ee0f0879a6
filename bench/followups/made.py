"""Follow-ups made by rule of labelled questions: a second question, what it names replaced by a pronoun.

Four kinds, each from two questions of one article:
- `passage`: both of the same passage; what the second names was named by the first.
- `article`: of different passages; what the second names was named by the first.
- `answer`: what the second names is the answer to the first.
- `ellipsis`: both begin and end alike; of the second is left "And ...?", what stands in between.
Replaced is the longest name, else the longest words with an article before them, that can stand as one part of the
sentence. The pronoun is the one that the passage uses most, for things `it` or `they`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from processors.answer.words import STOP_WORDS, stem, stems, word_list, words

__all__ = ["KINDS", "FollowUp", "follow_ups", "joined"]

KINDS: Final = ("passage", "article", "answer", "ellipsis")

Line = dict[str, Any]

_NAME: Final = re.compile(
    r"(?:[Tt]he )?(?:[A-Z][\w'’.-]*|\d[\w'’.-]*)(?: (?:of |the |de |and )?(?:[A-Z][\w'’.-]*|\d[\w'’.-]*))*"
)
_THING: Final = re.compile(r"\b(?:the|an?) (?:[a-z]\w+ )*?[a-z]\w{3,}\b")
_OWNED: Final = re.compile(r"['’]s|(?<=s)['’](?= )")
_HELPS: Final = word_list("did does do was were is are has had have can could would will should may might")
_BEFORE_OBJECT: Final = word_list(
    "of in on at to for with from by about against between into through during before after under over than as near "
    "like around among toward towards"
)
_ARTICLES: Final = word_list("a an the")
_OBJECT: Final = {"he": "him", "she": "her", "it": "it", "they": "them"}
_OWNING: Final = {"he": "his", "she": "her", "it": "its", "they": "their"}
_STANDS_FOR: Final = {"his": "he", "him": "he", "her": "she", "its": "it", "their": "they", "them": "they"}
_NEAR: Final = 40


class FollowUp(NamedTuple):
    """A question, the one that follows it as it was, and as it is asked behind the first."""

    first: Line
    second: Line
    asked: str


def follow_ups(kind: str, questions: Sequence[Line], passages: Mapping[str, str]) -> list[FollowUp]:
    """Every follow-up of a kind, at most one for each first question."""
    makes = {"passage": _of_passage, "article": _of_article, "answer": _of_answer, "ellipsis": _of_ellipsis}[kind]
    pronouns = {name: _pronoun(text) for name, text in passages.items()}
    return list(makes(questions, pronouns))


def joined(one: str, other: str, as_sentences: bool) -> str:
    """Two questions in one."""
    one, other = one.strip(), other.strip()
    return f"{one} {other}" if as_sentences else f"{one.rstrip('? ')} and {other[0].lower()}{other[1:]}"


def _of_passage(questions: Sequence[Line], pronouns: Mapping[str, str]) -> Iterator[FollowUp]:
    for some in _by(questions, "passage").values():
        for one, other in pairwise(some):
            if asked := _replaced(one["question"], other, pronouns):
                yield FollowUp(one, other, asked)


def _of_article(questions: Sequence[Line], pronouns: Mapping[str, str]) -> Iterator[FollowUp]:
    for article in _by(questions, "article").values():
        for one, other in pairwise(_by(article, "passage").values()):
            yield from _first(one, other, lambda line: str(line["question"]), pronouns)


def _of_answer(questions: Sequence[Line], pronouns: Mapping[str, str]) -> Iterator[FollowUp]:
    for article in _by(questions, "article").values():
        for place, line in enumerate(article):
            answer = str(line["answers"][0])
            if answer[0].isupper() and set(words(answer)) - STOP_WORDS - set(words(str(line["question"]))):
                yield from list(_first([line], article[place + 1 : place + _NEAR], lambda _, a=answer: a, pronouns))[:1]


def _first(some: Sequence[Line], others: Sequence[Line], told: Any, pronouns: Mapping[str, str]) -> Iterator[FollowUp]:
    """The first pair that makes a follow-up."""
    for one in some:
        for other in others:
            if asked := _replaced(told(one), other, pronouns):
                yield FollowUp(one, other, asked)
                return


def _of_ellipsis(questions: Sequence[Line], _: Mapping[str, str]) -> Iterator[FollowUp]:
    for article in _by(questions, "article").values():
        for place, one in enumerate(article):
            said = str(one["question"]).rstrip(" ?").split()
            varied = ((other, _varied(said, str(other["question"]))) for other in article[place + 1 : place + _NEAR])
            yield from [FollowUp(one, other, asked) for other, asked in varied if asked][:1]


def _varied(one: list[str], question: str) -> str:
    """What of a question differs from another that begins and ends alike."""
    other = question.rstrip(" ?").split()
    least = min(len(one), len(other))
    start = next((n for n in range(least) if one[n].lower() != other[n].lower()), least)
    end = next((n for n in range(least - start) if one[-1 - n].lower() != other[-1 - n].lower()), least - start)
    middle = other[start : len(other) - end]
    if start < 2 or start + end < 3 or not 0 < len(middle) <= 5 or not one[start : len(one) - end]:
        return ""
    if any(word.lower() in STOP_WORDS for word in (middle[0], middle[-1])):
        return ""
    alike = stems(" ".join((*one[:start], *one[len(one) - end :])))
    return f"And {' '.join(middle)}?" if alike and stems(" ".join(middle)) else ""


def _replaced(told: str, line: Line, pronouns: Mapping[str, str]) -> str:
    """The question of a line, with what was told before replaced by a pronoun; empty where nothing of it was."""
    question, known = str(line["question"]), {stem(word) for word in words(told)}
    found = [
        (bool(pattern is _NAME), match.end() - match.start(), *_bare(match))
        for pattern in (_NAME, _THING)
        for match in pattern.finditer(question)
    ]
    for is_name, _, start, end in sorted(found, reverse=True):
        meant = [word for word in words(question[start:end]) if word not in STOP_WORDS]
        if not meant or not all(stem(word) in known for word in meant):
            continue
        thing = "they" if re.search(r"[^s]s$", question[start:end]) else "it"
        asked = _with(question, start, end, pronouns[str(line["passage"])] if is_name else thing)
        if asked and stems(asked):
            return asked
    return ""


def _bare(match: re.Match[str]) -> tuple[int, int]:
    """A name without the question word that opens the sentence, and without 's."""
    start, text = match.start(), match.group()
    while (head := text.split(" ")[0].lower()) in STOP_WORDS - _ARTICLES and " " in text:
        start, text = start + len(head) + 1, text[len(head) + 1 :]
    return start, start + len(re.sub(r"['’]s?$|[.,]+$", "", text))


def _with(question: str, start: int, end: int, pronoun: str) -> str:
    """The question with a pronoun there; empty where one can't stand."""
    owned = _OWNED.match(question, end)
    before, after = (words(question[:start]) or [""])[-1], question[owned.end() if owned else end :]
    following = (words(after) or [""])[0]
    stands = not after.strip()[:1].isalnum() or following in STOP_WORDS or before in _HELPS
    if (after and after[0] in "&-") or before in _ARTICLES or not (owned or stands):
        return ""
    subject = before in _HELPS or following in _HELPS or not before
    plain = pronoun if subject and before not in _BEFORE_OBJECT else _OBJECT[pronoun]
    asked = f"{question[:start]}{_OWNING[pronoun] if owned else plain}{after}"
    return f"{asked[0].upper()}{asked[1:]}"


def _pronoun(text: str) -> str:
    """The pronoun that a text uses most."""
    told = Counter(_STANDS_FOR.get(word, word) for word in words(text))
    return max(("it", "he", "she", "they"), key=lambda pronoun: told[pronoun])


def _by(lines: Sequence[Line], name: str) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        found[str(line[name])].append(line)
    return found
