"""Log lines of a command: on stderr, for people on a terminal and as JSON anywhere else."""

from __future__ import annotations

import logging
import sys
from typing import Any

__all__ = ["configure"]


def configure(level: int = logging.INFO, quiet_kafka: bool = False) -> None:
    """Send log lines to stderr. Use it once, at the start of a command that goes on for a while.

    `quiet_kafka` leaves out librdkafka's own lines: a command that says itself that Kafka is away needs no more.
    """
    import structlog

    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    terminal = sys.stderr.isatty()
    last = structlog.dev.ConsoleRenderer(colors=terminal) if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            last,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Both say each request; the commands say what matters themselves.
    for name in ("httpx", "httpx2", "httpcore", "watchfiles"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if quiet_kafka:
        logging.getLogger("headwater.kafka").setLevel(logging.CRITICAL + 1)
