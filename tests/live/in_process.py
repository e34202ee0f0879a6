"""A worker in the process of its test, whose ports the test may look into and damage."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from streams.worker import Worker

READY_S = 90.0
ENDS_S = 90.0


@contextmanager
def working(worker: Worker) -> Iterator[Worker]:
    """Runs a worker in a thread until the block ends; it must become ready, and end well."""
    codes = list[int]()
    thread = threading.Thread(target=lambda: codes.append(worker.run()), name="worker")
    thread.start()
    try:
        assert worker.ready.wait(READY_S), "the worker did not become ready"
        yield worker
    finally:
        worker.stop.set()
        thread.join(ENDS_S)
    assert codes == [0], "the worker died, or did not end"
