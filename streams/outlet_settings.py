"""The section of the settings about what may be said in answers."""

from __future__ import annotations

from pydantic import Field

from processors.ingest.policies import Action
from streams.section import Section

__all__ = ["OutletRules", "OutletSection"]


class OutletRules(Section):
    """What a tenant does not want said in answers."""

    on: bool | None = Field(None, description="Whether its answers are looked through; unset: as for all.")
    kinds: dict[str, Action] = Field(
        default_factory=dict,
        description="Kind to mask, tokenise, drop_block (the sentence) or allow, laid over what `redaction` says.",
    )
    phrases: tuple[str, ...] = Field((), description="Plain phrases; a sentence that holds one is left out.")


class OutletSection(OutletRules):
    """What is hidden in answers before anybody sees them (docs/outlet.md)."""

    on: bool = Field(True, description="Answers are looked through, and shown sentence by sentence.")
    tenants: dict[str, OutletRules] = Field(
        default_factory=dict, description="The same by tenant: laid over these; phrases are added to these."
    )
