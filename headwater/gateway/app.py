"""The gateway: a small door between HTTP and the topics. Everything behind it is a record on its way."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import metadata
from typing import Final

import uvicorn
from fastapi import FastAPI

from adapters.folder_claims import FolderClaims
from adapters.host import SystemClock, SystemIds
from adapters.schema_registry import ConfluentSchemaIds
from headwater.gateway import ask, documents, feedback, health, hooks, memories, standing
from headwater.gateway.changes import KEPT_S, Changes
from headwater.gateway.door import Door
from headwater.gateway.notes import Notes
from headwater.gateway.problems import add_handlers
from headwater.gateway.repeats import REMEMBERED_S, Repeats
from headwater.gateway.wrapping import BodyLimit, RequestIds
from schemas.codec import Codec
from streams.exchange import Exchange
from streams.follow import Follower
from streams.pacing import Pace
from streams.publishing import Entrance, Publisher
from streams.settings import Settings
from topics.answer import ANSWER_CHANGED
from topics.ingest import MEMORY_KEPT, REQUEST_ACCEPTED

__all__ = ["create_app", "open_door", "serve"]

QUESTION_BYTES: Final = 1_000_000
"""Far above any question that is let in, so that a long one is told how long it may be."""

_LARGE: Final = ("/v1/documents", "/v1/hooks")
_ENTRANCE: Final = (SystemClock(), SystemIds())
# Answers in flight may finish; whoever stops the process waits 10 s.
_DRAIN_S: Final = 8


def create_app(settings: Settings) -> FastAPI:
    """The application, for uvicorn or for a test. Its clients are opened when it starts and closed when it ends.

    >>> from streams.settings import load
    >>> sorted(create_app(load()).openapi()["paths"])[2:]
    ['/v1/documents', '/v1/documents/{tenant}/{document}', '/v1/documents/{tenant}/{document}/access', \
'/v1/feedback', '/v1/hooks/{name}', '/v1/memories', '/v1/memories/{memory}', '/v1/standing/{question_id}', \
'/v1/standing/{question_id}/changes']
    """

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        door = open_door(settings)
        async with door.exchange:
            with door.publisher, _following(door):
                app.state.door = door
                yield
                app.state.door = None

    app = FastAPI(title="Headwater", version=metadata.version("headwater"), lifespan=opened, redoc_url=None)
    for part in (ask, documents, feedback, health, hooks, memories, standing):
        app.include_router(part.router)
    add_handlers(app)
    # A document of the largest size, in base64 and with its other fields.
    document_bytes = settings.gateway.max_body_bytes * 4 // 3 + QUESTION_BYTES
    app.add_middleware(BodyLimit, limit_of=lambda path: document_bytes if path.startswith(_LARGE) else QUESTION_BYTES)
    clock, ids = _ENTRANCE
    app.add_middleware(RequestIds, clock=clock, ids=ids)
    return app


@contextmanager
def _following(door: Door) -> Iterator[None]:
    """Requests that other gateways took over are followed while the application runs."""
    follower = door.repeats.follower
    if follower is not None:
        follower.start()
    try:
        yield
    finally:
        if follower is not None:
            follower.stop()
        door.changes.close()
        door.notes.close()
        door.pace.close()


def open_door(settings: Settings) -> Door:
    """The clients of a gateway. Nothing is asked of Kafka or the registry yet."""
    clock, ids = _ENTRANCE
    codec = Codec(ConfluentSchemaIds(settings.registry.url, settings.registry.auto_register))
    entrance = Entrance(clock, ids, metadata.version("headwater"), settings.git_sha)
    repeats = Repeats()
    repeats.follower = Follower(REQUEST_ACCEPTED, repeats.fold, codec, settings.kafka, clock, REMEMBERED_S)
    changes = Changes()
    changes.follower = Follower(ANSWER_CHANGED, changes.fold, codec, settings.kafka, clock, KEPT_S)
    notes = Notes(settings.memory.per_user)
    notes.follower = Follower(MEMORY_KEPT, notes.view.fold, codec, settings.kafka, clock)
    return Door(
        settings=settings,
        exchange=Exchange(settings, codec, entrance),
        publisher=Publisher(settings.kafka, codec, entrance),
        claims=FolderClaims(settings.claims_folder),
        entrance=entrance,
        pace=Pace(settings, clock),
        repeats=repeats,
        changes=changes,
        notes=notes,
    )


def serve(settings: Settings) -> None:
    """Listen until told to stop, then let what is being answered finish."""
    config = uvicorn.Config(
        create_app(settings),
        host=settings.gateway.host,
        port=settings.gateway.port,
        timeout_graceful_shutdown=_DRAIN_S,
        log_level="warning",
        access_log=False,
        lifespan="on",
    )
    # uvicorn passes the signal on when it has drained: that end is as wanted, and not one by a signal.
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.Server(config).run()
