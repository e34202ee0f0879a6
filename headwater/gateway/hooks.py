"""`POST /v1/hooks/{name}`: what another system tells of itself becomes documents, if it is signed and fresh."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import asdict
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Header, Request

from headwater.gateway.documents import Receipt
from headwater.gateway.door import Door, door_of
from headwater.gateway.problems import problem
from headwater.gateway.taking import Keyed, take_over
from processors.contract import Reject
from processors.ingest.mapping import mapped
from schemas.documents import DocumentChanged, DocumentDeleted
from schemas.envelope import derived_id
from streams.publishing import Upload, document_changed
from streams.settings import Hook

__all__ = ["router", "signature"]

router = APIRouter()

_SIGNED: Final = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")
_MICROS: Final = 1_000_000

Signature = Annotated[
    str,
    Header(
        alias="X-Headwater-Signature",
        max_length=200,
        description="t=SECONDS,v1=HEX: HMAC-SHA256 over 'SECONDS.' and the body, with the hook's secret.",
    ),
]


def signature(secret: str, at_s: int, body: bytes) -> str:
    """The header that signs a body sent at a moment (Unix seconds).

    >>> signature("sixteen letters!", 7, b"{}").partition(",")[0]
    't=7'
    """
    digest = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


@router.post("/v1/hooks/{name}", status_code=202, summary="Take a webhook over", response_model=Receipt)
async def take(
    name: str, request: Request, door: Annotated[Door, Depends(door_of)], x_headwater_signature: Signature = ""
) -> dict[str, Any]:
    """Take a signed request of another system over: by the hook's mapping it is a document, or the delete of one.

    The same request again, within the time in which its timestamp is fresh, counts once.
    """
    hook = door.settings.sources.hooks.get(name)
    body = await request.body()
    # An unknown hook and a wrong signature look alike: nobody learns which hooks there are.
    if hook is None or not _is_signed(hook, x_headwater_signature, body, door.entrance.clock.now()):
        detail = "wanted X-Headwater-Signature: t=SECONDS,v1=HEX, made with this hook's secret at about this moment"
        raise problem(401, "signature-invalid", "Not signed as wanted", detail)
    event = _event(hook, body, door)
    keyed = Keyed(derived_id(f"{name}|{x_headwater_signature}", "hook", 0), hashlib.sha256(body).hexdigest())
    return asdict(await take_over(door, event, keyed))


def _is_signed(hook: Hook, header: str, body: bytes, now: int) -> bool:
    found = _SIGNED.fullmatch(header)
    if found is None:
        return False
    at_s = int(found[1])
    # Compared before the time is looked at, so that neither check tells of the other by how long it takes.
    genuine = hmac.compare_digest(signature(hook.secret, at_s, body), header)
    return genuine and abs(now / _MICROS - at_s) <= hook.tolerance_s


def _event(hook: Hook, body: bytes, door: Door) -> DocumentChanged | DocumentDeleted:
    try:
        record = json.loads(body)
    except ValueError as error:
        raise problem(400, "json-invalid", "The body is not JSON", f"wanted JSON, got: {error}") from error
    try:
        event = mapped(record, hook.mapping)
    except Reject as error:
        raise problem(422, "body-invalid", "The body is not what the mapping says", str(error)) from error
    if isinstance(event, DocumentDeleted):
        return event
    upload = Upload(
        tenant=event.tenant,
        document=event.document,
        body=event.body or b"",
        media_type=event.media_type,
        title=event.title,
        source_uri=event.source_uri,
        access=event.access,
    )
    # The version that the sender gave, if any: what arrives late is then older.
    return msgspec.structs.replace(document_changed(upload, door.claims), version=event.version)
