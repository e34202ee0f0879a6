"""Near-duplicate documents by MinHash and locality-sensitive hashing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.documents import DocumentHead
from schemas.envelope import Version

__all__ = ["MemoryDuplicates", "MinHashSigner"]

# 64 numbers of 4 bytes ride on every head; the estimate of the shared part is then within 0.06 (one sigma) near 0.8.
_NUMBERS: Final = 64
_THRESHOLD: Final = 0.8
# Two signatures that agree on a whole band are compared: 5 bands of 11 numbers make the fewest errors around 0.8.
_BANDS: Final = tuple(slice(44 * band, 44 * (band + 1)) for band in range(5))
# Shingles at a time: what is multiplied then stays in the processor's cache.
_AT_ONCE: Final = 512


def _permutations() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """The affine maps of 32 bits onto themselves (the factor is odd) of the scheme `affine32` of datasketch 2, seed 1.

    Signatures lie in the log of heads, so these numbers never change.
    """
    drawn = np.random.RandomState(1)
    factors = drawn.randint(0, 1 << 31, _NUMBERS, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return factors[:, np.newaxis], drawn.randint(0, 1 << 32, _NUMBERS, dtype=np.uint32)[:, np.newaxis]


_FACTORS, _SUMMANDS = _permutations()


class MinHashSigner:
    """The port Signer: 64 minima of the text's runs of words, each under another permutation of all 32-bit numbers.

    >>> len(MinHashSigner().sign(np.array([1, 2, 3], np.uint32)))
    256
    """

    def warm(self) -> None:
        """Imports what signing needs, which takes a second: else the first document would wait for it."""
        self.sign(np.array([1], np.uint32))

    def sign(self, shingles: npt.NDArray[np.uint32]) -> bytes:
        """Equal numbers at the same places in two signatures tell how much the texts share."""
        if not len(shingles):
            return b""
        mixed = _mixed(shingles)
        least = np.full(_NUMBERS, 0xFFFFFFFF, np.uint32)
        for at in range(0, len(mixed), _AT_ONCE):
            np.minimum(least, (_FACTORS * mixed[at : at + _AT_ONCE] + _SUMMANDS).min(axis=1), out=least)
        return bytes(least.astype("<u4").tobytes())


def _mixed(numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """The finaliser of MurmurHash3: neighbours among the numbers come far apart."""
    found: npt.NDArray[np.uint32] = numbers ^ (numbers >> np.uint32(16))
    found *= np.uint32(0x85EBCA6B)
    found ^= found >> np.uint32(13)
    found *= np.uint32(0xC2B2AE35)
    found ^= found >> np.uint32(16)
    return found


@dataclass(frozen=True)
class _Known:
    """What is kept of a head."""

    version: Version
    words_hash: str
    signature: bytes | None


class MemoryDuplicates:
    """The port Duplicates in memory, folded from the log of heads. Threads may share it.

    Equal texts are found by their hash, near ones by their signature where they share about four fifths of their runs
    of words or more. Only documents of the same tenant are compared.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: dict[tuple[str, str], _Known] = {}
        self._equal: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._near: defaultdict[tuple[str, int, bytes], set[str]] = defaultdict(set)

    def fold(self, head: DocumentHead) -> None:
        """Takes what a document is now; a deleted one is like nothing."""
        place = (head.tenant, head.document)
        with self._lock:
            old = self._held.get(place)
            if old and (head.version < old.version or (old.words_hash == head.words_hash and not head.gone)):
                return
            if old:
                self._drop(place, old)
            if head.words_hash and not head.gone:
                self._put(place, head)

    def like(self, head: DocumentHead) -> str:
        """Another document that says the same or nearly so, the most alike; empty where there is none."""
        with self._lock:
            if equal := self._equal.get((head.tenant, head.words_hash), set()) - {head.document}:
                return min(equal)
            signature = head.signature or b""
            found = {name for band in _bands(head.tenant, signature) for name in self._near.get(band, ())}
            alike = {
                name: _share(signature, self._held[head.tenant, name].signature or b"")
                for name in found - {head.document}
            }
        best = max(sorted(alike), key=alike.__getitem__, default="")
        return best if best and alike[best] >= _THRESHOLD else ""

    def _put(self, place: tuple[str, str], head: DocumentHead) -> None:
        self._held[place] = _Known(head.version, head.words_hash, head.signature)
        self._equal[head.tenant, head.words_hash].add(head.document)
        for band in _bands(head.tenant, head.signature or b""):
            self._near[band].add(head.document)

    def _drop(self, place: tuple[str, str], old: _Known) -> None:
        tenant, document = place
        del self._held[place]
        equal = self._equal[tenant, old.words_hash]
        equal.discard(document)
        if not equal:
            del self._equal[tenant, old.words_hash]
        for band in _bands(tenant, old.signature or b""):
            near = self._near[band]
            near.discard(document)
            if not near:
                del self._near[band]


def _bands(tenant: str, signature: bytes) -> Iterator[tuple[str, int, bytes]]:
    """Where a signature lies: documents that lie together anywhere are compared."""
    if signature:
        yield from ((tenant, number, signature[band]) for number, band in enumerate(_BANDS))


def _share(one: bytes, other: bytes) -> float:
    """How much of their runs of words two documents share, as their signatures tell."""
    first, second = np.frombuffer(one, "<u4"), np.frombuffer(other, "<u4")
    return float(np.mean(first == second)) if len(first) == len(second) else 0.0
