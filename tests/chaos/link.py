"""One connection through the fault proxy: bytes taken from one side, and given to the other when the weather lets them.

Each direction has a task that takes and one that gives, with a bounded queue between them, so that delay keeps order.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

from tests.chaos.frames import AnswerSplitter, FrameError, Request, RequestSplitter

Way = Literal["up", "down"]
"""`up` is from the client to the broker."""
BOTH: Final[tuple[Way, Way]] = ("up", "down")

CHUNK_BYTES: Final = 16 * 1024
MOST_CHUNKS: Final = 64
ANSWER_S: Final = 10.0
_RST: Final = struct.pack("ii", 1, 0)


@dataclass
class Trap:
    """Keeps back the first request that it `wants`, until `release`, or for at most `hold_s`.

    What its sender says meanwhile waits behind it, or, where it may be `overtaken`, goes on before it, as if it had
    come on another connection.
    With `cut`, the sender is reset at once, so that it repeats the request on a new connection; the old bytes then go
    to the broker over the old connection, which the broker still thinks alive, and its answer is `answer`.
    """

    api_key: int
    hold_s: float
    cut: bool = False
    overtaken: bool = False
    wants: Callable[[Request], bool] = lambda _: True
    caught: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)
    request: Request | None = None
    answer: bytes | None = None
    _let_go: Callable[[], None] = lambda: None

    def release(self) -> None:
        """Lets the bytes go now."""
        self._let_go()

    async def held(self, request: Request) -> None:
        """Waits until the request may go on."""
        gate = asyncio.Event()
        self._let_go = partial(_set_from_anywhere, asyncio.get_running_loop(), gate)
        self.request = request
        self.caught.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(gate.wait(), self.hold_s)
        self.released.set()


class Traps:
    """The traps of one listener that wait for their request."""

    def __init__(self) -> None:
        self._set: list[Trap] = []

    def add(self, trap: Trap) -> None:
        self._set.append(trap)

    def clear(self) -> None:
        self._set.clear()

    def wants(self, api_key: int) -> bool:
        """Whether a request of this kind is waited for."""
        return any(trap.api_key == api_key for trap in self._set)

    def take(self, request: Request) -> Trap | None:
        """The trap that takes this request; it is then sprung and takes no other."""
        for trap in self._set:
            if trap.api_key == request.api_key and trap.wants(request):
                self._set.remove(trap)
                return trap
        return None


@dataclass(frozen=True)
class _Kept:
    """A trapped request in its place among the bytes that wait to go on."""

    trap: Trap
    request: Request


@dataclass
class Weather:
    """What happens to bytes in one direction now."""

    delay_s: float = 0.0
    bytes_per_s: float = 0.0
    swallows: bool = False
    clear: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.clear.set()


_Waiting = asyncio.Queue[tuple[float, bytes | _Kept | None]]
"""When a piece is due, and the piece; None where the side that sent it ended."""


class Side:
    """One end of a link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def abort(self) -> None:
        """Ends it with an RST, losing what is under way; one that has ended already ended as it did."""
        peer: socket.socket | None = self.writer.get_extra_info("socket")
        if peer is not None and not self.writer.is_closing():
            with contextlib.suppress(OSError):
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self.writer.transport.abort()

    async def reset(self) -> None:
        """Ends it and waits until it has ended."""
        self.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class Link:
    """One client's connection and the broker's beside it."""

    def __init__(self, client: Side, broker: Side, weather: dict[Way, Weather], traps: Traps | None) -> None:
        self.lost_bytes = False
        self._client = client
        self._broker = broker
        self._weather = weather
        self._traps = traps
        self._splitter = None if traps is None else RequestSplitter(traps.wants)
        self._tasks: dict[Way, list[asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Carries bytes both ways until one side ends; a side that ends ends the other, unless nobody may know."""
        self._tasks = {way: self._carry(way) for way in BOTH}
        try:
            await asyncio.gather(*(task for tasks in self._tasks.values() for task in tasks), return_exceptions=True)
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends both sides at once."""
        for task in (task for tasks in self._tasks.values() for task in tasks):
            task.cancel()
        self._client.abort()
        self._broker.abort()

    def forget_broker(self) -> None:
        """Leaves the client with a connection to nobody."""
        self.lost_bytes = True
        for task in self._tasks["down"]:
            task.cancel()
        self._broker.abort()

    def _carry(self, way: Way) -> list[asyncio.Task[None]]:
        waiting: _Waiting = asyncio.Queue(MOST_CHUNKS)
        return [asyncio.create_task(self._take(way, waiting)), asyncio.create_task(self._give(way, waiting))]

    async def _take(self, way: Way, waiting: _Waiting) -> None:
        source, weather = (self._client if way == "up" else self._broker).reader, self._weather[way]
        now = asyncio.get_running_loop().time
        while data := await _read(source):
            if weather.swallows or self.lost_bytes:
                self.lost_bytes = True
                continue
            try:
                for piece in self._pieces(way, data):
                    await waiting.put((now() + weather.delay_s, piece))
            except FrameError:
                self.stop()
                raise
        if not weather.swallows:
            await waiting.put((now() + weather.delay_s, None))

    def _pieces(self, way: Way, data: bytes) -> Iterator[bytes | _Kept]:
        if way == "down" or self._splitter is None or self._traps is None:
            yield data
            return
        for piece in self._splitter.feed(data):
            if isinstance(piece, bytes):
                yield piece
            else:
                trap = self._traps.take(piece)
                yield piece.frame if trap is None else _Kept(trap, piece)

    async def _give(self, way: Way, waiting: _Waiting) -> None:
        target, weather = (self._broker if way == "up" else self._client).writer, self._weather[way]
        loop = asyncio.get_running_loop()
        while True:
            due, piece = await waiting.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            await weather.clear.wait()
            if piece is None:
                break
            if isinstance(piece, _Kept):
                if piece.trap.cut:
                    await self._outlive(piece)
                    break
                if piece.trap.overtaken:
                    self._tasks[way].append(asyncio.create_task(self._give_late(piece, target)))
                    continue
                await piece.trap.held(piece.request)
                piece = piece.request.frame
            if not await _write(target, piece):
                break
            if weather.bytes_per_s:
                await asyncio.sleep(len(piece) / weather.bytes_per_s)
        self._end(way, target)

    @staticmethod
    async def _give_late(kept: _Kept, target: asyncio.StreamWriter) -> None:
        await kept.trap.held(kept.request)
        await _write(target, kept.request.frame)

    def _end(self, way: Way, target: asyncio.StreamWriter) -> None:
        """What was under way has arrived: the other side is told that this one ended."""
        target.close()
        if way == "up":
            for task in self._tasks["down"]:
                task.cancel()
            self._client.writer.close()
        else:
            for task in self._tasks["up"]:
                task.cancel()
            self._broker.writer.close()

    async def _outlive(self, kept: _Kept) -> None:
        """Cuts the client off; later sends its old request to the broker, and notes the answer."""
        for task in (*self._tasks["down"], self._tasks["up"][0]):
            task.cancel()
        self._client.abort()
        await kept.trap.held(kept.request)
        splitter = AnswerSplitter(kept.request.correlation)
        with contextlib.suppress(TimeoutError, FrameError):
            async with asyncio.timeout(ANSWER_S):
                await _write(self._broker.writer, kept.request.frame)
                while kept.trap.answer is None and (data := await _read(self._broker.reader)):
                    kept.trap.answer = splitter.feed(data)
        kept.trap.answered.set()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """What came; nothing where the connection ended, however."""
    try:
        return await reader.read(CHUNK_BYTES)
    except OSError:
        return b""


async def _write(writer: asyncio.StreamWriter, data: bytes) -> bool:
    """Sends, and waits while the other side is slow; False where the connection ended."""
    try:
        writer.write(data)
        await writer.drain()
    except OSError:
        return False
    return True


def _set_from_anywhere(loop: asyncio.AbstractEventLoop, gate: asyncio.Event) -> None:
    # A loop that was closed has no links left that could wait.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(gate.set)
