"""The real steps under a bad day: zombies, crashes, flushed views, repeated and late records; for random histories.

The steps are those of `processors/ingest`, index and view those of `adapters`. The engine's part is played here as
`docs/adr/0003-document-heads.md` demands it: a batch commits its heads and its place in one go, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from adapters.heads_view import MemoryHeads
from adapters.memory import DictEmbeddingCache, ManualClock, MemoryIndex
from processors.contract import Reject, Stop
from processors.ingest.chunk import chunk
from processors.ingest.embed import Embeddable, embed
from processors.ingest.heads import NO_ACCESS_VERSION
from processors.ingest.index import fold, index
from processors.ingest.planning import Indexable
from processors.ingest.settle import settle
from processors.ports import FollowedHeads, Heads, Index, IndexObject, Stretch
from schemas.documents import AccessChanged, DocumentDeleted, DocumentHead, DocumentRedacted
from schemas.envelope import Event, Version
from tests.processors.ingest.builders import (
    GENERATION,
    TENANT,
    CountingEmbedder,
    at,
    deleted,
    granted,
    indexable,
    opened,
    redacted,
    splitter,
)

Change = DocumentRedacted | DocumentDeleted | AccessChanged

PASSAGES = {letter: f"{letter} begins here. " + f"{letter}word and more of {letter}. " * 9 for letter in "ABCDE"}
"""Each long enough to be a chunk by itself, so that a document's passages are known beforehand."""


class Crash(Exception):
    """The process died while it wrote."""


class BrittleIndex:
    """An index that dies in the middle of a write if it is told to."""

    def __init__(self, inner: Index) -> None:
        self.dies_after: int | None = None
        self.remove = inner.remove
        self.existing = inner.existing
        self.search_text = inner.search_text
        self.search_vector = inner.search_vector
        self.set_access = inner.set_access
        self.walk = inner.walk
        self._inner = inner

    def upsert(self, objects: Sequence[IndexObject]) -> None:
        if self.dies_after is None:
            self._inner.upsert(objects)
            return
        self._inner.upsert(objects[: self.dies_after])
        raise Crash


class View(FollowedHeads, Protocol):
    """A view of heads that can be lost."""

    def forget(self) -> None: ...


