"""Bodies too large for the log, in a folder of this machine, each under the SHA-256 of its bytes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

from adapters.errors import ClaimMissingError, UnavailableError

__all__ = ["FolderClaims"]

_SCHEME: Final = "claim:sha256/"


class FolderClaims:
    """The Claims port over a folder that producers and processors share. Use it for the local stack.

    >>> claims = FolderClaims(Path(".headwater/claims"))                    # doctest: +SKIP
    >>> claims.put(b"body")                                                 # doctest: +SKIP
    'claim:sha256/230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5'

    A URI names no path, so what an event says can't reach outside the folder. The same bytes are kept once.
    Raises ClaimMissingError, and UnavailableError where the folder can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, body: bytes) -> str:
        """Keeps the bytes and returns their URI; whole or not at all, whatever happens meanwhile."""
        name = hashlib.sha256(body).hexdigest()
        try:
            self._write(self._path(name), body)
        except OSError as error:
            raise UnavailableError(
                f"wanted to keep a body of {len(body)} bytes in {str(self._folder)!r}, got {error}; make room"
            ) from error
        return _SCHEME + name

    def get(self, uri: str, sha256: str) -> bytes:
        """The bytes under a URI, proven by their hash."""
        if uri != _SCHEME + sha256 or not _is_hash(sha256):
            raise ClaimMissingError(f"wanted a claim of the form {_SCHEME}HASH with its own hash, got {uri!r}")
        try:
            body = self._path(sha256).read_bytes()
        except FileNotFoundError as error:
            raise ClaimMissingError(
                f"wanted the body {uri!r} in {str(self._folder)!r}, found none; publish the document again"
            ) from error
        except OSError as error:
            raise UnavailableError(f"wanted to read {uri!r} in {str(self._folder)!r}, got {error}") from error
        if hashlib.sha256(body).hexdigest() != sha256:
            raise ClaimMissingError(f"wanted the body {uri!r}, found other bytes; publish the document again")
        return body

    def holds(self, uri: str) -> bool:
        """Whether a body is there. A URI that is none of ours names nothing."""
        name = uri.removeprefix(_SCHEME)
        try:
            return uri.startswith(_SCHEME) and _is_hash(name) and self._path(name).exists()
        except OSError as error:
            raise UnavailableError(f"wanted to look for {uri!r} in {str(self._folder)!r}, got {error}") from error

    def drop(self, uri: str) -> None:
        """Removes a body for good; one that is not there is no error."""
        if not self.holds(uri):
            return
        try:
            self._path(uri.removeprefix(_SCHEME)).unlink(missing_ok=True)
        except OSError as error:
            raise UnavailableError(f"wanted to remove {uri!r} from {str(self._folder)!r}, got {error}") from error

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name

    def _write(self, path: Path, body: bytes) -> None:
        if path.exists() and path.stat().st_size == len(body):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        fresh = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(body)
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise


def _is_hash(name: str) -> bool:
    return len(name) == hashlib.sha256().digest_size * 2 and not set(name) - set("0123456789abcdef")
