"""How documents are read and cut in this deployment: in processes of their own, within limits, each type its way."""

from __future__ import annotations

from adapters.isolated_parser import IsolatedParser, Isolation
from adapters.syntax import TreeSitterSyntax
from processors.ingest.formats import ParseLimits
from processors.ingest.strategies import SplitterByType
from processors.ports import Embedder, Parser
from streams.settings import Chunking, Parse, child_environment

__all__ = ["parser_of", "splitter_of"]


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


def splitter_of(chunking: Chunking, embedder: Embedder) -> SplitterByType:
    """The splitter of the settings."""
    by_type = {kind: rule.rule() for kind, rule in chunking.by_type.items()}
    return SplitterByType(chunking.rule(), by_type, embedder, TreeSitterSyntax())
