"""The port Splitter: nothing lost, nothing twice but what is repeated, bounds kept, offsets right, names stable."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.ingest.formats import Piece, laid_out, parsed_text
from processors.ingest.passages import named
from schemas.documents import Chunk
from tests.conformance.splitters import SPLITTERS, words

SIZES = [(16, 8), (40, 40), (200, 120)]
WORDS = ["pump", "valve.", "Weir", "e.g.", "42", "reservoir,", "Is", "it?", "été", "—", "x" * 90, "河流。", "def f():"]
TEXT = st.one_of(
    st.text("ab c.\n!?Xé。|", max_size=120),
    st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join),
    st.lists(st.lists(st.sampled_from(WORDS), max_size=9).map(" | ".join), max_size=20).map("\n".join),
    st.integers(1, 900).map(lambda size: "x" * size),
)
PIECES = st.lists(
    st.builds(
        Piece,
        kind=st.sampled_from(["heading", "paragraph", "paragraph", "paragraph", "table", "code", "list"]),
        text=TEXT,
        level=st.integers(1, 6),
    ),
    max_size=20,
)
each_splitter = pytest.mark.parametrize("splitter", SPLITTERS)


def verbatim(chunk: Chunk) -> str:
    return chunk.text[chunk.lead :]


@each_splitter
@given(pieces=PIECES, sizes=st.sampled_from(SIZES))
@settings(max_examples=60, deadline=None)
def test_when_any_document_is_cut_then_its_text_is_in_chunks_that_fit(
    splitter: str, pieces: list[Piece], sizes: tuple[int, int]
) -> None:
    blocks = laid_out(pieces)
    text = parsed_text(blocks)
    chunks = SPLITTERS[splitter](*sizes).split(blocks)
    covered = [False] * len(text)
    for ordinal, chunk in enumerate(chunks):
        assert chunk.ordinal == ordinal
        assert verbatim(chunk) == text[chunk.start : chunk.end] != ""
        assert chunk.tokens == words(chunk.text) <= sizes[0]
        covered[chunk.start : chunk.end] = [True] * (chunk.end - chunk.start)
    assert all(seen or char.isspace() for seen, char in zip(covered, text, strict=True))
    assert chunks == SPLITTERS[splitter](*sizes).split(blocks)


@each_splitter
@given(pieces=PIECES, sizes=st.sampled_from(SIZES))
@settings(max_examples=40, deadline=None)
def test_when_any_document_is_cut_then_only_an_overlap_or_a_header_row_is_told_twice(
    splitter: str, pieces: list[Piece], sizes: tuple[int, int]
) -> None:
    blocks = laid_out(pieces)
    text = parsed_text(blocks)
    chunks = SPLITTERS[splitter](*sizes).split(blocks)
    share = 0.3 if "overlap" in splitter else 0
    for before, after in pairwise(chunks):
        assert before.end < after.end
        assert before.start <= after.start
        assert words(text[after.start : before.end] if after.start < before.end else "") <= share * sizes[0]
    for chunk in chunks:
        assert not chunk.lead or any(
            block.kind == "table" and chunk.text[: chunk.lead - 1] == block.text.split("\n")[0]
            for block in blocks
            if block.start < chunk.start < block.end
        )


@each_splitter
@given(pieces=PIECES)
@settings(max_examples=30, deadline=None)
def test_when_a_document_is_cut_twice_then_names_are_the_same_and_no_two_alike(
    splitter: str, pieces: list[Piece]
) -> None:
    blocks = laid_out(pieces)
    names = [chunk.name for chunk in named(SPLITTERS[splitter](40, 40).split(blocks), "T", "s1")]
    assert len(set(names)) == len(names)
    assert names == [chunk.name for chunk in named(SPLITTERS[splitter](40, 40).split(blocks), "T", "s1")]


@each_splitter
@given(pieces=PIECES, sizes=st.sampled_from(SIZES))
@settings(max_examples=30, deadline=None)
def test_when_a_chunk_has_a_parent_then_it_stands_in_it_verbatim(
    splitter: str, pieces: list[Piece], sizes: tuple[int, int]
) -> None:
    blocks = laid_out(pieces)
    text = parsed_text(blocks)
    for chunk in SPLITTERS[splitter](*sizes).split(blocks):
        if chunk.parent:
            assert chunk.parent.text == text[chunk.parent.start : chunk.parent.end]
            assert chunk.parent.start <= chunk.start < chunk.end <= chunk.parent.end
            assert words(chunk.parent.text) <= 3 * sizes[0]


@each_splitter
def test_when_there_is_nothing_then_there_are_no_chunks(splitter: str) -> None:
    assert SPLITTERS[splitter](40, 20).split(()) == []


@each_splitter
def test_when_a_size_differs_then_so_does_the_fingerprint(splitter: str) -> None:
    prints = {SPLITTERS[splitter](*sizes).fingerprint for sizes in SIZES}
    assert len(prints) == len(SIZES)


def test_when_a_strategy_differs_then_so_does_the_fingerprint() -> None:
    assert len({make(40, 20).fingerprint for make in SPLITTERS.values()}) == len(SPLITTERS)
