"""The ledger under any interleaving: what may be committed, and what never."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streams.commits import OffsetLedger

PLACE = ("t", 0)


def test_when_a_lower_record_is_unfinished_then_nothing_above_it_is_committable() -> None:
    """Faust's off by one: with 31 running and 32, 33 acknowledged it commits 34."""
    ledger = OffsetLedger()
    epoch = ledger.assign(PLACE)
    for offset in (31, 32, 33):
        ledger.deliver(PLACE, offset)
    ledger.complete(PLACE, 32, epoch)
    ledger.complete(PLACE, 33, epoch)
    assert ledger.committable() == {}


def test_when_offsets_have_holes_then_the_next_after_the_last_is_committable() -> None:
    ledger = OffsetLedger()
    epoch = ledger.assign(PLACE)
    for offset in (3, 9, 20):
        ledger.deliver(PLACE, offset)
        ledger.complete(PLACE, offset, epoch)
    assert ledger.committable() == {PLACE: 21}


def test_when_a_fresh_partition_has_its_first_record_running_then_nothing_is_committable() -> None:
    ledger = OffsetLedger()
    ledger.assign(PLACE)
    ledger.deliver(PLACE, 0)
    assert ledger.committable() == {}


def test_when_a_completion_is_of_an_old_epoch_then_it_is_ignored() -> None:
    ledger = OffsetLedger()
    old = ledger.assign(PLACE)
    ledger.deliver(PLACE, 5)
    ledger.revoke(PLACE)
    ledger.assign(PLACE)
    ledger.deliver(PLACE, 5)
    ledger.complete(PLACE, 5, old)
    assert ledger.committable() == {}


@pytest.mark.parametrize(("committed", "resume"), [(None, 4), (7, 7)])
def test_when_work_failed_then_it_resumes_at_the_commit_or_the_first_delivery(
    committed: int | None, resume: int
) -> None:
    ledger = OffsetLedger()
    epoch = ledger.assign(PLACE)
    ledger.deliver(PLACE, 4)
    if committed is not None:
        ledger.committed(PLACE, committed, epoch)
    assert ledger.resume_at(PLACE) == resume


def test_when_rewound_then_the_same_offsets_can_be_delivered_again() -> None:
    ledger = OffsetLedger()
    epoch = ledger.assign(PLACE)
    for offset in (4, 6):
        ledger.deliver(PLACE, offset)
        ledger.complete(PLACE, offset, epoch)
    ledger.rewind(PLACE)
    assert ledger.committable() == {}
    ledger.deliver(PLACE, 4)
    assert ledger.unfinished() == 1 and ledger.gap(PLACE) == 1


@pytest.mark.parametrize(("said", "resume"), [(6, 6), (9, 9), (None, 4)])
def test_when_the_broker_says_what_is_committed_then_it_counts_above_and_below_what_was_believed(
    said: int | None, resume: int
) -> None:
    ledger = OffsetLedger()
    epoch = ledger.assign(PLACE)
    for offset in (4, 6, 7):
        ledger.deliver(PLACE, offset)
        ledger.complete(PLACE, offset, epoch)
    ledger.committed(PLACE, 8, epoch)
    ledger.read_back(PLACE, said)
    assert ledger.resume_at(PLACE) == resume


@dataclass
class _Log:
    """What the machine knows to be true: offsets of one partition, with holes, and how far they were handed out."""

    offsets: list[int]
    position: int = 0
    epoch: int | None = None
    finished: set[int] = field(default_factory=set)
    handed: list[int] = field(default_factory=list)
    confirmed: int = 0
    """Index of the first offset that is not below the committed one."""


