"""A folder as a source of documents: what lies in it, what of it is refused and why, and what changes."""

from __future__ import annotations

import mimetypes
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Final

from adapters.errors import AdapterError
from processors.ingest.media import ENDINGS, named_media_type

__all__ = [
    "DEFAULT_PATTERNS",
    "FileGoneError",
    "FolderMissingError",
    "FolderSource",
    "Found",
    "Refused",
    "media_type_of",
]

DEFAULT_PATTERNS: Final = tuple(f"*{ending}" for ending in ENDINGS)
"""What the parse step reads; anything else in a folder is rarely meant to be a document."""

# Written by editors and downloads beside the real file, and gone a moment later.
_PASSING: Final = ("~", ".swp", ".tmp", ".part", ".crdownload")

# A change that was missed (a full queue of the system, a network drive) is found after so many quiet seconds.
_RESCAN_S: Final = 30
_SECOND_MS: Final = 1_000


class FileGoneError(AdapterError):
    """A file was deleted, or became unreadable, before it was read to its end."""


class FolderMissingError(AdapterError):
    """What should be watched is no folder."""


@dataclass(frozen=True)
class Found:
    """A file that may be published; `state` changes whenever its content does."""

    document: str
    path: Path
    size: int
    state: tuple[int, int]

    @property
    def media_type(self) -> str:
        return media_type_of(self.document)

    @property
    def uri(self) -> str:
        return self.path.as_uri()


@dataclass(frozen=True)
class Refused:
    """A file that is not published, and why."""

    document: str
    reason: str
    size: int = 0
    state: tuple[int, int] = (0, 0)

    @property
    def media_type(self) -> str:
        return media_type_of(self.document)


def media_type_of(name: str) -> str:
    """What a file is, by the ending of its name: what is inside is for the parse step to find out.

    >>> media_type_of("guide/lease.md"), media_type_of("x.unknown")
    ('text/markdown', 'application/octet-stream')
    """
    return named_media_type(name) or mimetypes.guess_type(name)[0] or "application/octet-stream"


class FolderSource:
    """The files below a folder that match a pattern, by their paths relative to it.

    >>> source = FolderSource(Path("docs"), max_file_bytes=1_000_000)  # doctest: +SKIP
    >>> [file.document for file in source.scan()]  # doctest: +SKIP
    ['guide/lease.md', 'index.html']

    Hidden files and folders are left out. A link is followed to a file within the folder, and refused where it leaves.
    Raises FolderMissingError.
    """

    def __init__(self, folder: Path, max_file_bytes: int, patterns: tuple[str, ...] = DEFAULT_PATTERNS) -> None:
        if not folder.is_dir():
            raise FolderMissingError(f"wanted a folder to watch, got {str(folder)!r}; give one that exists")
        self.root = folder.resolve()
        self.trusts_empty = True
        self._max_file_bytes = max_file_bytes
        self._patterns = patterns

    def scan(self, below: str = "") -> Iterator[Found | Refused]:
        """Everything there is, or what is at or below one relative path, in the order of the names."""
        start = self.root / below
        if below and not start.is_dir():
            yield from self._look(start)
            return
        for folder, folders, files in os.walk(start):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            links = [name for name in folders if (Path(folder) / name).is_symlink()]
            for name in sorted([*files, *links]):
                yield from self._look(Path(folder) / name)

    def read(self, found: Found) -> bytes:
        """The bytes of a file. Raises FileGoneError where it is not there any more, or grew above the limit."""
        try:
            with found.path.open("rb") as file:
                body = file.read(self._max_file_bytes + 1)
        except OSError as error:
            raise FileGoneError(f"reading {found.document!r}: {error.strerror}") from error
        if len(body) > self._max_file_bytes:
            raise FileGoneError(f"reading {found.document!r}: it grew above {self._max_file_bytes} bytes meanwhile")
        return body

    def follow(self, stop: threading.Event, settle_ms: int) -> Iterator[set[str]]:
        """Relative paths at which something happened, once it has been quiet for `settle_ms`; {""} means: look at all.

        What is yielded may be a file, a folder or nothing any more: `scan` says what is there now.
        """
        from watchfiles import watch

        changes = watch(
            self.root,
            watch_filter=lambda _, path: self._concerns(Path(path)),
            step=settle_ms,
            debounce=max(settle_ms * 10, 500),
            stop_event=stop,
            rust_timeout=_SECOND_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
        )
        quiet = _RESCAN_S
        for batch in changes:
            paths = [Path(path) for _, path in batch]
            if paths:
                # What came into a new folder before it was watched was not told: look again soon.
                quiet = _RESCAN_S if any(path.is_dir() for path in paths) else quiet
                yield {self._name(path) for path in paths}
            else:
                yield {""} if quiet >= _RESCAN_S else set()
                quiet = 0 if quiet >= _RESCAN_S else quiet + 1

    def _concerns(self, path: Path) -> bool:
        """Whether a change at a path can matter: it can where it is, or was, a folder or a file of ours."""
        relative = path.relative_to(self.root) if path.is_relative_to(self.root) else PurePosixPath(path.name)
        if any(part.startswith(".") for part in relative.parts):
            return False
        return self._wanted(path.name) or not path.suffix or path.is_dir()

    def _wanted(self, name: str) -> bool:
        if name.startswith(".") or name.endswith(_PASSING):
            return False
        return any(fnmatch(name.lower(), pattern) for pattern in self._patterns)

    def _name(self, path: Path) -> str:
        name = path.relative_to(self.root).as_posix()
        return "" if name == "." else name

    def _look(self, path: Path) -> Iterator[Found | Refused]:
        if not self._wanted(path.name) and not (path.is_symlink() and path.is_dir()):
            return
        name = self._name(path)
        document = os.fsencode(name).decode(errors="replace")
        try:
            target, found = path.resolve(strict=True), path.stat()
        except (FileNotFoundError, RuntimeError):
            return
        except OSError as error:
            yield Refused(document, f"wanted a file that can be read: {error.strerror}")
            return
        if not target.is_relative_to(self.root):
            yield Refused(document, f"a link that leaves the folder, to {target}; copy the file into the folder")
        elif not stat.S_ISREG(found.st_mode):
            return
        else:
            yield self._judged(document, name, path, found)

    def _judged(self, document: str, name: str, path: Path, found: os.stat_result) -> Found | Refused:
        state = (found.st_size, found.st_mtime_ns)
        if document != name:
            return Refused(document, "wanted a file name in UTF-8; rename it", found.st_size, state)
        if found.st_size > self._max_file_bytes:
            size = f"wanted at most {self._max_file_bytes} bytes, got {found.st_size}"
            return Refused(document, f"{size}; split it, or raise watch.max_file_bytes", found.st_size, state)
        if not os.access(path, os.R_OK):
            return Refused(document, "wanted a file that may be read; change its permissions", found.st_size, state)
        return Found(document, path, found.st_size, state)
