"""Records that kill their process are found and given up unhandled; no storm of kills makes that of a healthy one."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.measures import FeedbackGiven
from streams.gate import Gate
from streams.records import Record
from streams.runs import METADATA_BYTES, decode, encode
from streams.suspects import FEW, Kind, Mark, Suspects
from tests.streams.crash_world import Cluster, Death, Life, storm

PLACE = ("t", 0)


def deadly(cluster: Cluster, poison: set[str], seconds: float = 0.0) -> Callable[[FeedbackGiven], None]:
    def step(event: FeedbackGiven) -> None:
        if seconds:
            cluster.clock.sleep(seconds)
        if event.comment in poison:
            raise Death

    return step


def live_on(cluster: Cluster, step: Callable[[FeedbackGiven], None], most: int = 500, limit: int = 3) -> int:
    """Starts the process again whenever it died; how often it did."""
    for deaths in range(100):
        try:
            Life(cluster, step, limit).run(most)
            return deaths
        except Death:
            continue
    raise AssertionError("it never got past the record")


@pytest.mark.parametrize(("records", "most"), [(1, 500), (20, 500), (200, 500), (200, 50), (2_000, 500)])
def test_when_a_record_kills_its_process_then_it_alone_becomes_a_dead_letter_and_the_rest_goes_on(
    records: int, most: int
) -> None:
    cluster = Cluster()
    for n in range(records):
        cluster.put(str(n), n % 2)
    poison = str(records // 2)
    deaths = live_on(cluster, deadly(cluster, {poison}), most)
    assert deaths <= 6
    assert set(cluster.letters) == {poison}
    assert cluster.letters[poison]["dlq.attempt"] == b"3" and cluster.letters[poison]["dlq.exception"] == b"Crashed"
    assert b"died 3 times" in cluster.letters[poison]["dlq.reason"]
    assert cluster.delivered == {str(n): 1 for n in range(records) if str(n) != poison}


def test_when_several_records_kill_their_process_then_each_of_them_is_found() -> None:
    cluster = Cluster()
    for n in range(60):
        cluster.put(str(n), n % 3)
    poison = {"10", "11", "12", "40"}
    live_on(cluster, deadly(cluster, poison))
    assert set(cluster.letters) == poison
    assert cluster.delivered == {str(n): 1 for n in range(60) if str(n) not in poison}


def test_when_nothing_dies_then_an_assignment_costs_one_commit_and_a_batch_none() -> None:
    cluster = Cluster()
    for n in range(300):
        cluster.put(str(n), n % 2)
    assert live_on(cluster, deadly(cluster, set()), most=10) == 0
    assert cluster.commits == 2


def test_when_isolation_is_off_then_no_mark_is_written_and_nothing_is_given_up() -> None:
    cluster = Cluster()
    cluster.put("0")
    with pytest.raises(AssertionError):
        live_on(cluster, deadly(cluster, {"0"}), limit=0)
    assert cluster.commits == 0 and not cluster.letters


@pytest.mark.parametrize("seconds", [0.0, 0.002, 0.05, 0.4, 2.5])
@pytest.mark.parametrize("gaps", [(0.5, 3.0), (0.0, 0.3), (0.0, 10.0)])
def test_when_processes_are_killed_at_random_then_no_healthy_record_is_given_up(
    seconds: float, gaps: tuple[float, float]
) -> None:
    kills = 0
    for seed in range(5):
        cluster, chance, count = Cluster(), random.Random(seed), 0
        for _ in range(40):
            for _ in range(min(200, int(4 / max(seconds, 0.02)))):
                cluster.put(str(count))
                count += 1
            storm(cluster, chance, gaps)
            try:
                Life(cluster, deadly(cluster, set(), seconds)).run(2)
            except Death:
                kills += 1
        cluster.clock.kill_at = float("inf")
        live_on(cluster, deadly(cluster, set(), seconds))
        assert not cluster.letters, f"seed {seed}"
        assert cluster.delivered == {str(n): 1 for n in range(count)}
    assert kills >= 20


def test_when_a_poisonous_record_lies_in_a_storm_then_it_is_found_once_that_is_over() -> None:
    cluster, chance = Cluster(), random.Random(5)
    for n in range(100):
        cluster.put(str(n))
    for _ in range(60):
        storm(cluster, chance, (0.5, 6.0))
        with pytest.raises(Death):
            Life(cluster, deadly(cluster, {"50"})).run(20)
    cluster.clock.kill_at = float("inf")
    live_on(cluster, deadly(cluster, {"50"}))
    assert set(cluster.letters) == {"50"} and sum(cluster.delivered.values()) == 99


def test_when_a_process_stops_cleanly_with_a_suspect_in_hand_then_that_is_no_death() -> None:
    cluster = Cluster()
    cluster.put("0")
    for _ in range(2):
        with pytest.raises(Death):
            Life(cluster, deadly(cluster, {"0"})).run(10)
    before = Mark.read(cluster.offsets["test.in.v1", 0][1])
    assert before and (before.kind, before.deaths) == (Kind.ALONE, 0)
    for _ in range(9):
        life = Life(cluster, deadly(cluster, {"0"}))
        life.turn(10)  # Watches: nothing is handled for a while.
        life.stop()
        after = Mark.read(cluster.offsets["test.in.v1", 0][1])
        assert after and (after.kind, after.deaths) == (Kind.LEFT, 1)
    assert cluster.handled["0"] == 2 and not cluster.letters


def test_when_the_first_batch_is_given_back_then_nothing_is_suspected() -> None:
    cluster = Cluster()
    cluster.put("0")
    life = Life(cluster, deadly(cluster, set()))
    batch = life.admission.take(life.consumer.read(10), 10)
    life.admission.mark(batch)
    assert Mark.read(cluster.offsets["test.in.v1", 0][1]) is not None
    life.stop()
    assert cluster.offsets["test.in.v1", 0] == (0, "")


def test_when_a_partition_comes_back_to_the_process_that_marked_it_then_nobody_died() -> None:
    suspects = Suspects(limit=3, life=7)
    suspects.meet(PLACE, 4, "m1a1.0.0.0.7;")
    assert suspects.deaths(PLACE) == 1
    suspects.meet(PLACE, 4, "m1a1.0.0.0.8;")
    assert suspects.deaths(PLACE) == 2


@pytest.mark.parametrize(("tenths", "watched", "watch_s"), [(0, 0, 3.0), (0, 30, 6.0), (0, 60, 12.0), (50, 60, 160.0)])
def test_when_a_record_was_watched_or_in_hand_for_long_then_it_is_watched_longer(
    tenths: int, watched: int, watch_s: float
) -> None:
    suspects = Suspects(limit=3, life=7)
    suspects.meet(PLACE, 4, Mark(Kind.ALONE, 0, 0, tenths, watched, life=8).text())
    assert suspects.watch_s(PLACE) == watch_s


def test_when_a_suspect_takes_long_then_that_is_said_now_and_then() -> None:
    suspects = Suspects(limit=3, life=7)
    suspects.meet(PLACE, 4, "m1b0.0.0.0.8;")
    suspects.in_hand([Record("t", 0, 4, b"k", b"v")], {PLACE: 4})
    said = [n for n in range(31) if suspects.still_alone(PLACE, n / 10)]
    assert said == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 21, 24, 27, 30]


@given(st.sets(st.integers(0, 3_000), max_size=200), st.sampled_from(Kind), st.tuples(*[st.integers(0, 10**16)] * 5))
def test_when_a_mark_stands_before_runs_then_both_can_be_read(
    done: set[int], kind: Kind, numbers: tuple[int, int, int, int, int]
) -> None:
    mark = Mark(kind, *numbers)
    text = mark.text() + encode(0, done, METADATA_BYTES - len(mark.text()))
    assert Mark.read(text) == mark and len(text) <= METADATA_BYTES
    assert decode(0, text) == done


@pytest.mark.parametrize(
    "text", ["m1", "m1a", "m1a1;", "m1a1.1.1.1;", "m1z1.1.1.1.1;", "m1a1.1.1.1.1.1;", "r1+1.1", "m1a!.1.1.1.1;"]
)
def test_when_metadata_holds_no_mark_of_ours_then_nothing_is_suspected(text: str) -> None:
    suspects = Suspects(limit=3, life=7)
    suspects.meet(PLACE, 4, text)
    assert not suspects.any


@pytest.mark.parametrize(("span", "piece"), [(0, 1), (FEW - 1, 1), (FEW, 2), (499, 16)])
def test_when_many_are_suspected_then_they_are_handled_in_pieces(span: int, piece: int) -> None:
    suspects = Suspects(limit=3, life=7)
    suspects.meet(PLACE, 10, Mark(Kind.HAND, 0, span).text())
    records = [Record("t", 0, 10 + n, b"k", b"v") for n in range(span + 1)]
    assert suspects.piece(PLACE, records) == piece


def test_when_one_hop_examines_a_suspect_then_no_other_does_until_it_is_done() -> None:
    gate = Gate()
    assert gate.examine("a") and not gate.examine("b")
    gate.release("b")
    assert not gate.examine("b")
    gate.release("a")
    assert gate.examine("b")


def test_when_a_suspect_is_alone_then_nobody_else_handles_anything() -> None:
    gate, order = Gate(), list[str]()
    inside, go = threading.Event(), threading.Event()

    def ordinary() -> None:
        with gate.among_others():
            inside.set()
            assert go.wait(5.0)
            order.append("ordinary")

    def suspect() -> None:
        with gate.alone():
            order.append("alone")

    def late() -> None:
        with gate.among_others():
            order.append("late")

    threads = [threading.Thread(target=each) for each in (ordinary, suspect, late)]
    threads[0].start()
    assert inside.wait(5.0)
    threads[1].start()
    while not gate._alone:
        threading.Event().wait(0.001)
    threads[2].start()
    go.set()
    for thread in threads:
        thread.join(5.0)
    assert order == ["ordinary", "alone", "late"]
