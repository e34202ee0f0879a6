"""Documents read in processes of their own: what crashes, hangs or swells there becomes a reason, and nothing stops.

The way of a document (`IsolatedParser.parse`):
1. UTF-8 plain text and short Markdown are read right here: the worst of them takes a moment, and asking a process takes
   longer than reading most of them.
2. A process is taken from the pool; the document goes to it over a socket, its outline comes back, as msgpack: nothing
   that such a process sends is ever run.
3. A process that passes the time is killed, and the document refused. One that dies otherwise may have been killed from
   outside, or damaged by an earlier document: the same document goes to a new process once, and is refused if that dies
   as well.
4. A process is replaced once it has read many documents or needed too much memory; a spare one waits meanwhile.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import Final

import msgspec

from adapters.errors import ParserUnavailableError
from adapters.parsers import InProcessParser
from adapters.reading_process import READY, Answer, Isolation, Request, Setup
from processors.contract import Reject
from processors.ingest.formats import USUAL_LIMITS, Outline, ParseLimits
from processors.ingest.media import media_type_of, recognised

__all__ = ["IsolatedParser", "Isolation"]

START_S: Final = 60.0
"""How long a process may take to import its readers."""
TRUSTED_BYTES: Final = {"text/plain": 1_000_000, "text/markdown": 8_192}
"""Text up to so many bytes is read in this process. The worst Markdown of a dozen tried took 0.4 s at twice this."""
MOST_ANSWER_BYTES: Final = 256 * 1024 * 1024
_END_S: Final = 5.0
# The child finds the modules where this process found them, from whatever folder it is started.
_PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[2:]; from adapters.reading_process import main; main(int(sys.argv[1]))"
)


class IsolatedParser:
    """Reads documents within limits of time and memory, in processes that are used again. Use it in production.

    >>> parser = IsolatedParser(Isolation(timeout_s=20.0))  # doctest: +SKIP
    >>> parser.parse(body, "application/pdf")  # doctest: +SKIP
    >>> parser.close()  # doctest: +SKIP

    `environment` is that of the processes; leave secrets out. Raises Reject with the reason, ParserUnavailableError
    where no process can be started: that is nobody's fault among the documents.
    """

    def __init__(
        self,
        isolation: Isolation,
        limits: ParseLimits = USUAL_LIMITS,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._isolation = isolation
        self._setup = Setup(isolation, limits)
        self._environment = environment
        self._here = InProcessParser(limits)
        # In turn, so that the next document meets a process that is ready, not the one just started. None: none yet.
        self._idle: queue.Queue[_Process | None] = queue.Queue()
        self._closed = threading.Event()
        for _ in range(isolation.processes):
            self._idle.put(self._start())

    def parse(self, body: bytes, media_type: str) -> Outline:
        if _harmless(body, media_type):
            return self._here.parse(body, media_type)
        process = self._take()
        try:
            process, answer = self._ask(process, msgspec.msgpack.encode(Request(body, media_type)))
        except BaseException:
            self._put_back(process, spent=True)
            raise
        self._put_back(process, answer.spent)
        if answer.outline is None:
            raise Reject(answer.reason)
        return answer.outline

    def close(self) -> None:
        """Ends the processes. Whoever waits for one of them hears that its document could not be read for now."""
        self._closed.set()
        with contextlib.suppress(queue.Empty):
            while True:
                if process := self._idle.get_nowait():
                    process.end()

    def _ask(self, process: _Process, request: bytes) -> tuple[_Process, Answer]:
        """The answer, and the process that gave it: another one where the first died."""
        timeout_s = self._isolation.timeout_s
        with contextlib.suppress(_DiedError):
            return process, process.ask(request, timeout_s)
        process.end()
        second = self._start()
        try:
            return second, second.ask(request, timeout_s)
        except _DiedError as died:
            reason = f"{died}, twice, mostly for want of memory; split it, or raise parse.memory_mb"
            return second, Answer(None, reason, spent=True)
        except BaseException:
            second.end()
            raise

    def _take(self) -> _Process:
        # All of them busy: each of the callers before this one takes no longer than two tries.
        longest = 2 * (self._isolation.timeout_s + START_S)
        try:
            process = self._idle.get(timeout=longest)
        except queue.Empty:
            raise ParserUnavailableError(
                f"wanted a process that reads documents, none of {self._isolation.processes} got free in {longest:g} s"
            ) from None
        if process is not None and process.alive:
            return process
        if process is not None:
            process.end()
        try:
            return self._start()
        except ParserUnavailableError:
            self._idle.put(None)
            raise

    def _put_back(self, process: _Process, spent: bool) -> None:
        place: _Process | None = process
        if spent or process.read >= self._isolation.documents or not process.alive:
            process.end()
            place = None
            with contextlib.suppress(ParserUnavailableError):
                place = self._start()
        self._idle.put(place)
        if self._closed.is_set():
            self.close()

    def _start(self) -> _Process:
        if self._closed.is_set():
            raise ParserUnavailableError("wanted a process that reads documents, the parser is closed")
        return _Process(self._setup, self._environment)


def _harmless(body: bytes, media_type: str) -> bool:
    bare, charset = media_type_of(media_type)
    if charset is not None or len(body) > TRUSTED_BYTES.get(bare, 0):
        return False
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return recognised(body, media_type) == bare


class _DiedError(ParserUnavailableError):
    """A process ended while it read a document; the message says how."""


@dataclass
class _Deadline:
    """Kills a process once, when its time is up."""

    process: subprocess.Popen[bytes]
    passed: bool = False

    def __call__(self) -> None:
        self.passed = True
        self.process.kill()


class _Process:
    """One process that reads documents, one after the other."""

    def __init__(self, setup: Setup, environment: Mapping[str, str] | None) -> None:
        ours, theirs = Pipe()
        with theirs:
            command = [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), *sys.path]
            try:
                self._process = subprocess.Popen(
                    command,
                    pass_fds=(theirs.fileno(),),
                    env=None if environment is None else dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise ParserUnavailableError(f"starting a process that reads documents: {error}") from error
        self._wanted = setup.isolation.wanted
        self._connection: Connection = ours
        self._ready = False
        self.read = 0
        with contextlib.suppress(OSError):
            ours.send_bytes(msgspec.msgpack.encode(setup))

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: bytes, timeout_s: float) -> Answer:
        """The answer to a request. Raises _DiedError, and ParserUnavailableError where the process never got ready."""
        if not self._ready:
            self._await_ready()
        self.read += 1
        deadline = _Deadline(self._process)
        timer = threading.Timer(timeout_s, deadline)
        timer.daemon = True
        timer.start()
        try:
            self._connection.send_bytes(request)
            return msgspec.msgpack.decode(self._connection.recv_bytes(MOST_ANSWER_BYTES), type=Answer)
        except (EOFError, OSError, msgspec.DecodeError) as error:
            self._process.kill()
            code = self._process.wait(_END_S)
            if deadline.passed or code == -signal.SIGXCPU:
                reason = f"{self._wanted}, got one that takes longer; split it, or raise parse.timeout_s"
                return Answer(None, reason, spent=True)
            raise _DiedError(f"{self._wanted}, got one at which its reader died ({_ending(code)})") from error
        finally:
            timer.cancel()

    def end(self) -> None:
        """Ends the process, whatever it does."""
        self._connection.close()
        if self.alive:
            self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)

    def _await_ready(self) -> None:
        said = ""
        try:
            if self._connection.poll(START_S):
                said = self._connection.recv_bytes(MOST_ANSWER_BYTES).decode("utf-8", "replace")
        except (EOFError, OSError) as error:
            said = f"it ended: {error}"
        if said != READY:
            raise ParserUnavailableError(f"a process that reads documents did not start: {said or 'no sign of life'}")
        self._ready = True


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
