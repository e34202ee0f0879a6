"""What every route of the gateway works with, and the tenant that a request speaks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Final

from fastapi import Header, Request

from headwater.gateway.changes import Changes
from headwater.gateway.notes import Notes
from headwater.gateway.problems import problem
from headwater.gateway.repeats import Repeats
from processors.answer.filters import FilterFields
from processors.ports import Claims
from streams.exchange import Exchange
from streams.pacing import Pace
from streams.publishing import Entrance, Publisher
from streams.settings import Settings

__all__ = ["Door", "TenantHeader", "door_of", "tenant_of"]

TenantHeader = Annotated[str, Header(alias="X-Tenant", description="Whose documents; or say it in the body.")]

# It stands in keys before a bar, in logs and in folder names of stores.
_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class Door:
    """The clients and settings of one gateway process."""

    settings: Settings
    exchange: Exchange
    publisher: Publisher
    claims: Claims
    entrance: Entrance
    pace: Pace
    repeats: Repeats = field(default_factory=Repeats)
    changes: Changes = field(default_factory=Changes)
    notes: Notes = field(default_factory=Notes)

    @cached_property
    def fields(self) -> FilterFields:
        """What a question may be narrowed by."""
        return self.settings.retrieve.fields()

    def require_filters(self, tenant: str, filters: Mapping[str, str]) -> None:
        """Refuse filters that no step could use. Refuses otherwise nothing."""
        if wrong := self.fields.problem(tenant, filters):
            raise problem(400, "filter-invalid", "No usable filter", wrong)

    def require_kafka(self) -> None:
        """Refuse at once what would only wait for brokers that are away. Refuses otherwise."""
        if not self.exchange.ready:
            detail = f"Kafka can't be reached: {self.exchange.problem}; try again in a moment"
            raise problem(503, "unavailable", "A part of the platform is away", detail, {"Retry-After": "2"})


def door_of(request: Request) -> Door:
    """The door of the application that got a request; 503 while it is still opening."""
    door = getattr(request.app.state, "door", None)
    if not isinstance(door, Door):
        raise problem(503, "unavailable", "The gateway is starting", "try again in a moment", {"Retry-After": "1"})
    return door


def tenant_of(in_body: str, in_header: str) -> str:
    """The tenant of a request, said in the body or in a header. Refuses otherwise.

    >>> tenant_of("", "acme")
    'acme'
    """
    tenant = in_body or in_header
    if in_body and in_header and in_body != in_header:
        detail = f"the body says {in_body!r}, the header X-Tenant {in_header!r}; say it once"
        raise problem(422, "tenant-invalid", "Two tenants in one request", detail)
    if not _TENANT.fullmatch(tenant):
        detail = f"wanted letters, digits, '.', '_' or '-' (at most 63), got {tenant[:80]!r}; use 'tenant' or X-Tenant"
        raise problem(422, "tenant-invalid", "No usable tenant", detail)
    return tenant
