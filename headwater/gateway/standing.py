"""Below `/v1/standing`: subscribe to a question, end that, and hear when its answer changes, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Header
from fastapi import Path as PathParameter
from fastapi import Query as Parameter
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import BaseModel, ConfigDict, Field

from headwater.gateway.changes import KEPT_S
from headwater.gateway.documents import Receipt
from headwater.gateway.door import Door, TenantHeader, door_of, tenant_of
from headwater.gateway.problems import problem
from processors.answer.fence import not_principals
from schemas.queries import AnswerChanged, Query, QuestionStanding
from topics.answer import ANSWER_CHANGED, QUESTION_STANDING

__all__ = ["router"]

router = APIRouter()

_LOOK_S: Final = 0.1
_KEEP_ALIVE_S: Final = 10.0
_MICROS: Final = 1_000_000

Name = Annotated[str, PathParameter(min_length=1, max_length=200, description="Its name within the tenant.")]


class Subscribe(BaseModel):
    """A question, and as whom it is asked."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(description="In the asker's own words.")
    tenant: str = Field("", description="Whose documents; or say it in X-Tenant.")
    user: str = Field("", max_length=200, description="Who asks.")
    groups: tuple[str, ...] = Field((), max_length=200, description="Principals of the asker: group:x, user:y.")
    filters: dict[str, str] = Field(default_factory=dict, description="Metadata that a passage must have.")
    max_passages: int = Field(6, ge=1, le=50, description="Most passages to answer from.")


@router.put("/v1/standing/{question_id}", status_code=202, summary="Subscribe to a question", response_model=Receipt)
async def subscribe(
    question_id: Name, body: Subscribe, door: Annotated[Door, Depends(door_of)], x_tenant: TenantHeader = ""
) -> dict[str, Any]:
    """Have a question asked again whenever documents change its answer. One that is there is replaced."""
    limit = door.settings.gateway.max_question_chars
    if not body.question.strip() or len(body.question) > limit:
        detail = f"wanted a question of at most {limit} characters, got {len(body.question)}"
        raise problem(422, "question-refused", "The question can't be used", detail)
    if wrong := not_principals(body.groups):
        raise problem(422, "body-invalid", "No usable principal", f"wanted group:x or user:y, got {wrong[0]!r}")
    tenant = tenant_of(body.tenant, x_tenant)
    door.require_filters(tenant, body.filters)
    query = Query(
        query_id="",
        question=body.question,
        user=body.user,
        groups=body.groups,
        filters=body.filters,
        max_passages=body.max_passages,
    )
    return await _stand(door, tenant, question_id, query, active=True)


@router.delete("/v1/standing/{question_id}", status_code=202, summary="End a subscription", response_model=Receipt)
async def unsubscribe(
    question_id: Name, door: Annotated[Door, Depends(door_of)], x_tenant: TenantHeader = ""
) -> dict[str, Any]:
    """Tell nothing more of a question."""
    return await _stand(door, tenant_of("", x_tenant), question_id, Query(query_id="", question=""), active=False)


@router.get("/v1/standing/{question_id}/changes", summary="Hear when an answer changes")
async def changes(
    question_id: Name,
    door: Annotated[Door, Depends(door_of)],
    since_s: Annotated[float, Parameter(ge=0, le=KEPT_S, description="Also of the last so many seconds.")] = 60.0,
    for_s: Annotated[float, Parameter(ge=0, le=86_400, description="End after so many seconds; 0: never.")] = 0.0,
    last_event_id: Annotated[str, Header(alias="Last-Event-ID", max_length=200)] = "",
    x_tenant: TenantHeader = "",
) -> StreamingResponse:
    """Server-sent events `changed`, each with its event id; `Last-Event-ID` resumes behind one."""
    key = f"{tenant_of('', x_tenant)}|{question_id}"
    door.require_kafka()
    await asyncio.to_thread(door.changes.listen)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    told = _told(door, _Wanted(key, since_s, for_s, last_event_id))
    return StreamingResponse(told, media_type="text/event-stream", headers=headers)


class _Wanted(msgspec.Struct, frozen=True):
    key: str
    since_s: float
    for_s: float
    last: str


async def _told(door: Door, wanted: _Wanted) -> AsyncIterator[bytes]:
    clock, count = door.entrance.clock, 0
    began = said = clock.monotonic()
    since = clock.now() - int(wanted.since_s * _MICROS)
    resumed = not wanted.last
    yield format_sse_event(comment="listening")
    while not wanted.for_s or clock.monotonic() - began < wanted.for_s:
        count, new = door.changes.after(count)
        mine = [event for event in new if ANSWER_CHANGED.key(event) == wanted.key]
        for event in mine:
            if resumed and event.occurred_at >= since:
                yield _event(event)
            resumed = resumed or event.event_id == wanted.last
        now = clock.monotonic()
        if not mine and now - said >= _KEEP_ALIVE_S:
            yield format_sse_event(comment="keep-alive")
        said = now if mine or now - said >= _KEEP_ALIVE_S else said
        await asyncio.sleep(_LOOK_S)


def _event(event: AnswerChanged) -> bytes:
    fields = msgspec.to_builtins(event)
    fields.pop("type")
    return format_sse_event(event="changed", data_str=json.dumps(fields, ensure_ascii=False), id=event.event_id)


async def _stand(door: Door, tenant: str, question_id: str, query: Query, active: bool) -> dict[str, Any]:
    event = QuestionStanding(tenant=tenant, question_id=question_id, query=query, active=active)
    door.require_kafka()
    return asdict(await asyncio.to_thread(door.publisher.publish, QUESTION_STANDING, event))
