"""A worker process: some hops, each in a thread of its own, over the same ports.

The way of a start:
1. Load models and open clients; nothing of Kafka exists yet, so a slow import costs no rebalance.
2. Wait for the declared topics.
3. Ask the log which index generations there are, and whether the settings are those of the configured one.
4. Follow the views that the hops need (heads, computed vectors) and mend the index from the log if it lost anything.
5. Open the views, start the hops, say ready.
SIGTERM or SIGINT: every hop finishes or drops what it has in hand. A hop that fails ends the process, to be started
again by whoever runs it.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final

import structlog

from streams.audit_service import audit_thread
from streams.batches import BatchHop, HopPlan
from streams.ensure import wait_for_topics
from streams.generation_keeper import Builds, GenerationKeeper, Runner
from streams.generation_start import enter_generations, without_own
from streams.keyed import KeyedHop
from streams.ops import OpsServer
from streams.parts import Parts
from streams.pipeline import BoundHop, Origin, Pipeline
from streams.retries import ErrorPolicy
from streams.selection import Selected
from streams.settings import Settings
from streams.sources import with_sources
from streams.standing_keeper import TELLING, StandingKeeper

_LOG = structlog.get_logger(__name__)

GARBAGE: Final = (50_000, 20, 100)
"""New objects before the youngest, and rounds before the older generations, are looked through for cycles."""

SWITCH_S: Final = 0.001
"""How long a thread may keep the interpreter while another waits: the default, 5 ms, is as long as a question takes;
beside incoming documents the slowest hundredth took a third longer (49 against 36 ms); 0.3 ms slowed all down."""

# They belong to one generation, and which there are is not known before the log was asked.
_AFTER_THE_LOG: Final = frozenset({"store", "heads", "serving", "erasables", "lives"})


class Worker:
    """Runs hops until it is told to stop. Use it from the command line (`headwater run`) or a test.

    Where it runs `index` it also builds every other index generation there is; `only` names those to build alone.
    """

    def __init__(
        self,
        settings: Settings,
        selected: Sequence[Selected],
        parts: Parts | None = None,
        only: Iterable[str] = (),
    ) -> None:
        self.settings = settings
        self._only = frozenset(only)
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
        # A batch makes tens of thousands of small objects and no cycles: looking for some after every 700 took 3 to 9 %
        # of the processor.
        gc.set_threshold(*GARBAGE)
        sys.setswitchinterval(SWITCH_S)
        if not self.settings.worker.ops_port:
            return self.run()
        with OpsServer(self.settings.worker.ops_host, self.settings.worker.ops_port, self._alive, self._is_ready):
            return self.run()

    def _open(self) -> list[Runner]:
        wanted = {name for one in self._selected for hop in one.hops for name in hop.ports()}
        for name in sorted(wanted - _AFTER_THE_LOG):
            self._parts.port(name)
        wait_for_topics(self.settings, self.settings.worker.start_s, self.stop, self._parts.port("clock"))
        views = {name for one in self._selected for hop in one.hops for name in hop.waits_for}
        steps = {hop.name for one in self._selected for hop in one.hops}
        if not (self._only or steps & {"chunk", "index"} or views & {"heads", "serving"}):
            self._parts.open(views)
            return [self._runner(selected, self._parts) for selected in self._selected]
        return self._open_with_generations(steps, views)

    def _open_with_generations(self, steps: set[str], views: set[str]) -> list[Runner]:
        # Whoever cuts documents knows the splitter and its model: what a generation is made by.
        generations = enter_generations(self._parts, writes="chunk" in steps)
        selected = self._selected if generations.own_lives else without_own(self._selected)
        self._parts.open({name for one in selected for hop in one.hops for name in hop.waits_for})
        runners: list[Runner] = [self._runner(one, self._parts) for one in selected]
        if self._only or "index" in steps:
            runners.append(GenerationKeeper(generations, Builds(self._runner, self._only)))
        elif "serving" in views:
            runners.append(GenerationKeeper(generations, None))
        telling = [one for one in runners if isinstance(one, BatchHop) and one.name == TELLING]
        return [*runners, *(StandingKeeper(one, self._parts) for one in telling)]

    def _runner(self, selected: Selected, parts: Parts) -> BatchHop | KeyedHop:
        settings = self.settings
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

    def _guarded(self, runner: Runner) -> None:
        try:
            runner.run(self.stop)
        except SystemExit:
            pass
        except BaseException as error:
            self._failed = error
            _LOG.exception("hop.failed", hop=runner.name)
        finally:
            self.stop.set()

    def _announce(self, runners: Sequence[Runner]) -> None:
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
