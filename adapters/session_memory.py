"""Sessions kept in this process's memory, and how a turn is laid down: the same in every store of them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Final

import msgspec

from processors.answer.sessions import NOTHING_SAID, Cited, Session, SessionLimits, Turn
from processors.ports import Clock
from schemas.envelope import Version

__all__ = ["Laid", "MemorySessions", "laid", "session_from"]

_MICROS: Final = 1_000_000
# A key is the time in so many digits, which sort, and a digest of the answer's id, which is anybody's text.
_AT_DIGITS: Final = 20
_ID_DIGITS: Final = 32


@dataclass(frozen=True)
class Laid:
    """A turn as it is stored: under a key that sorts as turns do, in full and summarised, until when."""

    key: str
    full: bytes
    note: bytes
    until: int


def laid(turn: Turn, ttl_s: float) -> Laid:
    """A turn's key, bytes and end."""
    place = hashlib.sha256(turn.answer_id.encode()).hexdigest()[:_ID_DIGITS]
    until = turn.at + int(ttl_s * _MICROS)
    return Laid(
        f"{turn.at:0{_AT_DIGITS}d}{place}", msgspec.msgpack.encode(turn), msgspec.msgpack.encode(turn.note), until
    )


def session_from(turns: Iterable[bytes], earlier: Iterable[bytes]) -> Session:
    """A session out of what is stored of it, oldest first; what can't be read is not there."""
    return Session(tuple(_read(turns)), tuple(_read(earlier)))


def _read(values: Iterable[bytes]) -> Iterable[Turn]:
    for value in values:
        try:
            yield msgspec.msgpack.decode(value, type=Turn)
        except msgspec.MsgspecError:
            continue


@dataclass
class _Held:
    """One session: by key its turns in full, those summarised and what each quoted; up to where turns were given up."""

    tenant: str
    until: int = 0
    horizon: str = ""
    turns: dict[str, Laid] = field(default_factory=dict)
    notes: dict[str, bytes] = field(default_factory=dict)
    cites: dict[str, tuple[Cited, ...]] = field(default_factory=dict)

    def knows(self, key: str) -> bool:
        """Whether the turn is here, whatever time it says, or was given up with those before it."""
        place = key[_AT_DIGITS:]
        return key <= self.horizon or any(held[_AT_DIGITS:] == place for held in (*self.turns, *self.notes))

    def fold(self, limits: SessionLimits) -> None:
        """The oldest turns become notes and the oldest notes go, until all is within bounds."""
        while len(self.turns) > limits.turns or _size(turn.full for turn in self.turns.values()) > limits.turn_bytes:
            oldest = self.turns.pop(min(self.turns))
            self.notes[oldest.key] = oldest.note
        while _size(self.notes.values()) > limits.note_bytes:
            self.horizon = min(self.notes)
            del self.notes[self.horizon]
            self.cites.pop(self.horizon, None)

    def telling(self) -> Iterable[str]:
        """Keys of the turns that were not emptied."""
        yield from (key for key, turn in self.turns.items() if turn.full)
        yield from (key for key, note in self.notes.items() if note)

    def forget(self, key: str) -> None:
        """Empties a turn. That it was there is known on, so it does not come back."""
        self.cites.pop(key, None)
        if key in self.turns:
            self.turns[key] = replace(self.turns[key], full=b"", note=b"")
        elif key in self.notes:
            self.notes[key] = b""


class MemorySessions:
    """The port Sessions for one process; threads may share it. Where there is no room, the session over soonest goes.

    >>> from adapters.memory import ManualClock
    >>> MemorySessions(ManualClock()).read("nobody's").turns
    ()
    """

    def __init__(self, clock: Clock, limits: SessionLimits | None = None) -> None:
        self._clock = clock
        self._limits = limits or SessionLimits()
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._lock = Lock()

    def read(self, session: str) -> Session:
        """The turns of a session; none where nobody heard of it, or its time is over."""
        with self._lock:
            held = self._held.get(session)
            if held is None or held.until <= self._clock.now():
                return NOTHING_SAID
            turns = [held.turns[key].full for key in sorted(held.turns)]
            return session_from(turns, [held.notes[key] for key in sorted(held.notes)])

    def record(self, tenant: str, session: str, turn: Turn) -> bool:
        """Adds a turn, once; False where its time is over already."""
        new = laid(turn, self._limits.ttl_s)
        with self._lock:
            self._let_go()
            if new.until <= self._clock.now():
                return False
            held = self._held.setdefault(session, _Held(tenant))
            if not held.knows(new.key):
                held.until = max(held.until, new.until)
                held.turns[new.key], held.cites[new.key] = new, turn.cites
                held.fold(self._limits)
                self._held.move_to_end(session)
            while len(self._held) > self._limits.most:
                del self._held[min(self._held, key=lambda name: self._held[name].until)]
            return True

    def citing(self, tenant: str, document: str) -> Mapping[str, Version]:
        """By name, the version of a document that each turn quotes."""
        with self._lock:
            return {
                f"{session}/{key}": version
                for session, held in self._held.items()
                if held.tenant == tenant
                for key, cites in held.cites.items()
                for cited, version in cites
                if cited == document
            }

    def of(self, owner: str) -> frozenset[str]:
        """Names of the turns of an owner's sessions that say anything."""
        with self._lock:
            return frozenset(
                f"{session}/{key}"
                for session, held in self._held.items()
                if session.startswith(owner)
                for key in held.telling()
            )

    def forget(self, names: Iterable[str]) -> None:
        """Empties turns; one that is not held is no error."""
        with self._lock:
            for session, _, key in (name.partition("/") for name in names):
                if session in self._held:
                    self._held[session].forget(key)

    def _let_go(self) -> None:
        """Those over, as far as they stand first: a session added to stands last."""
        while self._held and next(iter(self._held.values())).until <= self._clock.now():
            self._held.popitem(last=False)


def _size(values: Iterable[bytes]) -> int:
    return sum(map(len, values))
