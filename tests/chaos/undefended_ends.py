"""T12's control: an engine that never hears of lost connections, so that it never has a reason to recycle.

A commit whose first request was lost on the way is repeated by the client library and reported as a success: without
the library's own log lines (`streams/hearing.py`) there is nothing that an engine could notice.
"""

from __future__ import annotations

from typing import Any, Final

import confluent_kafka

from tests.chaos.recording import RecordedProducer

_EARS: Final = ("error_cb", "stats_cb", "logger", "debug")


class DeafProducer(RecordedProducer):
    """A producer that tells nobody what went wrong beneath it."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__({name: value for name, value in config.items() if name not in _EARS})


def without_recycling() -> None:
    """Takes the recycling away; what an engine does about errors that its calls return stays as it is."""
    confluent_kafka.Producer = DeafProducer
