"""Near-duplicate documents by MinHash and locality-sensitive hashing (datasketch, `parse` extra)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from schemas.documents import DocumentHead
from schemas.envelope import Version

if TYPE_CHECKING:
    from datasketch import MinHash, MinHashLSH

__all__ = ["MemoryDuplicates", "MinHashSigner"]

# 64 numbers of 4 bytes ride on every head; the estimate of the shared part is then within 0.06 (one sigma) near 0.8.
_NUMBERS: Final = 64
_THRESHOLD: Final = 0.8


class MinHashSigner:
    """The port Signer: 64 minima of the text's runs of words; empty without the `parse` extra.

    >>> len(MinHashSigner().sign(np.array([1, 2, 3], np.uint32)))
    256
    """

    def sign(self, shingles: npt.NDArray[np.uint32]) -> bytes:
        """Equal numbers at the same places in two signatures tell how much the texts share."""
        if not len(shingles) or self._empty is None:
            return b""
        sketch = self._empty.copy()
        sketch.update_batch(shingles.tolist())
        return bytes(sketch.hashvalues.astype("<u4").tobytes())

    @cached_property
    def _empty(self) -> MinHash | None:
        return _sketch() if find_spec("datasketch") else None


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
        self._near: dict[str, MinHashLSH] = {}

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
            near = self._near.get(head.tenant)
            if near is None or not head.signature:
                return ""
            found = set(near.query(_sketch(head.signature))) - {head.document}
            alike = {name: _share(head.signature, self._held[head.tenant, name].signature or b"") for name in found}
        best = max(sorted(alike), key=alike.__getitem__, default="")
        return best if best and alike[best] >= _THRESHOLD else ""

    def _put(self, place: tuple[str, str], head: DocumentHead) -> None:
        self._held[place] = _Known(head.version, head.words_hash, head.signature)
        self._equal[head.tenant, head.words_hash].add(head.document)
        if head.signature:
            if head.tenant not in self._near:
                self._near[head.tenant] = _forest()
            self._near[head.tenant].insert(head.document, _sketch(head.signature))

    def _drop(self, place: tuple[str, str], old: _Known) -> None:
        tenant, document = place
        del self._held[place]
        equal = self._equal[tenant, old.words_hash]
        equal.discard(document)
        if not equal:
            del self._equal[tenant, old.words_hash]
        if old.signature:
            self._near[tenant].remove(document)


def _sketch(signature: bytes = b"") -> MinHash:
    from datasketch import MinHash

    options: dict[str, Any] = {"num_perm": _NUMBERS, "scheme": "affine32", "hashfunc": int}
    if not signature:
        return MinHash(**options)
    return MinHash(**options, hashvalues=np.frombuffer(signature, "<u4"))


def _forest() -> MinHashLSH:
    from datasketch import MinHashLSH

    return MinHashLSH(threshold=_THRESHOLD, num_perm=_NUMBERS)


def _share(one: bytes, other: bytes) -> float:
    """How much of their runs of words two documents share, as their signatures tell."""
    first, second = np.frombuffer(one, "<u4"), np.frombuffer(other, "<u4")
    return float(np.mean(first == second)) if len(first) == len(second) else 0.0
