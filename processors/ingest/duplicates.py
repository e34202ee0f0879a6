"""What two documents are compared by: the hash of their words, and a signature of the runs of words they share."""

from __future__ import annotations

import hashlib
import re
import zlib
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["bare_words", "content_words", "shingles", "words_hash"]

_WORD: Final = re.compile(r"\w+")
_MARKS_AS_SPACES: Final = {code: " " for code in range(128) if not _WORD.match(chr(code))}
# Runs of five words: by chance two texts share few, and a corrected word spoils only five of them.
_RUN: Final = 5
_FACTORS: Final = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1], dtype=np.uint64)
_WORDS_KEPT: Final = 65_536


def content_words(text: str) -> list[str]:
    """The words of a text in lower case: marks, spaces and layout don't count.

    >>> content_words("The  Pump — is ON.")
    ['the', 'pump', 'is', 'on']
    """
    return bare_words(text.lower())


def bare_words(text: str) -> list[str]:
    r"""Every run of word characters (`\w`), as it is written.

    >>> bare_words("The pump_2 — is ON.")
    ['The', 'pump_2', 'is', 'ON']
    """
    # Half the time of the expression, and most texts are mostly ASCII.
    return text.translate(_MARKS_AS_SPACES).split() if text.isascii() else _WORD.findall(text)


def words_hash(words: list[str]) -> str:
    """SHA-256 of the normalised text: equal for documents that say the same in the same order."""
    return hashlib.sha256(" ".join(words).encode(errors="replace")).hexdigest()


def shingles(words: list[str]) -> npt.NDArray[np.uint32]:
    """A number for every run of five words; a shorter text is one run."""
    if not words:
        return np.zeros(0, np.uint32)
    numbers = np.fromiter(map(_number, words), np.uint64, len(words))
    runs = max(1, len(words) - _RUN + 1)
    mixed = np.zeros(runs, np.uint64)
    for place in range(min(_RUN, len(words))):
        mixed += numbers[place : place + runs] * _FACTORS[place]
    return (mixed >> np.uint64(32)).astype(np.uint32)


@lru_cache(maxsize=_WORDS_KEPT)
def _number(word: str) -> int:
    return zlib.crc32(word.encode(errors="replace"))
