"""The reader of documents as this deployment has it: in processes of its own, within limits."""

from __future__ import annotations

from adapters.isolated_parser import IsolatedParser, Isolation
from processors.ingest.formats import ParseLimits
from processors.ports import Parser
from streams.settings import Parse, child_environment

__all__ = ["parser_of"]


def parser_of(parse: Parse) -> Parser:
    """The parser of the settings."""
    isolation = Isolation(parse.timeout_s, parse.memory_mb, parse.processes, parse.documents)
    limits = ParseLimits(
        pages=parse.max_pages,
        cells=parse.max_cells,
        characters=parse.max_characters,
        unpacked_bytes=parse.max_unpacked_bytes,
        table_pages=parse.table_pages,
        table_s=parse.table_s,
    )
    # Secrets are settings; what reads the documents of strangers gets none of them.
    given = {name: value for name, value in child_environment().items() if not name.startswith("HEADWATER_")}
    return IsolatedParser(isolation, limits, given)
