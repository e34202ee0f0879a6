"""The gateway's door: puts a question on its topic and awaits its answer; each replica reads only its own replies."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Final

import msgspec

from adapters.errors import AdapterError
from schemas.codec import Codec, SchemaError
from schemas.envelope import Micros, derived_id
from schemas.queries import AnswerDelta, AnswerGiven, AnswerWithheld, Query, QueryAsked, QueryCancelled
from streams import headers as names
from streams.errors import ClusterUnavailableError, StreamsError, TooManyQuestionsError
from streams.publishing import Entrance, Published, Publisher
from streams.replies import Reply, ReplyReader
from streams.settings import Settings
from topics.answer import QUERY_ASKED, QUERY_ASKED_BULK, QUERY_CANCELLED

__all__ = ["MAX_WAITING", "Exchange", "Reply"]

MAX_WAITING: Final = 1_000
"""Each waits with a queue of its own; beyond this a client is better served by trying again."""

# Deltas that nobody fetches are dropped: the final answer holds the whole text.
_MAX_UNREAD: Final = 512
# Not finding a broker is said sooner than not finding an answer.
_SEND_PATIENCE_S: Final = 5.0
# What was left just now may still be said before the process ends.
_LEAVE_S: Final = 1.0

_log = logging.getLogger(__name__)


class _Waiting:
    """One question and what came for it so far."""

    def __init__(self, deadline_at: Micros) -> None:
        self.deadline_at = deadline_at
        self._queue: asyncio.Queue[Reply | StreamsError] = asyncio.Queue(_MAX_UNREAD)
        self._next_index = 0

    def put(self, reply: Reply | StreamsError) -> None:
        if isinstance(reply, AnswerDelta):
            # A repeated generation starts again at 0: what was shown is not shown twice.
            if reply.index < self._next_index or self._queue.full():
                return
            self._next_index = reply.index + 1
        elif self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(reply)

    async def get(self) -> Reply:
        reply = await self._queue.get()
        if isinstance(reply, StreamsError):
            raise reply
        return reply


class _Shown:
    """What of an answer's text has been shown: the answer may overtake its last deltas, being on another topic."""

    def __init__(self) -> None:
        self._text = ""
        self._next_index = 0

    def rest(self, reply: Reply) -> AnswerDelta | None:
        """The text of a final answer that no delta brought, where what was shown is how it begins."""
        if isinstance(reply, AnswerDelta):
            self._text += reply.text
            self._next_index = reply.index + 1
            return None
        if not isinstance(reply, AnswerGiven) or not reply.text.startswith(self._text) or reply.text == self._text:
            return None
        missing = reply.text.removeprefix(self._text)
        return AnswerDelta(tenant=reply.tenant, query_id=reply.answer_id, index=self._next_index, text=missing)


