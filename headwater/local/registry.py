"""A schema registry for development: the subset of Confluent's REST that its clients use, state in a compacted topic.

Any registry of that protocol can stand in its place; this one is small, needs nothing but Kafka, and has one writer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from headwater.local.ports import HOST
from headwater.local.schema_table import DEFAULT_LEVEL, STORE_AWAY, Record, RegistryError, SchemaTable, canonical
from streams.compacted_log import CompactedLog, LogTakenOverError
from streams.errors import StreamsError

__all__ = ["REGISTRY_TOPIC", "SchemaRegistry", "registry_app", "serve_registry"]

REGISTRY_TOPIC: Final = "rag.registry.schemas.v1"

_LOCK_TIMEOUT_S: Final = 10.0
_STOP_GRACE_S: Final = 5


class SchemaRegistry:
    """The registry without its HTTP side: decides under one lock, writes the log, and only then answers.

    Whenever the log had to be claimed anew (at the first write, after one that failed and may yet have arrived, after
    another registry wrote) it is read again before anything is decided.
    """

    def __init__(self, log: CompactedLog) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._table: SchemaTable | None = None
        self._replaced = False

    @property
    def table(self) -> SchemaTable:
        """What is known, for reading; the log is read on the first call."""
        if self._table is None:
            with self._store():
                self._table = self._table or self._loaded()
        return self._table

    def register(self, subject: str, schema: str) -> dict[str, Any]:
        """Add a schema to a subject, or find it there. Raises RegistryError 409 where it may not follow the others."""
        text = canonical(schema)
        known = self.table.find(subject, text)
        if known is not None:
            return known
        with self._writing() as table:
            known = table.find(subject, text)
            if known is None:
                conflicts = table.conflicts(subject, text)
                if conflicts:
                    raise RegistryError(409, _incompatible(subject, table.level(subject), conflicts))
                self._append(table, table.schema_record(subject, text))
                known = table.find(subject, text)
        assert known is not None
        return known

    def set_level(self, subject: str, level: str) -> None:
        """Set the compatibility level of a subject, or of all for an empty name."""
        with self._writing() as table:
            self._append(table, table.level_record(subject, level))

    @contextmanager
    def _writing(self) -> Iterator[SchemaTable]:
        """The table as nobody else can change it meanwhile."""
        with self._store():
            if self._replaced:
                # Claiming again would fence the other one in turn, and the two would take turns for ever.
                raise RegistryError(STORE_AWAY, "this registry was replaced by another one, stop it")
            if self._log.claim() or self._table is None:
                self._table = self._loaded()
            yield self._table

    @contextmanager
    def _store(self) -> Iterator[None]:
        """Alone with the log, whose errors become Confluent's."""
        if not self._lock.acquire(timeout=_LOCK_TIMEOUT_S):
            raise RegistryError(STORE_AWAY, "another request is waiting for Kafka; try again")
        try:
            yield
        except LogTakenOverError as error:
            self._replaced = True
            raise RegistryError(STORE_AWAY, f"this registry was replaced by another one, stop it: {error}") from error
        except StreamsError as error:
            raise RegistryError(STORE_AWAY, f"Kafka, which holds the schemas, is away: {error}") from error
        finally:
            self._lock.release()

    def _loaded(self) -> SchemaTable:
        table = SchemaTable()
        for key, value in self._log.load():
            table.fold(key, value)
        return table

    def _append(self, table: SchemaTable, record: Record) -> None:
        self._log.append(*record)
        table.fold(*record)


class SchemaBody(BaseModel):
    """A schema as clients send it, in Confluent's names; fields that change nothing here are accepted."""

    schema_: str
    schemaType: str = "AVRO"
    references: list[dict[str, Any]] | None = None

    model_config = {"alias_generator": lambda name: "schema" if name == "schema_" else name, "extra": "ignore"}

    def text(self) -> str:
        """The schema itself. Raises RegistryError 42201 for kinds that this registry doesn't keep."""
        if self.schemaType != "AVRO" or self.references:
            raise RegistryError(42201, "this registry keeps Avro schemas without references only")
        return self.schema_


