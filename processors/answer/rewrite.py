"""Rewrite: how a question will be answered. Without a model every question is searched for as it was asked."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.queries import QueryAdmitted, QueryPlanned


def rewrite(admitted: QueryAdmitted) -> Iterator[QueryPlanned]:
    """Plans the search: the question itself is its one variant, in the language in which it was asked."""
    query = admitted.query
    yield QueryPlanned(tenant=admitted.tenant, query=query, kind="retrieval", variants=(query.question,))
