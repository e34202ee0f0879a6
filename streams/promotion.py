"""What an operator does with index generations: register, promote, roll back, retire. Each is one event on the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from processors.ingest.generations import Choice, GenerationTable, require_name
from processors.measure.comparing import Comparison
from schemas.codec import Codec
from schemas.documents import GenerationRegistered, IndexGeneration
from schemas.envelope import Event
from streams.generation_log import HeadViews, choice_of, read_table, require_living
from streams.generation_parts import registered_of
from streams.generations import GenerationError
from streams.parts import Parts
from streams.publishing import Entrance, Published, Publisher
from streams.retiring import drop_heads, drop_store, groups_of
from streams.settings import Settings
from streams.tombstones import await_nobody, bury_heads
from topics.ingest import INDEX_GENERATION

__all__ = ["GateError", "Generation", "Operator", "gate"]

DIRTY: Final = "-dirty"


class GateError(GenerationError):
    """A generation must not be promoted or retired as things are; the message says why, reason by reason."""

    exit_code = 3


@dataclass(frozen=True)
class Generation:
    """A generation as `headwater index ls` shows it. `serves` is `all`, tenants, or nothing."""

    name: str
    state: str
    serves: str
    model: str
    dimension: int
    fingerprint: str
    git_sha: str
    documents: int = 0
    chunks: int = 0
    behind: int = 0


@dataclass
class Operator:
    """The commands' way to the log of generations. Needs no worker; a worker follows what it writes.

    >>> Operator(settings, codec, entrance).promote("g2", Promotion(...))  # doctest: +SKIP
    """

    settings: Settings
    codec: Codec
    entrance: Entrance
    _corpus: str = field(init=False)

    def __post_init__(self) -> None:
        self._corpus = self.settings.index.corpus

    def table(self) -> GenerationTable:
        return read_table(self.settings, self.codec, self.entrance.clock)

    def register(self, settings: Settings, name: str) -> GenerationRegistered:
        """Writes a new generation, made by `settings`, into the log; the same again changes nothing.

        Raises GenerationError for a name that is taken, or where as many live as a process holds open.
        """
        parts = Parts(_of_generation(settings, name))
        try:
            wanted = registered_of(parts, self._corpus, built=True)
        finally:
            parts.close()
        table = self.table()
        if (known := table.registered.get(name)) is not None:
            if known.state == "living" and known.configuration == wanted.configuration:
                return known
            raise GenerationError(
                f"generation {name!r} is there already ({known.state}, {known.fingerprint}): take another name"
            )
        others = table.living().keys() | {self.settings.index.generation}
        if len(others) >= self.settings.index.open_generations:
            raise GenerationError(
                f"{len(others)} generations live ({', '.join(sorted(others))}), as many as a process holds open "
                "(index.open_generations): retire one first"
            )
        self._publish(wanted)
        return wanted

    def listed(self) -> list[Generation]:
        """Every generation, what it holds, and how many documents it is behind the one that serves."""
        table = self.table()
        choice = choice_of(table, self.settings)
        names = {*table.registered, choice.generation}
        with HeadViews(self.settings, self.codec, self.entrance.clock, names) as heads:
            return [_listed(name, table, choice, heads) for name in sorted(names)]

    def late(self, old: str, new: str, within_s: float) -> int:
        """How many documents of `old` are not as new in `new`, after waiting for them."""
        with HeadViews(self.settings, self.codec, self.entrance.clock, (old, new)) as heads:
            return len(heads.await_caught_up(old, new, within_s))

    def strangers(self, registered: GenerationRegistered) -> int:
        """How many documents of a generation were cut by other settings than it was registered with."""
        with HeadViews(self.settings, self.codec, self.entrance.clock, (registered.generation,)) as heads:
            walked = list(heads.views[registered.generation].walk())
        return sum(head.fingerprint not in ("", registered.fingerprint) for head in walked if not head.gone)

    def promote(self, name: str, tenants: Sequence[str], reason: str) -> tuple[IndexGeneration, Published]:
        """Lets a generation serve everybody, or some tenants only. The gate is the caller's."""
        table = self.table()
        require_living(table, name)
        now = choice_of(table, self.settings)
        if tenants:
            canary = {**now.tenants, **dict.fromkeys(tenants, name)}
            return self._choose(Choice(now.generation, now.previous, canary), reason)
        previous = now.generation if now.generation != name else now.previous
        return self._choose(Choice(name, previous), reason)

    def rollback(self, reason: str) -> tuple[IndexGeneration, Published]:
        """Takes back the last promotion: the canary where there is one, else the whole."""
        table = self.table()
        now = choice_of(table, self.settings)
        if now.tenants:
            return self._choose(Choice(now.generation, now.previous), reason)
        if not now.previous:
            raise GenerationError(f"nothing served before {now.generation!r}: there is nothing to roll back to")
        require_living(table, now.previous)
        return self._choose(Choice(now.previous, now.generation), reason)

    def retire(self, name: str, reason: str, within_s: float) -> int:
        """Ends a generation: workers let go of it, its index is deleted, its heads are buried; returns how many.

        May be run again where it was interrupted. Raises GateError while it serves anybody.
        """
        table = self.table()
        if not table.retired(name):
            require_living(table, name)
        if name in (serving := choice_of(table, self.settings)).serving:
            raise GateError(f"generation {name!r} serves {_serves(name, serving)}: promote another one first")
        self._publish(msgspec.structs.replace(table.registered[name], state="retired", reason=reason, event_id=""))
        groups = groups_of(name, built=table.registered[name].built)
        if left := await_nobody(self.settings.kafka, groups, self.entrance.clock, within_s):
            raise GenerationError(f"workers still follow as {', '.join(left)} after {within_s:g} s; run this again")
        drop_store(self.settings, name, self.entrance.clock, within_s)
        drop_heads(self.settings, name, self.entrance.ids)
        return bury_heads(self.settings, self.codec, self.entrance.clock, name)

    def _choose(self, choice: Choice, reason: str) -> tuple[IndexGeneration, Published]:
        event = IndexGeneration(
            tenant="",
            corpus=self._corpus,
            generation=choice.generation,
            previous=choice.previous,
            reason=reason,
            tenants=dict(choice.tenants),
        )
        return event, self._publish(event)

    def _publish(self, event: Event) -> Published:
        with Publisher(self.settings.kafka, self.codec, self.entrance) as publisher:
            return publisher.publish(INDEX_GENERATION, event)


