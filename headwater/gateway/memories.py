"""Below `/v1/memories`: what a user wants kept beyond a session; listed, forgotten, and all of it forgotten at once."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi import Path as PathParameter
from fastapi import Query as Parameter
from pydantic import BaseModel, ConfigDict, Field

from headwater.gateway.documents import Receipt
from headwater.gateway.door import Door, TenantHeader, door_of, tenant_of
from headwater.gateway.problems import problem
from processors.ingest.memories import owner_of, root_of, unnamed, unreadable
from schemas.documents import ErasureRequested
from schemas.memories import MemoryForgotten, MemoryKept
from streams.publishing import Published
from topics.ingest import ERASURE_REQUESTED, MEMORY_KEPT

__all__ = ["router"]

router = APIRouter()

_MICROS = 1_000_000

User = Annotated[str, Parameter(max_length=200, description="Whose notes.")]


class Remember(BaseModel):
    """Something to be kept."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(description="In the user's own words.")
    tenant: str = Field("", description="Whose user; or say it in X-Tenant.")
    user: str = Field("", max_length=200, description="Whose note.")
    memory: str = Field("", max_length=200, description="Its name among the user's; one that is there is said anew.")


class Kept(Receipt):
    """Where a note stands, and its name."""

    memory: str


class Memory(BaseModel):
    """A note as its user said it."""

    memory: str
    text: str
    kept_at: float = Field(description="Seconds since 1970.")


class Memories(BaseModel):
    """All notes of a user, oldest first."""

    memories: list[Memory]


class Forgotten(BaseModel):
    """What was asked to be erased. A receipt with each of the `requests` follows on `rag.document.erased.v1`."""

    memories: int
    requests: list[str]


@router.post("/v1/memories", status_code=202, summary="Keep a note of a user", response_model=Kept)
async def remember(
    body: Remember, door: Annotated[Door, Depends(door_of)], x_tenant: TenantHeader = ""
) -> dict[str, Any]:
    """Keep something beyond the session. Questions of this user with `memory` find it once it is indexed."""
    tenant, owner = _whose(body.tenant, x_tenant, body.user)
    memory = body.memory or door.entrance.ids.new()
    event = MemoryKept(tenant=tenant, owner=owner, memory=memory, text=body.text)
    limits = door.settings.memory.limits()
    if wrong := unnamed(event) or unreadable(body.text, limits):
        raise problem(422, "memory-refused", "The note can't be kept", wrong)
    door.require_kafka()
    view = await asyncio.to_thread(door.notes.current)
    if view.forgotten(event):
        detail = f"the note {memory!r} was forgotten, and its name does not come back; leave the name out"
        raise problem(409, "memory-forgotten", "The name was given up", detail)
    held = [note.memory for note in view.notes(tenant, owner)]
    if len(held) >= limits.per_user and memory not in held:
        detail = f"wanted at most {limits.per_user} notes of a user, got one more; forget some"
        raise problem(409, "memories-full", "The user has too many notes", detail)
    return {"memory": memory, **asdict(await asyncio.to_thread(door.publisher.publish, MEMORY_KEPT, event))}


@router.get("/v1/memories", summary="List the notes of a user", response_model=Memories)
async def memories(
    door: Annotated[Door, Depends(door_of)], user: User = "", x_tenant: TenantHeader = ""
) -> dict[str, Any]:
    """Every note that is kept, as its user said it: all that was written before this request."""
    tenant, owner = _whose("", x_tenant, user)
    door.require_kafka()
    view = await asyncio.to_thread(door.notes.current)
    listed = (
        {"memory": note.memory, "text": note.text, "kept_at": note.occurred_at / _MICROS}
        for note in view.notes(tenant, owner)
    )
    return {"memories": list(listed)}


@router.delete("/v1/memories/{memory}", status_code=202, summary="Forget a note", response_model=Receipt)
async def forget(
    memory: Annotated[str, PathParameter(min_length=1, max_length=200)],
    door: Annotated[Door, Depends(door_of)],
    user: User = "",
    x_tenant: TenantHeader = "",
) -> dict[str, Any]:
    """Take a note out, for good. One of somebody else is not there, as one that never was."""
    tenant, owner = _whose("", x_tenant, user)
    door.require_kafka()
    view = await asyncio.to_thread(door.notes.current)
    if view.get(tenant, owner, memory) is None:
        detail = f"wanted a note of this user, got {memory!r}; list them"
        raise problem(404, "memory-unknown", "There is no such note", detail)
    event = MemoryForgotten(tenant=tenant, owner=owner, memory=memory, reason="forgotten over HTTP")
    return asdict(await asyncio.to_thread(door.publisher.publish, MEMORY_KEPT, event))


@router.delete("/v1/memories", status_code=202, summary="Forget a user", response_model=Forgotten)
async def forget_user(
    door: Annotated[Door, Depends(door_of)], user: User = "", x_tenant: TenantHeader = ""
) -> dict[str, Any]:
    """Erase every note of a user and every turn of their sessions, out of every store; receipts say what was left."""
    tenant, owner = _whose("", x_tenant, user)
    door.require_kafka()
    return await asyncio.to_thread(_forget_all, door, tenant, owner)


def _forget_all(door: Door, tenant: str, owner: str) -> dict[str, Any]:
    names = sorted(door.notes.current().names(tenant, owner))
    reason = "the user is to be forgotten"
    sent = [
        door.publisher.send(
            MEMORY_KEPT, MemoryForgotten(tenant=tenant, owner=owner, memory=name, reason=reason, erase=True)
        )
        for name in names
    ]
    sent.append(
        door.publisher.send(ERASURE_REQUESTED, ErasureRequested(tenant=tenant, document=root_of(owner), reason=reason))
    )
    receipts: list[Published] = [door.publisher.wait(one) for one in sent]
    return {"memories": len(names), "requests": [one.event_id for one in receipts]}


def _whose(in_body: str, in_header: str, user: str) -> tuple[str, str]:
    """The tenant, and the owner of the notes. Refuses a request that names no user."""
    tenant = tenant_of(in_body, in_header)
    if not user.strip():
        raise problem(400, "user-missing", "No user", "wanted the user whose notes are meant, got none; say 'user'")
    return tenant, owner_of(tenant, user)
