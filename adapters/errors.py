"""What can go wrong outside, in our words.

AdapterError
├── UnavailableError          try later: the dependency is down or says "slower"
│   ├── IndexUnavailableError
│   ├── GeneratorUnavailableError
│   ├── RegistryUnavailableError
│   ├── ConnectUnavailableError
│   ├── ParserUnavailableError   no process that reads documents can be started
│   ├── HeadsClosedError      the view of heads is being rebuilt
│   ├── HeadsUnavailableError the store that holds the view of heads does not answer
│   ├── CacheUnavailableError the store that holds the kept answers does not answer
│   ├── SessionsUnavailableError the store that holds the sessions does not answer
│   └── GenerationClosedError the index generation that serves is not open here yet
├── ConnectRefusedError       Kafka Connect says no, or a connector failed
├── ClaimMissingError         a claim-checked body is not where its event says
└── MissingExtraError         a package of an extra is not installed
"""

from __future__ import annotations


class AdapterError(Exception):
    """Base of what this room raises."""


class UnavailableError(AdapterError):
    """A dependency is down or slow; the engine pauses the hop and tries again."""


class IndexUnavailableError(UnavailableError):
    """The index can't be reached, or can't write (read-only, disk full)."""


class GeneratorUnavailableError(UnavailableError):
    """The model server gave no first piece."""


class RegistryUnavailableError(UnavailableError):
    """The schema registry can't be reached."""


class ConnectUnavailableError(UnavailableError):
    """Kafka Connect's REST interface can't be reached."""


class ParserUnavailableError(UnavailableError):
    """No process that reads documents could be started, or none got free in time."""


class HeadsClosedError(UnavailableError):
    """The view of heads has not caught up with the log; it answers nothing until then."""


class HeadsUnavailableError(UnavailableError):
    """The store of the view of heads can't be reached, or refuses; nothing is known then."""


class CacheUnavailableError(UnavailableError):
    """The store of kept answers can't be reached; raised only where it matters what it holds."""


class SessionsUnavailableError(UnavailableError):
    """The store of sessions can't be reached; what was to be written down there is written later."""


class ConnectRefusedError(AdapterError):
    """Kafka Connect refused a request, or a connector did not come to the state it should; its words are told."""


class GenerationClosedError(UnavailableError):
    """The index generation that serves is not open in this process yet."""


class ClaimMissingError(AdapterError):
    """A claim-checked body is missing, or is not what its hash says."""


class MissingExtraError(AdapterError):
    """A package is missing; the message holds the install line."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"wanted the package {package!r}, which is not installed; run: uv pip install 'headwater[{extra}]'"
        )
