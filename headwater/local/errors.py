"""What can go wrong while the local stack is started, watched or stopped.

LocalStackError                 base: one thing was wrong, said with what to do about it
├── JavaMissingError            no Java 17 or newer, and the `local` extra is not installed
├── DownloadError               a pinned jar could not be fetched, or is not the one that was pinned
├── ServerMissingError          a program of someone else's (PostgreSQL) is not installed here
├── PortTakenError              a port that was asked for is in use
├── DiskFullError               too little space where the stack keeps its data
├── FolderInUseError            another process holds the folder: a second stack, or a broker left behind
├── ChildDiedError              a part of the stack ended by itself
├── NotReadyError               a part runs, but did not become usable in time
└── RegistryError               the registry refuses, with Confluent's code   (schema_table.py)
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "ChildDiedError",
    "DiskFullError",
    "DownloadError",
    "FolderInUseError",
    "JavaMissingError",
    "LocalStackError",
    "NotReadyError",
    "PortTakenError",
    "ServerMissingError",
]


class LocalStackError(Exception):
    """Base of everything the local stack raises; `exit_code` is what a command returns for it."""

    exit_code: ClassVar[int] = 1


class JavaMissingError(LocalStackError):
    """No usable Java runtime was found."""

    exit_code = 4


class DownloadError(LocalStackError):
    """A pinned artifact could not be had as it was pinned."""

    exit_code = 4


class ServerMissingError(LocalStackError):
    """A server that this machine has to bring by itself is not installed."""

    exit_code = 4


class PortTakenError(LocalStackError):
    """A port that was asked for by number is taken."""


class DiskFullError(LocalStackError):
    """The stack's folder has no space left."""


class FolderInUseError(LocalStackError):
    """Another process holds the folder."""


class ChildDiedError(LocalStackError):
    """A child process ended although nobody stopped it."""


class NotReadyError(LocalStackError):
    """A child process did not become usable before its deadline."""

    exit_code = 4
