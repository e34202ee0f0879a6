"""Where long texts are cut: at sentences where there are any, anywhere where there is nothing else."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.ingest.sentences import fitting_spans, line_spans, sentence_spans


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four…", ["One.", "Two!", "Three?", "Four…"]),
        ("He said “Stop.” Then he left.", ["He said “Stop.”", "Then he left."]),
        ("Mr. Lee, Dr. No and J. Doe met. They ate.", ["Mr. Lee, Dr. No and J. Doe met.", "They ate."]),
        ("Cheap, e.g. tea. Dear, i.e. not.", ["Cheap, e.g. tea.", "Dear, i.e. not."]),
        ("It costs 3.50 in St. Ives. 20 came.", ["It costs 3.50 in St. Ives.", "20 came."]),
        ("see www.example.org or a.b. now", ["see www.example.org or a.b. now"]),
        ("Done. (Not yet.) Really?", ["Done.", "(Not yet.)", "Really?"]),
        ("これは茶です。熱いです！", ["これは茶です。", "熱いです！"]),
        ("Это чай. Он горячий.", ["Это чай.", "Он горячий."]),
        ("one\nline wrapped. Next", ["one\nline wrapped.", "Next"]),
        ("no end", ["no end"]),
        ("  ", []),
        ("", []),
    ],
)
def test_when_a_text_has_sentences_then_they_are_found(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_when_a_text_has_lines_then_blank_ones_are_left_out() -> None:
    text = "a\n\n  b  \nc"
    assert [text[start:end] for start, end in line_spans(text)] == ["a", "b", "c"]


@given(st.text("ab .!?;,\n。é", max_size=200), st.integers(1, 30))
def test_when_any_text_is_cut_to_fit_then_no_letter_is_lost(text: str, most: int) -> None:
    spans = list(fitting_spans(text, (0, len(text)), lambda part: len(part) <= most))
    assert all(end - start <= most for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert "".join("".join(text[a:b].split()) for a, b in spans) == "".join(text.split())
