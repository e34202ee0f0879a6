"""chunk: passages that fit, whose boundaries hold still under edits, and the manifest that closes a version."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from processors.ingest.boundaries import CHARS_PER_TOKEN, StructureSplitter
from processors.ingest.chunk import chunk
from processors.ingest.formats import Piece, laid_out, parsed_text
from schemas.documents import Chunk, ChunkCreated, DocumentChunked
from tests.processors.ingest.builders import deleted, redacted, splitter, words

STEMS = ("bar", "del", "fim", "gor", "hul", "jat", "kem", "lis", "mon", "nar")
LEXICON = [f"{stem}{ending}" for stem in STEMS for ending in "aeiou"]


def prose(draw: random.Random, mean: float) -> str:
    """A paragraph of about `mean` words, in sentences."""
    count = max(3, min(round(draw.lognormvariate(0, 0.5) * mean), 110))
    text = [draw.choice(LEXICON) + str(draw.randrange(300)) for _ in range(count)]
    for begin in range(0, count, 12):
        text[begin] = text[begin].capitalize()
        text[min(begin + 11, count - 1)] += "."
    return " ".join(text)


def document(seed: int, mean: float, paragraphs: int = 264) -> list[str]:
    draw = random.Random(seed)
    return [prose(draw, mean) for _ in range(paragraphs)]


def names(paragraphs: Sequence[str | Piece], title: str = "Handbook") -> list[str]:
    manifest = list(chunk(redacted(paragraphs, title=title), splitter()))[-1]
    assert isinstance(manifest, DocumentChunked)
    return list(manifest.names)


def cut(pieces: Sequence[Piece], by: StructureSplitter | None = None) -> list[Chunk]:
    return (by or splitter()).split(laid_out(pieces))


def paragraphs_of(texts: Sequence[str]) -> list[Piece]:
    return [Piece("paragraph", text) for text in texts]


# What an author does to one paragraph.
EDITS: dict[str, Callable[[list[str], int, random.Random, float], None]] = {
    "appends": lambda texts, at, draw, _: texts.__setitem__(at, f"{texts[at]} {prose(draw, 8)}"),
    "rewrites": lambda texts, at, draw, mean: texts.__setitem__(at, prose(draw, mean)),
    "corrects": lambda texts, at, *_: texts.__setitem__(at, texts[at].replace("a", "o", 1)),
    "inserts": lambda texts, at, draw, mean: texts.insert(at, prose(draw, mean)),
    "removes": lambda texts, at, *_: texts.__delitem__(at),
}


def changed_names(mean: float, seed: int, edits: int) -> Counter[int]:
    """How many chunks of a 264-paragraph document are new after one edit, over many edits."""
    before = document(seed, mean)
    known = set(names(before))
    draw = random.Random(seed + 1)
    changed: Counter[int] = Counter()
    for number in range(edits):
        after = list(before)
        edit = list(EDITS.values())[number % len(EDITS)]
        edit(after, draw.randrange(len(after)), draw, mean)
        changed[len(set(names(after)) - known)] += 1
    return changed


@pytest.mark.parametrize("mean", [8, 20, 45, 70])
def test_when_one_paragraph_is_edited_then_at_most_two_chunks_are_new(mean: int) -> None:
    """Two bound 99 edits of 100; the others make three, where an anchor and both its neighbours moved."""
    changed = changed_names(mean, seed=mean, edits=150)
    assert max(changed) <= 3, changed
    assert changed[3] <= 0.01 * changed.total() + 1, changed


@given(st.integers(0, 10_000), st.sampled_from(sorted(EDITS)), st.sampled_from([6, 15, 40, 80]))
@settings(max_examples=60, deadline=None)
def test_when_any_paragraph_is_edited_then_nothing_else_moves(seed: int, kind: str, mean: int) -> None:
    before = document(seed, mean, paragraphs=60)
    after = list(before)
    draw = random.Random(seed)
    EDITS[kind](after, draw.randrange(len(after)), draw, mean)
    assert len(set(names(after)) - set(names(before))) <= 3


BLOCKS = st.lists(
    st.builds(
        Piece,
        kind=st.sampled_from(["heading", "paragraph", "paragraph", "paragraph", "table", "code", "list"]),
        text=st.one_of(
            st.text("ab c.\n!?Xé。", max_size=120),
            st.lists(st.sampled_from(LEXICON), max_size=60).map(" ".join),
            st.integers(1, 900).map(lambda size: "x" * size),
        ),
        level=st.integers(1, 6),
    ),
    max_size=25,
)


@given(BLOCKS, st.sampled_from([(16, 8), (40, 40), (200, 120)]))
@settings(max_examples=150, deadline=None)
def test_when_any_document_is_cut_then_every_word_is_in_a_chunk_that_fits(
    pieces: list[Piece], sizes: tuple[int, int]
) -> None:
    blocks = laid_out(pieces)
    text = parsed_text(blocks)
    chunks = splitter(*sizes).split(blocks)
    covered = [False] * len(text)
    for ordinal, found in enumerate(chunks):
        assert found.ordinal == ordinal
        assert found.text == text[found.start : found.end] != ""
        assert found.tokens == words(found.text) <= sizes[0]
        assert len(found.text) <= sizes[0] * CHARS_PER_TOKEN
        covered[found.start : found.end] = [True] * len(found.text)
    assert all(seen or char.isspace() for seen, char in zip(covered, text, strict=True))
    assert all(a.end <= b.start for a, b in pairwise(chunks))
    assert chunks == splitter(*sizes).split(blocks)


@pytest.mark.parametrize("size", [1, 30, 120, 199, 200])
def test_when_a_document_is_one_passage_that_fits_then_it_is_one_chunk(size: int) -> None:
    text = " ".join(["Word."] * size)
    assert [found.text for found in cut(paragraphs_of([text]))] == [text]


def test_when_paragraphs_are_small_then_they_share_chunks_of_a_good_size() -> None:
    sizes = [found.tokens for found in cut(paragraphs_of(document(3, 10)))]
    assert 60 <= sum(sizes) / len(sizes) <= 120
    assert sum(size < 20 for size in sizes) <= 0.04 * len(sizes)


def test_when_a_heading_stands_above_a_passage_then_they_travel_together() -> None:
    body = " ".join(["leaf"] * 90)
    chunks = cut(
        [
            Piece("heading", "Tea", 1),
            Piece("heading", "Green", 2),
            Piece("paragraph", body),
            Piece("heading", "Black", 2),
            Piece("paragraph", body),
        ]
    )
    assert [found.text.split("\n\n")[0] for found in chunks] == ["Tea", "Black"]
    assert [found.heading_path for found in chunks] == [("Tea",), ("Tea", "Black")]


@pytest.mark.parametrize("kind", ["table", "code", "list"])
def test_when_a_block_with_lines_is_too_long_then_it_is_cut_between_lines(kind: str) -> None:
    lines = [f"row {number} | " + "cell " * 10 for number in range(60)]
    chunks = splitter().split(laid_out([Piece(kind, "\n".join(lines))]))  # type: ignore[arg-type]
    assert len(chunks) > 3
    assert all(found.text.startswith("row ") and found.kind == kind for found in chunks)


def test_when_a_table_fits_then_it_is_whole() -> None:
    table = "\n".join(f"row {number} | a. B." for number in range(30))
    chunks = cut([Piece("paragraph", "Before. " * 80), Piece("table", table), Piece("paragraph", "After. " * 80)])
    assert any(table in found.text for found in chunks)


def test_when_prose_is_too_long_then_it_is_cut_between_sentences() -> None:
    text = " ".join(f"Number {number} came to e.g. Dr. Lee at 3 p.m. and left." for number in range(60))
    chunks = cut(paragraphs_of([text]))
    assert len(chunks) > 3
    assert all(found.text.startswith("Number ") and found.text.endswith(" left.") for found in chunks)


def test_when_a_long_paragraph_is_edited_then_its_other_parts_stay() -> None:
    sentences = [f"Sentence {number} says that {number * 7} comes next to {number * 13}." for number in range(200)]
    before = set(names([" ".join(sentences)]))
    sentences[100] = "This one is new."
    assert len(set(names([" ".join(sentences)])) - before) <= 2


def test_when_texts_repeat_then_their_names_differ_by_occurrence() -> None:
    twice = names(["same " * 150, "same " * 150])
    assert [name.rsplit("-", 1)[1] for name in twice] == ["0", "1"]
    assert len({name.rsplit("-", 1)[0] for name in twice}) == 1


def test_when_the_title_changes_then_every_passage_is_another() -> None:
    """It is embedded with each of them."""
    assert not set(names(["text"], title="A")) & set(names(["text"], title="B"))


def test_when_a_document_is_cut_then_the_manifest_closes_it() -> None:
    source = redacted(document(1, 50, paragraphs=10), 7, access=("group:x",))
    *created, manifest = chunk(source, splitter())
    chunks = [found for found in created if isinstance(found, ChunkCreated)]
    assert isinstance(manifest, DocumentChunked)
    assert len(chunks) == len(created)
    assert manifest.names == tuple(found.chunk.name for found in chunks)
    assert all(found.version == source.version and found.access == ("group:x",) for found in chunks)
    assert (manifest.version, manifest.access, manifest.title) == (source.version, ("group:x",), "Handbook")
    assert manifest.fingerprint == splitter().fingerprint


def test_when_a_document_has_metadata_then_the_manifest_says_what_is_short_enough_to_be_asked_for() -> None:
    held = {"year": "1990", "abstract": "word " * 100, **{f"z{n:02d}": "x" for n in range(40)}}
    *_, manifest = chunk(replace(redacted(document(1, 50), 7), properties=held), splitter())
    assert isinstance(manifest, DocumentChunked)
    assert manifest.properties["year"] == "1990" and manifest.properties["media_type"]
    assert "abstract" not in manifest.properties and len(manifest.properties) == 32


def test_when_a_document_is_deleted_then_the_delete_goes_on() -> None:
    assert list(chunk(deleted(2), splitter())) == [deleted(2)]


def test_when_a_setting_differs_then_so_does_the_fingerprint() -> None:
    prints = {
        splitter().fingerprint,
        splitter(150).fingerprint,
        splitter(200, 100).fingerprint,
        StructureSplitter(200, 120, words, "letters").fingerprint,
    }
    assert len(prints) == 4


def test_when_the_target_is_above_the_bound_then_it_says_so() -> None:
    with pytest.raises(ValueError, match="got 120 and 100"):
        splitter(100)
