"""The headers that ride beside a record, and how they are read. Always a list of pairs: a name may come twice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from schemas.envelope import Event
from schemas.failures import Headers

TRACEPARENT: Final = "traceparent"
"""W3C trace context of what caused the record."""
DEADLINE: Final = "deadline"
"""Micros since the epoch, decimal: after this moment nobody waits for the answer."""
LANE: Final = "lane"
"""`interactive` or `bulk`."""
TENANT: Final = "tenant"
EVENT_ID: Final = "event-id"
REPLY_PARTITION: Final = "reply-partition"
"""Partition, decimal, of the reply topics that the asker reads."""

CARRIED: Final = frozenset({TRACEPARENT, DEADLINE, LANE, REPLY_PARTITION})
"""Passed on from a record to what is made of it; tenant and event id are each event's own."""


def value(headers: Iterable[tuple[str, bytes | None]] | None, name: str) -> bytes | None:
    """The first value under a name.

    >>> value([("lane", b"bulk")], LANE), value(None, LANE)
    (b'bulk', None)
    """
    return next((found for given, found in headers or () if given == name), None)


def number(headers: Iterable[tuple[str, bytes | None]] | None, name: str) -> int | None:
    """The first value under a name as a whole number; None where it is missing or is none.

    >>> number([("deadline", b"12")], DEADLINE), number([("deadline", b"soon")], DEADLINE)
    (12, None)
    """
    text = value(headers, name)
    return int(text) if text is not None and text.isdigit() else None


def of_event(event: Event, carried: Iterable[tuple[str, bytes | None]] | None = None) -> Headers:
    """The headers of an event: its own, and what is passed on from the record that caused it.

    >>> of_event(Event(tenant="acme", event_id="e"), [("lane", b"bulk"), ("tenant", b"other")])
    (('tenant', b'acme'), ('event-id', b'e'), ('lane', b'bulk'))
    """
    passed = tuple((name, found) for name, found in carried or () if name in CARRIED and found is not None)
    return ((TENANT, event.tenant.encode()), (EVENT_ID, event.event_id.encode()), *passed)
