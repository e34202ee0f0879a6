"""Completed offsets beyond the commit point, as text that fits a commit's metadata.

A hop that finishes records out of order commits the offset below which nothing is unfinished. What it finished beyond
that point is written beside the offset, so that a restart does not pay for a generation twice.

Format: `r1` and, for each run of completed offsets, `+gap.length` in base 36, the gap counted from the end of the run
before it (the first one from the committed offset). Before it a mark may stand, `m1` and what a hop wrote about what it
has in hand (`suspects.py`), ended by `;`. Kafka keeps at most 4,096 bytes of metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

__all__ = ["METADATA_BYTES", "decode", "encode", "mark_in", "marked"]

METADATA_BYTES: Final = 4_096
"""Kafka's limit (`offset.metadata.max.bytes`, its default)."""
_MARK: Final = "r1"
_HAND: Final = "m1"
_END: Final = ";"
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE: Final = len(_DIGITS)
# A record read twice costs little; a run that claims to be longer than any gap may grow is damage.
_LONGEST: Final = 1_000_000


def encode(committed: int, completed: Iterable[int], most_bytes: int = METADATA_BYTES) -> str:
    """The runs of completed offsets above `committed`; the newest are left out where there is no room for all.

    >>> encode(10, [12, 13, 14, 20])
    'r1+2.3+5.1'
    """
    text = _MARK
    end = committed
    for start, length in _runs(sorted(set(completed))):
        piece = f"+{_digits(start - end)}.{_digits(length)}"
        if start < committed or len(text) + len(piece) > most_bytes:
            break
        text += piece
        end = start + length
    return "" if text == _MARK else text


def decode(committed: int, metadata: str | None) -> frozenset[int]:
    """The completed offsets that a commit's metadata names; none where it is missing or is not ours.

    >>> sorted(decode(10, "r1+2.3+5.1"))
    [12, 13, 14, 20]
    >>> decode(10, "somebody else's words")
    frozenset()
    """
    metadata = (metadata or "")[len(_mark(metadata)) :]
    if not metadata.startswith(f"{_MARK}+"):
        return frozenset()
    found: set[int] = set()
    end = committed
    try:
        for piece in metadata[len(_MARK) + 1 :].split("+"):
            gap, length = (int(part, _BASE) for part in piece.split("."))
            if gap < 0 or not 0 < length <= _LONGEST - len(found):
                return frozenset()
            found.update(range(end + gap, end + gap + length))
            end += gap + length
    except ValueError:
        return frozenset()
    return frozenset(found)


def marked(words: str, numbers: Iterable[int]) -> str:
    """A mark: what stands before the runs.

    >>> marked("a", [2, 40])
    'm1a2.14;'
    """
    return f"{_HAND}{words}{'.'.join(map(_digits, numbers))}{_END}"


def mark_in(metadata: str | None) -> tuple[str, tuple[int, ...]]:
    """The letter and the numbers of the mark in a commit's metadata; nothing where it has none, or a damaged one.

    >>> mark_in("m1a2.14;r1+2.3"), mark_in("r1+2.3"), mark_in("m1a2.!;")
    (('a', (2, 40)), ('', ()), ('', ()))
    """
    text = _mark(metadata)[len(_HAND) : -1]
    if not re.fullmatch(r"[a-z][0-9a-z]+(\.[0-9a-z]+)*", text):
        return "", ()
    return text[0], tuple(int(part, _BASE) for part in text[1:].split("."))


def _mark(metadata: str | None) -> str:
    if not metadata or not metadata.startswith(_HAND) or _END not in metadata:
        return ""
    return metadata[: metadata.index(_END) + 1]


def _runs(offsets: list[int]) -> Iterator[tuple[int, int]]:
    """Start and length of each run of consecutive offsets."""
    start = previous = None
    for offset in offsets:
        if start is None or previous is None:
            start = offset
        elif offset != previous + 1:
            yield start, previous + 1 - start
            start = offset
        previous = offset
    if start is not None and previous is not None:
        yield start, previous + 1 - start


def _digits(number: int) -> str:
    """A whole number in base 36."""
    if number < _BASE:
        return _DIGITS[number]
    return _digits(number // _BASE) + _DIGITS[number % _BASE]
