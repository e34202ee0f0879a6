"""What can be wrong with what travels: a class without an Avro form, bytes that are no event, a schema nobody knows.

SchemaError
├── RenderingError      a class says something that has no Avro form here
├── UndecodableError    these bytes are no event of this topic, now or later
├── UnencodableError    this event does not fit its own class
├── SchemaUnknownError  the registry has no such schema
├── SchemaRefusedError  the registry will not take a schema: incompatible, or no Avro
└── ChangeError         a source's record is no change that is known            (changes.py)
"""

from __future__ import annotations

__all__ = [
    "RenderingError",
    "SchemaError",
    "SchemaRefusedError",
    "SchemaUnknownError",
    "UndecodableError",
    "UnencodableError",
]


class SchemaError(Exception):
    """Base of what this room raises."""


class RenderingError(SchemaError):
    """A class says something that has no Avro form here; the message names class and field."""


class UndecodableError(SchemaError):
    """These bytes are no event of this topic; a dead letter, for they will never be."""


class UnencodableError(SchemaError):
    """An event holds a value that its own class does not admit."""


class SchemaUnknownError(SchemaError):
    """The registry has no schema of this id, or not this schema under this subject."""


class SchemaRefusedError(SchemaError):
    """The registry refuses to register a schema."""
