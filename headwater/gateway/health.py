"""`/livez`, `/readyz`, `/metrics`: for the operators and what watches for them."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from headwater.gateway.door import Door

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/livez")
async def livez() -> PlainTextResponse:
    """The process serves; that says nothing about what it needs."""
    return PlainTextResponse("alive\n")


@router.get("/readyz")
async def readyz(request: Request) -> PlainTextResponse:
    """A question asked now would see its answer, as far as the gateway can tell."""
    door = getattr(request.app.state, "door", None)
    if not isinstance(door, Door):
        return PlainTextResponse("starting\n", 503)
    if not door.exchange.ready:
        return PlainTextResponse(f"{door.exchange.problem}\n", 503)
    return PlainTextResponse("ready\n")


@router.get("/metrics")
async def metrics() -> Response:
    """Prometheus's text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
