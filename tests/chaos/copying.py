"""The frame of every copy test: topics, a source, a concurrent reader, workers; then heal, drain, read and check.

1. Topics with names of the run's own.
2. Source, reader and workers run; the scenario does its harm in between.
3. `finish`: the source stops, what is frozen or dead comes back, the group drains, the workers stop.
4. Topics are read from 0 and the checker judges everything.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException

from tests.chaos.checker import Evidence, Findings, Rules, check, open_attempts
from tests.chaos.copier import CopierSpec
from tests.chaos.processes import Fleet
from tests.chaos.reader import Reader
from tests.chaos.rows import drained, make_topics, read_topic
from tests.chaos.source import Flow, Source
from tests.chaos.undefended import HARMLESS

DRAIN_S: Final = 60.0
LONGEST_DRAIN_S: Final = 900.0
# Longer than a dead member's partitions lie still.
QUIET_S: Final = 5.0
LOOK_S: Final = 0.1


class UnbegunError(Exception):
    """A copy did not begin to flow in time; the message has the workers' last lines."""


@dataclass(frozen=True)
class Plan:
    """What a copy run is made of. `spec` changes fields of the workers' CopierSpec (handler, batch, defence, ...).

    `partitions` are those of the input and of the output. `reader_level` read_uncommitted is a control.
    """

    bootstrap: str
    flow: Flow = field(default_factory=Flow)
    partitions: tuple[int, int] = (2, 3)
    slots: Sequence[str] = ("a", "b")
    replication: int = 1
    reader_level: str = "read_committed"
    spec: dict[str, Any] = field(default_factory=dict)


class CopyRun:
    """A copy under faults. Use it as a context.

    >>> with CopyRun(Plan(bootstrap), folder, seed) as run:  # doctest: +SKIP
    ...     run.fleet.kill("a")
    ...     findings = run.finish(Rules())
    """

    def __init__(self, plan: Plan, folder: Path, seed: int) -> None:
        name = uuid.uuid4().hex[:8]
        self.plan = plan
        self.folder = folder
        self.group = f"chaos.{name}"
        self.topic, self.sink = f"chaos.{name}.in.v1", f"chaos.{name}.out.v1"
        self.letters = f"{self.topic}.dlq"
        counts = {self.topic: plan.partitions[0], self.sink: plan.partitions[1], self.letters: 1}
        make_topics(plan.bootstrap, counts, plan.replication)
        spec = CopierSpec(plan.bootstrap, self.topic, self.sink, self.group, "", str(folder), **plan.spec)
        self.fleet = Fleet(spec, folder)
        self.source = Source(plan.bootstrap, self.topic, plan.flow, folder, seed)
        self.reader = Reader(plan.bootstrap, self.sink, folder, plan.reader_level)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> CopyRun:
        with contextlib.ExitStack() as opening:
            opening.enter_context(self.fleet)
            self.fleet.start(*self.plan.slots)
            opening.enter_context(self.reader)
            opening.enter_context(self.source)
            self.fleet.await_ready()
            if not self.await_seen(1):
                logs = "\n".join(f"{slot}:\n{self.fleet.log(slot)}" for slot in self.plan.slots)
                raise UnbegunError(f"no record of {self.sink!r} reached the reader: {self.reader.failed}\n{logs}")
            self._stack = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def await_seen(self, count: int, within_s: float = 30.0) -> bool:
        """Waits until the reader has seen so many records; whether it did in time."""
        until = time.monotonic() + within_s
        while self.reader.seen < count:
            if time.monotonic() > until:
                return False
            time.sleep(LOOK_S)
        return True

    def drain(self, within_s: float = DRAIN_S) -> bool:
        """Waits until the group has committed all of its input; whether it did in time, counted from the last record.

        A machine with no time to spare is slow, not lossy: as long as records come, it is waited for. A control may
        never commit its last offsets: it is done when nothing new has come for a while.
        """
        until, seen, news = time.monotonic() + LONGEST_DRAIN_S, self.reader.seen, time.monotonic()
        while time.monotonic() < min(until, news + within_s):
            if self.reader.seen != seen:
                seen, news = self.reader.seen, time.monotonic()
            if self.plan.spec.get("defence", "") not in HARMLESS and time.monotonic() - news > QUIET_S:
                return False
            with contextlib.suppress(KafkaException):
                if drained(self.plan.bootstrap, self.group, self.topic):
                    return True
            time.sleep(LOOK_S)
        return False

    def finish(
        self, rules: Rules, doomed: frozenset[tuple[str, int]] = frozenset(), drain_s: float = DRAIN_S
    ) -> Findings:
        """Heals, drains, stops, reads everything and judges it. What was not drained in time shows as lost."""
        self.source.finish()
        self.drain(drain_s)
        self.fleet.stop_all()
        return self.judge(rules, doomed)

    def judge(self, rules: Rules, doomed: frozenset[tuple[str, int]] = frozenset()) -> Findings:
        """Reads everything as it is now and judges it."""
        bootstrap = self.plan.bootstrap
        output = read_topic(bootstrap, self.sink)
        self.reader.catch_up()
        evidence = Evidence(
            source=read_topic(bootstrap, self.topic),
            output=output,
            polls=self.reader.polls,
            operations=self.fleet.operations(),
            letters=read_topic(bootstrap, self.letters),
            doomed=doomed,
            watched=True,
        )
        return check(evidence, rules)

    def figures(self) -> dict[str, Any]:
        """What is worth saying of every run: kills, those that hit an open transaction, transactions, aborted ones."""
        operations = self.fleet.operations()
        count = {op: sum(1 for one in operations if one.op == op and one.state == "ok") for op in ("commit", "abort")}
        return {
            "records": self.source.written,
            "kills": self.fleet.kills,
            "kills in an open transaction": open_attempts(operations),
            "transactions": count["commit"],
            "aborted": count["abort"],
            "restarts": sum(self.fleet.restarts.values()),
        }
