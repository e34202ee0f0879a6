"""The operators' door of a worker: /livez, /readyz and /metrics on a port of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

TEXT: Final = "text/plain; charset=utf-8"


class OpsServer:
    """Serves health and metrics on loopback or the pod's address. Use it as a context manager around a worker.

    `alive` and `ready` answer with a word for people and whether all is well.
    """

    def __init__(
        self, host: str, port: int, alive: Callable[[], tuple[bool, str]], ready: Callable[[], tuple[bool, str]]
    ) -> None:
        answers = {"/livez": alive, "/readyz": ready}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._send(200, CONTENT_TYPE_LATEST, generate_latest())
                elif self.path in answers:
                    well, word = answers[self.path]()
                    self._send(200 if well else 503, TEXT, f"{word}\n".encode())
                else:
                    self._send(404, TEXT, b"wanted /livez, /readyz or /metrics\n")

            def log_message(self, format: str, *args: Any) -> None:
                """Probes come every few seconds: they are no news."""

            def _send(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="ops", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> OpsServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)
