"""An environment for each peer, outside the checkout, named by the contents of its pinned requirements."""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from streams.settings import user_cache

PEERS: Final = Path(__file__).with_name("peers")
INSTALL_S: Final = 300.0


class PeerMissingError(Exception):
    """A peer's environment can't be made here; the message says what the installer said."""


def python_of(peer: str, peers: Path = PEERS, home: Path | None = None) -> Path:
    """The interpreter of a peer's own environment, made on first use; `home` holds it. Raises PeerMissingError."""
    pinned = peers / f"{peer}.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    mark = hashlib.sha256(pinned.read_bytes() + version.encode()).hexdigest()[:12]
    folder = (home or user_cache() / "bench") / f"{peer}-{mark}"
    ready = folder / "ready"
    if not ready.exists():
        uv = shutil.which("uv")
        if uv is None:
            raise PeerMissingError("wanted uv to make the environments of the peers, found none; install uv")
        print(f"making the environment of {peer}", file=sys.stderr, flush=True)
        _run(uv, "venv", "--quiet", "--clear", "--python", version, str(folder))
        _run(uv, "pip", "install", "--quiet", "--python", str(folder), "-r", str(pinned))
        ready.touch()
    return folder / "bin" / "python"


def versions(peer: str) -> dict[str, str]:
    """The pinned version of each package that says how a peer works: itself and its Kafka client."""
    text = (PEERS / f"{peer}.txt").read_text(encoding="utf-8")
    told = ("quixstreams", "faust-streaming", "aiokafka", "bytewax", "confluent-kafka", "uvloop")
    return {name: version for name, version in re.findall(r"^([\w-]+)==(\S+)$", text, re.MULTILINE) if name in told}


def machine() -> dict[str, str | int]:
    """This machine in words that name no place."""
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(encoding="utf-8"))
    cpus = re.findall(r"model name\s+: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return {
        "cores": len(cpus),
        "processor": cpus[0] if cpus else platform.machine(),
        "memory_gb": round(int(memory.group(1)) / 1024**2) if memory else 0,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    if done.returncode != 0:
        raise PeerMissingError(f"{Path(command[0]).name} {command[1]} failed: {done.stderr[-800:]}")
