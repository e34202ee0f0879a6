"""Every implementation of the port Splitter, small enough that short texts are cut."""

from __future__ import annotations

from collections.abc import Callable

from adapters.memory import HashingEmbedder
from adapters.syntax import TreeSitterSyntax
from processors.ingest.boundaries import StructureSplitter
from processors.ingest.code import CodeSplitter
from processors.ingest.prose import ParentSplitter, RecursiveSplitter, SentenceSplitter
from processors.ingest.semantic import SemanticSplitter
from processors.ingest.strategies import Rule, SplitterByType
from processors.ports import Splitter

Make = Callable[[int, int], Splitter]


def words(text: str) -> int:
    return len(text.split())


def semantic(most: int, target: int, overlap: float = 0.0) -> SemanticSplitter:
    embedder = HashingEmbedder(64)
    return SemanticSplitter(most, target, words, "words", overlap, embed=embedder.embed, embedded_by=embedder.model)


def code(most: int, target: int) -> CodeSplitter:
    return CodeSplitter(most, target, words, "words", syntax=TreeSitterSyntax(), language="python")


class WordsEmbedder(HashingEmbedder):
    """Counts words as these tests do."""

    def count(self, text: str) -> int:
        return words(text)


def by_type(most: int, target: int) -> SplitterByType:
    rules = {"blocks/table": Rule("recursive", most, target), "text/x-log": Rule("sentence", most, target)}
    return SplitterByType(Rule("structure", most, target), rules, WordsEmbedder(64), TreeSitterSyntax())


SPLITTERS: dict[str, Make] = {
    "structure": lambda most, target: StructureSplitter(most, target, words, "words"),
    "structure+overlap": lambda most, target: StructureSplitter(most, target, words, "words", 0.3),
    "recursive": lambda most, target: RecursiveSplitter(most, target, words, "words"),
    "recursive+overlap": lambda most, target: RecursiveSplitter(most, target, words, "words", 0.15),
    "sentence": lambda most, target: SentenceSplitter(most, target, words, "words", sentences=3),
    "sentence+overlap": lambda most, target: SentenceSplitter(most, target, words, "words", 0.2, sentences=3),
    "semantic": semantic,
    "semantic+overlap": lambda most, target: semantic(most, target, 0.2),
    "parent": lambda most, target: ParentSplitter(StructureSplitter(most, target, words, "words"), 3 * most),
    "parent+overlap": lambda most, target: ParentSplitter(
        StructureSplitter(most, target, words, "words", 0.2), 3 * most
    ),
    "code": code,
    "by type": by_type,
}
