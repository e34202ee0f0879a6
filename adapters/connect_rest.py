"""Kafka Connect's REST interface: connectors written, looked at, stopped and taken away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote

import httpx

from adapters.errors import ConnectRefusedError, ConnectUnavailableError

__all__ = ["ConnectApi", "ConnectorState"]

_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.1
# A worker that is rebalancing answers 409, for seconds at most; one whose group just changed, 500 or 404 for a moment.
_PATIENCE_S: Final = 30.0

# What a connector of the same name came to before is told for a moment after it was taken away or started again.
_STALE_S: Final = 5.0
# Debezium tells its whole offset in one line.
_WORDS: Final = 300


@dataclass(frozen=True)
class ConnectorState:
    """A connector as Connect sees it; `words` is why it failed, the first line of its trace."""

    name: str
    state: str
    tasks: tuple[str, ...]
    words: str
    config: Mapping[str, str]

    @property
    def running(self) -> bool:
        """Whether it and its task run."""
        return self.state == "RUNNING" and bool(self.tasks) and set(self.tasks) == {"RUNNING"}

    @property
    def stopped(self) -> bool:
        """Whether it has no task left."""
        return self.state == "STOPPED" and not self.tasks


class ConnectApi:
    """Connect's REST interface at `url`. Use it as a context.

    >>> with ConnectApi("http://127.0.0.1:18084") as connect:  # doctest: +SKIP
    ...     [state.name for state in connect.states()]
    ['handbook']

    Raises ConnectUnavailableError where nobody answers, ConnectRefusedError with Connect's own words.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # Never through a proxy for what is on loopback, whatever the environment says.
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False)

    def __enter__(self) -> ConnectApi:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def write(self, name: str, config: Mapping[str, str]) -> None:
        """Make or change a connector; it starts, or starts again. Returns once Connect lists it."""
        self._ask("PUT", f"/connectors/{quote(name, safe='')}/config", dict(config))
        for _ in _turns(_PATIENCE_S):
            if self.state(name) is not None:
                return

    def states(self) -> list[ConnectorState]:
        """Every connector that Connect has, by name."""
        found: dict[str, Any] = self._ask("GET", "/connectors?expand=status&expand=info") or {}
        return [_state(name, each) for name, each in sorted(found.items())]

    def state(self, name: str) -> ConnectorState | None:
        """One connector; None where there is none of the name."""
        return next((state for state in self.states() if state.name == name), None)

    def pause(self, name: str) -> None:
        """Let it hold its place and send nothing."""
        self._ask("PUT", f"/connectors/{quote(name, safe='')}/pause")

    def resume(self, name: str) -> None:
        """Let it go on, also after `stop`."""
        self._ask("PUT", f"/connectors/{quote(name, safe='')}/resume")

    def restart(self, name: str) -> None:
        """Start it and its task again where they failed."""
        self._ask("POST", f"/connectors/{quote(name, safe='')}/restart?includeTasks=true&onlyFailed=true")

    def stop(self, name: str) -> None:
        """End its task and wait until it has; its configuration and its place stay."""
        self._ask("PUT", f"/connectors/{quote(name, safe='')}/stop")
        self.await_state(name, lambda state: state.stopped)

    def forget_place(self, name: str) -> None:
        """Drop the place of a stopped connector: it begins with a new snapshot."""
        self._ask("DELETE", f"/connectors/{quote(name, safe='')}/offsets")

    def remove(self, name: str) -> None:
        """Take a connector away; its topics stay. Returns once Connect does not list it."""
        self._ask("DELETE", f"/connectors/{quote(name, safe='')}")
        for _ in _turns(_PATIENCE_S):
            if self.state(name) is None:
                return

    def await_state(
        self, name: str, wanted: Callable[[ConnectorState], bool], within_s: float = _PATIENCE_S
    ) -> ConnectorState:
        """Wait for a state. Raises ConnectRefusedError for a connector that failed, or did not come to it in time."""
        state, failed = None, 0
        for _ in _turns(within_s):
            state = self.state(name)
            if state is not None and wanted(state):
                return state
            failed = failed + 1 if state is not None and "FAILED" in (state.state, *state.tasks) else 0
            if state is not None and failed * _POLL_S > _STALE_S:
                raise ConnectRefusedError(f"connector {name!r} failed: {state.words}")
        shown = "not there" if state is None else f"{state.state} with tasks {list(state.tasks)}"
        raise ConnectRefusedError(f"connector {name!r} is {shown} after {within_s:g} s; look at Connect's log")

    def _ask(self, method: str, path: str, body: Mapping[str, str] | None = None) -> Any:
        for _ in _turns(_PATIENCE_S):
            answer = self._answer(method, path, body)
            if answer.is_success:
                return answer.json() if answer.content else None
            if answer.status_code != httpx.codes.CONFLICT:
                break
        raise ConnectRefusedError(f"Kafka Connect refused {method} {path}: {_words(answer)}")

    def _answer(self, method: str, path: str, body: Mapping[str, str] | None) -> httpx.Response:
        try:
            return self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise ConnectUnavailableError(
                f"wanted Kafka Connect at {self.url}, got: {error}; `headwater up --profile full` starts one, "
                "sources.connect says where it is"
            ) from error


def _turns(within_s: float) -> Iterator[None]:
    """Tries, some time apart, as many as fit."""
    for _ in range(max(1, int(within_s / _POLL_S))):
        yield
        threading.Event().wait(_POLL_S)


def _state(name: str, found: Mapping[str, Any]) -> ConnectorState:
    status, tasks = found["status"], found["status"]["tasks"]
    traces = [status["connector"].get("trace", ""), *(task.get("trace", "") for task in tasks)]
    lines = [line.strip() for trace in traces for line in trace.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by:")]
    return ConnectorState(
        name=name,
        state=status["connector"]["state"],
        tasks=tuple(task["state"] for task in tasks),
        words=(causes or lines or [""])[-1 if causes else 0][:_WORDS],
        config=found["info"]["config"],
    )


def _words(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"
