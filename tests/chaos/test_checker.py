"""A checker that can't fail proves nothing: every kind of damage is done to a sound run, and must be found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.checker import KINDS, Evidence, Findings, Poll, Rules, check, open_attempts
from tests.chaos.history import Operation
from tests.chaos.rows import Row

KEYS = 3
PER_KEY = 4


def sound(partitions: int = 2) -> Evidence:
    """A run in which nothing went wrong: a source, its copy, a reader that saw all of the copy."""
    source, output, heights = [], [], [0] * partitions
    for n in range(KEYS * PER_KEY):
        key, seq = f"k{n % KEYS}", n // KEYS
        source.append(Row("in", 0, n, key, seq, event_id=f"{key}/{seq}"))
        home = n % KEYS % partitions
        # Two offsets a record: between them are the markers of transactions.
        output.append(Row("out", home, heights[home], key, seq, f"a-1/{n}", "a-1", f"copy {key}/{seq}"))
        heights[home] += 2
    polls = [Poll(tuple(output[n : n + 5])) for n in range(0, len(output), 5)]
    return Evidence(source, output, polls)


@dataclass(frozen=True)
class Harm:
    """A damage: what is done to a sound run, and the finding it must show as."""

    kind: str
    do: Callable[[Evidence], Evidence]
    rules: Rules = field(default_factory=Rules)


def without(evidence: Evidence, n: int) -> Evidence:
    gone = evidence.output[n]
    output = [row for row in evidence.output if row is not gone]
    polls = [Poll(tuple(row for row in poll.rows if row is not gone)) for poll in evidence.polls]
    return replace(evidence, output=output, polls=polls)


def once_more(evidence: Evidence, **changes: object) -> Evidence:
    last = max(row.offset for row in evidence.output)
    copy = replace(evidence.output[0], offset=last + 2, **changes)  # type: ignore[arg-type]  # fields by name
    return replace(evidence, output=[*evidence.output, copy], polls=[*evidence.polls, Poll((copy,))])


def swapped(evidence: Evidence) -> Evidence:
    first, second = (n for n, row in enumerate(evidence.output) if row.what in (("k0", 0), ("k0", 1)))
    output = list(evidence.output)
    a, b = output[first], output[second]
    output[first], output[second] = replace(b, offset=a.offset), replace(a, offset=b.offset)
    return replace(evidence, output=output, polls=[Poll(tuple(output))])


def moved(evidence: Evidence) -> Evidence:
    """The second record of a key in another partition than its first."""
    output = [replace(row, partition=7) if row.what == ("k0", 1) else row for row in evidence.output]
    return replace(evidence, output=output, polls=[Poll(tuple(output))])


def aborted(evidence: Evidence) -> Evidence:
    return replace(evidence, operations=[Operation(1.0, "a", "abort", "ok", {"attempt": "a-1/3", "pid": 1})])


def read_and_gone(evidence: Evidence) -> Evidence:
    return replace(evidence, output=evidence.output[:-1])


def not_read(evidence: Evidence) -> Evidence:
    return replace(evidence, polls=evidence.polls[:-1])


def read_otherwise(evidence: Evidence) -> Evidence:
    rows = evidence.polls[0].rows
    other = Poll((replace(rows[0], seq=3), *rows[1:]))
    return replace(evidence, polls=[other, *evidence.polls[1:]])


def blind(evidence: Evidence) -> Evidence:
    return replace(evidence, polls=[], watched=True)


def read_back(evidence: Evidence) -> Evidence:
    return replace(evidence, polls=[*evidence.polls, evidence.polls[0]])


def from_nowhere(evidence: Evidence) -> Evidence:
    return once_more(evidence, key="k0", seq=99)


def unburied(evidence: Evidence) -> Evidence:
    return replace(evidence, doomed=frozenset({("k0", 0)}))


def buried_twice(evidence: Evidence) -> Evidence:
    doomed = without(evidence, 0)
    letter = Row("in.dlq", 0, 0, "k0", 0)
    return replace(doomed, doomed=frozenset({("k0", 0)}), letters=[letter, replace(letter, offset=1)])


HARMS = [
    Harm("lost", lambda run: without(run, 5)),
    Harm("lost", unburied),
    Harm("duplicated", once_more),
    Harm("duplicated", buried_twice),
    Harm("duplicated", lambda run: once_more(run, event_id="another"), Rules(exactly_once=False)),
    Harm("reordered", swapped),
    Harm("reordered", moved),
    Harm("aborted_reads", aborted),
    Harm("aborted_reads", read_and_gone),
    Harm("unseen", not_read),
    Harm("unseen", blind),
    Harm("inconsistent", read_otherwise),
    Harm("backwards", read_back),
    Harm("unexpected", from_nowhere),
    Harm("unexpected", unburied),
]


def test_when_nothing_went_wrong_then_nothing_is_found() -> None:
    findings = check(sound(), Rules())
    assert not findings.damage, findings.examples()
    assert findings.line() == "12 in, 12 out: 0 lost, 0 duplicated, order kept"


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: f"{harm.kind}-{harm.do.__name__}")
def test_when_a_run_is_damaged_then_the_damage_is_found_and_named(harm: Harm) -> None:
    findings = check(harm.do(sound()), harm.rules)
    assert findings.damage
    assert findings.count(harm.kind) >= 1, findings.line()
    assert harm.kind.replace("_", " ") in findings.line()
    assert harm.kind in findings.examples()


def test_when_the_damages_are_listed_then_every_kind_has_one() -> None:
    """Except `unreadable`: what can't be read can't be judged either (`beside.py`)."""
    assert {harm.kind for harm in HARMS} == set(KINDS) - {"unreadable"}


def test_when_a_hop_is_at_least_once_then_copies_that_share_an_id_are_allowed() -> None:
    assert not check(once_more(sound()), Rules(exactly_once=False)).damage


def test_when_a_key_keeps_its_order_but_the_partition_does_not_then_only_the_stricter_rule_finds_it() -> None:
    run = sound(partitions=1)
    a, b = run.output[0], run.output[1]
    output = [replace(b, offset=a.offset), replace(a, offset=b.offset), *run.output[2:]]
    swapped_keys = replace(run, output=output, polls=[Poll(tuple(output))])
    assert not check(swapped_keys, Rules(order="key")).damage
    assert check(swapped_keys, Rules(order="partition")).reordered


def test_when_there_was_no_reader_then_nobody_is_called_blind() -> None:
    assert not check(replace(sound(), polls=[]), Rules()).damage


def test_when_a_finding_is_ignored_then_it_is_no_damage() -> None:
    assert not check(not_read(sound()), Rules(ignore=frozenset({"unseen"}))).damage


@given(st.sets(st.integers(0, KEYS * PER_KEY - 1), min_size=1))
def test_when_any_records_are_lost_then_as_many_are_counted(gone: set[int]) -> None:
    run = sound()
    for n in sorted(gone, reverse=True):
        run = without(run, n)
    assert check(run, Rules()).lost == len(gone)


@given(st.permutations(range(PER_KEY)))
def test_when_a_key_is_in_any_other_order_then_it_is_found(order: list[int]) -> None:
    source = [Row("in", 0, n, "k", n, event_id=str(n)) for n in range(PER_KEY)]
    output = [Row("out", 0, n, "k", seq, event_id=str(seq)) for n, seq in enumerate(order)]
    assert check(Evidence(source, output), Rules()).damage == (order != sorted(order))


@given(st.lists(st.integers(0, KEYS * PER_KEY - 1), max_size=20))
def test_when_any_records_come_again_then_they_are_counted_and_the_order_is_not_blamed(again: list[int]) -> None:
    run = sound()
    copies = [replace(run.output[n], offset=1_000 + 2 * place) for place, n in enumerate(again)]
    findings = check(Evidence(run.source, [*run.output, *copies]), Rules())
    assert findings.duplicated == len(again)
    assert findings.reordered == 0


def test_when_kills_are_counted_then_only_those_of_a_process_with_an_open_transaction_hit() -> None:
    def noted(op: str, pid: int, **more: str) -> Operation:
        return Operation(0.0, "x", op, "ok", {"pid": pid, **more})

    operations = [
        noted("begin", 1), noted("commit", 1), noted("fault", 1, what="kill"),
        noted("begin", 2), noted("fault", 2, what="kill"), noted("fault", 2, what="kill"),
        noted("begin", 3), noted("fault", 3, what="pause"), noted("abort", 3), noted("fault", 3, what="kill"),
    ]  # fmt: skip
    assert open_attempts(operations) == 1


def test_when_the_same_damage_is_found_twice_then_it_counts_once() -> None:
    findings = Findings()
    findings.add("lost", "k/1")
    findings.add("lost", "k/1")
    assert findings.lost == 1
