"""Which strategy cuts which document: a default, and others by media type or by what a document consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final, Literal

from processors.ingest.boundaries import StructureSplitter
from processors.ingest.code import CODE_TYPES, CodeSplitter
from processors.ingest.prose import SEPARATORS, ParentSplitter, RecursiveSplitter, SentenceSplitter
from processors.ingest.semantic import SemanticSplitter
from processors.ports import Embedder, Splitter, Syntax
from schemas.documents import Block, Chunk

__all__ = ["Rule", "SplitterByType", "Strategy"]

Strategy = Literal["structure", "recursive", "sentence", "semantic", "parent", "code"]

_BLOCKS: Final = "blocks/"
_TYPES_KEPT: Final = 256


@dataclass(frozen=True)
class Rule:
    """A strategy and its parameters; each strategy reads those that are its own. See `docs/steps/chunk.md`.

    >>> Rule(strategy="sentence", sentences=4).max_tokens
    200
    """

    strategy: Strategy = "structure"
    max_tokens: int = 200
    target_tokens: int = 120
    overlap: float = 0.0
    separators: tuple[str, ...] = SEPARATORS
    sentences: int = 6
    similarity: float = 0.2
    parent_tokens: int = 600


@dataclass(frozen=True)
class SplitterByType:
    """The Splitter of a deployment: `default`, and the rules of `by_type` for documents of other kinds.

    A key of `by_type` is a media type, a pattern of media types (`text/x-*`), or `blocks/KIND` for documents that
    consist of nothing else beside headings. The exact type counts before what it consists of, that before a pattern,
    a longer pattern before a shorter one. Source code goes by its syntax unless a rule says otherwise.

    >>> from adapters.memory import HashingEmbedder
    >>> from adapters.syntax import TreeSitterSyntax
    >>> rules = {"text/x-log": Rule("recursive")}
    >>> splitter = SplitterByType(Rule(), rules, HashingEmbedder(), TreeSitterSyntax())
    >>> [splitter.splitter_for(kind, ()).fingerprint.split("/")[0] for kind in ("text/x-log", "text/html", "text/x-go")]
    ['recursive', 'structure', 'code']

    Raises ValueError where a rule can't be used.
    """

    default: Rule
    by_type: Mapping[str, Rule]
    embedder: Embedder
    syntax: Syntax
    fingerprint: str = field(init=False)
    _built: Callable[[Rule, str], Splitter] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_built", lru_cache(maxsize=_TYPES_KEPT)(self._build))
        rules = [f"{kind}={self._checked(kind, rule)}" for kind, rule in sorted(self.by_type.items())]
        object.__setattr__(self, "fingerprint", "; ".join([self._checked("chunking", self.default), *rules]))

    def splitter_for(self, media_type: str, blocks: Sequence[Any]) -> Splitter:
        """The splitter of one strategy; its fingerprint is the one that documents of this type carry."""
        rule = self._rule(media_type, blocks)
        if rule is not None:
            return self._built(rule, media_type)
        code = media_type in CODE_TYPES and self.default.strategy != "code"
        return self._built(_as_code(self.default) if code else self.default, media_type)

    def split(self, blocks: Sequence[Any]) -> list[Chunk]:
        """Cuts a document of which no media type is known."""
        return self.splitter_for("", blocks).split(blocks)

    def _rule(self, media_type: str, blocks: Sequence[Block]) -> Rule | None:
        if media_type in self.by_type:
            return self.by_type[media_type]
        kinds = {block.kind for block in blocks if block.kind != "heading"}
        if len(kinds) == 1 and (only := self.by_type.get(f"{_BLOCKS}{kinds.pop()}")):
            return only
        fitting = [pattern for pattern in self.by_type if fnmatchcase(media_type, pattern)]
        return self.by_type[max(fitting, key=lambda pattern: (len(pattern), pattern))] if fitting else None

    def _checked(self, kind: str, rule: Rule) -> str:
        try:
            return self._built(rule, kind).fingerprint
        except ValueError as error:
            raise ValueError(f"wanted a usable rule for {kind!r}: {error}") from error

    def _build(self, rule: Rule, media_type: str) -> Splitter:
        sizes = (rule.max_tokens, rule.target_tokens, self.embedder.count, self.embedder.model, rule.overlap)
        match rule.strategy:
            case "recursive":
                return RecursiveSplitter(*sizes, separators=rule.separators)
            case "sentence":
                return SentenceSplitter(*sizes, sentences=rule.sentences)
            case "semantic":
                model = self.embedder
                return SemanticSplitter(*sizes, embed=model.embed, embedded_by=model.model, similarity=rule.similarity)
            case "parent":
                return ParentSplitter(StructureSplitter(*sizes), rule.parent_tokens)
            case "code":
                language = CODE_TYPES.get(media_type, "")
                return CodeSplitter(*sizes[:4], syntax=self.syntax, language=language)
            case _:
                return StructureSplitter(*sizes)


def _as_code(rule: Rule) -> Rule:
    return Rule("code", rule.max_tokens, rule.target_tokens)
