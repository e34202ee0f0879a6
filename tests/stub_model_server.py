"""A model server for tests: real HTTP, OpenAI's chat completions as server-sent events, and every way to misbehave.

It answers from a thread on a free loopback port and counts what it was asked and what it charged for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal

Mode = Literal["ok", "slow", "refuse", "429", "500", "garbage", "dies", "hang", "cut", "no_usage", "error_event"]
Reply = Callable[[str], str]

# Every wait of a misbehaving mode ends here, so that a test that forgot to stop the server still ends.
LONGEST_WAIT_S = 30.0


@dataclass
class Counts:
    """What the server has seen and charged: the truth that a cost ledger is compared with."""

    requests: int = 0
    answered: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


class StubModelServer:
    """A server in a thread. Use it as a context manager; `mode` may be changed between requests.

    `modes` is a queue that is used up first: `["500", "dies"]` fails twice in these ways, then `mode` holds.
    `reply` makes the answer from the prompt. `slow` waits `pause_s` before every word.
    """

    def __init__(self, reply: str | Reply = "It is so [1].", mode: Mode = "ok", pause_s: float = 0.02) -> None:
        self.reply: Reply = reply if callable(reply) else lambda _prompt: reply
        self.mode = mode
        self.modes: list[Mode] = []
        self.pause_s = pause_s
        self.counts = Counts()
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stub = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> StubModelServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def note(self, body: dict[str, Any], key: str) -> Mode:
        """Counts a request and says how to answer it."""
        with self._lock:
            self.counts.requests += 1
            self.counts.bodies.append(body)
            self.counts.keys.append(key)
            return self.modes.pop(0) if self.modes else self.mode

    def charge(self, tokens_in: int, tokens_out: int) -> None:
        with self._lock:
            self.counts.answered += 1
            self.counts.tokens_in += tokens_in
            self.counts.tokens_out += tokens_out


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stub: StubModelServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what half of the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""

    def do_POST(self) -> None:
        stub = self.server.stub
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            self._plain(404, {"error": {"message": f"no route {self.path}"}})
            return
        mode = stub.note(body, self.headers.get("Authorization", ""))
        refusals = {"refuse": 400, "429": 429, "500": 500}
        if mode in refusals:
            self._plain(refusals[mode], {"error": {"message": f"told to answer {refusals[mode]}"}})
        elif mode == "hang":
            stub.stopping.wait(LONGEST_WAIT_S)
            self.close_connection = True
        else:
            self._stream(stub, mode, body)

    def _plain(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, stub: StubModelServer, mode: Mode, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        prompt = body["messages"][-1]["content"]
        pieces = _pieces(stub.reply(prompt))[: body.get("max_tokens", 10_000)]
        if mode == "garbage":
            self._chunk(b"data: {this is not json\n\n")
            self._chunk(b"")
            return
        self._event(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}])
        for position, piece in enumerate(pieces):
            if position == 1 and mode in ("dies", "error_event"):
                self._break(mode)
                return
            if mode == "slow":
                stub.stopping.wait(stub.pause_s)
            self._event(choices=[{"index": 0, "delta": {"content": piece}}])
        self._finish(stub, mode, len(prompt.split()), len(pieces))

    def _break(self, mode: Mode) -> None:
        if mode == "error_event":
            self._event(error={"message": "the engine died"})
        # Without the closing chunk the client sees a connection cut in the middle of an answer.
        self.wfile.flush()
        self.close_connection = True

    def _finish(self, stub: StubModelServer, mode: Mode, tokens_in: int, tokens_out: int) -> None:
        reason = "length" if mode == "cut" else "stop"
        self._event(choices=[{"index": 0, "delta": {}, "finish_reason": reason}])
        if mode != "no_usage":
            usage = {
                "prompt_tokens": tokens_in,
                "completion_tokens": tokens_out,
                "total_tokens": tokens_in + tokens_out,
            }
            self._event(choices=[], usage=usage)
        stub.charge(tokens_in, tokens_out)
        self._chunk(b": a comment keeps the line alive\n\n")
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, **fields: Any) -> None:
        event = {"id": "c1", "object": "chat.completion.chunk", "model": "stub", **fields}
        self._chunk(f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode())

    def _chunk(self, data: bytes) -> None:
        # In two writes, so that an event is often cut in the middle, as on a real network.
        framed = f"{len(data):x}\r\n".encode() + data + b"\r\n"
        self.wfile.write(framed[: len(framed) // 2])
        self.wfile.flush()
        self.wfile.write(framed[len(framed) // 2 :])
        self.wfile.flush()


def _pieces(text: str) -> list[str]:
    """Words with the space before them: one of these is one token of this server."""
    words = text.split(" ")
    return [word if position == 0 else f" {word}" for position, word in enumerate(words)]
