"""chunk by strategy: an edit touches few chunks under each, documents go by their type, parents are never stale."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from adapters.memory import HashingEmbedder
from adapters.syntax import TreeSitterSyntax
from processors.ingest.boundaries import StructureSplitter
from processors.ingest.chunk import chunk
from processors.ingest.formats import Piece, laid_out
from processors.ingest.passages import passage_text
from processors.ingest.prose import ParentSplitter, RecursiveSplitter, SentenceSplitter
from processors.ingest.semantic import SemanticSplitter
from processors.ingest.strategies import Rule, SplitterByType
from schemas.documents import Chunk, DocumentChunked
from tests.processors.ingest.builders import TENANT, Line, redacted, splitter, words
from tests.processors.ingest.edits import ONE_PLACE, document, move

EDITS_EACH = 210


def by_type(default: Rule, **rules: Rule) -> SplitterByType:
    return SplitterByType(default, rules, HashingEmbedder(), TreeSitterSyntax())


def passages(rule: Rule, paragraphs: list[str]) -> set[str]:
    """What the embed step is asked for."""
    chunks = by_type(rule).split(laid_out([Piece("paragraph", text) for text in paragraphs]))
    return {passage_text("T", chunk.heading_path, chunk.text) for chunk in chunks}


@pytest.mark.parametrize(
    ("rule", "promise", "kept"),
    [
        (Rule("structure"), 2, 0.99),
        (Rule("structure", overlap=0.3), 3, 0.98),
        (Rule("recursive"), 2, 0.99),
        (Rule("recursive", overlap=0.15), 3, 0.98),
        (Rule("sentence"), 2, 0.95),
        (Rule("sentence", overlap=0.15), 3, 0.95),
        (Rule("semantic"), 2, 0.94),
        (Rule("semantic", overlap=0.15), 3, 0.95),
        (Rule("parent", max_tokens=100, target_tokens=60), 2, 0.95),
    ],
    ids=lambda value: f"{value.strategy}, {value.overlap}" if isinstance(value, Rule) else "",
)
def test_when_one_paragraph_is_edited_then_few_chunks_are_embedded(rule: Rule, promise: int, kept: float) -> None:
    """`kept` says how many edits keep the promise at least; the others are near it."""
    before = document(5, paragraphs=120)
    known = passages(rule, before)
    draw = random.Random(6)
    counts: Counter[int] = Counter()
    for number in range(EDITS_EACH):
        after = list(before)
        list(ONE_PLACE.values())[number % len(ONE_PLACE)](after, draw.randrange(len(after)), draw)
        counts[len(passages(rule, after) - known)] += 1
    assert max(counts) <= promise + 2, counts
    assert sum(counts[number] for number in range(promise + 1)) >= kept * EDITS_EACH, counts


@pytest.mark.parametrize("strategy", ["structure", "recursive", "sentence", "parent"])
def test_when_a_paragraph_is_moved_then_both_places_are_touched_and_nothing_else(strategy: str) -> None:
    rule = Rule(strategy)  # type: ignore[arg-type]
    before = document(5, paragraphs=120)
    draw = random.Random(7)
    for _ in range(20):
        after = list(before)
        move(after, draw.randrange(len(after)), draw)
        assert len(passages(rule, after) - passages(rule, before)) <= 4


@pytest.mark.parametrize(
    ("media_type", "kind", "strategy"),
    [
        ("text/html", "paragraph", "structure"),
        ("text/x-log", "paragraph", "recursive"),
        ("text/x-other", "paragraph", "sentence"),
        ("text/csv", "table", "semantic"),
        ("text/x-log", "table", "recursive"),
        ("text/x-python", "code", "sentence"),
        ("application/sql", "code", "code"),
    ],
)
def test_when_documents_are_of_a_type_then_its_rule_cuts_them(media_type: str, kind: str, strategy: str) -> None:
    chosen = by_type(
        Rule(), **{"text/x-log": Rule("recursive"), "text/x-*": Rule("sentence"), "blocks/table": Rule("semantic")}
    ).splitter_for(media_type, laid_out([Piece("heading", "H", 1), Piece(kind, "a | b")]))  # type: ignore[arg-type]
    assert chosen.fingerprint.split("/")[0] == strategy


def test_when_a_document_is_cut_then_the_manifest_carries_the_fingerprint_of_its_own_rule() -> None:
    """A rule for another type changes nothing for it, so nothing of it is cut again."""
    source = redacted(["One. Two."])
    plain = list(chunk(source, by_type(Rule())))[-1]
    other = list(chunk(source, by_type(Rule(), **{"text/x-log": Rule("sentence")})))[-1]
    own = list(chunk(source, by_type(Rule(), **{"text/plain": Rule("sentence")})))[-1]
    assert isinstance(plain, DocumentChunked)
    assert isinstance(other, DocumentChunked)
    assert isinstance(own, DocumentChunked)
    assert plain.fingerprint == other.fingerprint != own.fingerprint
    assert plain.names == own.names


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (Rule(max_tokens=10, target_tokens=20), "got 20 and 10"),
        (Rule(overlap=0.5), "got 0.5"),
        (Rule("recursive", separators=("",)), "at least one character"),
        (Rule("sentence", sentences=0), "at least one sentence"),
        (Rule("semantic", similarity=2), "from -1 to 1"),
        (Rule("parent", parent_tokens=50), "parents of at least the 200"),
    ],
)
def test_when_a_rule_cant_be_used_then_it_says_which_and_why(rule: Rule, says: str) -> None:
    with pytest.raises(ValueError, match=f"'text/x'.*{says}"):
        by_type(Rule(), **{"text/x": rule})


def pieces(*texts: str) -> list[Piece]:
    return [Piece("paragraph", text) for text in texts]


def test_when_sentences_are_counted_then_no_chunk_has_more() -> None:
    chunks = SentenceSplitter(200, 120, words, "words", sentences=2).split(
        laid_out(pieces("Ann ran. Bob sat. Cy hid. Dan ate. Eve won."))
    )
    assert all(found.text.count(".") <= 2 for found in chunks)
    assert " ".join(found.text for found in chunks) == "Ann ran. Bob sat. Cy hid. Dan ate. Eve won."


def test_when_text_has_no_blank_lines_then_recursive_cuts_at_lines() -> None:
    lines = [f"{number} pump started and stopped again" for number in range(60)]
    chunks = RecursiveSplitter(40, 20, words, "words").split(laid_out(pieces("\n".join(lines))))
    assert len(chunks) > 5
    assert all(found.text.endswith(" again") for found in chunks)


def test_when_the_topic_changes_then_a_semantic_chunk_begins() -> None:
    tea = [f"Tea leaves steep in hot water number {number}. Tea leaves are green." for number in range(6)]
    steel = [f"Steel beams carry the bridge deck {number}. Steel beams are heavy." for number in range(6)]
    embedder = HashingEmbedder()
    by_meaning = SemanticSplitter(200, 100, words, "w", embed=embedder.embed, embedded_by=embedder.model)
    texts = [found.text for found in by_meaning.split(laid_out(pieces(*tea, *steel)))]
    assert any(text.startswith("Steel") for text in texts)
    assert not any("Tea" in text and "Steel" in text for text in texts)


def test_when_a_document_is_edited_then_semantic_probes_only_what_is_new() -> None:
    embedder = HashingEmbedder()
    by_meaning = SemanticSplitter(200, 120, words, "w", embed=embedder.embed, embedded_by=embedder.model)
    before = document(3, paragraphs=60)
    by_meaning.split(laid_out(pieces(*before)))
    first = by_meaning.probed
    by_meaning.split(laid_out(pieces(*before[:30], "A new one. It has two.", *before[31:])))
    assert by_meaning.probed - first == 2


def overlapped(*texts: Piece) -> list[Chunk]:
    return StructureSplitter(20, 10, words, "words", 0.3).split(laid_out(texts))


def test_when_prose_goes_on_then_a_chunk_begins_with_the_sentence_before_it() -> None:
    first, second = "One two three four five six seven eight. Nine ten eleven twelve.", "A b c d e f g h i j k."
    found = [one.text for one in overlapped(*pieces(first, second))]
    assert found[-1].startswith("Nine ten eleven twelve.")
    assert found[-1].endswith(second)


def test_when_a_section_begins_then_nothing_of_the_one_before_is_repeated() -> None:
    body = "One two three four five six seven eight nine ten eleven twelve thirteen."
    found = overlapped(Piece("paragraph", body), Piece("heading", "Next", 1), Piece("paragraph", body))
    assert [one.text for one in found if one.text.startswith("Next")]


def test_when_a_table_is_cut_then_every_part_has_the_header_row() -> None:
    rows = [f"{number} | {number * 7} | pump" for number in range(100)]
    table = "\n".join(["id | flow | kind", *rows])
    chunks = splitter(40, 30).split(laid_out([Piece("table", table)]))
    assert len(chunks) > 5
    assert all(found.text.startswith("id | flow | kind\n") for found in chunks)
    assert [row for found in chunks for row in found.text.split("\n")[1:]] == rows
    assert [found.lead > 0 for found in chunks] == [False] + [True] * (len(chunks) - 1)


def test_when_a_header_row_is_too_long_then_it_is_not_repeated() -> None:
    table = "\n".join(["head " * 30, *(f"{number} | cell" for number in range(60))])
    assert not any(found.lead for found in splitter(40, 30).split(laid_out([Piece("table", table)])))


def test_when_a_row_of_a_long_table_changes_then_few_parts_do() -> None:
    rows = ["id | flow | kind", *(f"{number} | {number * 7} | pump" for number in range(600))]
    before = {found.text for found in splitter(40, 30).split(laid_out([Piece("table", "\n".join(rows))]))}
    for at in range(1, 600, 17):
        changed = [*rows[:at], f"{at} | new | valve", *rows[at + 1 :]]
        after = {found.text for found in splitter(40, 30).split(laid_out([Piece("table", "\n".join(changed))]))}
        assert len(after - before) <= 3


def family() -> ParentSplitter:
    return ParentSplitter(splitter(40, 30), 160)


def test_when_a_neighbour_of_a_child_is_edited_then_its_parent_is_read_as_it_is_now() -> None:
    """Every object that a head lists holds a parent of exactly that version; no vector is computed for it."""
    line = Line(splitter=family())
    before = document(4, paragraphs=40)
    draw = random.Random(9)
    line.take(redacted(before, 1))
    for version in range(2, 14):
        list(ONE_PLACE.values())[version % len(ONE_PLACE)](before, draw.randrange(len(before)), draw)
        asked = len(line.embedder.texts)
        line.take(redacted(before, version))
        assert len(line.embedder.texts) - asked <= 4
        text = "\n\n".join(before)
        head = line.heads.get(TENANT, "handbook.md")
        assert head is not None
        held = {found.object_id: found.chunk for found in line.store.walk(TENANT)}
        parents = [held[listed.object_id].parent for listed in head.chunks]
        assert any(parents)
        assert all(parent.text in text for parent in parents if parent)
        assert set(held) == {listed.object_id for listed in head.chunks}
