"""Why a broker did not start, in words that say what to do: from its last lines and from the lock it would take."""

from __future__ import annotations

import fcntl
import os
import re
import struct
from pathlib import Path

from headwater.local.errors import ChildDiedError, DiskFullError, FolderInUseError, LocalStackError, PortTakenError

__all__ = ["diagnosis", "lock_owner"]


def lock_owner(path: Path) -> int | None:
    """The process that holds Kafka's lock on a data folder; a lock file that nobody holds is only a file."""
    layout = "hhqqi"
    try:
        with path.open("rb+") as lock:
            question = struct.pack(layout, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            answer = struct.unpack(layout, fcntl.fcntl(lock, fcntl.F_GETLK, question))
    except FileNotFoundError:
        return None
    return None if answer[0] == fcntl.F_UNLCK else int(answer[4])


def diagnosis(log: str, folder: Path) -> LocalStackError | None:
    """The error behind a broker's last lines, where they name a cause that a person can remove."""
    last = "\n".join(log.splitlines()[-12:])
    if re.search(r"No space left on device|Disk quota exceeded", log):
        return DiskFullError(
            f"Kafka stopped because the disk under {str(folder)!r} is full; make room and start again:\n{last}"
        )
    if re.search(r"Address already in use|BindException", log):
        return PortTakenError(
            f"Kafka's port was taken by another process while it started; start again, or ask for other ports:\n{last}"
        )
    if "Failed to acquire lock on file .lock" in log:
        return FolderInUseError(f"another broker runs on {str(folder)!r}; stop it first:\n{last}")
    if re.search(r"UnsupportedClassVersionError|Unrecognized VM option|Unrecognized option", log):
        return ChildDiedError(f"the Java that was found can't run Kafka; ask for another one:\n{last}")
    return None
