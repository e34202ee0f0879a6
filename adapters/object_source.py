"""Objects of a store (S3 and the like, or any file system that fsspec knows) as a source of documents."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, Final

from adapters.errors import MissingExtraError, UnavailableError
from adapters.folder_source import DEFAULT_PATTERNS, FileGoneError, Refused, media_type_of

__all__ = ["FoundObject", "ObjectSource"]

_MOST_OBJECTS: Final = 1_000_000
# What a store tells of an object's content, the best first: two contents with one ETag have the same bytes.
_MARKS: Final = ("ETag", "etag", "md5", "contentHash", "generation")
_TIMES: Final = ("LastModified", "last_modified", "mtime", "updated", "created")


@dataclass(frozen=True)
class FoundObject:
    """An object that may be published; `state` changes whenever its content does."""

    document: str
    path: str
    uri: str
    size: int
    state: str

    @property
    def media_type(self) -> str:
        return media_type_of(self.document)


class ObjectSource:
    """The objects below a URL that match a pattern, by their names relative to it.

    >>> source = ObjectSource("memory://docs", max_bytes=1_000)
    >>> source.root
    'memory://docs'

    A listing that fails raises UnavailableError. One that is empty says nothing where `trusts_empty` is False (the
    default): a bucket whose listing was cut off or whose rights were lost must not look like one that was emptied.
    Credentials come from the environment, as the store's own fsspec package reads them; never from the URL.
    """

    def __init__(
        self,
        url: str,
        max_bytes: int,
        patterns: tuple[str, ...] = DEFAULT_PATTERNS,
        every_s: float = 60.0,
        trusts_empty: bool = False,
    ) -> None:
        self.root = url.rstrip("/")
        self.trusts_empty = trusts_empty
        self._max_bytes = max_bytes
        self._patterns = patterns
        self._every_s = every_s
        self._files, self._base = _opened(self.root)

    def scan(self, below: str = "") -> Iterator[FoundObject | Refused]:
        """Everything there is, in the order of the names; of one name, that object or what lies below it."""
        for path, info in sorted(self._listed().items()):
            name = path[len(self._base) :].lstrip("/")
            if below and name != below and not name.startswith(f"{below}/"):
                continue
            if info.get("type") == "file" and self._wanted(name):
                yield self._judged(name, path, info)

    def read(self, found: FoundObject) -> bytes:
        """The bytes of an object. Raises FileGoneError where it is not there any more, UnavailableError."""
        try:
            with self._files.open(found.path, "rb") as file:
                body: bytes = file.read(self._max_bytes + 1)
        except FileNotFoundError as error:
            raise FileGoneError(f"reading {found.document!r}: it is gone") from error
        except Exception as error:
            raise UnavailableError(f"reading {found.uri!r}: {type(error).__name__}: {error}") from error
        if len(body) > self._max_bytes:
            raise FileGoneError(f"reading {found.document!r}: it grew above {self._max_bytes} bytes meanwhile")
        return body

    def follow(self, stop: threading.Event, settle_ms: int) -> Iterator[set[str]]:  # noqa: ARG002  # one shape with folders
        """{""} every so often: a store does not tell, it must be asked."""
        while not stop.wait(self._every_s):
            yield {""}

    def _listed(self) -> dict[str, Mapping[str, Any]]:
        try:
            self._files.invalidate_cache()
            found: dict[str, Mapping[str, Any]] = self._files.find(self._base, detail=True)
        except Exception as error:
            raise UnavailableError(f"listing {self.root!r}: {type(error).__name__}: {error}") from error
        if len(found) > _MOST_OBJECTS:
            raise UnavailableError(f"listing {self.root!r}: wanted at most {_MOST_OBJECTS:,} objects, got {len(found)}")
        return found

    def _wanted(self, name: str) -> bool:
        hidden = any(part.startswith(".") for part in name.split("/"))
        return not hidden and any(fnmatch(name.lower(), pattern) for pattern in self._patterns)

    def _judged(self, name: str, path: str, info: Mapping[str, Any]) -> FoundObject | Refused:
        size = int(info.get("size") or 0)
        if size > self._max_bytes:
            reason = f"wanted at most {self._max_bytes} bytes, got {size}; split it, or raise watch.max_file_bytes"
            return Refused(name, reason, size)
        if not name.isprintable():
            return Refused(name, "wanted a name that can be printed; rename the object", size)
        return FoundObject(name, path, f"{self.root}/{name}", size, _state(info, size))


def _opened(url: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError("fsspec", "parse") from error
    try:
        files, base = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise UnavailableError(f"wanted a package for {url.partition(':')[0]!r} stores: {error}") from error
    except ValueError as error:
        raise UnavailableError(f"wanted a URL of a store that fsspec knows, got {url!r}: {error}") from error
    return files, str(base).rstrip("/")


def _state(info: Mapping[str, Any], size: int) -> str:
    """The size, and the best mark that the store gives: a hash of the content before a time."""
    mark = next((str(info[name]) for name in (*_MARKS, *_TIMES) if info.get(name)), "")
    return f"{size}:{mark}"
