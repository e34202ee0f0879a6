"""How a document and its version are named in Redis, by whatever keeps something drawn from it."""

from __future__ import annotations

import hashlib
import json

from schemas.envelope import Version

__all__ = ["digits_of", "place_of", "version_of"]


def place_of(tenant: str, document: str) -> str:
    """A document as part of a key: of one length, and no two the same."""
    return hashlib.sha256(json.dumps([tenant, document]).encode()).hexdigest()


def digits_of(version: Version) -> str:
    """A version as text that sorts as versions do.

    >>> digits_of(Version(source=-1, offset=7)) < digits_of(Version(source=0, offset=0))
    True
    """
    return f"{version.source + 1:016x}{version.offset + 1:016x}"


def version_of(digits: str) -> Version:
    """The version that the text says."""
    return Version(source=int(digits[:16], 16) - 1, offset=int(digits[16:], 16) - 1)
