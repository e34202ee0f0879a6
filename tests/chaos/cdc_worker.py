"""A worker of T10 as a process of its own: hops as `headwater run` has them, and perhaps a reader beside them.

Run as `python -m tests.chaos.cdc_worker NAME WORD SPEC`: what it is called in the run, a word of `headwater run`, and
the reader's specification as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

from streams.parts import Parts
from streams.selection import select
from streams.settings import load
from streams.worker import Worker
from tests.chaos import undefended_truth
from tests.chaos.cdc_reader import Reader, ReaderSpec


def main(arguments: list[str]) -> int:
    """Works until SIGTERM; a file named by its name says when it is ready."""
    name, word, spec = arguments[0], arguments[1], ReaderSpec(**json.loads(arguments[2]))
    undefended_truth.take(spec.defence)
    settings = load()
    parts = Parts(settings)
    worker = Worker(settings, select((word,)), parts)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop.set())

    def beside() -> None:
        while not worker.ready.wait(0.1):
            if worker.stop.is_set():
                return
        (Path(spec.folder) / f"{name}.ready").write_text(str(os.getpid()), encoding="utf-8")
        if spec.documents:
            Reader(spec, parts).run(worker.stop)

    threading.Thread(target=beside, daemon=True).start()
    return worker.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
