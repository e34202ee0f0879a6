"""Fatal errors of a client, told as what they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException

__all__ = ["unmasked"]


@contextmanager
def unmasked() -> Iterator[None]:
    """Raises the KafkaException that hides behind a SystemError. Use it around calls of a client that also logs.

    The client raises a fatal error (a producer that was fenced) from within its callbacks. Where a line of its log
    follows in the same call, Python finds an exception set and says SystemError, with what was meant as its cause.
    """
    try:
        yield
    except SystemError as mask:
        if isinstance(mask.__cause__, KafkaException):
            raise mask.__cause__ from None
        raise
