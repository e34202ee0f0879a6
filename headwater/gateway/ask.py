"""`POST /v1/ask`: a question in; an answer out, whole as JSON or while it is written as server-sent events.

Whoever hangs up before the answer is complete, or says so by `DELETE /v1/ask/{answer_id}`, has cancelled the question.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi import Path as PathParameter
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import BaseModel, ConfigDict, Field

from headwater.gateway import metrics
from headwater.gateway.documents import Receipt
from headwater.gateway.door import Door, TenantHeader, door_of, tenant_of
from headwater.gateway.problems import members_of, of_error, of_withheld, problem
from schemas.envelope import Micros
from schemas.queries import AnswerDelta, AnswerGiven, AnswerWithheld, Query
from streams.exchange import Reply

__all__ = ["router"]

router = APIRouter()

SSE: Final = "text/event-stream"
KEEP_ALIVE_S: Final = 10.0
"""Below the half minute after which proxies cut a silent connection."""

_CANCELLED: Final = "cancelled"
_OUTCOMES: Final = {
    "not_in_documents": "abstained",
    "no_question": "abstained",
    "out_of_scope": "abstained",
    "invalid_question": "blocked",
    "invalid_filter": "blocked",
    "refused": "blocked",
    "cancelled": _CANCELLED,
}

# What the documents say or do not say is an answer, as is what was no question for them; all else is a problem.
_ANSWERS: Final = ("not_in_documents", "no_question", "out_of_scope")

# nginx's "client closed request": nobody reads it, the request log does.
_CLIENT_LEFT: Final = 499


class Ask(BaseModel):
    """A question and who asks it."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(description="In the asker's own words.")
    tenant: str = Field("", description="Whose documents; or say it in X-Tenant.")
    session: str = Field(
        "", max_length=200, description="Questions of a session are answered in order and may lean on those before."
    )
    user: str = Field("", max_length=200, description="Who asks.")
    groups: tuple[str, ...] = Field((), max_length=200, description="Principals of the asker: group:x, user:y.")
    filters: dict[str, str] = Field(default_factory=dict, description="Metadata that a passage must have.")
    max_passages: int = Field(6, ge=1, le=50, description="Most passages to answer from.")
    memory: bool = Field(False, description="Look at the user's own notes as well (`/v1/memories`).")
    lane: Literal["interactive", "bulk"] = Field("interactive", description="bulk waits behind interactive.")
    timeout_s: float | None = Field(None, gt=0, le=300, description="How long the answer may take, seconds.")


@router.post(
    "/v1/ask",
    summary="Ask a question",
    responses={200: {"content": {SSE: {}}}, 400: {}, 413: {}, 422: {}, 404: {}, 503: {}, 504: {}},
)
async def ask(
    body: Ask, request: Request, door: Annotated[Door, Depends(door_of)], x_tenant: TenantHeader = ""
) -> Response:
    """The answer with its citations. With `Accept: text/event-stream` it comes while it is written.

    Events: `meta` (the answer's id), `token` (the next text), `citation`, then `done` (the whole answer) or `error`
    (a problem document). Comments keep the connection alive.
    """
    tenant = tenant_of(body.tenant, x_tenant)
    door.require_filters(tenant, body.filters)
    query = _query(body, door)
    door.require_kafka()
    door.exchange.check_room(query)
    replies = door.exchange.ask(query, tenant, request.headers.get("traceparent", "").encode() or None)
    timed = _timed(replies, door)
    if SSE in request.headers.get("accept", ""):
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_events(timed, query, request), media_type=SSE, headers=headers)
    return await _whole_or_left(timed, request)


@router.delete("/v1/ask/{answer_id}", status_code=202, summary="Cancel a question", response_model=Receipt)
async def cancel(
    answer_id: Annotated[str, PathParameter(min_length=1, max_length=200)],
    door: Annotated[Door, Depends(door_of)],
    x_tenant: TenantHeader = "",
) -> dict[str, Any]:
    """Nobody waits for this answer any more. Whoever still does hears `question-cancelled`; best effort."""
    tenant = tenant_of("", x_tenant)
    door.require_kafka()
    return asdict(await door.exchange.cancel(answer_id, tenant))


def _query(body: Ask, door: Door) -> Query:
    limit = door.settings.gateway.max_question_chars
    if not body.question.strip():
        raise problem(422, "question-empty", "The question is empty", "wanted a question in 'question'; ask something")
    if len(body.question) > limit:
        detail = f"wanted at most {limit} characters, got {len(body.question)}; ask in fewer words"
        raise problem(413, "question-too-long", "The question is too long", detail)
    if body.memory and not body.user.strip():
        detail = "wanted the user whose notes are meant, got none; say 'user', or ask without 'memory'"
        raise problem(400, "user-missing", "No user", detail)
    allowed_s = body.timeout_s or door.settings.gateway.deadline_s
    return Query(
        query_id=door.entrance.ids.new(),
        question=body.question,
        session=body.session,
        user=body.user,
        groups=body.groups,
        lane=body.lane,
        deadline_at=Micros(door.entrance.clock.now() + int(allowed_s * 1e6)),
        filters=body.filters,
        max_passages=body.max_passages,
        memory=body.memory,
    )


