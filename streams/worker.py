"""A worker process: some hops, each in a thread of its own, over the same ports.

The way of a start:
1. Load models and open clients; nothing of Kafka exists yet, so a slow import costs no rebalance.
2. Wait for the declared topics.
3. Follow the views that the hops need (heads, computed vectors) and mend the index from the log if it lost anything.
4. Open the views, start the hops, say ready.
SIGTERM or SIGINT: every hop finishes or drops what it has in hand. A hop that fails ends the process, to be started
again by whoever runs it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from typing import Any

import structlog

from streams.audit_service import audit_thread
from streams.batches import BatchHop, HopPlan
from streams.ensure import wait_for_topics
from streams.keyed import KeyedHop
from streams.ops import OpsServer
from streams.parts import Parts
from streams.pipeline import BoundHop, Origin, Pipeline
from streams.retries import ErrorPolicy
from streams.selection import Selected
from streams.settings import Settings
from streams.sources import with_sources

_LOG = structlog.get_logger(__name__)


class Worker:
    """Runs hops until it is told to stop. Use it from the command line (`headwater run`) or a test."""

    def __init__(self, settings: Settings, selected: Sequence[Selected], parts: Parts | None = None) -> None:
        self.settings = settings
        self.stop = threading.Event()
        self.ready = threading.Event()
        self._selected = tuple(selected)
        self._parts = parts or Parts(settings)
        self._failed: BaseException | None = None

    def run(self) -> int:
        """Works until stopped; returns the exit code."""
        try:
            runners = self._open()
        except KeyboardInterrupt:
            return 0
        threads = [threading.Thread(target=self._guarded, args=(runner,), name=runner.name) for runner in runners]
        for thread in threads:
            thread.start()
        if auditing := audit_thread(self._parts, self.stop):
            auditing.start()
        announcer = threading.Thread(target=self._announce, args=(runners,), daemon=True)
        announcer.start()
        try:
            self.stop.wait()
            for thread in threads:
                thread.join(self.settings.worker.drain_s + 10.0)
        finally:
            self._parts.close()
        _LOG.info("worker.stopped", failed=self._failed is not None)
        return 1 if self._failed else 0

    def run_as_process(self) -> int:
        """`run`, with signals and the operators' port."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop.set())
        if not self.settings.worker.ops_port:
            return self.run()
        with OpsServer(self.settings.worker.ops_host, self.settings.worker.ops_port, self._alive, self._is_ready):
            return self.run()

    def _open(self) -> list[BatchHop | KeyedHop]:
        for selected in self._selected:
            for hop in selected.hops:
                for name in hop.ports():
                    self._parts.port(name)
        wait_for_topics(self.settings, self.settings.worker.start_s, self.stop, self._parts.port("clock"))
        self._parts.open({name for one in self._selected for hop in one.hops for name in hop.waits_for})
        return [self._runner(selected) for selected in self._selected]

    def _runner(self, selected: Selected) -> BatchHop | KeyedHop:
        parts, settings = self._parts, self.settings
        origin = Origin(parts.port("clock"), parts.version, settings.git_sha)
        policy = ErrorPolicy(attempts=settings.worker.attempts, cancelled=self.stop, hop=selected.group)
        bound = [BoundHop(with_sources(hop, settings.sources), parts.port) for hop in selected.hops]
        plan = HopPlan(
            group=selected.group,
            pipeline=Pipeline(bound, parts.codec, origin, policy),
            followers=parts.followers({name for hop in selected.hops for name in hop.waits_for}),
            exactly_once=all(hop.exactly_once for hop in selected.hops),
            most_records=min(settings.worker.batch_records, *(hop.limits.records for hop in selected.hops)),
        )
        kind: Any = KeyedHop if selected.hops[0].mode == "keyed" else BatchHop
        runner: BatchHop | KeyedHop = kind(plan, settings, parts.port("clock"))
        return runner

    def _guarded(self, runner: BatchHop | KeyedHop) -> None:
        try:
            runner.run(self.stop)
        except SystemExit:
            pass
        except BaseException as error:
            self._failed = error
            _LOG.exception("hop.failed", hop=runner.name)
        finally:
            self.stop.set()

    def _announce(self, runners: Sequence[BatchHop | KeyedHop]) -> None:
        for runner in runners:
            while not runner.ready.wait(0.2):
                if self.stop.is_set():
                    return
        self.ready.set()
        _LOG.info("worker.ready", hops=[runner.name for runner in runners])

    def _alive(self) -> tuple[bool, str]:
        return self._failed is None, "alive" if self._failed is None else f"failed: {self._failed}"

    def _is_ready(self) -> tuple[bool, str]:
        return self.ready.is_set(), "ready" if self.ready.is_set() else "starting"
