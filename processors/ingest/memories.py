"""Notes of users as documents: whose a document is, by its name alone, and what may be kept (docs/adr/0023).

A note is the document `memory/<owner>/<note>`, and `memory:<owner>` its only reader. No application may ask as that
reader; `retrieve` does where a question of that user asks for its memory.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Protocol

from schemas.memories import NAMESPACE, MemoryForgotten, MemoryKept

__all__ = [
    "OWNER_DIGITS",
    "READER",
    "KeptMemories",
    "MemoryLimits",
    "memory_in",
    "owner_in",
    "owner_of",
    "owner_of_all",
    "reader_of",
    "root_of",
    "title_of",
    "unnamed",
    "unreadable",
]

READER: Final = "memory:"
"""How the principal begins that alone may read notes."""

OWNER_DIGITS: Final = 32
"""Of the digest that tells owners apart; keys of sessions begin with it."""

_DOCUMENT: Final = re.compile(rf"{NAMESPACE}([0-9a-f]{{{OWNER_DIGITS}}})/(.+)", re.DOTALL)
_ROOT: Final = re.compile(rf"{NAMESPACE}([0-9a-f]{{{OWNER_DIGITS}}})")
_NAME_CHARS: Final = 200
_TITLE_CHARS: Final = 120


@dataclass(frozen=True)
class MemoryLimits:
    """How long a note may be, in characters, and how many a user may have."""

    chars: int = 1_000
    per_user: int = 200


class KeptMemories(Protocol):
    """The notes there are, as far as this process has heard. `fold` takes one event, in any order.

    `beyond` says of a note that is kept whether its owner has as many older ones as are allowed; `forgotten` that its
    name was given up for good.
    """

    def fold(self, event: MemoryKept | MemoryForgotten) -> None: ...

    def beyond(self, event: MemoryKept) -> bool: ...

    def forgotten(self, event: MemoryKept) -> bool: ...


def owner_of(tenant: str, user: str, groups: Collection[str] = ()) -> str:
    """Who a note or a session belongs to: a digest of tenant and user; of the groups of who names no user.

    >>> owner_of("acme", "ada") == owner_of("globex", "ada")
    False
    """
    told = [tenant, "user", [user]] if user else [tenant, "groups", sorted(set(groups))]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:OWNER_DIGITS]


def root_of(owner: str) -> str:
    """What an erasure of everything of a user is asked for by.

    >>> owner_of_all(root_of(owner_of("acme", "ada"))) == owner_of("acme", "ada")
    True
    """
    return f"{NAMESPACE}{owner}"


def owner_of_all(document: str) -> str:
    """The owner whose everything a name stands for (`root_of`); empty for a document's."""
    found = _ROOT.fullmatch(document)
    return found[1] if found else ""


def owner_in(document: str) -> str:
    """Whose note a document is; empty where it is none."""
    # Asked for every head that a search looks at, and hardly any is a note.
    found = _DOCUMENT.fullmatch(document) if document.startswith(NAMESPACE) else None
    return found[1] if found else ""


def memory_in(document: str) -> str:
    """The name of the note that a document is; empty where it is none."""
    found = _DOCUMENT.fullmatch(document)
    return found[2] if found else ""


def reader_of(owner: str) -> str:
    """The principal that alone may read an owner's notes."""
    return f"{READER}{owner}"


def title_of(text: str) -> str:
    """The first line of a note, which a model then does not read twice.

    >>> title_of("\\n I work in Berlin. \\nOn floor 3.")
    'I work in Berlin.'
    """
    return text.strip().split("\n", 1)[0].strip()[:_TITLE_CHARS].strip()


def unnamed(event: MemoryKept | MemoryForgotten) -> str:
    """Why an event names no note that there could be, in words that may be shown; empty where it does."""
    if not _ROOT.fullmatch(root_of(event.owner)):
        return f"wanted an owner of {OWNER_DIGITS} hexadecimal digits, got {event.owner[:80]!r}"
    name = event.memory
    if not name.strip() or len(name) > _NAME_CHARS or not name.isprintable() or set("/|") & set(name):
        return f"wanted a printable name of 1 to {_NAME_CHARS} characters without '/' and '|', got {name[:80]!r}"
    return ""


def unreadable(text: str, limits: MemoryLimits) -> str:
    """Why a text can't be kept, in words that may be shown; empty where it can.

    >>> unreadable(" ", MemoryLimits())
    'wanted a note with words, got none; say what is to be kept'
    """
    if len(text) > limits.chars:
        return f"wanted a note of at most {limits.chars} characters, got {len(text)}; say it in fewer words"
    controls = sorted({char for char in text if unicodedata.category(char) in ("Cc", "Cs") and not char.isspace()})
    if controls:
        return f"wanted readable text, got the control character {controls[0]!r}; remove it"
    if not any(char.isalnum() for char in text):
        return "wanted a note with words, got none; say what is to be kept"
    return ""
