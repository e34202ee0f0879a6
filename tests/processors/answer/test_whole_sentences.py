"""Whole sentences: however a text is cut into pieces, what is told of it is how its sentences begin."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processors.answer.whole_sentences import WholeSentences
from processors.answer.writing import cited_sentences, finished_sentences
from schemas.queries import Sentence

# What sentences are made of, and what makes it hard to see where they end.
PARTS = [
    *("A lease runs", "for 3.5 years", "e.g. Dr. Who", "U.S.", "The rest", "etc.", "a", "and", "Apple", "7", "x@y.org"),
    *(".", "!", "?", "…", "。", "是的", " ", "  ", "\n", "\n\n", "\r\n", "\t", "(", ")", '"', "NOT IN THE DOCUMENTS"),
    *("[1]", "[1, 2]", "[", "]", "[3", ", 4]", "- ", "1. ", "\n- item", "\n1. item", "\n# Head", "\n| a | b |"),
    *("\n```\n", "```", "~~~", "`", "#", "|"),
]

texts = st.lists(st.sampled_from(PARTS), max_size=40).map("".join)


def told(pieces: list[str]) -> list[Sentence]:
    heard = WholeSentences()
    return [sentence for piece in pieces for sentence in heard.hear(piece)]


@settings(deadline=None, max_examples=400)
@given(texts, st.lists(st.integers(1, 7), min_size=1, max_size=12))
@example("NOT IN THE DOCUMENTS. But more of it.", [1])
@example("NOT IN THE DOCUMENTS\n- or are they", [1])
@example("One. [1, 2] Two three.", [1])
@example("A lease runs\n1. ", [1])
@example("A lease runs\n- \n- ", [1])
@example("In the U.S. The law is so. In the U.S. Apple is.", [1])
def test_when_a_text_comes_in_pieces_then_what_is_told_is_how_its_sentences_begin(text: str, sizes: list[int]) -> None:
    pieces: list[str] = []
    at = 0
    while at < len(text):
        pieces.append(text[at : at + sizes[len(pieces) % len(sizes)]])
        at += len(pieces[-1])
    first = told(pieces)
    everything = list(cited_sentences(text))
    assert first == everything[: len(first)]
    # What is cut off may take the last sentence along, never one that was told.
    cut = list(finished_sentences(text))
    assert first == cut[: len(first)]


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("It is so.", []),
        ("It is so. And", []),
        ("It is so. And ", ["It is so."]),
        ("It is so. [1] And ", ["It is so."]),
        ("It is so. [1, 2", []),
        ("It is 3.5 or ", []),
        ("Mr. Who came. He ", ["Mr. Who came."]),
        ("- One [1]\n- Two [2]\n- Three ", ["- One", "- Two"]),
    ],
)
def test_when_enough_has_come_then_a_sentence_is_told_at_once(text: str, whole: list[str]) -> None:
    assert [sentence.text for sentence in told(list(text))] == whole


def test_when_a_text_is_long_then_each_sentence_is_told_once() -> None:
    text = "".join(f"Rule {number} holds [1]. " for number in range(200))
    assert [one.text for one in told([word + " " for word in text.split(" ")])] == [
        f"Rule {n} holds." for n in range(199)
    ]
