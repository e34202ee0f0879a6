"""T10's rule for readers: what it lets pass and what it finds."""

from __future__ import annotations

import pytest

from tests.chaos.cdc_run import judge_reads
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
    ],
)
def test_when_a_document_is_read_then_only_what_can_be_true_passes(
    reads: list[list[int]], damage: dict[str, int]
) -> None:
    findings = Findings()
    polls = [Operation(at, "reader", "poll", "ok", {"document": 7, "revisions": seen}) for at, seen in enumerate(reads)]
    judge_reads(polls, findings)
    assert {kind: findings.count(kind) for kind in findings.found if findings.count(kind)} == damage
