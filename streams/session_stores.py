"""The store of sessions as this deployment has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.session_memory import MemorySessions
from processors.answer.sessions import Sessions

if TYPE_CHECKING:
    from streams.parts import Parts

__all__ = ["sessions_of"]


def sessions_of(parts: Parts) -> Sessions | None:
    """The store that the settings name, None where they name none."""
    chosen = parts.settings.sessions
    if chosen.kind == "none":
        return None
    if chosen.kind == "memory":
        return MemorySessions(parts.port("clock"), chosen.limits())
    from adapters.redis_heads import RedisOptions
    from adapters.redis_sessions import RedisSessions

    options = RedisOptions(parts.settings.heads.url, chosen.timeout_s)
    return RedisSessions(options, parts.settings.index.corpus, chosen.limits(), parts.port("clock"))
