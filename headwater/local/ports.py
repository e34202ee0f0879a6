"""Free TCP ports on loopback, chosen so that they stay free until a child process binds them."""

from __future__ import annotations

import random
import socket
from typing import Final

from headwater.local.errors import PortTakenError

__all__ = ["HOST", "choose_port", "is_free", "is_open"]

HOST: Final = "127.0.0.1"

# Below the range from which Linux takes ports for outgoing connections (32768 and up), so that no client of anything
# can sit on a chosen port before our child does; above the ports that well-known services listen on.
_LOWEST: Final = 20_000
_HIGHEST: Final = 32_000
_TRIES: Final = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of loopback now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are still closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def is_open(port: int, timeout_s: float = 0.5) -> bool:
    """Whether something accepts connections on this port of loopback; it may still not be usable."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def choose_port(what: str, wanted: int = 0, remembered: int = 0) -> int:
    """A port for `what`: the one asked for, or the one used last time if it is still free, or any free one.

    Raises PortTakenError only for a port that was asked for: every other one has a substitute.
    """
    if wanted:
        if is_free(wanted):
            return wanted
        raise PortTakenError(
            f"{what} was to listen on port {wanted}, but another process does; "
            "stop that process, ask for another port, or for 0 to have a free one chosen"
        )
    if remembered and is_free(remembered):
        return remembered
    for _ in range(_TRIES):
        port = random.randint(_LOWEST, _HIGHEST)
        if is_free(port):
            return port
    raise PortTakenError(f"looking for a port for {what}: {_TRIES} between {_LOWEST} and {_HIGHEST} were all taken")
