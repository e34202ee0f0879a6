"""A dependency that goes away and comes back, and the steps that need it: what a vector store or a model is to a hop.

The server is one of the harness, on a port that stays the same; while it is down, connections are refused and those
that are open are cut.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from adapters.errors import IndexUnavailableError
from processors.contract import Reject
from schemas.envelope import Event
from schemas.measures import FeedbackGiven
from tests.chaos.slow_steps import copied

ANSWER_S: Final = 1.0
HOST: Final = "127.0.0.1"


class Dependency:
    """Answers every byte with a byte. Use it as a context: it is up then; `down` and `up` change that.

    `asked` counts the questions so far.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.port = 0
        self._listening: socket.socket | None = None
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Dependency:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, self.port))
        listening.listen(64)
        self.port = listening.getsockname()[1]
        self._listening = listening
        threading.Thread(target=self._serve, args=(listening,), name="dependency", daemon=True).start()

    def down(self) -> None:
        listening, self._listening = self._listening, None
        if listening is None:
            return
        # Closing alone does not wake the thread that accepts.
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for each in tuple(self._open):
            each.close()

    def _serve(self, listening: socket.socket) -> None:
        while self._listening is listening:
            try:
                asking, _ = listening.accept()
            except OSError:
                return
            self._open.add(asking)
            threading.Thread(target=self._answer, args=(asking,), daemon=True).start()

    def _answer(self, asking: socket.socket) -> None:
        with contextlib.suppress(OSError), asking:
            while asking.recv(1):
                self.asked += 1
                asking.sendall(b"!")
        self._open.discard(asking)


def ask(port: int) -> None:
    """One question and its answer. Raises OSError."""
    with socket.create_connection((HOST, port), ANSWER_S) as asking:
        asking.settimeout(ANSWER_S)
        asking.sendall(b"?")
        if asking.recv(1) != b"!":
            raise ConnectionResetError("the dependency hung up")


def asks(port: str) -> Callable[..., Any]:
    """`asks:<port>`: a batch at a time; an adapter's way to say that its dependency is away."""

    def asks(events: Sequence[FeedbackGiven]) -> list[list[Event] | Reject]:
        try:
            ask(int(port))
        except OSError as error:
            raise IndexUnavailableError(f"the dependency is away: {error}") from error
        return [[copied(event)] for event in events]

    return asks


def asks_each(port: str) -> Callable[..., Any]:
    """`asks-each:<port>`: the same record by record, for a keyed hop."""

    def asks_each(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        try:
            ask(int(port))
        except OSError as error:
            raise IndexUnavailableError(f"the dependency is away: {error}") from error
        yield copied(event)

    return asks_each


def asks_blindly(port: str) -> Callable[..., Any]:
    """`asks-blindly:<port>`: without the adapter's translation, so that an outage looks like a fault of the record."""

    def asks_blindly(events: Sequence[FeedbackGiven]) -> list[list[Event] | Reject]:
        ask(int(port))
        return [[copied(event)] for event in events]

    return asks_blindly
