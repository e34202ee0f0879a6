"""What surrounds every request: an id that is echoed, a bound on its body, its count and time."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headwater.gateway import metrics
from headwater.gateway.problems import problem
from processors.ports import Clock, Ids

__all__ = ["BodyLimit", "RequestIds"]

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RequestIds:
    """Gives every request its id, the client's own where it has a usable one, and counts and times it."""

    def __init__(self, app: ASGIApp, clock: Clock, ids: Ids) -> None:
        self._app = app
        self._clock = clock
        self._ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _header(scope, b"x-request-id")
        request_id = request_id if _REQUEST_ID.fullmatch(request_id) else self._ids.new()
        scope["headwater.request_id"] = request_id
        began, status = self._clock.monotonic(), 500

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, named)
        finally:
            route = str(getattr(scope.get("route"), "path", "none"))
            metrics.REQUESTS.labels(route, str(scope["method"]), str(status)).inc()
            metrics.SECONDS.labels(route).observe(self._clock.monotonic() - began)


class BodyLimit:
    """Refuses bodies above a limit while they are read, whatever length their sender declared."""

    def __init__(self, app: ASGIApp, limit_of: Callable[[str], int]) -> None:
        self._app = app
        self._limit_of = limit_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_of(str(scope["path"]))
        read = 0
        declared = _header(scope, b"content-length")

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit or (declared.isdigit() and int(declared) > limit):
                raise _too_large(limit, declared)
            return message

        await self._app(scope, bounded, send)


def _too_large(limit: int, declared: str) -> HTTPException:
    detail = f"wanted a body of at most {limit} bytes, got {declared or 'more'}; split it, or publish it from a folder"
    return problem(413, "body-too-large", "The body is too large", detail, {"Connection": "close"})


def _header(scope: Scope, name: bytes) -> str:
    headers: Any = scope.get("headers", ())
    return next((value.decode("latin-1") for key, value in headers if key == name), "")