class Exchange:
    """Asks questions over Kafka and hands back what comes. Use one per gateway process, in its event loop.

        >>> async with Exchange(settings, codec, entrance) as exchange:  # doctest: +SKIP
        ...     async for reply in exchange.ask(Query(query_id="q1", question="How long is a lease?"), "acme"):
        ...         print(type(reply).__name__)
        AnswerDelta
        AnswerGiven

    The first final answer ends a question; repeats are dropped. Deltas are a preview, the final text counts; where
    the preview is how the text begins, a last delta brings what is missing of it.
    """

    def __init__(
        self, settings: Settings, codec: Codec, entrance: Entrance, instance: str = "", max_waiting: int = MAX_WAITING
    ) -> None:
        self._settings = settings
        self._clock = entrance.clock
        self._instance = instance or entrance.ids.new()
        self._max_waiting = max_waiting
        self._waiting: dict[str, _Waiting] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._publisher = Publisher(settings.kafka, codec, entrance, _SEND_PATIENCE_S)
        self._reader = ReplyReader(
            settings.kafka, codec, self._choose, self._waiting.__contains__, self._hand_over, self._prepare
        )

    async def __aenter__(self) -> Exchange:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def start(self) -> None:
        """Begin to read replies, in the running event loop. A cluster that is not there yet is waited for."""
        self._loop = asyncio.get_running_loop()
        self._reader.start()

    async def close(self) -> None:
        """Let the clients go; questions that still wait get an error."""
        for waiting in self._waiting.values():
            waiting.put(ClusterUnavailableError("the gateway is shutting down; ask again"))
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=_LEAVE_S)
        await asyncio.to_thread(self._reader.close)
        await asyncio.to_thread(self._publisher.close)

    @property
    def ready(self) -> bool:
        """Whether an answer to a question asked now would be seen."""
        return self._reader.ready

    @property
    def problem(self) -> str:
        """Why it is not ready."""
        return self._reader.problem

    @property
    def waiting(self) -> int:
        """How many questions wait for their answers."""
        return len(self._waiting)

    async def ask(self, query: Query, tenant: str, traceparent: bytes | None = None) -> AsyncIterator[Reply]:
        """Put a question on its topic; yields deltas as they come and ends with the answer, given or withheld.

        A question without a deadline gets the gateway's; past it the answer is `expired`, whoever still works on it.
        Whoever closes the iterator before its last item has left: the question is cancelled.
        Raises ClusterUnavailableError, TooManyQuestionsError, and what sending raises.
        """
        self.check_room(query)
        query = self._dated(query)
        waiting = self._waiting[query.query_id] = _Waiting(query.deadline_at)
        shown, final = _Shown(), False
        try:
            await self._send(QueryAsked(tenant=tenant, event_id=query.query_id, query=query), traceparent)
            while not final:
                reply = await self._next(waiting, query, tenant)
                final = not isinstance(reply, AnswerDelta)
                if (rest := shown.rest(reply)) is not None:
                    yield rest
                yield reply
        except (GeneratorExit, asyncio.CancelledError):
            if not final:
                self._leave(tenant, query.query_id)
            raise
        finally:
            self._waiting.pop(query.query_id, None)

    async def cancel(self, query_id: str, tenant: str) -> Published:
        """Say that nobody waits for an answer any more; one that was given already stays given.

        Whoever waits for it hears `cancelled`. Best effort, and the same however often it is said.
        Raises ClusterUnavailableError, and what sending raises.
        """
        return await asyncio.to_thread(self._publisher.publish, QUERY_CANCELLED, self._cancelled(tenant, query_id))

    def _cancelled(self, tenant: str, query_id: str) -> QueryCancelled:
        waiting = self._waiting.get(query_id)
        deadline = waiting.deadline_at if waiting else Micros(0)
        event_id = derived_id(query_id, "cancel", 0)
        return QueryCancelled(tenant=tenant, event_id=event_id, query_id=query_id, deadline_at=deadline)

    def _leave(self, tenant: str, query_id: str) -> None:
        """Cancels for one who has left already: nobody waits for this, and nobody hears of its failure but the log."""
        event = self._cancelled(tenant, query_id)

        async def say() -> None:
            try:
                await asyncio.to_thread(self._publisher.send, QUERY_CANCELLED, event)
            except (StreamsError, AdapterError, SchemaError) as error:
                _log.warning("question %s can't be cancelled: %s", query_id, error)

        task = asyncio.get_running_loop().create_task(say())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _next(self, waiting: _Waiting, query: Query, tenant: str) -> Reply:
        left_s = (query.deadline_at - self._clock.now()) / 1e6
        try:
            return await asyncio.wait_for(waiting.get(), max(left_s, 0.0))
        except TimeoutError:
            return self._expired(query, tenant)

    def check_room(self, query: Query) -> None:
        """Whether a question may be asked now. Raises ClusterUnavailableError, TooManyQuestionsError."""
        if not self.ready:
            raise ClusterUnavailableError(f"the gateway does not reach Kafka: {self.problem}; ask again in a moment")
        if len(self._waiting) >= self._max_waiting:
            raise TooManyQuestionsError(len(self._waiting))
        if query.query_id in self._waiting:
            raise StreamsError(f"wanted a new query id, got {query.query_id!r}, which already waits for its answer")

    def _dated(self, query: Query) -> Query:
        if query.deadline_at:
            return query
        allowed = int(self._settings.gateway.deadline_s * 1e6)
        return msgspec.structs.replace(query, deadline_at=Micros(self._clock.now() + allowed))

    async def _send(self, asked: QueryAsked, traceparent: bytes | None) -> None:
        query = asked.query
        headers = [
            (names.DEADLINE, str(query.deadline_at).encode()),
            (names.LANE, query.lane.encode()),
            (names.REPLY_PARTITION, str(self._reader.partition).encode()),
        ]
        if traceparent:
            headers.append((names.TRACEPARENT, traceparent))
        # The first event of a topic asks the registry and the cluster: not in the event loop.
        topic = QUERY_ASKED_BULK if query.lane == QUERY_ASKED_BULK.lane else QUERY_ASKED
        sent = await asyncio.to_thread(self._publisher.send, topic, asked, headers)
        sent.add_done_callback(lambda done: self._on_delivery(query.query_id, done))

    def _on_delivery(self, query_id: str, done: Future[Published]) -> None:
        error = done.exception()
        if isinstance(error, StreamsError) and self._loop is not None:
            self._loop.call_soon_threadsafe(self._put, query_id, error)

    def _hand_over(self, replies: list[Reply]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._sort, replies)

    def _sort(self, replies: list[Reply]) -> None:
        for reply in replies:
            self._put(reply.query_id if isinstance(reply, AnswerDelta) else reply.answer_id, reply)

    def _put(self, query_id: str, reply: Reply | StreamsError) -> None:
        waiting = self._waiting.get(query_id)
        if waiting is not None:
            waiting.put(reply)

    def _prepare(self) -> None:
        for topic in (QUERY_ASKED, QUERY_ASKED_BULK, QUERY_CANCELLED):
            self._publisher.prepare(topic)

    def _choose(self, partitions: int) -> int:
        wanted = self._settings.gateway.reply_partition
        if 0 <= wanted < partitions:
            return wanted
        return int.from_bytes(hashlib.sha256(self._instance.encode()).digest()[:4], "big") % partitions

    def _expired(self, query: Query, tenant: str) -> AnswerWithheld:
        return AnswerWithheld(
            tenant=tenant,
            occurred_at=self._clock.now(),
            answer_id=query.query_id,
            question=query.question,
            reason="expired",
            message="No answer came before the deadline. Ask again, or allow more time.",
        )
