"""How a command ends: its exit code and, on stderr, why."""

from __future__ import annotations

import sys
from typing import Final

import typer

__all__ = ["DONE", "FAILED", "GATE", "INTERRUPTED", "UNAVAILABLE", "USAGE", "code_of", "say", "usage"]

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
GATE: Final = 3
UNAVAILABLE: Final = 4
# What a shell expects of a command that Ctrl-C ended.
INTERRUPTED: Final = 130


def usage(message: str) -> typer.BadParameter:
    """The error of arguments that can't be used: raise it, and the command ends with 2 and its message.

    >>> usage("wanted a folder").exit_code
    2
    """
    return typer.BadParameter(message)


def say(message: str) -> None:
    """A line for people: on stderr, since stdout is for data."""
    print(message, file=sys.stderr, flush=True)


def code_of(error: Exception) -> int | None:
    """The exit code of an error that the platform knows; None for one that is a fault of the program.

    >>> from headwater.errors import GatewayUnavailableError
    >>> code_of(GatewayUnavailableError("away"))
    4
    """
    own = getattr(error, "exit_code", None)
    if isinstance(own, int):
        return own
    # The rooms take their time to import, which no command should pay for that does not fail.
    from adapters.errors import AdapterError, UnavailableError
    from headwater.errors import AnswerExpiredError, ClientError, GatewayUnavailableError
    from schemas.codec import SchemaError
    from streams.errors import ClusterUnavailableError, StreamsError, TopicMissingError
    from streams.settings import SettingsError

    away = (UnavailableError, GatewayUnavailableError, AnswerExpiredError, ClusterUnavailableError, TopicMissingError)
    if isinstance(error, away):
        return UNAVAILABLE
    if isinstance(error, SettingsError):
        return USAGE
    if isinstance(error, StreamsError | AdapterError | SchemaError | ClientError | OSError):
        return FAILED
    return None
