"""T10's rule for readers: what it lets pass and what it finds."""

from __future__ import annotations

import pytest

from tests.chaos.cdc_judge import judge_reads
from tests.chaos.checker import Findings
from tests.chaos.history import Operation


@pytest.mark.parametrize(
    ("reads", "damage"),
    [
        ([[1], [1], [], [2]], {}),
        ([[1, 2]], {"inconsistent": 1}),
        ([[2], [1]], {"backwards": 1}),
        ([[1], [], [1]], {"unexpected": 1}),
        ([[], [1], [3], []], {}),
        ([[9]], {"aborted_reads": 1}),
        ([[8]], {"aborted_reads": 1}),
    ],
)
def test_when_a_document_is_read_then_only_what_can_be_true_passes(
    reads: list[list[int]], damage: dict[str, int]
) -> None:
    findings = Findings()
    polls = [Operation(at, "reader", "poll", "ok", {"document": 7, "revisions": seen}) for at, seen in enumerate(reads)]
    # Revision 9 was rolled back, 8 is another document's.
    judge_reads(polls, {1: 7, 2: 7, 3: 7, 8: 6}, findings)
    assert {kind: findings.count(kind) for kind in findings.found if findings.count(kind)} == damage


def test_when_an_answer_is_refused_then_it_is_counted_and_no_damage() -> None:
    findings = Findings()
    polls = [Operation(0.0, "reader", "poll", "fail", {"document": 7, "reason": "HeadsClosedError"})]
    assert judge_reads(polls, {}, findings) == {"HeadsClosedError": 1}
    assert (findings.damage, findings.seen) == (False, 0)


def test_when_the_reader_fails_otherwise_then_that_is_damage() -> None:
    findings = Findings()
    judge_reads([Operation(0.0, "reader", "note", "fail", {"text": "TypeError"})], {}, findings)
    assert findings.count("unexpected") == 1
