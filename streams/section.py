"""A section of the settings: frozen, and a key that it does not know is an error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Section"]


class Section(BaseModel):
    """Base of every section; each field has a description, and its unit in its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")
