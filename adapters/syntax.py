"""Symbols of source code, by tree-sitter and one grammar per language (`parse` extra)."""

from __future__ import annotations

import importlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib import metadata
from itertools import accumulate
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from processors.ports import Symbol

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

__all__ = ["TreeSitterSyntax"]

# Module, the function in it that gives the grammar, and the package it comes in.
_GRAMMARS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "python": ("tree_sitter_python", "language"),
        "javascript": ("tree_sitter_javascript", "language"),
        "typescript": ("tree_sitter_typescript", "language_typescript"),
        "tsx": ("tree_sitter_typescript", "language_tsx"),
        "go": ("tree_sitter_go", "language"),
        "java": ("tree_sitter_java", "language"),
        "rust": ("tree_sitter_rust", "language"),
        "sql": ("tree_sitter_sql", "language"),
        "bash": ("tree_sitter_bash", "language"),
    }
)
_DEFINITIONS: Final = frozenset(
    {
        *("function_definition", "class_definition"),  # Python, bash
        *("function_declaration", "generator_function_declaration", "class_declaration", "method_definition"),
        *("abstract_class_declaration", "interface_declaration", "type_alias_declaration", "enum_declaration"),
        *("internal_module", "method_declaration", "constructor_declaration", "record_declaration"),
        *("type_declaration", "function_item", "struct_item", "enum_item", "impl_item", "trait_item", "mod_item"),
        *("macro_definition", "create_table", "create_function", "create_view", "create_procedure"),
    }
)
# What stands around a definition and belongs to it.
_WRAPPERS: Final = frozenset({"decorated_definition", "export_statement", "statement"})
_COMMENTS: Final = frozenset({"comment", "line_comment", "block_comment", "attribute_item", "marginalia"})
# Beyond these a text is an attack or generated: lines will do. Code of a megabyte parses in 0.3 s.
_MOST_CHARS: Final = 2_000_000
_MOST_DEPTH: Final = 60


class TreeSitterSyntax:
    """The port Syntax for Python, JavaScript, TypeScript, Go, Java, Rust, SQL and bash. Threads may share it.

    >>> [symbol.name for symbol in TreeSitterSyntax().symbols("python", "def pump(): ...\\n\\nclass Valve: ...\\n")]
    ['pump', 'Valve']

    Without the `parse` extra every language is unknown, and code is cut at lines.
    """

    def __init__(self) -> None:
        self._parsers: dict[str, Parser | None] = {}
        self._lock = Lock()

    def symbols(self, language: str, text: str) -> tuple[Symbol, ...] | None:
        """The definitions of a text; None for an unknown language, a text that does not parse or one too large."""
        if len(text) > _MOST_CHARS:
            return None
        data = text.encode(errors="replace")
        with self._lock:
            parser = self._parser(language)
            if parser is None:
                return None
            tree = parser.parse(data)
        if tree.root_node.has_error:
            return None
        return tuple(_symbols(tree.root_node, _Offsets(text).character, 0))

    def fingerprint(self, language: str) -> str:
        """Grammar and version, `lines` where there is none."""
        with self._lock:
            known = self._parser(language) is not None
        if not known:
            return "lines"
        package = _GRAMMARS[language][0].replace("_", "-")
        return f"{package}-{metadata.version(package)}"

    def _parser(self, language: str) -> Parser | None:
        if language not in self._parsers:
            self._parsers[language] = _parser_of(language) if language in _GRAMMARS else None
        return self._parsers[language]


def _parser_of(language: str) -> Parser | None:
    module, function = _GRAMMARS[language]
    try:
        from tree_sitter import Language, Parser

        grammar: Callable[[], object] = getattr(importlib.import_module(module), function)
    except ImportError:
        return None
    return Parser(Language(grammar()))


class _Offsets:
    """Characters for the bytes that tree-sitter counts."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(len(char.encode(errors="replace")) for char in self._text))

    def character(self, byte: int) -> int:
        return byte if self._text.isascii() else bisect_right(self._ends, byte)


def _symbols(node: Node, at: Callable[[int], int], depth: int) -> Iterator[Symbol]:
    """The definitions below a node, each with the comments that stand right above it."""
    if depth > _MOST_DEPTH:
        return
    above: list[Node] = []
    for child in node.children:
        if child.type in _COMMENTS:
            # Only the ends of a run count, so that a thousand lines of comment cost no more than two.
            above = [above[0], child] if above and _adjoins(above[-1], child) else [child]
            continue
        own = _definition(child)
        if own is None:
            yield from _symbols(child, at, depth + 1)
        else:
            first = above[0] if above and _adjoins(above[-1], child) else child
            yield Symbol(_name(own), at(first.start_byte), at(child.end_byte), tuple(_symbols(own, at, depth + 1)))
        above = []


def _definition(node: Node) -> Node | None:
    """The definition that a node is or wraps."""
    if node.type in _DEFINITIONS:
        return node
    if node.type not in _WRAPPERS:
        return None
    return next((found for child in node.children if (found := _definition(child)) is not None), None)


def _adjoins(one: Node, other: Node) -> bool:
    """Whether no empty line stands between two nodes."""
    return other.start_point[0] - one.end_point[0] <= 1


def _name(node: Node) -> str:
    """What a definition is called, as the language writes it."""
    named = node.child_by_field_name("name") or node.child_by_field_name("type")
    if named is None:
        named = next(
            (child for child in node.children if "identifier" in child.type or child.type == "type_spec"), None
        )
    if named is None:
        named = next((child for child in node.children if child.type == "object_reference"), None)
    if named is not None and named.type == "type_spec":
        named = named.child_by_field_name("name")
    return named.text.decode(errors="replace")[:80] if named is not None and named.text else ""
