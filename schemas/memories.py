"""What happens to a user's notes: kept beyond a session, and forgotten."""

from __future__ import annotations

from typing import Final

from schemas.envelope import Event, Version

NAMESPACE: Final = "memory/"
"""Documents below it are notes: `memory/<owner>/<note>`."""


class MemoryKept(Event, frozen=True, kw_only=True):
    """A user wants something kept beyond a session, or says it anew under the same name.

    `owner` is the digest of tenant and user (docs/adr/0023-long-term-memory.md), `memory` the note's name among those
    of its owner. `version` is filled in: where the record stands.
    """

    owner: str
    memory: str
    text: str
    version: Version | None = None

    @property
    def document(self) -> str:
        """The document that the note becomes."""
        return f"{NAMESPACE}{self.owner}/{self.memory}"


class MemoryForgotten(Event, frozen=True, kw_only=True):
    """A note is not wanted any more; its name never comes back.

    With `erase` every store is emptied of it, and a receipt says so.
    """

    owner: str
    memory: str
    reason: str = ""
    erase: bool = False
    version: Version | None = None

    @property
    def document(self) -> str:
        """The document that the note became."""
        return f"{NAMESPACE}{self.owner}/{self.memory}"
