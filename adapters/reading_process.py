"""The inside of a process that reads documents: one request after the other, within its limits, until nobody asks."""

from __future__ import annotations

import contextlib
import importlib
import resource
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import msgspec

from adapters.charsets import detected_charset
from adapters.parsers import all_formats
from processors.contract import Reject
from processors.ingest.formats import Formats, Outline, ParseLimits
from processors.ingest.reading import read_document

__all__ = ["READY", "Answer", "Isolation", "Request", "Setup", "main"]

READY: Final = "ready"
"""What a process says once its readers are imported."""

# Imported before the limit of memory holds, and before the first document waits for it.
_READERS: Final = ("charset_normalizer", "pypdfium2", "pdfplumber", "trafilatura", "mammoth", "docx")
_MEGABYTE: Final = 1024 * 1024


@dataclass(frozen=True)
class Isolation:
    """What a process that reads documents may take: seconds and megabytes per document, documents per process."""

    timeout_s: float = 20.0
    memory_mb: int = 512
    processes: int = 2
    documents: int = 500

    @property
    def wanted(self) -> str:
        """What is wanted of a document, as reasons say it."""
        return f"wanted a document that can be read within {self.timeout_s:g} s and {self.memory_mb} MB"


@dataclass(frozen=True)
class Setup:
    """The first message to a process."""

    isolation: Isolation
    limits: ParseLimits


@dataclass(frozen=True)
class Request:
    """A document to read."""

    body: bytes
    media_type: str


@dataclass(frozen=True)
class Answer:
    """An outline, or the reason why there is none. A `spent` process is replaced."""

    outline: Outline | None
    reason: str = ""
    spent: bool = False


def main(descriptor: int) -> None:
    """Reads documents from a socket until it is closed. `IsolatedParser` starts it."""
    connection = Connection(descriptor)
    try:
        setup = msgspec.msgpack.decode(connection.recv_bytes(), type=Setup)
        formats = all_formats(setup.limits)
        for name in _READERS:
            # What is not installed is refused when it is needed, with the extra's name.
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        _bound_memory(setup.isolation.memory_mb)
        connection.send_bytes(READY.encode())
        while True:
            request = msgspec.msgpack.decode(connection.recv_bytes(), type=Request)
            _bound_time(setup.isolation.timeout_s)
            connection.send_bytes(msgspec.msgpack.encode(_answer(request, formats, setup)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        # Nobody asks any more.
        return


def _answer(request: Request, formats: Formats, setup: Setup) -> Answer:
    try:
        return Answer(read_document(request.body, request.media_type, formats, detected_charset, setup.limits))
    except Reject as reject:
        return Answer(None, str(reject))
    except MemoryError:
        reason = f"{setup.isolation.wanted}, got one that needs more memory (a decompression bomb?)"
        return Answer(None, f"{reason}; split it, or raise parse.memory_mb", spent=True)


def _bound_memory(megabytes: int) -> None:
    """Bounds what is allocated beyond the imports; no core file is written."""
    own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if _has_proc() else 0
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (own + megabytes * _MEGABYTE, most))


def _has_proc() -> bool:
    return Path("/proc/self/statm").exists()


def _bound_time(seconds: float) -> None:
    """A second bound, for when nobody is left who would kill this process: SIGXCPU ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    with contextlib.suppress(ValueError, OSError):
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + seconds) + 2, most))
