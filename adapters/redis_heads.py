"""The view of document heads in Redis, shared by every worker: one fold of the log serves them all.

Plain Redis 7 and nothing more: hashes and Lua (`adapters/redis_scripts.py`, `docs/adr/0011-heads-in-redis.md`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import msgspec

from adapters.errors import HeadsClosedError, HeadsUnavailableError
from adapters.redis_scripts import FOLD, FORGET, LOOK, MARK, PROVE, READ, WALK
from processors.ingest.heads import newer
from processors.ports import Ids, Stretch
from schemas.documents import DocumentHead
from schemas.envelope import Version

__all__ = ["RedisHeads", "RedisOptions", "client_of"]

# Of the encoding: a release that writes heads otherwise keeps a view of its own, and folds it from the log.
_CODEC: Final = 1
_VERSION_CHARS: Final = 64
_RETRIES: Final = 1
_PAGE: Final = 500
_TRIES: Final = 3
# Heads that this process committed and has not read back from the log yet: usually a handful. The oldest of more than
# these were committed so long ago that every follower has them.
_AHEAD_MOST: Final = 5_000

Place = tuple[str, str]


@dataclass(frozen=True)
class RedisOptions:
    """Where the server is, and how long one call may take; `namespace` keeps several platforms on one server apart."""

    url: str
    timeout_s: float = 1.0
    namespace: str = "headwater"


class RedisHeads:
    """The port Heads for one generation, in a Redis that many processes share. Starts closed, as MemoryHeads does.

    >>> heads = RedisHeads(RedisOptions("redis://127.0.0.1:6379/0"), "g1", ids)  # doctest: +SKIP
    >>> heads.prove(heads.mark(), ends)  # doctest: +SKIP
    True

    A read is one round trip, and proves in it that the view is complete: it was opened on this very run of the server,
    for every head that was committed by then, and nothing was lost since. Else HeadsClosedError. What this process
    committed and folded itself is kept until the follower has read it back from the log, and is given again to a
    view that lost it. A late fold changes nothing: newer wins, and a stretch behind a gap is not taken.
    Raises HeadsUnavailableError where Redis does not answer in time or refuses; `fold` does not, it tries again with
    the next read.
    """

    def __init__(self, options: RedisOptions, generation: str, ids: Ids) -> None:
        self.generation = generation
        self._ids = ids
        self._redis = client_of(options)
        self._scripts = {
            text: self._redis.register_script(text) for text in (FOLD, FORGET, LOOK, MARK, PROVE, READ, WALK)
        }
        self._prefix = f"{options.namespace}:heads:{_CODEC}:{{{generation}}}:"
        self._lock = Lock()
        self._ahead: dict[Place, tuple[DocumentHead, str]] = {}
        self._is_open = False
        self._untaken: dict[int, int] = {}
        self._stuck = ""

    @property
    def is_open(self) -> bool:
        return self._is_open and bool(self._call(LOOK)[0])

    def open(self) -> None:
        """Answers from now on, everywhere. Call it once every head that was committed by now is folded in."""
        self.prove(self.mark(), {})

    def close(self) -> None:
        """Answers nothing in this process until it is opened or proven again; the others go on."""
        self._is_open = False
        self._redis.close()

    def forget(self) -> None:
        """Closes and drops every head, for every process: a rebuild from the beginning of the log."""
        self._is_open = False
        with self._lock:
            self._ahead = {}
        self._call(FORGET)

    def applied(self) -> Mapping[int, int]:
        """By partition, the offset below which everything of the log is folded."""
        flat = self._call(LOOK)[1]
        state = dict(zip(flat[::2], flat[1::2], strict=True))
        found = {int(name[3:]): int(at) for name, at in state.items() if name.startswith(b"at:")}
        self._taken(found)
        return found

    def apply(self, stretch: Stretch, heads: Sequence[DocumentHead]) -> int:
        """Folds a stretch of the log, unless something before it is missing; returns how far its partition is."""
        ours = [head for head in heads if head.generation == self.generation]
        place = (stretch.partition, stretch.start, stretch.end)
        try:
            at = int(self._call(FOLD, self._ids.new(), *place, *_triples(ours))[1])
        except HeadsUnavailableError as error:
            with self._lock:
                self._stuck, self._untaken[stretch.partition] = str(error), stretch.end
            raise
        self._taken({stretch.partition: at})
        if at >= stretch.end:
            self._read_back(ours)
        return at

    def mark(self, log: str = "") -> str:
        """The view's present life; of another log than before it begins a new one."""
        policy, life = self._call(MARK, self._ids.new(), log)
        if policy:
            raise HeadsUnavailableError(
                f"wanted a Redis that keeps what it is given, got maxmemory-policy {policy.decode()!r}, "
                "which drops heads when memory is short; set noeviction"
            )
        return str(life.decode())

    def prove(self, mark: str, ends: Mapping[int, int]) -> bool:
        """Opens the view if it lives the marked life still and holds the log up to `ends`; says whether it did."""
        pairs = [number for pair in sorted(ends.items()) for number in pair]
        if not self._call(PROVE, mark, *pairs):
            return False
        self._is_open = True
        return True

    def get(self, tenant: str, document: str) -> DocumentHead | None:
        """The head of a document, None for one that was never heard of. Raises HeadsClosedError."""
        return self.get_many(tenant, (document,)).get(document)

    def get_many(self, tenant: str, documents: Iterable[str]) -> Mapping[str, DocumentHead]:
        """The heads of several documents at one moment; unknown ones are left out. Raises HeadsClosedError."""
        wanted = list(dict.fromkeys(documents))
        _, *values = self._read(READ, tenant, *wanted)
        return {name: _decoded(value) for name, value in zip(wanted, values, strict=True) if value is not None}

    def fold(self, head: DocumentHead) -> bool:
        """Takes a head if it is newer than the one it holds; says whether it did. Works while closed."""
        if head.generation != self.generation:
            return False
        place = (head.tenant, head.document)
        with self._lock:
            if not newer(head, self._ahead[place][0] if place in self._ahead else None):
                return False
            self._ahead[place] = (head, "")
            if len(self._ahead) > _AHEAD_MOST:
                del self._ahead[next(iter(self._ahead))]
        try:
            return self._deliver([head])[1] > 0
        except HeadsUnavailableError:
            return False

    def knows(self, tenant: str) -> bool:
        """Whether any document of a tenant was ever heard of, deleted ones included. Raises HeadsClosedError."""
        return int(self._read(READ, tenant)[0]) > 0

    def walk(self, tenant: str | None = None) -> Iterator[DocumentHead]:
        """Every head, for audits; what is folded meanwhile may be missed. Raises HeadsClosedError."""
        names = [tenant] if tenant is not None else [name.decode() for name in self._read(WALK, "", 0, 0)[1]]
        for name in names:
            yield from self._walk(name)

    def _walk(self, tenant: str) -> Iterator[DocumentHead]:
        seen: set[bytes] = set()
        cursor = b"0"
        while True:
            cursor, flat = self._read(WALK, tenant, cursor, _PAGE)
            for document, value in zip(flat[::2], flat[1::2], strict=True):
                if document not in seen:
                    seen.add(document)
                    yield _decoded(value)
            if cursor == b"0":
                return

    def _read(self, script: str, tenant: str, *arguments: Any) -> list[Any]:
        """What a reading script found. What the view of this life has not got from us yet, it gets first."""
        due, given_in = self._due(), ""
        for _ in range(_TRIES):
            if self._untaken:
                raise HeadsUnavailableError(f"the view of heads can't be kept up with the log: {self._stuck}")
            answer: list[Any] = self._call(script, tenant, *arguments)
            why, life, found = answer[0], answer[1], answer[2:]
            if self._is_not_whole(why):
                raise self._closed(why.decode())
            if life.decode() == given_in or all(given == life.decode() for _, given in due):
                return found
            given_in, _ = self._deliver([head for head, _ in due])
        raise self._closed("it was lost several times while it was read and has not caught up")

    def _is_not_whole(self, why: bytes) -> bool:
        return bool(why) or not self._is_open

    def _closed(self, why: str) -> HeadsClosedError:
        reason = why or "this process has not caught up with the log yet"
        return HeadsClosedError(
            f"wanted the heads of generation {self.generation!r}, but the view is closed: {reason}; try again shortly"
        )

    def _due(self) -> list[tuple[DocumentHead, str]]:
        """The heads that this process is ahead of the log with, and the life in which each was given."""
        with self._lock:
            return list(self._ahead.values())

    def _deliver(self, heads: Sequence[DocumentHead]) -> tuple[str, int]:
        """Gives heads to the view; returns in which life, and how many it took.

        Those that it had already stand in the log, or another process answers for them.
        """
        life, _, *taken = self._call(FOLD, self._ids.new(), "", 0, 0, *_triples(heads))
        with self._lock:
            for head, was_taken in zip(heads, taken, strict=True):
                place = (head.tenant, head.document)
                if place not in self._ahead or self._ahead[place][0] is not head:
                    continue
                self._ahead[place] = (head, life.decode())
                if not was_taken:
                    del self._ahead[place]
        return life.decode(), sum(taken)

    def _taken(self, applied: Mapping[int, int]) -> None:
        """What the view would not take from the log when it was given, it may have by now."""
        with self._lock:
            self._untaken = {number: end for number, end in self._untaken.items() if applied.get(number, 0) < end}

    def _read_back(self, heads: Sequence[DocumentHead]) -> None:
        """Forgets what of ours stands in the log as every follower sees it: a rebuild brings it without us."""
        with self._lock:
            for head in heads:
                ours = self._ahead.get((head.tenant, head.document))
                if ours is not None and not newer(ours[0], head):
                    del self._ahead[head.tenant, head.document]

    def _call(self, script: str, *arguments: Any) -> Any:
        from redis.exceptions import RedisError

        try:
            return self._scripts[script](keys=[f"{self._prefix}state"], args=[self._prefix, *arguments])
        except RedisError as error:
            raise HeadsUnavailableError(
                f"wanted the view of heads from Redis, got {type(error).__name__}: {error}; is the server there?"
            ) from error


def client_of(options: RedisOptions) -> Any:
    """A client whose calls end: each within its timeout, and once more where the connection was lost."""
    from redis import Redis
    from redis.backoff import ConstantBackoff
    from redis.retry import Retry

    return Redis.from_url(
        options.url,
        protocol=2,
        socket_timeout=options.timeout_s,
        socket_connect_timeout=options.timeout_s,
        retry=Retry(ConstantBackoff(0.01), _RETRIES),
    )


def _triples(heads: Iterable[DocumentHead]) -> list[str | bytes]:
    return [part for head in heads for part in (head.tenant, head.document, _encoded(head))]


def _encoded(head: DocumentHead) -> bytes:
    return (_digits(head.version) + _digits(head.access_version)).encode() + msgspec.msgpack.encode(head)


def _digits(version: Version) -> str:
    """A version as text that sorts as versions do: Lua's numbers hold 53 bits, a source position has 63."""
    return f"{version.source + 1:016x}{version.offset + 1:016x}"


def _decoded(value: bytes) -> DocumentHead:
    return msgspec.msgpack.decode(value[_VERSION_CHARS:], type=DocumentHead)