def gate(
    registered: GenerationRegistered, behind: int, strangers: int, comparison: Comparison | None, bar: float
) -> list[str]:
    """Why a generation must not be promoted; empty where it may."""
    reasons = []
    if registered.git_sha.endswith(DIRTY):
        reasons.append(f"it was made from a dirty checkout ({registered.git_sha})")
    if strangers:
        reasons.append(f"{strangers} documents were cut by other settings than it was registered with")
    if behind:
        reasons.append(f"{behind} documents are older in it than in the one that serves, or missing")
    if comparison is None or comparison.new is None:
        reasons.append("no golden questions were asked of it (--golden FILE)")
    elif comparison.new.recall_at_5 < bar:
        reasons.append(f"its recall@5 is {comparison.new.recall_at_5:.3f}, below {bar:g} (index.recall_gate)")
    return reasons


def _of_generation(settings: Settings, name: str) -> Settings:
    index = settings.index.model_copy(update={"generation": require_name(name)})
    return settings.model_copy(update={"index": index})


def _listed(name: str, table: GenerationTable, choice: Choice, heads: HeadViews) -> Generation:
    registered = table.registered.get(name)
    retired = table.retired(name)
    documents, chunks = (0, 0) if retired else heads.counts(name)
    late = 0 if retired else len(heads.late_now(choice.generation, name))
    return Generation(
        name=name,
        state=registered.state if registered else "unregistered",
        serves=_serves(name, choice),
        model=registered.model if registered else "",
        dimension=registered.dimension if registered else 0,
        fingerprint=registered.fingerprint if registered else "",
        git_sha=registered.git_sha if registered else "",
        documents=documents,
        chunks=chunks,
        behind=late,
    )


def _serves(name: str, choice: Choice) -> str:
    tenants = ", ".join(sorted(tenant for tenant, served in choice.tenants.items() if served == name))
    return "all" if choice.generation == name else tenants
