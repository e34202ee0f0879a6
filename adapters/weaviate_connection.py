"""The connection to a Weaviate server: opened once, with a deadline on everything, and failures in our words.

The client's own retries are taken out: on a lost connection it would sleep for up to a minute inside a call. One
patient second try takes their place, which bridges a restart of the connection, not one of the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from adapters.errors import AdapterError, IndexUnavailableError

if TYPE_CHECKING:
    from weaviate import WeaviateClient

__all__ = ["LOWEST_WEAVIATE", "IndexSchemaError", "WeaviateOptions", "opened", "speaking"]

# Older servers can store objects in part by a read repair (fixed in 1.37.14, 1.38.7 and 1.39.0).
LOWEST_WEAVIATE: Final = (1, 38, 8)

_RETRIED: Final = ("Search", "BatchObjects", "BatchDelete", "TenantsGet", "Aggregate")
_PATIENCE_S: Final = 2.0
# gRPC's own pauses between attempts to connect grow to two minutes otherwise: a server that is back would not be seen.
_CHANNEL: Final = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]
# What Weaviate says when it refuses writes.
_FULL: Final = ("read-only", "readonly", "no space left", "memory pressure", "not enough memory", "disk usage")


class IndexSchemaError(AdapterError):
    """The server or the collection is not one that this deployment may use; waiting does not help."""


@dataclass(frozen=True)
class WeaviateOptions:
    """Where the server is and how long it may take, seconds. `api_key` is a secret; empty means anonymous."""

    url: str = "http://127.0.0.1:8080"
    grpc_port: int = 50051
    api_key: str = field(default="", repr=False)
    init_s: float = 5.0
    query_s: float = 10.0
    insert_s: float = 60.0


def opened(options: WeaviateOptions) -> WeaviateClient:
    """A connected client of a server that is new enough.

    Raises IndexUnavailableError where it can't be reached, IndexSchemaError where it is too old.
    """
    import weaviate
    from weaviate.classes.init import AdditionalConfig, Auth, Timeout
    from weaviate.config import GrpcConfig

    host, port, secure = _address(options.url)
    with speaking("connecting", options):
        client = weaviate.connect_to_custom(
            http_host=host, http_port=port, http_secure=secure,
            grpc_host=host, grpc_port=options.grpc_port, grpc_secure=secure,
            auth_credentials=Auth.api_key(options.api_key) if options.api_key else None,
            # Its own checks ask a package registry for news.
            skip_init_checks=True,
            additional_config=AdditionalConfig(
                timeout=Timeout(init=options.init_s, query=options.query_s, insert=options.insert_s),
                grpc_config=GrpcConfig(channel_options=_CHANNEL),
            ),
        )  # fmt: skip
        try:
            _require_new(str(client.get_meta()["version"]))
        except BaseException:
            client.close()
            raise
    connection: Any = client._connection
    connection._grpc_stub = _Patient(connection._grpc_stub)
    return client


@contextmanager
def speaking(doing: str, options: WeaviateOptions) -> Iterator[None]:
    """Turns what the client raises into IndexUnavailableError, with what to do about it."""
    import grpc
    import httpx
    from weaviate.exceptions import WeaviateBaseError, WeaviateInvalidInputError

    try:
        yield
    except WeaviateInvalidInputError:
        raise
    except (WeaviateBaseError, httpx.HTTPError, grpc.RpcError, OSError) as error:
        raise unavailable(doing, str(error) or type(error).__name__, options) from error


def unavailable(doing: str, said: str, options: WeaviateOptions) -> IndexUnavailableError:
    """The error for what a server said."""
    short = " ".join(said.split())[:400]
    return IndexUnavailableError(f"{doing} in Weaviate at {options.url}: {short}; {_remedy(short.lower())}")


def _remedy(said: str) -> str:
    if any(words in said for words in _FULL):
        return (
            "it refuses writes: give it disk or memory (DISK_USE_READONLY_PERCENTAGE, MEMORY_READONLY_PERCENTAGE), "
            "then set its shards to READY again; work goes on by itself"
        )
    if any(words in said for words in ("401", "403", "unauthorized", "forbidden", "permission", "unauthenticated")):
        return "give a key that may read and write there (index.api_key)"
    return "start it, or set index.url and index.grpc_port to where it is; work goes on by itself once it answers"


def _address(url: str) -> tuple[str, int, bool]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise IndexSchemaError(f"wanted an address like http://127.0.0.1:8080 in index.url, got {url!r}; correct it")
    secure = parts.scheme == "https"
    return parts.hostname, parts.port or (443 if secure else 80), secure


def _require_new(version: str) -> None:
    numbers = tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.split("-")[0].split("."))[:3]
    if numbers < LOWEST_WEAVIATE:
        lowest = ".".join(map(str, LOWEST_WEAVIATE))
        raise IndexSchemaError(
            f"wanted Weaviate {lowest} or newer, got {version}: older ones can store objects in part; upgrade it"
        )


class _Patient:
    """A stub whose calls fail for good after one second try, in an error that the client does not retry."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._stub, name)
        return _patient(call) if name in _RETRIED else call


def _patient(call: Callable[..., Any]) -> Callable[..., Any]:
    import grpc

    def once_more(request: Any, *, timeout: float, metadata: Any = None) -> Any:
        try:
            return call(request, metadata=metadata, timeout=timeout)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        try:
            return call(request, metadata=metadata, timeout=min(timeout, _PATIENCE_S), wait_for_ready=True)
        except grpc.RpcError as error:
            raise _LostError(str(error.details())) from error

    return once_more


class _LostError(OSError):
    """The connection is lost: an error that the client lets through."""
