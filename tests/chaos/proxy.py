"""A TCP proxy that breaks things on purpose: one listener before each broker, its faults changed from any thread.

A broker gives out the address of its proxy (`BrokerSpec.proxied`), so whoever enters through the proxy stays behind it.

What a network does, and what is done here for it:
- late: every byte goes on `delay` later, in order, and so many seconds later again on the way back;
- held: bytes stop and go on after healing, as TCP sends again what was lost (`hold`);
- black hole: bytes are swallowed, nobody is told; a connection that lost bytes is reset at healing (`swallow`);
- one-way drop: the same in one direction;
- reset: both sides get an RST;
- half-open: the broker's side is gone and the client's side does not know;
- one request overtaken by time: a `Trap` keeps a single Kafka request back, and may cut its sender off meanwhile.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from headwater.local.ports import HOST
from tests.chaos.link import BOTH, Link, Side, Trap, Traps, Way, Weather

T = TypeVar("T")
MOST_LINKS: Final = 512
CALL_S: Final = 10.0


class ProxyError(Exception):
    """The proxy could not do what it was told."""


class Front:
    """The proxy before one broker. Its methods may be called from any thread; a fault lasts until `heal`."""

    def __init__(self, port: int, behind: int, speaks_kafka: bool) -> None:
        self.port = port
        self.behind = behind
        self._traps = Traps() if speaks_kafka else None
        self._weather: dict[Way, Weather] = {}
        self._refuses = False
        self._links: list[Link] = []
        self._carrying: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop
        self._listener: socket.socket

    @property
    def connections(self) -> int:
        """How many clients it carries now."""
        return len(self._links)

    def delay(self, seconds: float, *ways: Way) -> None:
        """Lets every byte arrive later."""
        self._on_loop(lambda: self._each(ways, "delay_s", seconds))

    def throttle(self, bytes_per_s: float, *ways: Way) -> None:
        """Lets only so many bytes through in a second; 0 is no limit."""
        self._on_loop(lambda: self._each(ways, "bytes_per_s", bytes_per_s))

    def swallow(self, *ways: Way) -> None:
        """A black hole, or with one way a one-way drop: bytes vanish, connections stay, new ones are accepted."""
        self._on_loop(lambda: self._each(ways, "swallows", True))

    def hold(self, *ways: Way) -> None:
        """Stops all bytes; they go on at healing."""
        self._on_loop(lambda: self._close_gates(ways))

    def refuse(self) -> None:
        """Resets new connections as soon as they are made."""
        self._on_loop(lambda: setattr(self, "_refuses", True))

    def reset(self) -> int:
        """Resets every connection there is; says how many."""
        return self._on_loop(lambda: self._reset(list(self._links)))

    def half_open(self) -> int:
        """Ends the broker's side of every connection without telling the client's; says how many."""
        return self._on_loop(self._half_open)

    def catch(self, trap: Trap) -> Trap:
        """Sets a trap for one Kafka request of any connection."""
        traps = self._traps
        if traps is None:
            raise ProxyError("wanted to catch a Kafka request, but this proxy was told that nobody speaks Kafka here")
        self._on_loop(lambda: traps.add(trap))
        return trap

    def heal(self) -> int:
        """Ends every fault and forgets unsprung traps; connections that lost bytes are reset: says how many."""
        return self._on_loop(self._heal)

    async def open(self) -> None:
        """Listens. On the proxy's own thread."""
        self._loop = asyncio.get_running_loop()
        self._weather = {way: Weather() for way in BOTH}
        self._listener = socket.create_server((HOST, self.port))
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._accept)

    async def close(self) -> None:
        """Stops listening and ends every link. On the proxy's own thread."""
        self._loop.remove_reader(self._listener)
        self._listener.close()
        # A task that is cancelled before it begins would leave its connection open.
        await asyncio.sleep(0)
        carrying = list(self._carrying)
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)

    def _accept(self) -> None:
        # Not asyncio's own server: one that closes while it accepts leaves that connection behind (Python 3.11).
        try:
            accepted, _ = self._listener.accept()
        except OSError:
            return
        accepted.setblocking(False)
        task = self._loop.create_task(self._carry(accepted))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, accepted: socket.socket) -> None:
        with accepted:
            client = Side(*await asyncio.open_connection(sock=accepted))
            try:
                if not self._refuses and len(self._carrying) <= MOST_LINKS:
                    await self._join(client)
            finally:
                # To the client a broker that is down shall look as it would without a proxy between.
                await client.reset()

    async def _join(self, client: Side) -> None:
        try:
            broker = Side(*await asyncio.open_connection(HOST, self.behind))
        except OSError:
            return
        link = Link(client, broker, self._weather, self._traps)
        self._links.append(link)
        try:
            await link.run()
        finally:
            self._links.remove(link)
            await broker.reset()

    def _each(self, ways: Sequence[Way], name: str, value: Any) -> None:
        for way in ways or BOTH:
            setattr(self._weather[way], name, value)

    def _close_gates(self, ways: Sequence[Way]) -> None:
        for way in ways or BOTH:
            self._weather[way].clear.clear()

    def _half_open(self) -> int:
        for link in self._links:
            link.forget_broker()
        return len(self._links)

    def _heal(self) -> int:
        self._refuses = False
        if self._traps is not None:
            self._traps.clear()
        for weather in self._weather.values():
            weather.delay_s = weather.bytes_per_s = 0.0
            weather.swallows = False
            weather.clear.set()
        return self._reset([link for link in self._links if link.lost_bytes])

    @staticmethod
    def _reset(links: Sequence[Link]) -> int:
        for link in links:
            link.stop()
        return len(links)

    def _on_loop(self, act: Callable[[], T]) -> T:
        async def run() -> T:
            return act()

        return on(self._loop, run())


class FaultProxy:
    """Proxies before brokers, in a thread of their own.

    >>> with FaultProxy([(20001, 20011)]) as proxy:  # doctest: +SKIP
    ...     proxy.fronts[0].swallow("up")

    `routes` has for each broker the port of its proxy and the broker's own port behind it, as `BrokerSpec.proxied` has.
    """

    def __init__(self, routes: Sequence[tuple[int, int]], speaks_kafka: bool = True) -> None:
        self.fronts = [Front(port, behind, speaks_kafka) for port, behind in routes]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)

    def start(self) -> None:
        """Listen; the brokers need not run yet."""
        self._thread.start()
        try:
            for front in self.fronts:
                on(self._loop, front.open())
        except BaseException:
            self._end()
            raise

    def stop(self) -> None:
        """End every connection and the thread."""
        try:
            for front in self.fronts:
                on(self._loop, front.close())
        finally:
            self._end()

    def heal(self) -> None:
        """End every fault of every listener."""
        for front in self.fronts:
            front.heal()

    def __enter__(self) -> FaultProxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_S)
        self._loop.close()


def on(loop: asyncio.AbstractEventLoop, what: Coroutine[Any, Any, T]) -> T:
    """Runs on a loop of another thread, and waits. Raises ProxyError where the loop does not answer."""
    asked: Future[T] = asyncio.run_coroutine_threadsafe(what, loop)
    try:
        return asked.result(CALL_S)
    except TimeoutError as error:
        raise ProxyError(f"the proxy's thread did not answer within {CALL_S:g} s") from error
