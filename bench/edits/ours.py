"""How many chunks an edit makes anew, for each strategy: those whose text the embed step has never embedded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from adapters.memory import HashingEmbedder
from adapters.syntax import TreeSitterSyntax
from bench.edits.document import after_edits, document
from processors.ingest.formats import Piece, laid_out
from processors.ingest.passages import named, passage_text, text_hash
from processors.ingest.semantic import SemanticSplitter
from processors.ingest.strategies import Rule, SplitterByType
from processors.ports import Splitter

__all__ = ["MOST", "RULES", "measure", "splitter_of"]

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "structure": Rule("structure"),
        "structure, overlap 15 %": Rule("structure", overlap=0.15),
        "structure, overlap 30 %": Rule("structure", overlap=0.3),
        "recursive": Rule("recursive"),
        "recursive, overlap 15 %": Rule("recursive", overlap=0.15),
        "sentence": Rule("sentence"),
        "sentence, overlap 15 %": Rule("sentence", overlap=0.15),
        "semantic": Rule("semantic"),
        "semantic, overlap 15 %": Rule("semantic", overlap=0.15),
        "parent": Rule("parent"),
    }
)
MOST: Final = 2
MOST_OVERLAPPING: Final = 3


def splitter_of(rule: Rule) -> Splitter:
    """The splitter of a rule as a deployment builds it, with the hashing embedder."""
    return SplitterByType(rule, {}, HashingEmbedder(), TreeSitterSyntax()).splitter_for("text/plain", ())


def measure(rule: Rule, seed: int, edits: int) -> dict[str, Any]:
    """Chunks embedded per edit by its kind, index objects written per edit, and sentences probed per edit."""
    splitter = splitter_of(rule)
    before = document(seed)
    hashes, names = _cut(splitter, before)
    by_kind: dict[str, Counter[int]] = {}
    written: Counter[int] = Counter()
    probed = _probed(splitter)
    for kind, after in after_edits(before, seed + 1, edits):
        new_hashes, new_names = _cut(splitter, after)
        by_kind.setdefault(kind, Counter())[len(new_hashes - hashes)] += 1
        written[len(new_names - names)] += 1
    return {
        "promise": MOST_OVERLAPPING if rule.overlap else MOST,
        "chunks": len(names),
        "by_kind": by_kind,
        "written": written,
        "probed": round((_probed(splitter) - probed) / edits, 2),
    }


def _cut(splitter: Splitter, paragraphs: list[str]) -> tuple[set[str], set[str]]:
    """What would be embedded, by its hash in the cache, and the names of the chunks."""
    chunks = splitter.split(laid_out([Piece("paragraph", text) for text in paragraphs]))
    hashes = {text_hash(passage_text("Handbook", chunk.heading_path, chunk.text)) for chunk in chunks}
    return hashes, {chunk.name for chunk in named(chunks, "Handbook", "s1")}


def _probed(splitter: Splitter) -> int:
    return splitter.probed if isinstance(splitter, SemanticSplitter) else 0
