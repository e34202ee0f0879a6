"""Hearing of lost connections: the client library's own lines are the only ones that tell of the coordinator's.

librdkafka calls `error_cb` for no connection to a transaction coordinator: it repeats EndTxn on a new one by itself and
reports success. A line that says "FAIL" comes for each, but only with `debug=broker`; by default repeats are muted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

__all__ = ["ConnectionListener"]

_LOST: Final = "FAIL "


class ConnectionListener:
    """A logger for a client: calls `lost` for each lost connection, hands on what people should read.

        >>> heard = []
        >>> ConnectionListener(heard.append, logging.getLogger("quiet")).log(20, "%s", "FAIL [rdkafka#producer-1] gone")
        >>> heard
        ['FAIL [rdkafka#producer-1] gone']

    Lines are served by the client's `poll`. Below a warning nothing is handed on: it is there to be heard by `lost`.
    """

    def __init__(self, lost: Callable[[str], None], logger: logging.Logger) -> None:
        self._lost = lost
        self._logger = logger

    def log(self, level: int, message: str, *arguments: Any) -> None:
        line = message % arguments
        if line.startswith(_LOST):
            self._lost(line)
        if level >= logging.WARNING:
            self._logger.log(level, message, *arguments)
