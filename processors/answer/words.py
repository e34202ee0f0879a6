"""The words of a text as evidence: normalised, stemmed, without those that carry no meaning."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import log
from typing import Final

# A run of letters and digits, inner apostrophes, points and hyphens kept (3.5, don't, re-index); a CJK character alone.
_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]|[^\W_]+(?:['’.,][^\W_]+)*")
_VOWEL: Final = re.compile(r"[aeiouy]")


def word_list(text: str) -> frozenset[str]:
    """The words of a list that is written as text."""
    return frozenset(text.split())


STOP_WORDS: Final = word_list(
    """a about after again all also am an and any are aren't as at be been before being between both but by can
    could did didn't do does doesn't doing don't down during each either else ever few for from further get give given
    gives had has have having he her here hers him his how i if in into is isn't it it's its just let like many may me
    might more most much must my near no nor not of off on once one only or other our out over own per please same shall
    she should so some such tell than that the their them then there these they this those through to too under until up
    upon us used very was wasn't we were weren't what when where whether which while who whom whose why will with
    within without won't would you your"""
)

# Endings taken off in this order, longest first; what must remain has at least three letters and a vowel.
_SUFFIXES: Final = (
    ("izations", "ize"), ("ization", "ize"), ("ational", "ate"), ("fulness", "ful"), ("ousness", "ous"),
    ("iveness", "ive"), ("ically", "ic"), ("ements", "e"), ("ement", "e"), ("ations", "ate"), ("ation", "ate"),
    ("ators", "ate"), ("ator", "ate"), ("ingly", ""), ("edly", ""), ("ities", ""), ("ments", ""), ("ment", ""),
    ("ances", ""), ("ance", ""), ("ences", ""), ("ence", ""), ("ness", ""), ("ible", ""), ("able", ""), ("tion", "t"),
    ("tions", "t"), ("sion", "s"), ("sions", "s"), ("ity", ""), ("ings", ""), ("ing", ""), ("ies", "y"), ("ied", "y"),
    ("ally", "al"), ("ers", ""), ("ors", ""), ("er", ""), ("or", ""), ("ed", ""), ("es", ""), ("ly", ""), ("s", ""),
)  # fmt: skip
_ENDINGS: Final = tuple(suffix for suffix, _ in _SUFFIXES)

# Forms that no ending explains; both sides meet in the stem on the right.
_IRREGULAR: Final = dict(
    pair.split("=")
    for pair in word_list(
        """began=begin begun=begin wrote=write written=write built=build became=become took=take taken=take
    gave=give given=give made=make won=win led=lead held=hold kept=keep left=leave lost=lose met=meet paid=pay
    ran=run said=say saw=see seen=see sent=send sold=sell spent=spend stood=stand taught=teach thought=think
    told=tell went=go gone=go known=know knew=know grew=grow grown=grow fell=fall fallen=fall rose=rise risen=rise
    chose=choose chosen=choose drew=draw drawn=draw drove=drive driven=drive broke=break broken=break spoke=speak
    spoken=speak brought=bring bought=buy caught=catch fought=fight found=find felt=feel died=die death=die dead=die
    born=birth people=person men=man women=woman children=child lives=life feet=foot cities=city"""
    )
)


def words(text: str) -> list[str]:
    """Every word, lower case, compatibility forms folded and accents taken off.

    >>> words("Café ＡＢＣ costs 3.5 €, doesn't it?")
    ['cafe', 'abc', 'costs', '3.5', "doesn't", 'it']
    """
    if text.isascii():
        return _WORD.findall(text.lower())
    folded = unicodedata.normalize("NFKD", text).casefold().replace("’", "'")
    plain = "".join(char for char in folded if not unicodedata.combining(char))
    return _WORD.findall(unicodedata.normalize("NFKC", plain))


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The part of an English word that its forms share; other words come back nearly whole.

    >>> [stem(word) for word in ("indexes", "indexing", "indexed", "policies", "wrote")]
    ['index', 'index', 'index', 'policy', 'writ']
    """
    word = word.removesuffix("'s").replace(",", "")
    if word in _IRREGULAR:
        return _settled(_IRREGULAR[word])
    if len(word) < 4 or not word.isalpha() or word.endswith(("ss", "us", "is")):
        return _settled(word)
    for suffix, replacement in _SUFFIXES if word.endswith(_ENDINGS) else ():
        if not word.endswith(suffix):
            continue
        rest = word[: -len(suffix)]
        least = 4 if suffix in ("er", "or", "ers", "ors") else 3  # So that `water` does not become `wat`.
        if len(rest) >= least and _VOWEL.search(rest):
            return _settled(rest + replacement)
    return _settled(word)


def _settled(word: str) -> str:
    """`running` and `run`, `writing` and `write` meet: no doubled consonant, no final e."""
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        return word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def stems(text: str) -> list[str]:
    """The stems of the words that carry meaning, in order, repeats kept.

    >>> stems("How many partitions does the topic have?")
    ['partit', 'topic']
    """
    return [stem(word) for word in words(text) if word not in STOP_WORDS]


def rarity(texts: Iterable[str]) -> Mapping[str, float]:
    """How much a stem tells among these texts: high where few hold it (BM25's idf, always positive)."""
    sets = [set(stems(text)) for text in texts]
    held = Counter(found for each in sets for found in each)
    return {word: log(1 + (len(sets) - count + 0.5) / (count + 0.5)) for word, count in held.items()}


def coverage(wanted: Iterable[str], found: Iterable[str], weight: Mapping[str, float] | None = None) -> float:
    """The weighted share of the wanted stems that are found, 0 to 1; 0 where nothing is wanted.

    >>> coverage(["topic", "partit"], ["topic"])
    0.5
    """
    have = set(found)
    weights = weight or {}
    # A stem that no text holds is the rarest of all: it must weigh, or a question about something else looks covered.
    most = max(weights.values(), default=1.0)
    total = {word: weights.get(word, most) for word in wanted}
    if not total:
        return 0.0
    return sum(value for word, value in total.items() if word in have) / sum(total.values())
