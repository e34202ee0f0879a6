"""Settings of the way to the models: a second one, what happens where one fails, and how they are shared."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from streams.section import Section, secret

__all__ = ["Models"]


class Models(Section):
    """What stands around the model of `generate.url`, the large one: see docs/models.md. Nothing is on by itself."""

    small_url: str = Field("", description="Base address of a second server, for a small model; empty means none.")
    small_model: str = Field("", description="Name of the small model.")
    small_api_key: str = secret("key sent to that server.")
    small_extensions: bool = Field(
        True,
        description="The small server takes what the large one does beyond OpenAI's fields: salt, priorities, counts.",
    )
    small_chars: int = Field(
        0, ge=0, description="Questions of at most so many characters go to the small model first; 0: none."
    )
    small_sources: int = Field(3, ge=0, description="But not if their answer rests on more sources than this.")
    small_bulk: bool = Field(False, description="Bulk questions go to the small model first.")
    fallback: Literal["wait", "extractive"] = Field(
        "wait", description="Where no model answers: ask again until the deadline, or quote the sources at once."
    )
    attempts: int = Field(1, ge=1, description="Tries of a server before its first word, the first included.")
    backoff_ms: int = Field(200, ge=0, description="Pause before a second try, doubled each time, milliseconds.")
    extra_share: float = Field(
        0.2, ge=0, description="Second tries and second servers, as a share of all questions; a few more at once."
    )
    first_word_s: float = Field(0.0, ge=0, description="How long a first word may take, seconds; 0: as the whole.")
    silence_s: float = Field(0.0, ge=0, description="How long a model may be silent amid an answer, seconds; 0: so.")
    slow_s: float = Field(
        5.0, gt=0, description="Silent for so long, seconds, a server counts as failed though its asker left first."
    )
    reserve_ms: int = Field(
        0, ge=0, description="Time of a question that the model must leave for what comes after it, milliseconds."
    )
    fewer_s: float = Field(
        0.0, ge=0, description="With less time left, only the better half of the passages is read, seconds; 0: never."
    )
    small_s: float = Field(
        0.0, ge=0, description="With less time left, the small model is asked first, seconds; 0: never."
    )
    quotes_s: float = Field(
        0.0, ge=0, description="With less time left, sources are quoted (`fallback: extractive`), seconds; 0: never."
    )
    hedge_ms: int = Field(0, ge=0, description="A first word later than this is asked of a second server too; 0: not.")
    breaker: Literal["off", "memory", "redis"] = Field(
        "off", description="Leaves servers alone that fail: as each worker sees it, or all at `heads.url` together."
    )
    breaker_failures: int = Field(5, ge=1, description="Failures within the window that open a breaker.")
    breaker_share: float = Field(0.5, gt=0, le=1, description="If they are at least that share of the calls in it.")
    breaker_window_s: float = Field(10.0, gt=0, description="The window, seconds.")
    breaker_rest_s: float = Field(5.0, gt=0, description="How long a server is left alone, seconds; then one call.")
    tenant_at_once: int = Field(0, ge=0, description="Generations of one tenant at a time in a worker; 0: no bound.")
    tenant_waiting: int = Field(16, ge=0, description="Questions of a tenant that may wait for one; more: overloaded.")
    priorities: bool = Field(
        False, description="People go before bulk in the server's queue (vLLM with --scheduling-policy priority)."
    )
    counts_always: bool = Field(
        False, description="Tokens are counted with every piece (vLLM), so that broken answers are paid for as well."
    )
