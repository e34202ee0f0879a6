"""The log of index generations and of their heads, as a command reads them: without a group, disturbing nobody."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from adapters.heads_view import MemoryHeads
from processors.ingest.generations import Choice, GenerationTable
from processors.ports import Clock
from schemas.codec import Codec
from schemas.documents import DocumentHead, GenerationRegistered
from schemas.envelope import Event, Version
from streams.follow import Follower
from streams.generations import GenerationError
from streams.reading import Reader
from streams.settings import Settings
from topics.ingest import DOCUMENT_HEAD, INDEX_GENERATION

__all__ = ["HeadViews", "behind", "choice_of", "read_table", "require_living"]

_BETWEEN_LOOKS_S = 0.2

Document = tuple[str, str]
"""Tenant and document."""


@dataclass(frozen=True)
class State:
    """How new a document is in a generation: its content, and its access list."""

    version: Version
    access_version: Version


def read_table(settings: Settings, codec: Codec, clock: Clock) -> GenerationTable:
    """The generations there are, and what serves, as the log has it now."""
    table = GenerationTable(settings.index.corpus)
    with Reader(settings.kafka, codec, clock) as reader:
        for reading in reader.read(INDEX_GENERATION.name):
            if reading.event is not None:
                table.fold(reading.event)
    return table


def choice_of(table: GenerationTable, settings: Settings) -> Choice:
    """What serves: what was promoted last, else the configured generation."""
    return table.choice or Choice(settings.index.generation)


def require_living(table: GenerationTable, name: str) -> GenerationRegistered:
    """The generation of a name. Raises GenerationError where there is none, or it is retired."""
    living = table.living()
    if name not in living:
        what = "is retired" if table.retired(name) else "is not known"
        raise GenerationError(
            f"wanted one of the generations {', '.join(sorted(living)) or '(none)'}, got {name!r}, which {what}; "
            "headwater index ls shows them, headwater index build makes one"
        )
    return living[name]


class HeadViews:
    """The heads of some generations, followed while it is open: what each of them knows, and how far it is behind."""

    def __init__(self, settings: Settings, codec: Codec, clock: Clock, generations: Iterable[str]) -> None:
        self.views = {name: MemoryHeads(name) for name in generations}
        self._clock = clock
        self._deadline_s = settings.kafka.deadline_s
        for view in self.views.values():
            view.open()
        self._follower = Follower(DOCUMENT_HEAD, self._fold, codec, settings.kafka, clock)

    def __enter__(self) -> HeadViews:
        self._follower.start()
        self._follower.catch_up(self._deadline_s)
        return self

    def __exit__(self, *_: object) -> None:
        self._follower.stop()

    def states(self, generation: str) -> dict[Document, State]:
        """Every document of a generation, as new as it was read."""
        return {
            (head.tenant, head.document): State(head.version, head.access_version)
            for head in self.views[generation].walk()
        }

    def counts(self, generation: str) -> tuple[int, int]:
        """Documents that are there, and their chunks."""
        there = [head for head in self.views[generation].walk() if not head.gone]
        return len(there), sum(len(head.chunks) for head in there)

    def late_now(self, old: str, new: str) -> list[Document]:
        """The documents of `old` that `new` does not know as newly, as of now."""
        return behind(self.states(old), self.states(new))

    def await_caught_up(self, old: str, new: str, within_s: float) -> list[Document]:
        """What `old` knew when this was called and `new` does not know as newly, once all of it is there or time is up.

        Changes that come meanwhile don't count, or a generation under steady edits would never have caught up.
        """
        self._follower.catch_up(self._deadline_s)
        wanted = self.states(old)
        until = self._clock.monotonic() + within_s
        while late := behind(wanted, self.states(new)):
            if self._clock.monotonic() > until:
                return late
            threading.Event().wait(_BETWEEN_LOOKS_S)
            self._follower.catch_up(self._deadline_s)
        return []

    def _fold(self, event: Event) -> None:
        if isinstance(event, DocumentHead) and event.generation in self.views:
            self.views[event.generation].fold(event)


def behind(wanted: Mapping[Document, State], held: Mapping[Document, State]) -> list[Document]:
    """The documents whose content or access list is older in `held`, or that it does not know.

    >>> one, two = Version(source=0, offset=1), Version(source=0, offset=2)
    >>> behind({("t", "a"): State(two, one), ("t", "b"): State(one, one)}, {("t", "a"): State(one, one)})
    [('t', 'a'), ('t', 'b')]
    """

    def late(document: Document, state: State) -> bool:
        now = held.get(document)
        return now is None or now.version < state.version or now.access_version < state.access_version

    return sorted(document for document, state in wanted.items() if late(document, state))