async def _timed(replies: AsyncIterator[Reply], door: Door) -> AsyncIterator[Reply]:
    """The same replies, with their times and outcome counted."""
    began = door.entrance.clock.monotonic()
    first, ended = True, False
    metrics.WAITING.inc()
    try:
        async for reply in replies:
            seconds = door.entrance.clock.monotonic() - began
            if first and not isinstance(reply, AnswerWithheld):
                metrics.FIRST_TOKEN.observe(seconds)
            first = False
            if not isinstance(reply, AnswerDelta):
                ended = True
                metrics.ANSWER.observe(seconds)
                metrics.OUTCOMES.labels(_outcome(reply)).inc()
            yield reply
    except (GeneratorExit, asyncio.CancelledError):
        if not ended:
            metrics.OUTCOMES.labels(_CANCELLED).inc()
        raise
    except Exception:
        metrics.OUTCOMES.labels("error").inc()
        raise
    finally:
        metrics.WAITING.dec()
        await replies.aclose()  # type: ignore[attr-defined]


def _outcome(reply: AnswerGiven | AnswerWithheld) -> str:
    return "answered" if isinstance(reply, AnswerGiven) else _OUTCOMES.get(reply.reason, "error")


async def _whole(replies: AsyncIterator[Reply]) -> JSONResponse:
    async with aclosing(replies) as open_replies:  # type: ignore[type-var]
        async for reply in open_replies:
            if not isinstance(reply, AnswerDelta):
                return JSONResponse(_answer(reply))
    raise problem(502, "withheld", "No answer", "the replies ended before an answer; ask again")


async def _whole_or_left(replies: AsyncIterator[Reply], request: Request) -> Response:
    """The answer, or nothing where the client hangs up first: a plain response does not notice that by itself."""
    answer = asyncio.ensure_future(_whole(replies))
    left = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({answer, left}, return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else Response(status_code=_CLIENT_LEFT)
    finally:
        answer.cancel()
        left.cancel()
        await asyncio.wait({answer, left})


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _events(replies: AsyncIterator[Reply], query: Query, request: Request) -> AsyncIterator[bytes]:
    """Every error after the first byte is an `error` event: the status has been sent by then."""
    request_id = str(request.scope.get("headwater.request_id", ""))
    yield _event("meta", {"answer_id": query.query_id, "request_id": request_id})
    try:
        async for reply in _kept_alive(replies):
            for part in _shown_as(reply):
                yield part
    except Exception as error:
        yield _event("error", members_of(of_error(error), request_id, request.url.path))


def _shown_as(reply: Reply | None) -> list[bytes]:
    if reply is None:
        return [format_sse_event(comment="keep-alive")]
    if isinstance(reply, AnswerDelta):
        return [_event("token", {"index": reply.index, "text": reply.text}, str(reply.index))]
    answer = _answer(reply)
    return [*(_event("citation", citation) for citation in answer["citations"]), _event("done", answer)]


async def _kept_alive(replies: AsyncIterator[Reply]) -> AsyncIterator[Reply | None]:
    """The replies, and a None for every while in which nothing came."""
    ended = object()
    task: asyncio.Task[Any] | None = None
    try:
        while True:
            task = task or asyncio.ensure_future(anext(replies, ended))
            done, _ = await asyncio.wait({task}, timeout=KEEP_ALIVE_S)
            if not done:
                yield None
                continue
            reply, task = task.result(), None
            if reply is ended:
                return
            yield reply
    finally:
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        await replies.aclose()  # type: ignore[attr-defined]


def _answer(reply: AnswerGiven | AnswerWithheld) -> dict[str, Any]:
    """An answer as JSON."""
    if isinstance(reply, AnswerWithheld) and reply.reason not in _ANSWERS:
        raise of_withheld(reply)
    fields: dict[str, Any] = msgspec.to_builtins(reply)
    fields.pop("type")
    if isinstance(reply, AnswerGiven):
        return {**fields, "withheld": ""}
    message, reason = fields.pop("message"), fields.pop("reason")
    return {**fields, "text": message, "citations": [], "withheld": reason}


def _event(name: str, data: dict[str, Any], event_id: str | None = None) -> bytes:
    return format_sse_event(event=name, data_str=json.dumps(data, ensure_ascii=False), id=event_id)
