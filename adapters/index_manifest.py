"""What an index was made by, written beside it: a process with other settings must not write into it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

from adapters.errors import AdapterError
from adapters.local_index import locked
from processors.ingest.generations import Identity, differences

__all__ = ["IndexMismatchError", "check_manifest", "remove_index"]

_NAME = "manifest.json"


class IndexMismatchError(AdapterError):
    """An index was made by another model, dimension or chunking than the settings say."""


def check_manifest(folder: Path, wanted: Identity) -> Identity:
    """Compares what the index of a folder was made by with what it is to be used with, and writes down what is new.

        >>> check_manifest(Path(".headwater/index/g1"), Identity("hashing-384", 384))  # doctest: +SKIP
        Identity(model='hashing-384', dimension=384, fingerprint='')

    Use it before the index is opened. Raises IndexMismatchError.
    """
    path = folder / _NAME
    recorded = _read(path)
    if found := differences(recorded, wanted):
        raise IndexMismatchError(
            f"the index in {str(folder)!r} was made with {'; '.join(found)}: put these settings back, or make the "
            "change as a generation of its own (headwater index build NAME) and promote that"
        )
    known = Identity(
        recorded.model or wanted.model,
        recorded.dimension or wanted.dimension,
        recorded.fingerprint or wanted.fingerprint,
    )
    if known != recorded:
        folder.mkdir(parents=True, exist_ok=True)
        # Several steps of one process may come here at once: each renames a file of its own.
        draft = path.with_name(f"{_NAME}.{os.getpid()}")
        draft.write_text(json.dumps(asdict(known), indent=2) + "\n", encoding="utf-8")
        draft.replace(path)
    return known


def remove_index(folder: Path) -> bool:
    """Deletes the index of a folder; says whether there was one. Raises IndexFolderError while a process holds it."""
    if not folder.exists():
        return False
    handle = locked(folder)
    try:
        shutil.rmtree(folder)
    finally:
        os.close(handle)
    return True


def _read(path: Path) -> Identity:
    if not path.exists():
        return Identity()
    try:
        return Identity(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise IndexMismatchError(
            f"wanted a manifest in {str(path)!r}, got something else ({error}); remove the folder "
            f"{str(path.parent)!r}: the index is rebuilt from the Kafka log"
        ) from error
