"""Symbols by tree-sitter: what is found in each language, and code cut by them."""

from __future__ import annotations

import pytest

from adapters.syntax import TreeSitterSyntax
from processors.ingest.code import CodeSplitter
from processors.ingest.formats import Piece, laid_out
from processors.ports import Symbol
from schemas.documents import Chunk

SYNTAX = TreeSitterSyntax()


def told(symbols: tuple[Symbol, ...] | None) -> list[str]:
    """Names, those within others after a dot."""
    found: list[str] = []
    for symbol in symbols or ():
        found += [symbol.name, *(f"{symbol.name}.{inner}" for inner in told(symbol.inner))]
    return found


@pytest.mark.parametrize(
    ("language", "text", "names"),
    [
        ("python", "@late\ndef f():\n  pass\n\nclass A:\n  def m(self): ...\n", ["f", "A", "A.m"]),
        ("javascript", "export function f() {}\nclass A { m() { return 2 } }\n", ["f", "A", "A.m"]),
        ("typescript", "export interface I { a: string }\ntype T = string;\n", ["I", "T"]),
        ("tsx", "export function f() { return <a/> }", ["f"]),
        ("go", "package m\n// F does.\nfunc F() int { return 1 }\ntype T struct{ a int }\n", ["F", "T"]),
        ("java", "class A { void m() {} interface B {} }", ["A", "A.m", "A.B"]),
        ("rust", "impl A { fn m(&self) {} }\nstruct É { a: i32 }\n", ["A", "A.m", "É"]),
        ("sql", "CREATE TABLE flows (a int);\nCREATE VIEW v AS SELECT 1;\n", ["flows", "v"]),
        ("bash", "f() { echo 1; }\n", ["f"]),
    ],
)
def test_when_code_is_read_then_its_definitions_are_found(language: str, text: str, names: list[str]) -> None:
    assert told(SYNTAX.symbols(language, text)) == names
    assert SYNTAX.fingerprint(language).startswith("tree-sitter-")


def test_when_comments_stand_above_a_definition_then_they_belong_to_it() -> None:
    text = "# far\n\n# über\n# near\ndef f():\n  pass\n"
    (found,) = SYNTAX.symbols("python", text) or ()
    assert text[found.start : found.end] == "# über\n# near\ndef f():\n  pass"


@pytest.mark.parametrize(
    ("language", "text"),
    [("cobol", "x"), ("", "x"), ("python", "def f(:\n  pass"), ("python", "x = 1\n" * 400_000)],
    ids=["unknown", "none", "broken", "too large"],
)
def test_when_code_cant_be_read_then_nothing_is_said(language: str, text: str) -> None:
    assert SYNTAX.symbols(language, text) is None


def test_when_there_is_no_grammar_then_the_fingerprint_says_lines() -> None:
    assert SYNTAX.fingerprint("cobol") == "lines"


def cut(text: str, language: str = "python", most: int = 24) -> list[Chunk]:
    splitter = CodeSplitter(
        most, most // 2, lambda words: len(words.split()), "words", syntax=SYNTAX, language=language
    )
    return splitter.split(laid_out([Piece("code", text)]))


METHOD = "    def {name}(self) -> int:\n        value = self.flow * {number}\n        return value + {number}\n"
CLASS = "class Pump:\n" + "\n".join(METHOD.format(name=f"step_{n}", number=n) for n in range(8))


def test_when_a_class_is_too_long_then_it_is_cut_at_its_methods_and_the_path_names_them() -> None:
    chunks = cut(f"import os\n\n\n{CLASS}", most=14)
    assert ("Pump", "step_3") in [found.heading_path for found in chunks]
    assert all(found.text.count("def ") <= 1 for found in chunks)


def test_when_a_function_changes_then_the_others_stay() -> None:
    before = {found.text for found in cut(CLASS)}
    after = {found.text for found in cut(CLASS.replace("self.flow * 4", "self.level * 40"))}
    assert 1 <= len(after - before) <= 2


@pytest.mark.parametrize("language", ["python", "cobol"])
def test_when_code_does_not_parse_then_it_is_cut_between_lines(language: str) -> None:
    lines = [f"def broken_{number}(: return {number}" for number in range(40)]
    chunks = cut("\n".join(lines), language)
    assert len(chunks) > 3
    assert [line for found in chunks for line in found.text.split("\n")] == lines
