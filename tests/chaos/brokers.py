"""The brokers of chaos runs: a short session, so that a killed member's partitions come back soon."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Final

from headwater.local.broker import BrokerSpec, KafkaBroker
from streams.settings import user_cache

# Workers' transaction timeout (2.5 s, `CopierSpec`) stays below the session.
CHAOS_PROPERTIES: Final = (
    ("group.consumer.session.timeout.ms", "3000"),
    ("group.consumer.min.session.timeout.ms", "1000"),
    ("group.consumer.heartbeat.interval.ms", "500"),
    ("group.consumer.min.heartbeat.interval.ms", "500"),
    ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "500"),
)
SESSION_S: Final = 3.0
# Several runs may go on at once, each with a broker of its own.
BROKER: Final = Path(f"build/chaos/broker-{os.getpid()}")
"""Where the shared broker of this run lives."""

# A control may run its copies side by side.
_lock = threading.Lock()
_shared: KafkaBroker | None = None


def new_broker(folder: Path, **more: object) -> KafkaBroker:
    """A broker of a scenario's own, not started yet: for scenarios that hurt it. Use it as a context."""
    spec = BrokerSpec(folder, user_cache(), quick=True, properties=CHAOS_PROPERTIES, **more)  # type: ignore[arg-type]  # fields by name
    return KafkaBroker(spec)


def shared_broker() -> KafkaBroker:
    """The running broker of all scenarios that do not hurt it, started at the first call."""
    global _shared
    with _lock:
        if _shared is None:
            broker = new_broker(BROKER)
            broker.start()
            _shared = broker
        return _shared


def stop_shared() -> None:
    """Stops it, where it was started, and removes its data."""
    global _shared
    if _shared is not None:
        _shared.stop()
        shutil.rmtree(BROKER, ignore_errors=True)
        _shared = None
