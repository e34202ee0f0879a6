"""What is said to a gateway about notes: method, path, body and headers of each request; and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from headwater.values import Forgotten, Memory

__all__ = ["forget", "forget_user", "forgotten_of", "listing", "memories_of", "remember"]

Request = tuple[str, str, Mapping[str, Any] | None, Mapping[str, str]]

_PATH = "/v1/memories"


def remember(note: Memory) -> Request:
    """Keep a note."""
    fields = {"tenant": note.tenant, "user": note.user, "memory": note.memory, "text": note.text}
    return "POST", _PATH, fields, {}


def listing(tenant: str, user: str) -> Request:
    """List a user's notes."""
    return "GET", f"{_PATH}?user={quote(user, safe='')}", None, {"X-Tenant": tenant}


def forget(note: Memory) -> Request:
    """Forget a note."""
    path = f"{_PATH}/{quote(note.memory, safe='')}?user={quote(note.user, safe='')}"
    return "DELETE", path, None, {"X-Tenant": note.tenant}


def forget_user(tenant: str, user: str) -> Request:
    """Forget everything of a user."""
    return "DELETE", f"{_PATH}?user={quote(user, safe='')}", None, {"X-Tenant": tenant}


def memories_of(fields: Mapping[str, Any], tenant: str, user: str) -> tuple[Memory, ...]:
    """The notes in a gateway's JSON."""
    return tuple(
        Memory(str(one["memory"]), str(one["text"]), tenant, user, float(one["kept_at"])) for one in fields["memories"]
    )


def forgotten_of(fields: Mapping[str, Any]) -> Forgotten:
    """What a gateway says that is being erased."""
    return Forgotten(int(fields["memories"]), tuple(map(str, fields["requests"])))
