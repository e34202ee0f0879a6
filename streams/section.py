"""A section of the settings: frozen, and a key that it does not know is an error."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Section", "secret"]


class Section(BaseModel):
    """Base of every section; each field has a description, and its unit in its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def secret(description: str) -> Any:
    """A field for a key or a password, empty where there is none: shown nowhere, masked by `headwater config show`."""
    return Field("", repr=False, description=f"Secret: {description}", json_schema_extra={"secret": True})
