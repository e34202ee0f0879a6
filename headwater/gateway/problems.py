"""Everything that is refused, as a problem document (RFC 9457): one shape for every error of the gateway."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from adapters.errors import AdapterError
from schemas.codec import SchemaError
from schemas.queries import AnswerWithheld
from streams.errors import StreamsError, TooManyQuestionsError

__all__ = ["MEDIA_TYPE", "add_handlers", "members_of", "of_error", "of_withheld", "problem"]

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:headwater:problem:"

# What a person needs to look up and type again; programs back off by themselves.
RETRY_AFTER_S: Final = 2

_WITHHELD: Final[Mapping[str, tuple[int, str, str]]] = {
    "invalid_question": (422, "question-refused", "The question can't be used"),
    "invalid_filter": (400, "filter-invalid", "No usable filter"),
    "unknown_tenant": (404, "tenant-unknown", "Nobody has published anything for this tenant"),
    "refused": (403, "question-refused", "The question was refused"),
    "cancelled": (409, "question-cancelled", "The question was cancelled"),
    "expired": (504, "deadline-expired", "No answer before the deadline"),
    "unavailable": (503, "unavailable", "The question can't be answered now"),
    "overloaded": (503, "overloaded", "Too many questions are being answered"),
}

_log = logging.getLogger(__name__)


def problem(status: int, kind: str, title: str, detail: str, headers: Mapping[str, str] | None = None) -> HTTPException:
    """A refusal, to be raised anywhere below a route.

    >>> problem(404, "tenant-unknown", "No such tenant", "wanted a tenant with documents").detail["type"]
    'urn:headwater:problem:tenant-unknown'
    """
    members = {"type": TYPE_PREFIX + kind, "title": title, "status": status, "detail": detail}
    return HTTPException(status, members, dict(headers) if headers else None)


def members_of(error: StarletteHTTPException, request_id: str = "", instance: str = "") -> dict[str, Any]:
    """The members of the document that tells of a refusal, ours or the framework's."""
    detail: Any = error.detail
    plain = {"type": "about:blank", "title": str(detail), "status": error.status_code, "detail": str(detail)}
    members = dict(detail) if isinstance(detail, dict) else plain
    if instance:
        members["instance"] = instance
    if request_id:
        members["request_id"] = request_id
    return members


def of_withheld(withheld: AnswerWithheld) -> HTTPException:
    """An answer that was withheld for a reason which is an error to the one who asked over HTTP."""
    status, kind, title = _WITHHELD.get(withheld.reason, (502, "withheld", "No answer, for a reason unknown here"))
    return problem(status, kind, title, withheld.message, _retry_after(status))


def of_error(error: Exception) -> HTTPException:
    """An error of the rooms below, as what it means to a client."""
    if isinstance(error, HTTPException):
        return error
    if isinstance(error, TooManyQuestionsError):
        headers = {"Retry-After": str(max(1, round(error.retry_after_s)))}
        return problem(503, "too-many-questions", "Too many questions wait", str(error), headers)
    if isinstance(error, StreamsError | AdapterError | SchemaError):
        return problem(503, "unavailable", "A part of the platform is away", str(error), _retry_after(503))
    return problem(500, "internal", "An error of the gateway", "See the gateway's log for this request id.")


def add_handlers(app: FastAPI) -> None:
    """Have the application answer every error with a problem document."""

    @app.exception_handler(StarletteHTTPException)
    async def refused(request: Request, error: StarletteHTTPException) -> JSONResponse:
        return respond(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return respond(request, _of_invalid(error))

    @app.exception_handler(StreamsError)
    @app.exception_handler(AdapterError)
    @app.exception_handler(SchemaError)
    async def unavailable(request: Request, error: Exception) -> JSONResponse:
        _log.warning("%s %s: %s", request.method, request.url.path, error)
        return respond(request, of_error(error))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return respond(request, of_error(error))


def respond(request: Request, refusal: StarletteHTTPException) -> JSONResponse:
    """The response of a refusal."""
    content = members_of(refusal, str(request.scope.get("headwater.request_id", "")), request.url.path)
    return JSONResponse(content, refusal.status_code, dict(refusal.headers or {}), MEDIA_TYPE)


def _of_invalid(error: RequestValidationError) -> HTTPException:
    """400 for what is no JSON, 422 for JSON that says something else than is wanted."""
    found = error.errors()
    if any(each.get("type") == "json_invalid" for each in found):
        return problem(400, "json-invalid", "The body is not JSON", f"wanted JSON, got: {found[0].get('ctx', {})}")
    detail = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found)
    return problem(422, "body-invalid", "The request is not what is wanted", detail)


def _retry_after(status: int) -> dict[str, str] | None:
    return {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None
