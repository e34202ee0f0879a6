"""The protocol of document heads as a model small enough to be searched to the end, for one document.

Who acts: two index workers, of which one may be a zombie that lost its partition and does not know; settle, which may
begin again; a view that may be flushed; a reader. They interleave in every way there is. Each defence can be taken
away, and then damage must be found: a defence without which nothing breaks is either idle or not modelled.

`docs/adr/0003-document-heads.md` says what the protocol is for; the steps in `processors/ingest` are what runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

DEFENCES = {
    "versioned ids": "the id of an object holds the version that introduced it: what was removed never comes back",
    "caught up": "a worker plans only from a view that holds every committed head",
    "fenced commit": "heads and offsets go in one transaction, which a zombie can't commit",
    "planned in order": "each event of a batch is planned against the heads that the events before it leave",
    "view before removal": "objects are removed only after the view holds the head that superseded them",
    "closed while rebuilt": "a view that is rebuilt answers nothing before it has caught up",
    "newer wins": "the view takes a head only if it is newer than the one it holds",
}


class Entry(NamedTuple):
    """What the source said: a content of some chunks, None for a delete; or a change of the access list."""

    version: int
    chunks: str | None = None
    access: bool = False


class Object(NamedTuple):
    chunk: str
    introduced: int


class Head(NamedTuple):
    version: int = -1
    access: int = -1
    objects: frozenset[Object] = frozenset()
    removed: frozenset[Object] = frozenset()


NOTHING = Head()
Objects = frozenset[Object]
NONE: Objects = frozenset()


class Worker(NamedTuple):
    """`idle`, then `reads` (plans), `writes` what is `left`, `commits` its `heads`, `applies` them to the view."""

    step: str = "idle"
    first: int = 0
    after: int = 0
    heads: tuple[Head, ...] = ()
    left: Objects = NONE


class State(NamedTuple):
    committed: int = 0
    owner: int = 0
    workers: tuple[Worker, Worker] = (Worker("reads"), Worker())
    held: Objects = NONE
    topic: tuple[Head, ...] = ()
    view: Head = NOTHING
    applied: int = 0
    open_after: int = 0
    settled: int = 0
    seen: tuple[int, int] = (-1, -1)
    rebalances: int = 0
    flushes: int = 0
    restarts: int = 0


@dataclass(frozen=True)
class Bounds:
    """How often what is rare may happen."""

    rebalances: int = 1
    flushes: int = 1
    restarts: int = 1


@dataclass(frozen=True)
class Verdict:
    """How many states were visited, and the way to the first damage; no way where there is none.

    `orphans`: the most objects that the index held at rest and no head listed.
    """

    states: int
    way: tuple[str, ...] = ()
    orphans: int = 0


Step = tuple[str, State]
Put = Callable[[Worker], State]


class Protocol:
    """The moves from a state, over one log and without some defences."""

    def __init__(self, log: tuple[Entry, ...], without: frozenset[str] = frozenset()) -> None:
        self.log = log
        self.without = without

    def moves(self, state: State) -> Iterator[Step]:
        for number in (0, 1):
            for label, after in self._worker(state, number):
                yield f"worker {number} {label}", after
        yield from self._rare(state)
        yield from self._settle(state)
        if self.is_open(state) and self._position(state.view) != state.seen:
            yield "a reader looks", state._replace(seen=self._position(state.view))

    def is_open(self, state: State) -> bool:
        return state.applied >= state.open_after or "closed while rebuilt" in self.without

    def damage(self, state: State) -> str | None:
        """What a reader could notice now."""
        if not self.is_open(state):
            return None
        if lost := state.view.objects - state.held:
            return f"the head of version {state.view.version} lists {sorted(lost)}, which the index does not hold"
        if any(now < seen for now, seen in zip(self._position(state.view), state.seen, strict=True)):
            return f"a reader that saw {state.seen} now sees {self._position(state.view)}"
        return None

    def at_rest(self, state: State) -> str | None:
        """What is wrong when all has been worked off."""
        content = max((entry for entry in self.log if not entry.access), key=lambda entry: entry.version)
        access = max((entry.version for entry in self.log if entry.access), default=-1)
        if {thing.chunk for thing in state.view.objects} != set(content.chunks or "") or state.view.access != access:
            return f"at rest the document is {state.view}"
        return None

    @staticmethod
    def _position(head: Head) -> tuple[int, int]:
        return head.version, head.access

    def _fold(self, view: Head, head: Head) -> Head:
        higher = self._position(head) != self._position(view)
        newer = higher and head.version >= view.version and head.access >= view.access
        return head if newer or "newer wins" in self.without else view

    def _plan(self, state: State, first: int) -> Iterator[Worker]:
        """Batches of every length, worked off one by one or with all but the newest version left out."""
        if state.applied < len(state.topic) and "caught up" not in self.without:
            return
        for after in range(first + 1, len(self.log) + 1):
            batch = self.log[first:after]
            for entries in dict.fromkeys((batch, _newest(batch))):
                heads = self._heads(state.view, entries)
                needed = NONE.union(*(head.objects for head in heads))
                yield Worker("writes", first, after, heads, needed - state.held)

    def _heads(self, view: Head, entries: tuple[Entry, ...]) -> tuple[Head, ...]:
        heads: list[Head] = []
        for entry in entries:
            old = heads[-1] if heads and "planned in order" not in self.without else view
            if (new := self._follow(entry, old)) is not None:
                heads.append(new)
        return tuple(heads)

    def _follow(self, entry: Entry, old: Head) -> Head | None:
        if entry.access:
            return old._replace(access=entry.version, removed=NONE) if entry.version > old.access else None
        if entry.version <= old.version:
            return None
        stays = {thing.chunk: thing for thing in old.objects}
        introduced = 0 if "versioned ids" in self.without else entry.version
        objects = frozenset(stays.get(chunk, Object(chunk, introduced)) for chunk in entry.chunks or "")
        return Head(entry.version, old.access, objects, old.objects - objects)

    def _worker(self, state: State, number: int) -> Iterator[Step]:
        worker = state.workers[number]

        def put(new: Worker) -> State:
            workers = (new, state.workers[1]) if number == 0 else (state.workers[0], new)
            return state._replace(workers=workers)

        match worker.step:
            case "reads" if worker.first < len(self.log):
                for planned in self._plan(state, worker.first):
                    yield f"plans up to {planned.after}: {planned.heads}", put(planned)
            case "writes" if worker.left:
                thing = min(worker.left)
                after = put(worker._replace(left=worker.left - {thing}))
                yield f"writes {thing}", after._replace(held=state.held | {thing})
            case "writes":
                yield from self._commit(state, number, put)
            case "applies":
                view = state.view
                for head in worker.heads if self.is_open(state) else ():
                    view = self._fold(view, head)
                yield "applies", put(Worker("reads", worker.first))._replace(view=view)

    def _commit(self, state: State, number: int, put: Put) -> Iterator[Step]:
        worker = state.workers[number]
        if (number, worker.first) != (state.owner, state.committed) and "fenced commit" not in self.without:
            yield "is fenced", put(Worker())
            return
        after = put(Worker("applies", worker.after, 0, worker.heads) if worker.heads else Worker("reads", worker.after))
        yield "commits", after._replace(committed=max(state.committed, worker.after), topic=state.topic + worker.heads)

    def _rare(self, state: State) -> Iterator[Step]:
        if state.rebalances:
            for old in (Worker(), state.workers[state.owner]):
                new = Worker("reads", state.committed)
                workers = (old, new) if state.owner == 0 else (new, old)
                label = "the partition moves, its worker is " + ("gone" if old.step == "idle" else "a zombie")
                yield label, state._replace(workers=workers, owner=1 - state.owner, rebalances=state.rebalances - 1)
        if state.flushes:
            yield (
                "the view is flushed",
                state._replace(view=NOTHING, applied=0, open_after=len(state.topic), flushes=state.flushes - 1),
            )
        if state.restarts and state.settled:
            yield "settle begins again", state._replace(settled=0, restarts=state.restarts - 1)

    def _settle(self, state: State) -> Iterator[Step]:
        if state.applied < len(state.topic):
            view = self._fold(state.view, state.topic[state.applied])
            yield "settle applies", state._replace(view=view, applied=state.applied + 1)
        if "view before removal" in self.without:
            if state.settled < len(state.topic):
                gone = state.topic[state.settled].removed
                yield "settle removes", state._replace(held=state.held - gone, settled=state.settled + 1)
        elif state.settled < state.applied and self.is_open(state):
            gone = state.topic[state.settled].removed - state.view.objects
            yield "settle removes", state._replace(held=state.held - gone, settled=state.settled + 1)


def _newest(batch: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """A batch without the versions that a newer one of the same kind overtakes in it."""
    return tuple(entry for entry in batch if not any(_overtakes(other, entry) for other in batch))


def _overtakes(other: Entry, entry: Entry) -> bool:
    return other.access == entry.access and other.version > entry.version


RARE = ("the partition", "the view is flushed", "settle begins again")


def search(protocol: Protocol, bounds: Bounds) -> Verdict:
    """Visits every state that can be reached, nearest first, and stops at damage."""
    start = State(rebalances=bounds.rebalances, flushes=bounds.flushes, restarts=bounds.restarts)
    came_from: dict[State, Step | None] = {start: None}
    todo = deque([start])
    orphans = 0
    while todo:
        state = todo.popleft()
        moves = list(protocol.moves(state))
        wrong = protocol.damage(state)
        if not wrong and all(label.startswith(RARE) for label, _ in moves):
            wrong = protocol.at_rest(state)
            orphans = max(orphans, len(state.held - state.view.objects))
        if wrong:
            return Verdict(len(came_from), _way(came_from, state, wrong))
        for label, after in moves:
            if after not in came_from:
                came_from[after] = (label, state)
                todo.append(after)
    return Verdict(len(came_from), orphans=orphans)


def _way(came_from: dict[State, Step | None], state: State, wrong: str) -> tuple[str, ...]:
    way = [wrong]
    while (step := came_from[state]) is not None:
        label, state = step
        way.append(label)
    return tuple(reversed(way))
