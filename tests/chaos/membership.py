"""Whether workers stayed in their group, and what they hold in memory."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from tests.chaos.history import Operation

SETTLED_S: Final = 20.0
LOOK_S: Final = 0.1
_PAGE_MB: Final = os.sysconf("SC_PAGE_SIZE") / 1_048_576


def disturbances(operations: Iterable[Operation], since: float) -> int:
    """How many times partitions were given or taken after a moment, empty assignments aside."""
    ops = ("assign", "revoke", "lost")
    return sum(1 for one in operations if one.at >= since and one.op in ops and one.fields.get("partitions"))


def holders(operations: Iterable[Operation]) -> int:
    """How many processes hold partitions after all of this."""
    held: dict[int, set[tuple[str, int]]] = {}
    for one in operations:
        if one.op not in ("assign", "revoke", "lost"):
            continue
        mine = held.setdefault(one["pid"], set())
        named = {(topic, partition) for topic, partition in one["partitions"]}
        mine.update(named) if one.op == "assign" else mine.difference_update(named)
    return sum(1 for mine in held.values() if mine)


def await_settled(operations: Callable[[], Iterable[Operation]], workers: int, within_s: float = SETTLED_S) -> bool:
    """Waits until so many workers hold partitions, which the last of them gets by a rebalance of its own."""
    until = time.monotonic() + within_s
    while holders(operations()) < workers and time.monotonic() < until:
        time.sleep(LOOK_S)
    return holders(operations()) >= workers


def resident_mb(pid: int) -> float:
    """What a process holds in memory (Linux), 0 where it is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * _PAGE_MB
    return 0.0
