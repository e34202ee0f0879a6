"""Verifying: what somebody who reads says of sentences that words alone do not settle, before they are drafted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from schemas.queries import PromptAssembled, Sentence, Usage

__all__ = ["VERIFY", "VERIFY_PROMPT", "Unverified", "Verified", "Verifier"]

VERIFY: Final = "verify"
"""In `degraded`: some sentence was to be verified and was not, so the offline judge alone decides about it."""
VERIFY_PROMPT: Final = "verify"
"""The prompt that a verifier asks: whether sources say a claim."""


@dataclass(frozen=True)
class Verified:
    """The same sentences in the same order, with what was found on them; what it cost, and what was done without."""

    sentences: tuple[Sentence, ...]
    usage: tuple[Usage, ...] = ()
    degraded: tuple[str, ...] = ()


class Verifier(Protocol):
    """Says of a draft's sentences whether their sources say them. Never raises for a reader that fails or is late."""

    async def verify(self, prompt: PromptAssembled, sentences: Sequence[Sentence]) -> Verified: ...


class Unverified:
    """Leaves everything to the check."""

    async def verify(self, prompt: PromptAssembled, sentences: Sequence[Sentence]) -> Verified:
        del prompt
        return Verified(tuple(sentences))
