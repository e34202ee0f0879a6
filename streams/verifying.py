"""Who verifies the answers of this deployment: nobody, or a model by the way on which answers are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.model_verifier import ModelVerifier, VerifyRules
from processors.answer.verifying import VERIFY_PROMPT, Unverified, Verifier
from streams.settings import SettingsError

if TYPE_CHECKING:
    from streams.parts import Parts

__all__ = ["verifier_of"]


def verifier_of(parts: Parts) -> Verifier:
    """The verifier that the settings ask for. Raises SettingsError where there is no model to ask."""
    chosen = parts.settings.verify
    if not chosen.on:
        return Unverified()
    gateway = parts.port("model_gateway")
    if gateway is None:
        raise SettingsError("verify.on: wanted a model to ask, there is none; set generate.url or verify.on: false")
    rules = VerifyRules(
        low=chosen.low,
        high=chosen.high,
        sentences=chosen.sentences,
        timeout_s=chosen.timeout_s,
        reserve_s=chosen.reserve_ms / 1_000,
        max_tokens=chosen.max_tokens,
    )
    return ModelVerifier(
        gateway, parts.port("prompts").get(VERIFY_PROMPT), parts.port("judge"), parts.port("clock"), rules
    )
