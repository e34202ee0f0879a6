"""Taking a document over: the pacing gate, what was taken already, the event on its topic."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec

from headwater.gateway.door import Door
from headwater.gateway.problems import problem
from processors.contract import Stop
from schemas.documents import DocumentChanged, DocumentDeleted, RequestAccepted
from streams.publishing import Published
from topics.ingest import DOCUMENT_CHANGED, REQUEST_ACCEPTED

__all__ = ["Keyed", "take_over"]

_RETRY_AFTER_S = 2


@dataclass(frozen=True)
class Keyed:
    """A request that may come again: the id of its event, derived from its key, and what it said."""

    event_id: str
    digest: str


async def take_over(door: Door, event: DocumentChanged | DocumentDeleted, keyed: Keyed | None = None) -> Published:
    """The receipt of an event that is on its topic; that of the first time where the request was here before.

    Refuses with 429 while more waits to be indexed than `sources.max_backlog`, with 503 where the cluster is away.
    """
    door.require_kafka()
    return await asyncio.to_thread(_taken_over, door, event, keyed)


def _taken_over(door: Door, event: DocumentChanged | DocumentDeleted, keyed: Keyed | None) -> Published:
    if keyed is not None:
        try:
            door.repeats.require()
        except Stop as error:
            headers = {"Retry-After": str(_RETRY_AFTER_S)}
            raise problem(503, "unavailable", "The gateway is catching up", str(error), headers) from error
        if (known := door.repeats.find(keyed.event_id, keyed.digest)) is not None:
            return known
    if not door.pace.take():
        headers = {"Retry-After": str(_RETRY_AFTER_S)}
        detail = f"{door.settings.sources.max_backlog} documents wait to be indexed; nothing was taken over"
        raise problem(429, "backlog-full", "Too many documents wait", detail, headers)
    if keyed is None:
        return door.publisher.publish(DOCUMENT_CHANGED, event)
    published = door.publisher.publish(DOCUMENT_CHANGED, msgspec.structs.replace(event, event_id=keyed.event_id))
    door.repeats.keep(keyed.event_id, keyed.digest, published)
    accepted = RequestAccepted(
        tenant=event.tenant,
        request=keyed.event_id,
        digest=keyed.digest,
        topic=published.topic,
        partition=published.partition,
        offset=published.offset,
    )
    door.publisher.publish(REQUEST_ACCEPTED, accepted)
    return published
