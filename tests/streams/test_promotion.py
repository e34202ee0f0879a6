"""The gate before a promotion, and what a worker leaves out once the configured generation is retired."""

from __future__ import annotations

import msgspec
import pytest

from processors.measure.comparing import Comparison
from processors.measure.ranking import RankingScores
from schemas.envelope import Version
from streams.generation_log import State, behind
from streams.generation_start import without_own
from streams.promotion import gate
from streams.selection import select
from tests.streams.memory_generations import registered

ONE, TWO = Version(source=0, offset=1), Version(source=0, offset=2)


def compared(recall: float) -> Comparison:
    scores = RankingScores(recall, recall, recall, recall, 10)
    return Comparison(old=scores, new=scores, overlap_at_5=1.0, same_first=1.0, questions=10)


NOTHING_KNOWN = Comparison(old=None, new=None, overlap_at_5=1.0, same_first=1.0, questions=5)


@pytest.mark.parametrize(
    ("sha", "late", "strangers", "comparison", "said"),
    [
        ("abc1234", 0, 0, compared(0.8), []),
        ("abc1234-dirty", 0, 0, compared(0.9), ["dirty checkout"]),
        ("", 3, 0, compared(0.9), ["3 documents are older"]),
        ("", 0, 2, compared(0.9), ["2 documents were cut by other settings"]),
        ("", 0, 0, compared(0.79), ["recall@5 is 0.790, below 0.8"]),
        ("", 0, 0, None, ["no golden questions"]),
        ("", 0, 0, NOTHING_KNOWN, ["no golden questions"]),
        ("x-dirty", 1, 1, compared(0.1), ["dirty", "cut by", "older", "below"]),
    ],
)
def test_when_something_speaks_against_it_then_the_gate_says_each_reason(
    sha: str, late: int, strangers: int, comparison: Comparison | None, said: list[str]
) -> None:
    event = msgspec.structs.replace(registered("g2"), git_sha=sha)
    reasons = gate(event, late, strangers, comparison, 0.8)
    assert len(reasons) == len(said)
    assert all(word in reason for word, reason in zip(said, reasons, strict=True))


@pytest.mark.parametrize(
    ("held", "late"),
    [
        ({}, True),
        ({("t", "a"): State(ONE, TWO)}, True),
        ({("t", "a"): State(TWO, ONE)}, True),
        ({("t", "a"): State(TWO, TWO)}, False),
        ({("t", "a"): State(TWO, TWO), ("t", "new"): State(ONE, ONE)}, False),
    ],
)
def test_when_content_or_access_is_older_then_a_document_is_behind(
    held: dict[tuple[str, str], State], late: bool
) -> None:
    assert behind({("t", "a"): State(TWO, TWO)}, held) == ([("t", "a")] if late else [])


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (("ingest",), [f"headwater.ingest.{step}.v1" for step in ("keep", "parse", "survey", "erase")]),
        (("ingest.chunk", "ingest.index", "ingest.settle"), []),
        (("answer", "measure"), [one.group for one in select(("answer", "measure"))]),
    ],
)
def test_when_the_configured_one_is_retired_then_only_what_others_need_is_left(
    words: tuple[str, ...], left: list[str]
) -> None:
    selected = without_own(select(words))
    assert [one.group for one in selected] == left
    assert not {"chunk", "embed", "index", "settle"} & {hop.name for one in selected for hop in one.hops}
