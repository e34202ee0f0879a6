"""`POST`, `PUT …/access` and `DELETE` below `/v1/documents`: documents in, who may see them, and out again."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel, ConfigDict, Field

from headwater.gateway.door import Door, TenantHeader, door_of, tenant_of
from headwater.gateway.problems import problem
from headwater.gateway.taking import Keyed, take_over
from processors.answer.fence import not_principals
from processors.ingest.memories import owner_in, owner_of_all
from schemas.documents import AccessChanged, DocumentDeleted
from schemas.envelope import derived_id
from streams.publishing import Upload, document_changed
from topics.ingest import ACCESS_CHANGED, DOCUMENT_CHANGED

__all__ = ["router"]

router = APIRouter()

DOCUMENT_CHARS: Final = 1_024

IdempotencyKey = Annotated[
    str, Header(alias="Idempotency-Key", max_length=200, description="A repeat with the same key counts once.")
]


class Publish(BaseModel):
    """A document: its name, and its content as text or as base64."""

    model_config = ConfigDict(extra="forbid")

    document: str = Field(min_length=1, max_length=DOCUMENT_CHARS, description="Its name, unique within the tenant.")
    tenant: str = Field("", description="Whose document; or say it in X-Tenant.")
    text: str | None = Field(None, description="The content, where it is text.")
    content_base64: str | None = Field(None, description="The content, where it is bytes.")
    media_type: str = Field("text/markdown", min_length=3, max_length=200, description="What the content is.")
    title: str = Field("", max_length=1_000, description="Shown in citations; else taken from the content.")
    source_uri: str = Field("", max_length=4_000, description="Where a reader finds the original.")
    access: tuple[str, ...] = Field(("*",), description="Who may see it: *, group:x, user:y.")
    properties: dict[str, str] = Field(default_factory=dict, description="Metadata, for filters.")


class Access(BaseModel):
    """Everyone who may see a document; an empty list is nobody."""

    model_config = ConfigDict(extra="forbid")

    access: tuple[str, ...] = Field(max_length=1_000, description="Who may see it: *, group:x, user:y.")


class Receipt(BaseModel):
    """The change is on its topic; it will be indexed, whatever happens to the gateway."""

    event_id: str
    topic: str
    partition: int
    offset: int


@router.post("/v1/documents", status_code=202, summary="Publish a document", response_model=Receipt)
async def publish(
    body: Publish,
    door: Annotated[Door, Depends(door_of)],
    x_tenant: TenantHeader = "",
    idempotency_key: IdempotencyKey = "",
) -> dict[str, Any]:
    """Take a new or changed document over. It is searchable once its receipt is on `rag.document.indexed.v1`."""
    tenant = tenant_of(body.tenant, x_tenant)
    upload = _upload(body, tenant)
    _check_size(upload.body, door.settings.gateway.max_body_bytes)
    keyed = _keyed(tenant, idempotency_key, body, upload.body)
    event = await asyncio.to_thread(document_changed, upload, door.claims)
    return asdict(await take_over(door, event, keyed))


@router.put(
    "/v1/documents/{tenant}/{document:path}/access",
    status_code=202,
    summary="Set who may see a document",
    response_model=Receipt,
)
async def set_access(
    tenant: str, document: str, body: Access, door: Annotated[Door, Depends(door_of)]
) -> dict[str, Any]:
    """Replace a document's access list. Its content stays; from now on the list that content comes with is not used.

    A revocation holds as soon as the change is indexed, a grant once its receipt (outcome `access`) is on
    `rag.document.indexed.v1`. Of a document that is not there yet it is kept until the document comes.
    """
    if wrong := not_principals(body.access):
        detail = f"wanted *, group:NAME or user:NAME, got {wrong[0][:80]!r}"
        raise problem(422, "body-invalid", "Nobody can ask as one of these", detail)
    event = AccessChanged(tenant=tenant_of(tenant, ""), document=_name(document), access=body.access)
    door.require_kafka()
    return asdict(await asyncio.to_thread(door.publisher.publish, ACCESS_CHANGED, event))


@router.delete(
    "/v1/documents/{tenant}/{document:path}", status_code=202, summary="Delete a document", response_model=Receipt
)
async def delete(tenant: str, document: str, door: Annotated[Door, Depends(door_of)]) -> dict[str, Any]:
    """Take a document out. One that is not there is deleted all the same: a delete has a version too."""
    event = DocumentDeleted(tenant=tenant_of(tenant, ""), document=_name(document), reason="deleted over HTTP")
    door.require_kafka()
    # Never paced: a delete must not wait for what is to be indexed.
    return asdict(await asyncio.to_thread(door.publisher.publish, DOCUMENT_CHANGED, event))


def _keyed(tenant: str, key: str, body: Publish, content: bytes) -> Keyed | None:
    if not key:
        return None
    digest = hashlib.sha256(repr((body, content)).encode()).hexdigest()
    return Keyed(derived_id(f"{tenant}|{key}", "publish", 0), digest)


def _upload(body: Publish, tenant: str) -> Upload:
    return Upload(
        tenant=tenant,
        document=_name(body.document),
        body=_content(body),
        media_type=body.media_type,
        title=body.title,
        source_uri=body.source_uri,
        access=body.access,
        properties=body.properties,
    )


def _content(body: Publish) -> bytes:
    if (body.text is None) == (body.content_base64 is None):
        raise problem(422, "body-invalid", "No content, or two", "wanted either 'text' or 'content_base64'")
    if body.text is not None:
        return body.text.encode()
    try:
        return base64.b64decode(body.content_base64 or "", validate=True)
    except binascii.Error as error:
        raise problem(422, "body-invalid", "The content is not base64", f"content_base64: {error}") from error


def _check_size(content: bytes, most: int) -> None:
    if len(content) > most:
        detail = f"wanted at most {most} bytes, got {len(content)}; split it, or publish it from a folder"
        raise problem(413, "body-too-large", "The document is too large", detail)


def _name(document: str) -> str:
    if not document.strip() or len(document) > DOCUMENT_CHARS or not document.isprintable():
        detail = f"wanted a printable name of 1 to {DOCUMENT_CHARS} characters, got {document[:80]!r}"
        raise problem(422, "body-invalid", "The document has no usable name", detail)
    if owner_in(document) or owner_of_all(document):
        detail = f"{document[:80]!r} is a name of users' notes; keep, list and forget them by /v1/memories"
        raise problem(422, "body-invalid", "The name is not for documents", detail)
    return document
