"""What happened in a run, operation by operation: one JSON line each, written so that a kill -9 loses none of them.

The shape is Jepsen's: `send`, `poll`, `begin`, `commit`, `abort`, `fault`, `note`. An operation whose outcome nobody
knows has the state `info`; the log decides then.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

State = Literal["ok", "fail", "info"]
_OWN: Final = frozenset({"at", "who", "op", "state"})


class HistoryError(Exception):
    """A history file holds what is no operation."""


@dataclass(frozen=True)
class Operation:
    """One thing that somebody did. `at` is the machine's monotonic clock, the same for all processes of a run.

    send: topic, partition, offset, key, seq. poll: topic, partition, rows [[offset, key, seq, attempt]..].
    init: pid, before it takes its transactional id. begin, commit, abort: attempt, pid, and where offsets went with it
    `offsets` [[topic, partition, offset]..]. assign, revoke, lost: pid, partitions [[topic, partition]..].
    fault: what, target, pid. note: text.
    """

    at: float
    who: str
    op: str
    state: State = "ok"
    fields: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def line(self) -> str:
        """The operation as a line of the file."""
        return json.dumps({"at": round(self.at, 6), "who": self.who, "op": self.op, "state": self.state, **self.fields})

    @classmethod
    def of(cls, line: str) -> Operation:
        """The operation of a line. Raises HistoryError."""
        try:
            found = json.loads(line)
            fields = {name: value for name, value in found.items() if name not in _OWN}
            return cls(found["at"], found["who"], found["op"], found["state"], fields)
        except (ValueError, KeyError) as error:
            raise HistoryError(f"wanted an operation with at, who, op and state, got {line[:120]!r}") from error


class History:
    """A file that one process appends to, from any of its threads; several processes may share it.

    >>> history = History(Path("run/source.jsonl"), "source")  # doctest: +SKIP
    >>> history.add("send", topic="in", partition=0, offset=7, key="k1", seq=3)  # doctest: +SKIP
    """

    def __init__(self, path: Path, who: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.who = who
        # Each line is one write to an appending descriptor: whole lines, also between processes and before a kill -9.
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._lock = threading.Lock()

    def add(self, op: str, state: State = "ok", **fields: Any) -> None:
        """Appends what happened just now."""
        line = Operation(time.monotonic(), self.who, op, state, fields).line() + "\n"
        with self._lock:
            os.write(self._file, line.encode())

    def close(self) -> None:
        os.close(self._file)


def read(path: Path) -> Iterator[Operation]:
    """The operations of one file, in the order they were written."""
    with path.open(encoding="utf-8") as lines:
        yield from (Operation.of(line) for line in lines)


def merged(paths: Iterable[Path]) -> list[Operation]:
    """The operations of several files, by time."""
    return sorted((operation for path in paths for operation in read(path)), key=lambda operation: operation.at)
