"""The test server of models in a process of its own, so that what it does takes no time from what is tested."""

from __future__ import annotations

from multiprocessing import get_context
from multiprocessing.managers import BaseManager
from typing import Any

from tests.stub_model_server import Counts, Mode, StubModelServer

__all__ = ["ModelProcess"]


class Kept:
    """The server as the other process keeps it: started at once, told by name what to change."""

    def __init__(self, reply: str, mode: Mode, pause_s: float) -> None:
        self._server = StubModelServer(reply, mode, pause_s).__enter__()

    def call(self, method: str) -> None:
        getattr(self._server, method)()

    def change(self, name: str, value: Any) -> None:
        setattr(self._server, name, value)

    def read(self, name: str) -> Any:
        return getattr(self._server, name)


class _Manager(BaseManager):
    """The process."""


_Manager.register("Kept", Kept)


class ModelProcess:
    """`StubModelServer` over there. Use it as a context manager; `mode` and `modes` may be changed at any time."""

    def __init__(self, reply: str = "It is so [1].", mode: Mode = "ok", pause_s: float = 0.02) -> None:
        self._given = (reply, mode, pause_s)

    def __enter__(self) -> ModelProcess:
        self._manager = _Manager(ctx=get_context("spawn"))
        self._manager.start()
        self._kept: Any = self._manager.Kept(*self._given)  # type: ignore[attr-defined]  # registered by name
        self.url: str = self._kept.read("url")
        return self

    def __exit__(self, *_: object) -> None:
        self._last = self.counts
        self._manager.shutdown()
        self._kept = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("mode", "modes", "pause_s", "late_s", "counting"):
            self._kept.change(name, value)
        else:
            super().__setattr__(name, value)

    @property
    def counts(self) -> Counts:
        """What it has seen so far, or until it ended."""
        found: Counts = self._kept.read("counts") if self._kept else self._last
        return found

    @property
    def open(self) -> int:
        """How many requests it is answering."""
        return int(self._kept.read("open"))

    def down(self) -> None:
        self._kept.call("down")

    def up(self) -> None:
        self._kept.call("up")
