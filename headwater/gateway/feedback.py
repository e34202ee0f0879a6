"""`POST /v1/feedback`: what a person thinks of an answer."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from headwater.gateway.documents import Receipt
from headwater.gateway.door import Door, TenantHeader, door_of, tenant_of
from schemas.measures import FeedbackGiven
from topics.measure import FEEDBACK_GIVEN

__all__ = ["router"]

router = APIRouter()


class GiveFeedback(BaseModel):
    """A judgement of one answer."""

    model_config = ConfigDict(extra="forbid")

    answer_id: str = Field(min_length=1, max_length=200, description="The id that the answer has.")
    rating: Literal["up", "down"] = Field(description="Whether it was good.")
    tenant: str = Field("", description="Whose answer; or say it in X-Tenant.")
    comment: str = Field("", max_length=4_000, description="Why.")
    correction: str = Field("", max_length=20_000, description="What it should have said.")


@router.post("/v1/feedback", status_code=202, summary="Judge an answer", response_model=Receipt)
async def feedback(
    body: GiveFeedback, door: Annotated[Door, Depends(door_of)], x_tenant: TenantHeader = ""
) -> dict[str, Any]:
    """Keep a judgement. It joins the answer by its id."""
    event = FeedbackGiven(
        tenant=tenant_of(body.tenant, x_tenant),
        answer_id=body.answer_id,
        rating=body.rating,
        comment=body.comment,
        correction=body.correction,
    )
    door.require_kafka()
    return asdict(await asyncio.to_thread(door.publisher.publish, FEEDBACK_GIVEN, event))
