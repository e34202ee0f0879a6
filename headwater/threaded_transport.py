"""A transport of threads, lent to an event loop: each call runs in a thread, a stream is handed over piece by piece."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, Final, Protocol, TypeVar

from headwater.errors import ProtocolError
from headwater.values import (
    Answer,
    Change,
    Delta,
    Document,
    Feedback,
    Following,
    Forgotten,
    Memory,
    Question,
    Receipt,
    Subscription,
)

__all__ = ["ThreadedTransport"]

# Each waits for the network only; a gateway is the better way for more at once.
_THREADS: Final = 32
_END: Final = object()

T = TypeVar("T")


class _Threads(Protocol):
    def ask_stream(self, question: Question, left: threading.Event) -> Iterator[Delta | Answer]: ...
    def publish(self, document: Document) -> Receipt: ...
    def delete(self, tenant: str, document: str) -> Receipt: ...
    def feedback(self, feedback: Feedback) -> Receipt: ...
    def subscribe(self, subscription: Subscription) -> Receipt: ...
    def unsubscribe(self, tenant: str, question_id: str) -> Receipt: ...
    def changes(self, following: Following, left: threading.Event) -> Iterator[Change]: ...
    def remember(self, note: Memory) -> Receipt: ...
    def memories(self, tenant: str, user: str) -> tuple[Memory, ...]: ...
    def forget(self, note: Memory) -> Receipt: ...
    def forget_user(self, tenant: str, user: str) -> Forgotten: ...
    def close(self) -> None: ...


class ThreadedTransport:
    """Use it for a transport whose library has no event loop of its own, as librdkafka."""

    def __init__(self, transport: _Threads) -> None:
        self._transport = transport
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="headwater-client")

    async def ask(self, question: Question) -> Answer:
        async with aclosing(self.ask_stream(question)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Answer):
                    return piece
        raise ProtocolError("wanted an answer, the replies ended before it")

    def ask_stream(self, question: Question) -> AsyncGenerator[Delta | Answer, None]:
        # It ends by itself once it is told that its reader left, and cancels the question then.
        return self._handed_over(lambda left: self._transport.ask_stream(question, left))

    def changes(self, following: Following) -> AsyncGenerator[Change, None]:
        return self._handed_over(lambda left: self._transport.changes(following, left))

    async def _handed_over(self, begin: Callable[[threading.Event], Iterator[T]]) -> AsyncGenerator[T, None]:
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[Any] = asyncio.Queue()
        left = threading.Event()

        def pump() -> None:
            try:
                for piece in begin(left):
                    loop.call_soon_threadsafe(pieces.put_nowait, piece)
                loop.call_soon_threadsafe(pieces.put_nowait, _END)
            except Exception as error:
                if not left.is_set():
                    loop.call_soon_threadsafe(pieces.put_nowait, error)

        self._pool.submit(pump)
        try:
            while (piece := await pieces.get()) is not _END:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            left.set()

    async def publish(self, document: Document) -> Receipt:
        return await self._run(lambda: self._transport.publish(document))

    async def delete(self, tenant: str, document: str) -> Receipt:
        return await self._run(lambda: self._transport.delete(tenant, document))

    async def feedback(self, feedback: Feedback) -> Receipt:
        return await self._run(lambda: self._transport.feedback(feedback))

    async def subscribe(self, subscription: Subscription) -> Receipt:
        return await self._run(lambda: self._transport.subscribe(subscription))

    async def unsubscribe(self, tenant: str, question_id: str) -> Receipt:
        return await self._run(lambda: self._transport.unsubscribe(tenant, question_id))

    async def remember(self, note: Memory) -> Receipt:
        return await self._run(lambda: self._transport.remember(note))

    async def memories(self, tenant: str, user: str) -> tuple[Memory, ...]:
        return await self._run(lambda: self._transport.memories(tenant, user))

    async def forget(self, note: Memory) -> Receipt:
        return await self._run(lambda: self._transport.forget(note))

    async def forget_user(self, tenant: str, user: str) -> Forgotten:
        return await self._run(lambda: self._transport.forget_user(tenant, user))

    async def close(self) -> None:
        await self._run(self._transport.close)
        self._pool.shutdown(wait=False)

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)
