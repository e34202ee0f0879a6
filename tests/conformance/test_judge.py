"""What every Judge must do: the adapters of this suite are interchangeable."""

from __future__ import annotations

import pytest

from adapters.judges import EmbeddingJudge, OverlapJudge
from adapters.memory import HashingEmbedder
from processors.ports import Judge

CLAIM = "The weir on the Alder has three gates."
SAME = "Three gates stand in the weir on the Alder."
OTHER = "Snow falls on the hills in January."


@pytest.fixture(params=["overlap", "embedding"])
def judge(request: pytest.FixtureRequest) -> Judge:
    return OverlapJudge() if request.param == "overlap" else EmbeddingJudge(HashingEmbedder())


def test_when_a_text_says_the_same_words_then_it_supports_entirely(judge: Judge) -> None:
    assert judge.support(CLAIM, [CLAIM]) == pytest.approx(1.0)


def test_when_a_text_says_it_otherwise_then_it_supports_more_than_an_unrelated_one(judge: Judge) -> None:
    assert judge.support(CLAIM, [SAME]) > 0.6
    assert judge.support(CLAIM, [OTHER]) < 0.2


def test_when_there_are_several_texts_then_the_best_counts(judge: Judge) -> None:
    assert judge.support(CLAIM, [OTHER, CLAIM]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "changed",
    ["The weir on the Alder has 7 gates.", "The weir on the Alder has not three gates."],
)
def test_when_a_number_or_a_negation_differs_then_it_does_not_support(judge: Judge, changed: str) -> None:
    assert judge.support(changed, [CLAIM]) < 0.65


@pytest.mark.parametrize(("sentence", "texts"), [(CLAIM, []), (CLAIM, [""]), ("", [CLAIM]), ("...", [CLAIM])])
def test_when_there_is_nothing_to_compare_then_there_is_no_support(
    judge: Judge, sentence: str, texts: list[str]
) -> None:
    assert judge.support(sentence, texts) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("texts", [[SAME], [OTHER, SAME], [CLAIM]])
def test_when_judged_then_it_lies_between_nothing_and_everything_and_repeats(judge: Judge, texts: list[str]) -> None:
    support = judge.support(CLAIM, texts)
    assert 0.0 <= support <= 1.0
    assert judge.support(CLAIM, texts) == support
