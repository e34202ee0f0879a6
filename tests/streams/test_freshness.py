"""Freshness from receipts: shares per stage, the objective, skewed clocks, the slowest."""

from __future__ import annotations

import msgspec

from schemas.documents import DocumentIndexed
from schemas.envelope import Micros, Version
from streams.freshness import first_of_each, freshness_of, stages_of


def receipt(total_ms: float, document: str = "d", start: str = "source", skew_ms: float = 0.0) -> DocumentIndexed:
    begin = 1_000_000
    trail = {
        "settle": Micros(begin + int(total_ms * 1_000)),
        start: Micros(begin),
        "capture": Micros(begin + int((5 - skew_ms) * 1_000)),
        "index": Micros(begin + 20_000),
    }
    return DocumentIndexed(
        tenant="acme", document=document, version=Version(source=1, offset=1), outcome="indexed", generation="g1",
        occurred_at=trail["settle"], trail=trail,
    )  # fmt: skip


def test_when_a_receipt_has_a_trail_then_each_stage_counts_from_the_one_before() -> None:
    assert stages_of(receipt(100)) == {"capture": 5.0, "index": 15.0, "settle": 80.0}


def test_when_many_receipts_are_read_then_shares_and_the_objective_are_theirs() -> None:
    report = freshness_of([receipt(n, f"d{n}") for n in range(21, 121)], slo_ms=100)
    assert (report.receipts, report.within) == (100, 0.8)
    assert (report.total.p50, report.total.p95, report.total.p99, report.total.most) == (71.0, 116.0, 120.0, 120.0)
    assert [spread.stage for spread in report.stages] == ["capture", "index", "settle"]
    assert report.slowest[0].document == "d120" and report.slowest[0].stages["settle"] == 100.0
    assert len(report.slowest) == 10 and report.outcomes == {"indexed": 100}


def test_when_the_clocks_differ_then_it_is_said_and_no_stage_is_negative() -> None:
    report = freshness_of([receipt(100, skew_ms=9), receipt(100)], slo_ms=150)
    assert report.skewed == 1
    assert report.stages[0].stage == "capture" and report.stages[0].p50 >= 0.0


def test_when_there_are_no_receipts_then_there_is_a_report_all_the_same() -> None:
    report = freshness_of([], slo_ms=150)
    assert (report.receipts, report.within, report.total.most, report.stages) == (0, 1.0, 0.0, ())


def test_when_a_generation_is_built_then_its_replay_says_nothing_about_freshness() -> None:
    old, live = receipt(50), receipt(60, "other")
    replayed = msgspec.structs.replace(receipt(90_000), generation="g2")
    followed = msgspec.structs.replace(receipt(80, "other"), generation="g2")
    alone = msgspec.structs.replace(receipt(70, "new"), generation="g2")
    everything = [replayed, old, followed, live, alone]
    assert first_of_each(everything, {"g2": Micros(2_000_000)}) == [old, live]
    assert first_of_each(everything, {"g2": Micros(0)}) == [old, live, alone]
