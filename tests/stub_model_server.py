"""A model server for tests: real HTTP, OpenAI's chat completions as server-sent events, and every way to misbehave.

It answers from threads on a free loopback port and counts what it was asked and what it charged for. How it behaves may
be changed while it runs: for the next request, and in the middle of an answer.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Literal

# fmt: off
Mode = Literal[
    "ok", "slow", "late", "cut", "no_usage", "empty",
    # before the first word
    "refuse", "429", "500", "503", "hang", "mute", "garbage", "nested", "nothing", "flood",
    # in the middle of an answer
    "dies", "stalls", "error_event", "babble", "surrogates", "odd_usage", "endless",
]
# fmt: on
"""What a request meets. `late` says its first word after `late_s`; `mute` sends keep-alives and no word; `nothing` says
that it is done before it said anything; `endless` never stops, however few tokens were asked for."""

Reply = Callable[[str], str]

# Every wait of a misbehaving mode ends here, so that a test that forgot to stop the server still ends.
LONGEST_WAIT_S = 30.0
_REFUSALS: Final[dict[str, int]] = {"refuse": 400, "429": 429, "500": 500, "503": 503}
_BREAKS: Final = frozenset({"dies", "stalls", "error_event", "babble"})
_BABBLE: Final = b"\x00\xff\xfe not an event \r\n data; {]\n\n"
# Half of a character that JSON writes as two: not a text that can be encoded.
_HALF: Final = rb'data: {"choices": [{"delta": {"content": " \ud83d"}}]}' + b"\n\n"
# Deeper than a recursive reader can follow.
_NESTED: Final = b"data: " + b"[" * 200_000 + b"\n\n"


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
    """A server in threads. Use it as a context manager; `mode` may be changed at any time.

    `modes` is a queue that is used up first: `["500", "dies"]` fails twice in these ways, then `mode` holds.
    `reply` makes the answer from the prompt. `slow` waits `pause_s` before every word. `counting` says with every word
    how many tokens it was so far, as vLLM does where it is asked to. `down` refuses and cuts connections until `up`.
    """

    def __init__(self, reply: str | Reply = "It is so [1].", mode: Mode = "ok", pause_s: float = 0.02) -> None:
        self.reply: Reply = reply if callable(reply) else lambda _prompt: reply
        self.mode: Mode = mode
        self.modes: list[Mode] = []
        self.pause_s = pause_s
        self.late_s = 0.5
        self.counting = False
        self.counts = Counts()
        self.open = 0
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._port = 0
        self._server = self._listening()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> StubModelServer:
        self._serve()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self.down()

    def down(self) -> None:
        """Nobody listens any more, and who was being answered is cut off."""
        self._server.shutdown()
        self._server.server_close()
        self._server.cut()
        self._thread.join(5)

    def up(self) -> None:
        """Listens again, where it did."""
        self._server = self._listening()
        self._serve()

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

    def enter(self, change: int) -> None:
        """How many requests are being answered."""
        with self._lock:
            self.open += change

    def turned(self, mode: Mode) -> Mode:
        """How an answer that began in a mode goes on: as it is broken now, if it is."""
        return self.mode if self.mode in _BREAKS and not self.modes else mode

    def _listening(self) -> _Server:
        server = _Server(("127.0.0.1", self._port), _Handler)
        server.stub, self._port = self, server.server_address[1]
        return server

    def _serve(self) -> None:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    stub: StubModelServer

    def __init__(self, *given: Any) -> None:
        self._sockets: set[socket.socket] = set()
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._sockets.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """Ends every connection, also one in the middle of an answer."""
        for each in tuple(self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

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
        stub.enter(1)
        try:
            self._answer(stub, stub.note(body, self.headers.get("Authorization", "")), body)
        finally:
            stub.enter(-1)

    def _answer(self, stub: StubModelServer, mode: Mode, body: dict[str, Any]) -> None:
        if mode in _REFUSALS:
            self._plain(_REFUSALS[mode], {"error": {"message": f"told to answer {_REFUSALS[mode]}"}})
            return
        if mode == "hang":
            self._hang(stub)
            return
        if mode == "late":
            stub.stopping.wait(stub.late_s)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if not self._spoilt(stub, mode):
            self._stream(stub, mode, body)

    def _plain(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _hang(self, stub: StubModelServer, says: bytes = b"") -> None:
        """Says nothing more, or nothing but this again and again; ends when the client has hung up."""
        self.connection.settimeout(0.05)
        for _ in range(int(LONGEST_WAIT_S / 0.1)):
            if stub.stopping.wait(0.05):
                break
            if says:
                self._chunk(says)
            with contextlib.suppress(TimeoutError):
                if not self.connection.recv(1):
                    break
        self.close_connection = True

    def _spoilt(self, stub: StubModelServer, mode: Mode) -> bool:
        """Whether this is one that never says a word."""
        said = {"garbage": b"data: {this is not json\n\n", "nested": _NESTED, "nothing": b"data: [DONE]\n\n"}
        if mode == "mute":
            self._hang(stub, b": a comment keeps the line alive\n\n")
        elif mode == "flood":
            for _ in range(64):
                self._chunk(b"x" * 65_536)
            self.close_connection = True
        elif mode in said:
            self._chunk(said[mode])
            self._chunk(b"")
        return mode in ("mute", "flood") or mode in said

    def _stream(self, stub: StubModelServer, mode: Mode, body: dict[str, Any]) -> None:
        prompt = body["messages"][-1]["content"]
        tokens_in = len(prompt.split())
        pieces = [] if mode == "empty" else _pieces(stub.reply(prompt))[: body.get("max_tokens", 10_000)]
        if mode == "endless":
            pieces = [piece for piece in pieces for _ in range(100_000 // max(1, len(pieces)))]
        self._event(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}])
        for position, piece in enumerate(pieces):
            if position and (broken := stub.turned(mode)) in _BREAKS:
                self._break(stub, broken)
                return
            if mode == "slow":
                stub.stopping.wait(stub.pause_s)
            so_far = {"usage": _usage(tokens_in, position + 1)} if stub.counting else {}
            self._event(choices=[{"index": 0, "delta": {"content": piece}}], **so_far)
        if mode == "surrogates":
            self._chunk(_HALF)
        self._finish(stub, mode, tokens_in, len(pieces))

    def _break(self, stub: StubModelServer, mode: Mode) -> None:
        if mode == "stalls":
            self._hang(stub)
            return
        if mode == "error_event":
            self._event(error={"message": "the engine died"})
        if mode == "babble":
            self._chunk(_BABBLE)
        # Without the closing chunk the client sees a connection cut in the middle of an answer.
        self.wfile.flush()
        self.close_connection = True

    def _finish(self, stub: StubModelServer, mode: Mode, tokens_in: int, tokens_out: int) -> None:
        reason = "length" if mode == "cut" else "stop"
        self._event(choices=[{"index": 0, "delta": {}, "finish_reason": reason}])
        if mode != "no_usage":
            self._event(choices=[], usage=["a", "lot"] if mode == "odd_usage" else _usage(tokens_in, tokens_out))
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


def _usage(tokens_in: int, tokens_out: int) -> dict[str, int]:
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


def _pieces(text: str) -> list[str]:
    """Words with the space before them: one of these is one token of this server."""
    words = text.split(" ")
    return [word if position == 0 else f" {word}" for position, word in enumerate(words)]
