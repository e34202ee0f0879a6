"""The notes of users as the log has them: folded in every process that keeps or lists them."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence

from processors.ingest.memories import memory_in, owner_in, unnamed
from schemas.envelope import Event
from schemas.memories import MemoryForgotten, MemoryKept
from topics.ingest import MEMORY_KEPT

__all__ = ["MemoryView"]


class MemoryView:
    """Every note that is kept, by owner. Fold `rag.memory.kept.v1` into it, from any thread and in any order.

    >>> view = MemoryView(per_user=200)
    >>> view.fold(MemoryKept(tenant="acme", owner="0" * 32, memory="m", text="I work in Berlin."))
    >>> [note.text for note in view.notes("acme", "0" * 32)], view.notes("globex", "0" * 32)
    (['I work in Berlin.'], [])

    A name that was forgotten stays so: the order in which it is heard of does not count.
    """

    def __init__(self, per_user: int) -> None:
        self._per_user = per_user
        self._kept: defaultdict[tuple[str, str], dict[str, MemoryKept]] = defaultdict(dict)
        self._gone: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._lock = threading.Lock()

    def fold(self, event: Event) -> None:
        """Takes up what the topic says."""
        if not isinstance(event, MemoryKept | MemoryForgotten) or unnamed(event):
            return
        place = (event.tenant, event.owner)
        with self._lock:
            if isinstance(event, MemoryForgotten):
                self._give_up(place, event.memory)
            elif event.memory not in self._gone[place]:
                held = self._kept[place].get(event.memory)
                if held is None or event.occurred_at >= held.occurred_at:
                    self._kept[place][event.memory] = event

    def drop(self, key: str) -> None:
        """A tombstone: the note was erased."""
        tenant, _, document = key.partition("|")
        if owner := owner_in(document):
            with self._lock:
                self._give_up((tenant, owner), memory_in(document))

    def notes(self, tenant: str, owner: str) -> Sequence[MemoryKept]:
        """What is kept for an owner, oldest first."""
        with self._lock:
            return sorted(self._kept.get((tenant, owner), {}).values(), key=_age)

    def get(self, tenant: str, owner: str, memory: str) -> MemoryKept | None:
        return self._kept.get((tenant, owner), {}).get(memory)

    def names(self, tenant: str, owner: str) -> frozenset[str]:
        """Of every note that an owner has or had and that was not erased, as far as the log tells."""
        place = (tenant, owner)
        with self._lock:
            return frozenset(self._kept.get(place, {})) | frozenset(self._gone.get(place, ()))

    def forgotten(self, event: MemoryKept) -> bool:
        """Whether a note's name was given up."""
        return event.memory in self._gone.get((event.tenant, event.owner), ())

    def beyond(self, event: MemoryKept) -> bool:
        """Whether its owner has as many older notes as are allowed."""
        notes = self.notes(event.tenant, event.owner)
        return event.memory in [note.memory for note in notes[self._per_user :]]

    def _give_up(self, place: tuple[str, str], memory: str) -> None:
        self._kept[place].pop(memory, None)
        self._gone[place].add(memory)


def _age(note: MemoryKept) -> tuple[int, str]:
    return note.occurred_at, MEMORY_KEPT.key(note)
