"""The Verifier by a model: one question for each sentence of which the offline judge is not sure.

The way of a draft:
1. The offline judge says how far each sentence is supported. Below `low` it falls, from `high` on it stands; both are
   the check's business. Between them the model is asked, one question a sentence, all at once.
2. The reply has to be JSON of a given shape. "Yes" counts with a quote that stands in a source which the sentence
   cites: that becomes the evidence. "No" counts as it is.
3. What is no such reply, what comes too late, what can't be asked: the offline judge decides, and the answer says so.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import replace

from adapters.errors import GeneratorUnavailableError
from processors.answer.evidence import evidence_in
from processors.answer.ladder import left_s
from processors.answer.prompting import Prompt
from processors.answer.sentences import locate
from processors.answer.verifying import VERIFY, Verified
from processors.answer.words import words
from processors.contract import Reject
from processors.ports import Clock, Generator, Judge, Occasion, Piece
from schemas.queries import PromptAssembled, Sentence, Source, Usage

__all__ = ["SHAPE", "ModelVerifier", "VerifyRules", "verdict_of"]

SHAPE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "verdict": {"type": "string", "enum": ["yes", "no"]},
        "quote": {"type": "string", "maxLength": 600},
    },
    "required": ["verdict", "quote"],
    "additionalProperties": False,
}
"""What the model is held to, where its server can."""

# Fewer words of a source prove nothing: they stand in any other.
_LEAST_WORDS: Final = 3


@dataclass(frozen=True)
class VerifyRules:
    """Between which support a model is asked, how much, and how long. `reserve_s` is left for what comes after."""

    low: float = 0.35
    high: float = 0.85
    sentences: int = 4
    timeout_s: float = 2.0
    reserve_s: float = 0.3
    max_tokens: int = 160


@dataclass(frozen=True)
class _Doubt:
    """A sentence to ask about: which it is, and the sources it cites."""

    place: int
    sentence: Sentence
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class _Reply:
    """What was said, and the last piece, which has the counts."""

    text: str
    last: Piece


class ModelVerifier:
    """Asks the small model where there is one. Use it with the gateway that writes: they share places and breakers."""

    def __init__(
        self, generator: Generator, prompt: Prompt, judge: Judge, clock: Clock, rules: VerifyRules = VerifyRules()
    ) -> None:
        self._generator = generator
        self._prompt = prompt
        self._judge = judge
        self._clock = clock
        self._rules = rules

    async def verify(self, prompt: PromptAssembled, sentences: Sequence[Sentence]) -> Verified:
        """The sentences with evidence or refuted where the model said so; in the time there is, or as they were."""
        doubts = await asyncio.to_thread(self._doubts, sentences, prompt.sources)
        asked = doubts[: self._rules.sentences]
        left = min(self._rules.timeout_s, left_s(prompt.query.deadline_at, self._clock) - self._rules.reserve_s)
        if not asked or left <= 0:
            return Verified(tuple(sentences), degraded=(VERIFY,) if doubts else ())
        end = asyncio.get_running_loop().time() + left
        replies = await asyncio.gather(*(self._ask(prompt, doubt, end) for doubt in asked))
        found, settled = list(sentences), 0
        for doubt, reply in zip(asked, replies, strict=True):
            told = self._told(doubt, reply.text)
            if told is not None:
                found[doubt.place] = told
                settled += 1
        usage = tuple(one for reply in replies for one in self._usage(reply.last))
        return Verified(tuple(found), usage, (VERIFY,) if settled < len(doubts) else ())

    def _doubts(self, sentences: Sequence[Sentence], sources: Sequence[Source]) -> list[_Doubt]:
        """The sentences that words alone do not settle, in order."""
        doubts = []
        for place, sentence in enumerate(sentences):
            cited = tuple(source for source in sources if source.number in sentence.cites)
            supports = [evidence_in(sentence.text, source.passage.text, self._judge)[1] for source in cited]
            if self._rules.low <= max(supports, default=0.0) < self._rules.high:
                doubts.append(_Doubt(place, sentence, cited))
        return doubts

    async def _ask(self, prompt: PromptAssembled, doubt: _Doubt, end: float) -> _Reply:
        """What the model says, as far as it came; nothing where it can't be asked."""
        rendered = self._prompt.render(doubt.sentence.text, doubt.sources)
        query = prompt.query
        occasion = Occasion(query.meant, len(doubt.sources), query.lane, query.deadline_at, small=True, shape=SHAPE)
        pieces = self._generator.generate(
            rendered.system,
            rendered.prompt,
            tenant=prompt.tenant,
            max_tokens=self._rules.max_tokens,
            occasion=occasion,
        )
        heard: list[Piece] = []
        # What came before it failed may have been counted, and is paid for.
        with suppress(TimeoutError, Reject, GeneratorUnavailableError):
            async with asyncio.timeout_at(end), aclosing(pieces):
                async for piece in pieces:
                    heard.append(piece)
        last = heard[-1] if heard else Piece()
        return _Reply("".join(piece.text for piece in heard) if last.finished else "", last)

    def _told(self, doubt: _Doubt, text: str) -> Sentence | None:
        """The sentence with what a reply says of it; None where it says nothing that can be held to a source."""
        verdict = verdict_of(text)
        if verdict is None:
            return None
        holds, quote = verdict
        if not holds:
            return replace(doubt.sentence, refuted=True)
        stands = len(words(quote)) >= _LEAST_WORDS and any(
            locate(quote, source.passage.text) for source in doubt.sources
        )
        return replace(doubt.sentence, evidence=quote, support=self._rules.high) if stands else None

    def _usage(self, last: Piece) -> tuple[Usage, ...]:
        model = last.model or self._generator.model
        counts = (("tokens_in", last.tokens_in), ("tokens_out", last.tokens_out))
        return tuple(Usage(step=VERIFY, model=model, unit=unit, quantity=float(n)) for unit, n in counts if n)


def verdict_of(text: str) -> tuple[bool, str] | None:
    """What a reply says: whether the sources say the claim, and the words that do; None where it is no such reply.

    >>> verdict_of('{"verdict": "yes", "quote": "It is so."}'), verdict_of("Yes, it is.")
    ((True, 'It is so.'), None)
    """
    begin, end = text.find("{"), text.rfind("}")
    try:
        told = json.loads(text[begin : end + 1]) if 0 <= begin < end else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or told.get("verdict") not in ("yes", "no") or not isinstance(told.get("quote"), str):
        return None
    return told["verdict"] == "yes", " ".join(told["quote"].split())