@settings(max_examples=300, stateful_step_count=40, deadline=None)
class LedgerMachine(RuleBasedStateMachine):
    """Any interleaving of assign, deliver, complete, commit, fail, revoke: a commit never passes unfinished work."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = OffsetLedger()
        self.logs: dict[tuple[str, int], _Log] = {}
        self.old: list[tuple[tuple[str, int], int, int]] = []

    @rule(partition=st.integers(0, 1), gaps=st.lists(st.integers(1, 5), min_size=1, max_size=12))
    def assign(self, partition: int, gaps: list[int]) -> None:
        place = ("t", partition)
        log = self.logs.get(place)
        if log is None:
            offsets = [sum(gaps[: n + 1]) for n in range(len(gaps))]
            log = self.logs[place] = _Log(offsets)
        if log.epoch is None:
            log.epoch = self.ledger.assign(place)
            log.position, log.handed, log.finished = log.confirmed, [], set()

    @rule(partition=st.integers(0, 1), most=st.integers(0, 5))
    def deliver(self, partition: int, most: int) -> None:
        log = self.logs.get(("t", partition))
        if log and log.epoch is not None:
            run = log.offsets[log.position : log.position + most]
            if len(run) == 1:
                self.ledger.deliver(("t", partition), run[0])
            else:
                self.ledger.deliver_run(("t", partition), run)
            log.handed += run
            log.position += len(run)

    @rule(partition=st.integers(0, 1), pick=st.integers(0, 20))
    def complete(self, partition: int, pick: int) -> None:
        log = self.logs.get(("t", partition))
        if log and log.epoch is not None and log.handed:
            offset = log.handed[pick % len(log.handed)]
            self.ledger.complete(("t", partition), offset, log.epoch)
            log.finished.add(offset)

    @rule(partition=st.integers(0, 1), pick=st.integers(0, 20), most=st.integers(0, 12))
    def complete_run(self, partition: int, pick: int, most: int) -> None:
        log = self.logs.get(("t", partition))
        if log and log.epoch is not None and log.handed:
            start = pick % len(log.handed)
            run = log.handed[start : start + most]
            self.ledger.complete_run(("t", partition), run, log.epoch)
            log.finished.update(run)

    @rule()
    def commit(self) -> None:
        for place, offset in self.ledger.committable().items():
            log = self.logs[place]
            assert log.epoch is not None
            self.ledger.committed(place, offset, log.epoch)
            log.confirmed = sum(1 for known in log.offsets if known < offset)

    @rule(partition=st.integers(0, 1))
    def fail(self, partition: int) -> None:
        log = self.logs.get(("t", partition))
        if log and log.epoch is not None:
            resume = self.ledger.resume_at(("t", partition))
            self.ledger.rewind(("t", partition))
            if resume is not None:
                log.position = sum(1 for known in log.offsets if known < resume)
            log.handed, log.finished = [], set()
            assert log.position <= log.confirmed or log.position == log.confirmed

    @rule(partition=st.integers(0, 1))
    def revoke(self, partition: int) -> None:
        log = self.logs.get(("t", partition))
        if log and log.epoch is not None:
            self.old.extend((("t", partition), offset, log.epoch) for offset in log.handed)
            self.ledger.revoke(("t", partition))
            log.epoch = None

    @precondition(lambda self: self.old)
    @rule(pick=st.integers(0, 50))
    def late_completion(self, pick: int) -> None:
        place, offset, epoch = self.old[pick % len(self.old)]
        self.ledger.complete(place, offset, epoch)
        self.ledger.complete_run(place, [offset], epoch)

    @invariant()
    def never_passes_unfinished_work(self) -> None:
        for place, offset in self.ledger.committable().items():
            log = self.logs[place]
            assert log.epoch is not None, "commits a partition that is not ours"
            running = [known for known in log.handed if known not in log.finished]
            assert not running or offset <= min(running)
            assert offset <= (log.handed[-1] + 1 if log.handed else 0)

    @invariant()
    def names_exactly_what_is_finished_beyond_the_commit_point(self) -> None:
        for place, (offset, beyond) in self.ledger.progress().items():
            log = self.logs[place]
            assert beyond == {done for done in log.finished if done > offset}


TestLedger = LedgerMachine.TestCase


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_when_everything_is_complete_in_any_order_then_all_is_committable(gaps: list[int], order: object) -> None:
    ledger = OffsetLedger()
    epoch = ledger.assign(PLACE)
    offsets = [sum(gaps[: n + 1]) for n in range(len(gaps))]
    for offset in offsets:
        ledger.deliver(PLACE, offset)
    shuffled = list(offsets)
    order.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis hands out a random.Random
    for offset in shuffled:
        ledger.complete(PLACE, offset, epoch)
    assert ledger.committable() == {PLACE: offsets[-1] + 1}
