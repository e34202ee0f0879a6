"""A gateway on a port of its own, in a thread: streams pass through a real server, as nothing else shows."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import httpx
import uvicorn

from headwater.gateway.app import create_app
from headwater.local.ports import choose_port
from streams.settings import Settings


class RunningGateway:
    """Serves while it is open; `url` is where."""

    def __init__(self, settings: Settings) -> None:
        self.port = choose_port("the gateway")
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            create_app(settings), host="127.0.0.1", port=self.port, log_level="warning", lifespan="on",
            timeout_graceful_shutdown=5,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> RunningGateway:
        self._thread.start()
        self._wait_for("/livez", 15)
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join(30)

    def wait_ready(self, within_s: float = 20) -> RunningGateway:
        self._wait_for("/readyz", within_s)
        return self

    def _wait_for(self, path: str, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            try:
                if httpx.get(self.url + path, timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"{path} was not 200 within {within_s} s")
