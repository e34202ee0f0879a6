"""Avro by the registry's own schemas: for an application that has the topics but none of the platform's classes."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final
from urllib.parse import quote

import httpx

from headwater.errors import GatewayUnavailableError, MissingPackageError, ProtocolError

try:
    import fastavro
except ImportError as missing:  # pragma: no cover - the base install has it
    raise MissingPackageError(
        f"asking over Kafka needs {missing.name!r}, which is not installed; run: uv pip install headwater"
    ) from missing

__all__ = ["RegistrySchemas"]

TIMEOUT_S: Final = 5.0
_FRAME: Final = struct.Struct(">BI")


class RegistrySchemas:
    """Encodes with the newest schema of a subject, decodes with the writer's, both as the registry gives them.

    >>> schemas = RegistrySchemas("http://127.0.0.1:18081")  # doctest: +SKIP
    >>> schemas.encode("rag.query.asked.v1-value", "QueryAsked", {"tenant": "acme", "query": {...}})  # doctest: +SKIP
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(base_url=self._url, timeout=TIMEOUT_S)
        self._latest: dict[str, tuple[int, Any]] = {}
        self._writers: dict[int, Any] = {}
        self._lock = threading.Lock()

    def encode(self, subject: str, name: str, event: Mapping[str, Any]) -> bytes:
        """The bytes of a record; fields that are not given take the schema's defaults."""
        schema_id, schema = self._newest(subject)
        out = BytesIO()
        out.write(_FRAME.pack(0, schema_id))
        try:
            fastavro.schemaless_writer(out, schema, (_full_name(schema, name), dict(event)))
        except Exception as error:
            raise ProtocolError(
                f"wanted a {name} that fits subject {subject!r}, got {sorted(event)}: {error}"
            ) from error
        return out.getvalue()

    def decode(self, data: bytes) -> dict[str, Any]:
        """The record in a value with the Confluent framing. Raises ProtocolError for anything else."""
        if len(data) <= _FRAME.size or data[0] != 0:
            raise ProtocolError(f"wanted a record framed with 0x00 and a schema id, got {data[:8]!r}")
        source = BytesIO(data)
        schema_id = _FRAME.unpack(source.read(_FRAME.size))[1]
        try:
            found = fastavro.schemaless_reader(source, self._writer(schema_id), None)
        except GatewayUnavailableError:
            raise
        except Exception as error:
            raise ProtocolError(f"wanted a record of schema {schema_id}, got damaged bytes: {error!r}") from error
        if not isinstance(found, dict):
            raise ProtocolError(f"wanted a record of schema {schema_id}, got a {type(found).__name__}")
        return found

    def close(self) -> None:
        self._http.close()

    def _newest(self, subject: str) -> tuple[int, Any]:
        with self._lock:
            if subject not in self._latest:
                given = self._get(f"/subjects/{quote(subject, safe='')}/versions/latest")
                self._latest[subject] = (int(given["id"]), _parsed(given["schema"]))
            return self._latest[subject]

    def _writer(self, schema_id: int) -> Any:
        with self._lock:
            if schema_id not in self._writers:
                self._writers[schema_id] = _parsed(self._get(f"/schemas/ids/{schema_id}")["schema"])
            return self._writers[schema_id]

    def _get(self, path: str) -> Any:
        try:
            response = self._http.get(path)
        except httpx.HTTPError as error:
            raise GatewayUnavailableError(f"the schema registry at {self._url} can't be reached: {error}") from error
        if response.is_success:
            return response.json()
        raise GatewayUnavailableError(
            f"wanted {path} from the schema registry at {self._url}, got status {response.status_code}: "
            f"{response.text[:200]}; has `headwater topics ensure` been run?"
        )


def _parsed(text: str) -> Any:
    """Times stay microseconds, as the values of this client have them."""
    return fastavro.parse_schema(_without_logical_types(json.loads(text)))


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _without_logical_types(value) for key, value in schema.items() if key != "logicalType"}
    if isinstance(schema, list):
        return [_without_logical_types(part) for part in schema]
    return schema


def _full_name(schema: Any, name: str) -> str:
    for branch in schema if isinstance(schema, list) else [schema]:
        full = str(branch["name"]) if isinstance(branch, dict) else str(branch)
        if full.rsplit(".", 1)[-1] == name:
            return full
    raise ProtocolError(f"wanted a schema with a record {name!r}, the registry's has none")
