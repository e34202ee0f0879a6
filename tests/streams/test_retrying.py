"""Retry topics under any failure schedule, crash and rebalance: nothing lost, nothing doubled, order per key kept."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.contract import Stop
from schemas.envelope import Micros
from streams.deferred import Deferred
from streams.records import Outgoing, Processed, Record
from tests.streams.retry_world import LATER, PARTITIONS, SINK, SOURCE, Failures, Life, World

ROUNDS = len(LATER.delays_s) + 1
FIRST, LAST = LATER.topics(SOURCE.name)


def world_of(failures: Failures, seed: int = 0, batches: bool = True, fused: bool = False) -> World:
    return World(random.Random(seed), failures.hops(batches, fused))


def drain(world: World, life: Life, most: int = 10) -> None:
    """Turns, with time going on, until everything is settled."""
    for _ in range(500):
        if world.settled():
            return
        life.turn(most, die=False)
        world.clock.sleep(1.7)
    raise AssertionError("it never came to rest")


SCHEDULE = st.fixed_dictionaries(
    {
        "keys": st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=30),
        "fails": st.lists(st.integers(0, 5), min_size=30, max_size=30),
        "seed": st.integers(0, 2**32),
        "most": st.sampled_from([1, 3, 12]),
        "rate": st.sampled_from([0.2, 0.6, 1.0]),
        "batches": st.booleans(),
        "fused": st.booleans(),
        "bound": st.sampled_from([1, 2, 100]),
    }
)


@settings(max_examples=400, deadline=None)
@given(SCHEDULE)
def test_when_records_fail_and_workers_die_then_order_per_key_holds_and_each_is_settled_once(plan: dict) -> None:  # type: ignore[type-arg]
    chance, failures = random.Random(plan["seed"]), Failures()
    world = world_of(failures, plan["seed"], plan["batches"], plan["fused"])
    source: dict[tuple[str, int], list[str]] = defaultdict(list)
    lives = [_life(world, plan["bound"])]
    for n, key in enumerate(plan["keys"]):
        partition = 0 if key is None else ord(key) % PARTITIONS
        failures.left[str(n)] = plan["fails"][n] if chance.random() < plan["rate"] else 0
        world.put(key, str(n), partition)
        source[key or f"alone {n}", partition].append(str(n))
        for _ in range(chance.choice([0, 0, 0, 1, 3])):
            lives = _turn(world, lives, chance, plan)
    for _ in range(20):
        lives = _turn(world, lives, chance, plan)
    drain(world, _life(world, plan["bound"]), plan["most"])

    says = [said for _, said, _ in world.written]
    assert sorted(says, key=int) == [str(n) for n in range(len(plan["keys"]))], "each settled once"
    for _, wanted in source.items():
        assert [said for said in says if said in wanted] == wanted, "order per key"
    for topic, said, _ in world.written:
        failed = plan["fails"][int(said)] if topic != SINK.name else 0
        assert topic == SINK.name or failed >= ROUNDS, "given up only after every delay"


def _life(world: World, bound: int, partitions: tuple[int, ...] = tuple(range(PARTITIONS))) -> Life:
    life = Life(world, [], world.clock)
    life.retrying.parking._most = bound
    return _assigned(life, partitions)


def _assigned(life: Life, partitions: tuple[int, ...]) -> Life:
    life.read = {place: life.world.offsets[place] for n in partitions for place in life.world.ladder(n)}
    for place in life.read:
        if place[0] != SOURCE.name:
            life.retrying.parking.fill(place, life.world.outstanding(place))
    return life


def _turn(world: World, lives: list[Life], chance: random.Random, plan: dict) -> list[Life]:  # type: ignore[type-arg]
    """One turn of somebody; now and then somebody dies, or the partitions are shared out anew."""
    die = chance.random() < 0.15
    chance.choice(lives).turn(plan["most"], die)
    world.clock.sleep(chance.choice([0.0, 0.5, 4.0, 20.0]))
    if die or chance.random() < 0.1:
        if chance.random() < 0.5:
            return [_life(world, plan["bound"], (n,)) for n in range(PARTITIONS)]
        return [_life(world, plan["bound"])]
    return lives


def test_when_a_record_fails_then_later_events_of_its_key_follow_it_and_others_go_on() -> None:
    failures = Failures(left={"0": 1})
    world = world_of(failures, batches=False)
    for n, key in enumerate("aabab"):
        world.put(key, str(n), 0)
    life = Life(world, [0], world.clock)
    while world.offsets[SOURCE.name, 0] < 5:
        life.turn(10, die=False)
    assert [said for _, said, _ in world.written] == ["2", "4"]
    waiting = world.logs[FIRST, 0]
    assert [(r.key, Deferred.read(r, SOURCE.name).attempts) for r in waiting] == [(b"a", 1), (b"a", 0), (b"a", 0)]
    assert failures.tried["1"] == failures.tried["3"] == 0, "what follows is not handled"
    drain(world, life)
    assert [said for _, said, _ in world.written] == ["2", "4", "0", "1", "3"]


def test_when_a_record_lies_on_a_retry_topic_then_its_bytes_and_headers_are_those_it_had() -> None:
    world = world_of(Failures(left={"0": 9}))
    forged = (("retry.attempt", b"7"), ("lane", b"bulk"), ("retry.source.topic", b"elsewhere"))
    world.put("a", "0", 1)
    original = world.logs[SOURCE.name, 1][0]
    world.logs[SOURCE.name, 1][0] = Record(*original.place, 0, original.key, original.value, forged)
    life = Life(world, [1], world.clock)
    while not world.logs[LAST, 1]:
        life.turn(10, die=False)
        world.clock.sleep(1.0)
    (climbed,) = world.logs[LAST, 1]
    assert (climbed.key, climbed.value, climbed.headers[:3]) == (original.key, original.value, forged)
    read = Deferred.read(climbed, SOURCE.name)
    assert (read.record.place, read.record.offset, read.record.headers) == (original.place, 0, forged)
    assert read.attempts == 2


def test_when_it_fails_after_every_delay_then_it_is_a_dead_letter_of_its_own_topic_and_says_how_often() -> None:
    world = world_of(Failures(left={"0": 99}))
    world.attempts = 2
    world.put("a", "0", 0)
    seen: dict[str, Outgoing] = {}
    life = Life(world, [0], world.clock)
    commit = world.commit

    def noted(records: dict[int, Record], done: Processed) -> None:
        seen.update({out.topic: out for outs in done.outgoing for out in outs})
        commit(records, done)

    world.commit = noted  # type: ignore[method-assign]
    drain(world, life)
    letter = dict(seen[SOURCE.dead_letters].headers)
    assert (letter["dlq.source.topic"], letter["dlq.source.offset"]) == (SOURCE.name.encode(), b"0")
    assert letter["dlq.attempt"] == str(2 * ROUNDS).encode()
    assert not [name for name in letter if name.startswith("retry.")]


def test_when_what_followed_fails_too_then_it_gets_its_own_delays_on_the_last_step() -> None:
    failures = Failures(left={"0": 99, "1": 2})
    world = world_of(failures, batches=False)
    world.put("a", "0", 0)
    world.put("a", "1", 0)
    world.put("a", "2", 0)
    drain(world, Life(world, [0], world.clock))
    assert [(topic, said) for topic, said, _ in world.written] == [
        (SOURCE.dead_letters, "0"), (SINK.name, "1"), (SINK.name, "2"),
    ]  # fmt: skip
    assert failures.tried["1"] == 3


def test_when_a_head_stays_on_the_last_step_then_its_partition_waits_for_it_and_nothing_is_doubled() -> None:
    failures = Failures(left={"0": 1})
    world = world_of(failures)
    for key, says in (("a", "0"), ("b", "1")):
        world.put(key, says, 0)
    for record in world.logs[SOURCE.name, 0]:
        climbed = Deferred(record).headers(attempts=0, not_before=Micros(0))
        world.append(Record(LAST, 0, 0, record.key, record.value, climbed))
    world.offsets[SOURCE.name, 0] = 2
    life = Life(world, [0], world.clock)
    life.turn(10, die=False)
    assert life.hand.places() == {(LAST, 0)} and world.written == []
    world.clock.sleep(4.9)
    life.turn(10, die=False)
    assert world.written == []
    world.clock.sleep(0.2)
    life.turn(10, die=False)
    assert [said for _, said, _ in world.written] == ["0", "1"] and world.settled()


@pytest.mark.parametrize("on_the_last_step", [False, True])
def test_when_the_clock_is_put_back_then_nothing_waits_longer_than_its_delay(on_the_last_step: bool) -> None:
    world = world_of(Failures(left={"0": 1 + on_the_last_step}))
    world.put("a", "0", 0)
    life = Life(world, [0], world.clock)
    life.turn(10, die=False)
    if on_the_last_step:
        # 5 s on the first step, then it waits for its own delay on the last one.
        world.clock.sleep(5.1)
        life.turn(10, die=False)
    world.clock.put_back(86_400.0)
    began = world.clock.monotonic()
    drain(world, life)
    assert [said for _, said, _ in world.written] == ["0"]
    assert world.clock.monotonic() - began < 40.0


def test_when_a_later_hop_of_a_fused_line_fails_then_nothing_of_the_record_is_written_before_it_works() -> None:
    world = world_of(Failures(left={"0": 1}), fused=True)
    world.put("a", "0", 0)
    world.put("b", "1", 0)
    life = Life(world, [0], world.clock)
    done = life.retrying.process(world.logs[SOURCE.name, 0])
    assert [[out.topic for out in outs] for outs in done.outgoing] == [[FIRST], ["test.mid.v1", SINK.name]]


def test_when_a_hot_key_is_parked_then_it_catches_up_once_everything_is_due() -> None:
    world = world_of(Failures(left={"0": 1}))
    world.put("a", "0", 0)
    life = Life(world, [0], world.clock)
    for n in range(1, 60):
        world.put("a", str(n), 0)
        life.turn(3, die=False)
        world.clock.sleep(0.5)
    parked = len(world.logs[FIRST, 0])
    for n in range(60, 90):
        world.put("a", str(n), 0)
        life.turn(3, die=False)
    drain(world, life)
    assert len(world.logs[FIRST, 0]) == parked, "nothing follows once the retry topic has drained"
    assert [said for _, said, _ in world.written] == [str(n) for n in range(90)]


def test_when_more_keys_wait_than_are_counted_then_the_topic_rests_until_they_have_drained() -> None:
    failures = Failures(left={str(n): 1 for n in range(5)})
    world = world_of(failures)
    for n in range(5):
        world.put(f"k{n}", str(n), 0)
    life = _life(world, 2, (0,))
    life.turn(10, die=False)
    life.turn(10, die=False)
    world.put("new", "5", 0)
    for _ in range(5):
        life.turn(10, die=False)
    assert world.written == [] and life.retrying.parking.keys == 2
    drain(world, life)
    assert len(world.written) == 6


def test_when_a_dependency_is_away_then_nothing_is_decided() -> None:
    class Away(Failures):
        def see(self, events: object) -> None:
            raise Stop("away")

    world = world_of(Away())
    world.put("a", "0", 0)
    life = Life(world, [0], world.clock)
    with pytest.raises(Stop):
        life.retrying.process(world.logs[SOURCE.name, 0])
    assert not world.written and life.retrying.parking.keys == 0
