"""The protocol holds in every interleaving, and no longer does when any of its defences is taken away.

`FULL_MODEL=1` searches further: two rebalances, so that zombies meet zombies (some minutes, some gigabytes).
"""

from __future__ import annotations

import os

import pytest

from tests.model.heads_protocol import DEFENCES, Bounds, Entry, Protocol, search

LOGS = {
    "a chunk comes back": (Entry(1, "ab"), Entry(2, "a"), Entry(3, "ab")),
    "a document comes back": (Entry(1, "ab"), Entry(2, None), Entry(3, "b")),
    "an old version is repeated": (Entry(1, "a"), Entry(2, "b"), Entry(1, "a"), Entry(3, "ab")),
    "access changes": (Entry(5, access=True), Entry(1, "ab"), Entry(6, access=True), Entry(2, "b")),
}
FULL = bool(os.environ.get("FULL_MODEL"))
BOUNDS = Bounds(2, 1, 1) if FULL else Bounds(rebalances=1, flushes=1, restarts=0)


@pytest.mark.timeout(3600 if FULL else 120)
@pytest.mark.parametrize("log", LOGS.values(), ids=LOGS)
def test_when_all_defences_stand_then_no_interleaving_does_damage(log: tuple[Entry, ...]) -> None:
    verdict = search(Protocol(log), BOUNDS)
    assert verdict.way == (), "\n".join(verdict.way)
    assert verdict.states > 10_000


@pytest.mark.parametrize("log", LOGS.values(), ids=LOGS)
def test_when_no_worker_is_a_zombie_then_nothing_is_left_in_the_index(log: tuple[Entry, ...]) -> None:
    verdict = search(Protocol(log), Bounds(rebalances=0, flushes=1, restarts=1))
    assert (verdict.way, verdict.orphans) == ((), 0)


@pytest.mark.parametrize("defence", DEFENCES)
def test_when_a_defence_is_missing_then_a_reader_can_notice(defence: str) -> None:
    bounds = Bounds(rebalances=1, flushes=int(defence == "closed while rebuilt"), restarts=0)
    verdict = search(Protocol(LOGS["a chunk comes back"], frozenset({defence})), bounds)
    assert verdict.way, f"nothing breaks without {defence!r}: {DEFENCES[defence]}"