@dataclass
class World:
    """One partition, its log, its workers. Call the moves in any order; `check` after each."""

    store: BrittleIndex = field(default_factory=lambda: BrittleIndex(MemoryIndex()))
    view: View = field(default_factory=opened)
    log: list[Indexable] = field(default_factory=list)
    source: list[Change] = field(default_factory=list)
    committed: int = 0
    pending: tuple[int, list[Event]] | None = None
    topic: list[DocumentHead] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    end: int = 0
    settled: int = 0
    garbage_is_allowed: bool = False
    old_views: list[MemoryHeads] = field(default_factory=list)
    old_marks: list[tuple[str, dict[int, int]]] = field(default_factory=list)
    seen: dict[str, tuple[Version, Version]] = field(default_factory=dict)

    # What the source does.

    def write(self, document: str, letters: str) -> None:
        paragraphs = [PASSAGES[letter] for letter in letters]
        self._publish(redacted(paragraphs, len(self.source) + 1, document))

    def delete(self, document: str) -> None:
        self._publish(deleted(len(self.source) + 1, document))

    def grant(self, document: str, group: str) -> None:
        self._publish(granted((group,), len(self.source) + 1, document))

    def write_and_grant(self, document: str, letters: str, group: str) -> None:
        """The access list changes while the chunks of a version are on their way: it has a topic of its own."""
        self.write(document, letters)
        manifest = self.log.pop()
        self.grant(document, group)
        self.log.append(manifest)

    def repeat(self, number: int) -> None:
        """A record that came before comes again, behind newer ones."""
        if self.source:
            self._publish(self.source[number % len(self.source)], again=True)

    # What workers do.

    def work(self, records: int) -> None:
        """The owner takes a batch, and commits it."""
        self.begin(records)
        fold(self.commit(), self.view)

    def begin(self, records: int) -> None:
        """The owner takes a batch, and takes its time with the commit. What another owner began is fenced."""
        self._catch_up()
        self.garbage_is_allowed |= self.pending is not None
        end = min(self.committed + records, len(self.log))
        self.pending = (end, self._indexed(self.view, records))

    def commit(self) -> list[Event]:
        """The owner commits what it began; then it may be dead, and the view hears of it from the log only."""
        if self.pending is None:
            return []
        self.committed, outputs = self.pending
        self.pending = None
        heads = [event for event in outputs if isinstance(event, DocumentHead)]
        self.topic += heads
        self.offsets += range(self.end, self.end + len(heads))
        # The end of a transaction takes an offset too.
        self.end += len(heads) + 1
        return outputs

    def crash(self, records: int, after: int) -> None:
        """The owner dies in the middle of its writes, or after them; nothing is committed."""
        self._catch_up()
        self.garbage_is_allowed = True
        self.store.dies_after = after
        try:
            self._indexed(self.view, records)
        except Exception as error:
            assert isinstance(error.__cause__, Crash)
        finally:
            self.store.dies_after = None

    def become_zombie(self) -> None:
        """Somebody goes on with the view as it is now, while the partition has moved."""
        self._catch_up()
        self.old_views = [*self.old_views[-2:], _copy(self.view)]

    def zombie_works(self, records: int, back: int) -> None:
        """A zombie indexes what it read before it lost the partition; its transaction is fenced.

        It pauses where objects that its old view lists are gone by now: to a zombie the index seems lost.
        """
        if self.old_views:
            self.garbage_is_allowed = True
            start = max(0, self.committed - back)
            with suppress(Stop):
                self._indexed(self.old_views[-1], records, start)

    def zombie_folds(self, back: int) -> None:
        """A follower that stood still gives the view what it read long ago, as a stretch and by itself."""
        if self.topic:
            number = back % len(self.topic)
            self.view.apply(Stretch(0, self.offsets[number], self.offsets[number] + 1), [self.topic[number]])
            self.view.fold(self.topic[number])

    def mark(self) -> None:
        """Somebody begins to prove the view: it names its life, and asks for the end of the log."""
        self.old_marks = [*self.old_marks[-2:], (self.view.mark(), {0: self.end})]

    def prove_late(self, back: int) -> None:
        """Whoever marked it goes on, whatever became of the view since."""
        if self.old_marks:
            self.view.prove(*self.old_marks[back % len(self.old_marks)])

    def apply(self) -> None:
        """The view follows the log of heads by one."""
        at = self.view.applied().get(0, 0)
        for number, offset in enumerate(self.offsets):
            if offset >= at:
                self.view.apply(Stretch(0, at, offset + 1), [self.topic[number]])
                return

    def settle(self, heads: int) -> None:
        self._catch_up()
        batch = self.topic[self.settled : self.settled + heads]
        settle(batch, self.store, self.view)
        self.settled += len(batch)

    def settle_again(self, back: int) -> None:
        self.settled = max(0, self.settled - back)

    def flush(self) -> None:
        """The view is lost, and closed until it has read the log of heads again."""
        self.view.forget()

    def compact(self) -> None:
        """The broker forgets heads that a newer one replaced, of those that settle has done with."""
        newest = {head.document: number for number, head in enumerate(self.topic)}
        stays = {*newest.values(), *range(self.settled, len(self.topic))}
        gone = len(self.topic) - len(stays)
        self.offsets = [offset for number, offset in enumerate(self.offsets) if number in stays]
        self.topic = [head for number, head in enumerate(self.topic) if number in stays]
        self.settled -= gone

    def finish(self) -> None:
        self.work(len(self.log))
        self.settle(len(self.topic))

    # What must hold.

    @property
    def reader(self) -> View:
        """The view as whoever asks a question sees it."""
        return self.view

    def check(self) -> None:
        """What any reader could notice now."""
        if not self.reader.is_open:
            return
        held = {found.object_id: found for found in self.store.walk(TENANT)}
        heads = list(self.reader.walk(TENANT))
        for head in heads:
            self._check_order(head)
            self._check_text(head, held)
        self._check_search(held.values())
        missing = self.seen.keys() - {head.document for head in heads}
        assert not missing, f"{missing} were known and are not any more"

    def check_end(self) -> None:
        """Index and heads are those that the last versions would make by themselves."""
        self.finish()
        self.check()
        for document in {change.document for change in self.source}:
            self._check_last(document)
        listed = {chunk.object_id for head in self.view.walk(TENANT) for chunk in head.chunks}
        held = {found.object_id: found for found in self.store.walk(TENANT)}
        assert listed <= held.keys()
        if not self.garbage_is_allowed:
            assert held.keys() == listed
        for head in self.view.walk(TENANT):
            assert all(held[chunk.object_id].access == head.access for chunk in head.chunks)

    def _check_order(self, head: DocumentHead) -> None:
        now = (head.version, head.access_version)
        before = self.seen.get(head.document, now)
        assert now[0] >= before[0] and now[1] >= before[1], f"{head.document} went back from {before} to {now}"
        self.seen[head.document] = now

    def _check_text(self, head: DocumentHead, held: dict[str, IndexObject]) -> None:
        texts = [held[chunk.object_id].chunk.text for chunk in head.chunks]
        assert texts == self._texts_of(head.document, head.version), f"{head.document} is mixed: {texts}"

    def _check_search(self, held: Iterable[IndexObject]) -> None:
        """The fence: of all candidates, those that the head lists are of the version that the head says."""
        for found in held:
            head = self.reader.get(TENANT, found.document)
            if head and found.object_id in {chunk.object_id for chunk in head.chunks}:
                assert found.chunk.text in self._texts_of(found.document, head.version)

    def _check_last(self, document: str) -> None:
        head = self.view.get(TENANT, document)
        assert head is not None
        changes = [change for change in self.source if change.document == document and change.version]
        contents = [change for change in changes if not isinstance(change, AccessChanged)]
        grants = [change for change in changes if isinstance(change, AccessChanged)]
        last = max(contents, key=lambda change: change.version or at(0), default=None)
        grant = max(grants, key=lambda change: change.version or at(0), default=None)
        assert head.gone == (not isinstance(last, DocumentRedacted))
        assert last is None or head.version == last.version
        assert head.access_version == (grant.version if grant else NO_ACCESS_VERSION)
        assert not grant or head.access == grant.access

    # The engine's part.

    def _publish(self, change: Change, again: bool = False) -> None:
        if not again:
            self.source.append(change)
        self.log += [change] if isinstance(change, AccessChanged) else _embedded(change)

    def _catch_up(self) -> None:
        mark, at = self.view.mark(), self.view.applied().get(0, 0)
        heads = [head for offset, head in zip(self.offsets, self.topic, strict=True) if offset >= at]
        self.view.apply(Stretch(0, at, self.end), heads)
        assert self.view.prove(mark, {0: self.end})

    def _indexed(self, view: Heads, records: int, start: int | None = None) -> list[Event]:
        begin = self.committed if start is None else start
        outputs = index(self.log[begin : begin + records], self.store, view, GENERATION)
        assert not any(isinstance(output, Reject) for output in outputs) or view is not self.view
        return [event for output in outputs if not isinstance(output, Reject) for event in output]

    def _texts_of(self, document: str, version: Version) -> list[str]:
        for change in self.source:
            if change.document == document and change.version == version and isinstance(change, DocumentRedacted):
                return [block.text for block in change.blocks]
        return []


def _embedded(change: DocumentRedacted | DocumentDeleted) -> list[Indexable]:
    created: list[Embeddable] = list(chunk(change, splitter(60, 60)))
    outputs = embed(created, CountingEmbedder(), DictEmbeddingCache(), ManualClock())
    return indexable(event for output in outputs if not isinstance(output, Reject) for event in output)


def _copy(view: View) -> MemoryHeads:
    copied = opened()
    for head in view.walk():
        copied.fold(head)
    return copied
