"""Schema ids: from any registry that speaks Confluent's REST protocol, or from memory for tests and the demo driver."""

from __future__ import annotations

import json
import threading
import weakref
from typing import Any, Final

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from adapters.errors import RegistryUnavailableError
from schemas.codec import SchemaError, SchemaRefusedError, SchemaUnknownError

__all__ = ["ConfluentSchemaIds", "MemorySchemaIds"]

NOT_FOUND: Final = (40401, 40402, 40403)
"""No such subject, version, schema. A bare 404 is not among them: it comes from an address that is no registry."""

REFUSED: Final = (409, 422)
"""Incompatible with what the subject has; no valid schema."""

DEADLINE_S: Final = 5.0
"""One exchange on a local network takes milliseconds; a worker that waits longer should pause and say so."""


class ConfluentSchemaIds:
    """A schema registry over HTTP. Use it wherever there is a broker; one per process, shared by its threads.

    >>> ids = ConfluentSchemaIds("http://127.0.0.1:18081", auto_register=False)   # doctest: +SKIP
    >>> ids.id_of("rag.query.asked.v1-value", text)                               # doctest: +SKIP
    7

    What the registry said once is never asked again. Schemas are registered only with `auto_register`: in production
    the release registers them, and a service that would write an unknown one must fail.
    Raises SchemaUnknownError, SchemaRefusedError, RegistryUnavailableError.
    """

    def __init__(self, url: str, auto_register: bool = False, deadline_s: float = DEADLINE_S) -> None:
        self._url = _without_credentials(url)
        self._auto_register = auto_register
        # One retry only: the engine pauses and tries again, with its reason in sight.
        self._client = SchemaRegistryClient(
            {"url": url, "timeout": deadline_s, "max.retries": 1, "retries.wait.ms": 50, "retries.max.wait.ms": 200}
        )
        # Whoever forgets `close` leaks nothing: the connections go when this object does.
        self._closing = weakref.finalize(self, self._client.close)
        self._ids: dict[tuple[str, str], int] = {}
        self._schemas: dict[int, str] = {}

    def id_of(self, subject: str, schema: str) -> int:
        """The id of a schema under a subject."""
        known = self._ids.get((subject, schema))
        if known is not None:
            return known
        wanted = f"a schema under subject {subject!r}"
        try:
            schema_id = self._ask(subject, Schema(schema, "AVRO"))
        except Exception as error:
            raise self._translated(error, wanted) from error
        self._ids[subject, schema] = schema_id
        return schema_id

    def schema_of(self, schema_id: int) -> str:
        """The text of a schema."""
        known = self._schemas.get(schema_id)
        if known is not None:
            return known
        try:
            text = self._client.get_schema(schema_id).schema_str
        except Exception as error:
            raise self._translated(error, f"schema {schema_id}") from error
        self._schemas[schema_id] = str(text)
        return self._schemas[schema_id]

    def close(self) -> None:
        """Lets go of the connections now; afterwards only what is known already is answered."""
        self._closing()

    def _ask(self, subject: str, schema: Any) -> int:
        if self._auto_register:
            return int(self._client.register_schema(subject, schema))
        return int(self._client.lookup_schema(subject, schema).schema_id)

    def _translated(self, error: Exception, wanted: str) -> SchemaError | RegistryUnavailableError:
        """A foreign error in our words. Whatever is not a clear answer about a schema counts as an outage."""
        if not isinstance(error, SchemaRegistryError):
            return RegistryUnavailableError(f"wanted {wanted} from the registry at {self._url}, got: {error!r}")
        said = f"{error.http_status_code}: {error.error_message}"
        if error.error_code in NOT_FOUND:
            return SchemaUnknownError(
                f"wanted {wanted}, the registry at {self._url} has none ({said});"
                " register the release's schemas with `headwater topics ensure`, or check the registry's address"
            )
        if error.http_status_code in REFUSED:
            return SchemaRefusedError(f"wanted to register {wanted}, the registry at {self._url} refused ({said})")
        return RegistryUnavailableError(f"wanted {wanted}, the registry at {self._url} failed ({said})")


def _without_credentials(url: str) -> str:
    """An address as it may stand in a message."""
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


class MemorySchemaIds:
    """A registry in memory. Use it in tests and wherever a journey runs without a broker; it takes every schema.

    >>> ids = MemorySchemaIds()
    >>> ids.id_of("a-value", '"string"'), ids.id_of("b-value", '"long"'), ids.id_of("b-value", '"string"')
    (1, 2, 1)

    With `auto_register` False it behaves as a registry that only answers. Raises SchemaUnknownError,
    SchemaRefusedError for what is no JSON.
    """

    def __init__(self, auto_register: bool = True) -> None:
        self._auto_register = auto_register
        self._lock = threading.Lock()
        self._texts: list[str] = []
        self._subjects: dict[str, set[int]] = {}

    def id_of(self, subject: str, schema: str) -> int:
        """The id of a schema under a subject: the same for equal schemas, as in a real registry."""
        try:
            text = json.dumps(json.loads(schema), sort_keys=True)
        except ValueError as error:
            raise SchemaRefusedError(f"wanted a schema under subject {subject!r}, got no JSON: {error}") from error
        with self._lock:
            schema_id = self._texts.index(text) + 1 if text in self._texts else 0
            if schema_id in self._subjects.get(subject, set()):
                return schema_id
            if not self._auto_register:
                raise SchemaUnknownError(f"wanted a schema under subject {subject!r}, this registry has none")
            if not schema_id:
                self._texts.append(text)
                schema_id = len(self._texts)
            self._subjects.setdefault(subject, set()).add(schema_id)
            return schema_id

    def schema_of(self, schema_id: int) -> str:
        """The text of a schema."""
        with self._lock:
            if not 1 <= schema_id <= len(self._texts):
                raise SchemaUnknownError(f"wanted schema {schema_id}, this registry has {len(self._texts)}")
            return self._texts[schema_id - 1]