class LevelBody(BaseModel):
    """A compatibility level as clients send it."""

    compatibility: str


def registry_app(registry: SchemaRegistry) -> FastAPI:
    """The HTTP side over a registry; use `serve_registry` to run it."""
    app = FastAPI(title="Headwater schema registry", docs_url=None, redoc_url=None)
    app.add_exception_handler(RegistryError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.include_router(_subjects(registry))
    app.include_router(_config(registry))
    return app


def serve_registry(bootstrap: str, port: int, host: str = HOST) -> None:
    """Run a registry over a cluster until SIGTERM; while the cluster is away it answers 503."""
    app = registry_app(SchemaRegistry(CompactedLog(bootstrap, REGISTRY_TOPIC)))
    uvicorn.run(
        app, host=host, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=_STOP_GRACE_S
    )


def _subjects(registry: SchemaRegistry) -> APIRouter:
    routes = APIRouter()

    @routes.get("/subjects")
    def subjects() -> list[str]:
        return sorted(registry.table.subjects)

    @routes.post("/subjects/{subject}")
    def lookup(subject: str, body: SchemaBody) -> dict[str, Any]:
        registry.table.versions(subject)
        found = registry.table.find(subject, canonical(body.text()))
        if found is None:
            raise RegistryError(40403, "Schema not found")
        return found

    @routes.get("/subjects/{subject}/versions")
    def versions(subject: str) -> list[int]:
        return sorted(registry.table.versions(subject))

    @routes.post("/subjects/{subject}/versions")
    def register(subject: str, body: SchemaBody) -> dict[str, Any]:
        return registry.register(subject, body.text())

    @routes.get("/subjects/{subject}/versions/{version}")
    def version(subject: str, version: str) -> dict[str, Any]:
        return registry.table.version(subject, version)

    @routes.get("/schemas/types")
    def types() -> list[str]:
        return ["AVRO"]

    @routes.get("/schemas/ids/{schema_id}")
    def schema(schema_id: int) -> dict[str, Any]:
        if schema_id not in registry.table.texts:
            raise RegistryError(40403, f"Schema {schema_id} not found")
        return {"schema": registry.table.texts[schema_id]}

    return routes


def _config(registry: SchemaRegistry) -> APIRouter:
    routes = APIRouter()

    @routes.get("/config")
    def level() -> dict[str, str]:
        return {"compatibilityLevel": registry.table.levels.get("", DEFAULT_LEVEL)}

    @routes.put("/config")
    def set_level(body: LevelBody) -> dict[str, str]:
        registry.set_level("", body.compatibility)
        return {"compatibility": body.compatibility}

    @routes.get("/config/{subject}")
    def level_of(subject: str) -> dict[str, str]:
        return {"compatibilityLevel": registry.table.level(subject)}

    @routes.put("/config/{subject}")
    def set_level_of(subject: str, body: LevelBody) -> dict[str, str]:
        registry.set_level(subject, body.compatibility)
        return {"compatibility": body.compatibility}

    @routes.post("/compatibility/subjects/{subject}/versions")
    def compatible_with_all(subject: str, body: SchemaBody) -> dict[str, Any]:
        conflicts = registry.table.conflicts(subject, canonical(body.text()))
        return {"is_compatible": not conflicts, "messages": conflicts}

    @routes.post("/compatibility/subjects/{subject}/versions/{version}")
    def compatible_with(subject: str, version: str, body: SchemaBody) -> dict[str, Any]:
        registry.table.versions(subject)
        conflicts = registry.table.conflicts(subject, canonical(body.text()), version)
        return {"is_compatible": not conflicts, "messages": conflicts}

    return routes


def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RegistryError)
    return JSONResponse({"error_code": error.code, "message": str(error)}, status_code=error.status)


def _malformed(_request: Request, error: Exception) -> JSONResponse:
    message = f"the request is not as expected: {error}"
    return JSONResponse({"error_code": 422, "message": message}, status_code=422)


def _incompatible(subject: str, level: str, conflicts: list[str]) -> str:
    return f"the schema can't follow those of subject {subject!r} at level {level}: {'; '.join(conflicts)}"
