"""A disk of a few megabytes that can be filled up and freed: a tmpfs, which takes the right to mount."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# linux/capability.h
_CAP_SYS_ADMIN: Final = 21
_CHUNK: Final = b"\0" * 65_536


class MountRefusedError(Exception):
    """The machine lets nobody mount a tmpfs here."""


def may_mount() -> bool:
    """Whether this process has the right to mount; it may still be refused."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> _CAP_SYS_ADMIN & 1)


class SmallDisk:
    """A mounted disk, with all that is left of it in one file when it is full."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Takes what is left, to the last byte."""
        with self._ballast.open("ab", buffering=0) as file:
            for chunk in (_CHUNK, b"\0"):
                _write_all(file.fileno(), chunk)

    def free(self) -> None:
        """Gives it back."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mounts a disk at a folder that is made for it. Raises MountRefusedError."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        raise MountRefusedError(f"mounting a tmpfs of {megabytes} MB: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily, since a broker that was just killed may still let go of its files.
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _write_all(file: int, chunk: bytes) -> None:
    try:
        while True:
            os.write(file, chunk)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
