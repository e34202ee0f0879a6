"""Documents made of rows of several tables: what is declared; the database joins (`adapters/joined_tables.py`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["JOIN_SCHEMA", "JoinMapping"]

JOIN_SCHEMA: Final = "headwater_joins"
"""The schema of joined tables in a source's database; not a user's name, whose tables would land in it."""

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,40}")


@dataclass(frozen=True)
class JoinMapping:
    """Several tables joined into one document. Declare it under `sources.joins` by the joined table's name.

    >>> JoinMapping(
    ...     query="SELECT p.id, p.title, p.text || coalesce(string_agg(c.text, ' '), '') AS body "
    ...           "FROM pages p LEFT JOIN comments c ON c.page = p.id GROUP BY p.id",
    ...     key="id",
    ...     tables={"pages": "changed.id", "comments": "changed.page"},
    ... ).key
    'id'

    `query` gives one row per document; `key` is its column that names the document. `tables` says for each table that
    the query reads which documents a row of it (`changed`) touches: an expression, or a SELECT of keys. All of it is
    SQL of whoever configures the platform, and runs in the source's database.
    """

    query: str
    key: str
    tables: Mapping[str, str]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.key) or not self.query.strip() or not self.tables:
            raise ValueError(f"wanted a query, its key column and the tables it reads, got key {self.key!r}")
