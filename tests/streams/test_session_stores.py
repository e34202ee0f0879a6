"""Which store of sessions a deployment gets, and that an erasure goes through it."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.redis_sessions import RedisSessions
from adapters.session_memory import MemorySessions
from processors.answer.sessions import SessionLimits
from streams.parts import Parts
from streams.session_settings import SessionsSection
from streams.settings import Heads, Settings

KINDS = [("none", type(None)), ("memory", MemorySessions), ("redis", RedisSessions)]


def parts_with(kind: str) -> Parts:
    """Nothing is asked of Redis yet: it may come later than the worker."""
    return Parts(
        Settings(heads=Heads(url="redis://127.0.0.1:1/0"), sessions=SessionsSection.model_validate({"kind": kind}))
    )


@pytest.mark.parametrize(("kind", "built"), KINDS)
def test_when_a_kind_of_store_is_set_then_that_is_built_and_an_erasure_goes_through_it(
    kind: str, built: type[Any]
) -> None:
    parts = parts_with(kind)
    assert isinstance(parts.port("sessions"), built)
    erased = [store.name for store in parts.port("erasables")._shared if store.name == "sessions"]
    assert erased == ([] if kind == "none" else ["sessions"])
    parts.close()


def test_when_nothing_is_set_then_the_bounds_are_those_of_the_store() -> None:
    assert SessionsSection().limits() == SessionLimits()
