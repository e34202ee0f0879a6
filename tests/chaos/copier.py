"""A worker process of a chaos run: the real engine over plain events, with a history of what it did.

`python -m tests.chaos.copier '<CopierSpec as JSON>'`. It appends all it says to `<slot>.log`, writes its number into
`<slot>.ready` once it is in its group, and ends on SIGTERM as a worker does: 0 after a clean end, 1 after a failure.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos import undefended
from tests.chaos.history import History
from tests.chaos.recording import install


@dataclass(frozen=True)
class CopierSpec:
    """What a worker is to do. `defence` names what is taken away (`undefended.py`), nothing for the real engine.

    `handler` is a step of `handlers.py`; `runner` is batch or keyed; `kafka` and `worker` override settings of those
    sections, `later` are the delays of retry topics in seconds. Its transactional id is `{group}-{slot}`, so a slot
    that starts again fences what it left behind.
    """

    bootstrap: str
    source: str
    sink: str
    group: str
    slot: str
    folder: str
    handler: str = "copy"
    runner: str = "batch"
    batch: int = 50
    defence: str = ""
    transaction_timeout_ms: int = 2_500
    later: Sequence[float] = ()
    kafka: dict[str, Any] = field(default_factory=dict)
    worker: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """The specification as the process reads it."""
        return json.dumps(asdict(self))


def build(spec: CopierSpec) -> Any:
    """The hop of a specification, ready to run. The engine is imported here, after the clients were put in place."""
    from adapters.host import SystemClock
    from streams.batches import BatchHop, HopPlan
    from streams.hop import Hop
    from streams.keyed import KeyedHop
    from streams.pipeline import BoundHop, Origin, Pipeline
    from streams.retries import ErrorPolicy, RetryLater
    from streams.settings import load
    from tests.chaos.handlers import step_of
    from tests.chaos.rows import CODEC, feedback_topic

    kafka = {
        "bootstrap": spec.bootstrap,
        "deadline_s": 10.0,
        "transaction_timeout_ms": spec.transaction_timeout_ms,
        **spec.kafka,
    }
    settings = load(kafka=kafka, worker={"slot": spec.slot, "drain_s": 5.0, **spec.worker})
    mode: Any = spec.runner
    source, sink = feedback_topic(spec.source), feedback_topic(spec.sink)
    later = RetryLater(tuple(spec.later)) if spec.later else None
    hop = Hop((source,), step_of(spec.handler), (sink,), mode=mode, retries=later)
    bound = BoundHop(hop, _no_port)
    pipeline = Pipeline([bound], CODEC, Origin(SystemClock(), "chaos"), ErrorPolicy(attempts=2, backoff_s=0.01))
    kind: Any = KeyedHop if spec.runner == "keyed" else BatchHop
    return kind(HopPlan(spec.group, pipeline, most_records=spec.batch), settings, SystemClock())


def main(text: str) -> int:
    """Runs until SIGTERM."""
    spec = CopierSpec(**json.loads(text))
    folder = Path(spec.folder)
    _speak_into(folder / f"{spec.slot}.log")
    recorder = install(History(folder / f"worker-{spec.slot}.jsonl", spec.slot), spec.slot)
    if spec.defence:
        undefended.DEFENCES[spec.defence]()
    hop, stop = build(spec), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=_announce, args=(hop, folder / f"{spec.slot}.ready"), daemon=True).start()
    try:
        hop.run(stop)
    except SystemExit:
        pass
    except BaseException as error:
        recorder.note("note", "fail", text=f"{type(error).__name__}: {error}")
        raise
    recorder.note("note", text="ended")
    return 0


def _announce(hop: Any, path: Path) -> None:
    hop.ready.wait()
    path.write_text(str(os.getpid()), encoding="utf-8")


def _speak_into(path: Path) -> None:
    """One log for all the lives of a slot."""
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _no_port(name: str) -> Any:
    raise KeyError(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
