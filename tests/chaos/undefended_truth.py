"""The protocol of document heads with one defence taken away, for the controls of T10 and T11."""

from __future__ import annotations

from typing import Any

import msgspec

from adapters import redis_heads
from processors.ingest.planning import Plan
from schemas.envelope import Version


def take(defence: str) -> None:
    """Does without `proof` (a view that lost what it held answers with what it has) or `version` (what comes last
    wins). `fence` is no part of the read path that could be patched: the reader leaves it out itself."""
    {"proof": without_proof, "version": without_version}.get(defence, lambda: None)()


def without_proof() -> None:
    """The view of heads in Redis does not ask whether it is whole."""
    scripts: Any = redis_heads
    patched = scripts.READ.replace("local why = whole(tenant)", "local why = nil")
    if patched == scripts.READ:
        raise AssertionError("wanted the proof in the reading script, found none to take away")
    scripts.READ = patched


def without_version() -> None:
    """Whatever comes is taken for newer than what there is."""
    defended = Plan._one

    def undefended(plan: Plan, position: int, event: Any) -> Any:
        old = plan.heads.get((event.tenant, event.document))
        if old is not None and event.version is not None and event.version <= old.version:
            bumped = Version(source=old.version.source, offset=old.version.offset + 1)
            event = msgspec.structs.replace(event, version=bumped)
        return defended(plan, position, event)

    Plan._one = undefended  # type: ignore[method-assign, assignment]  # that is what the control is for
