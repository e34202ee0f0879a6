"""Who does what in a cluster for a copy: the nodes whose loss hurts it in different ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from headwater.local.cluster import KafkaCluster
from tests.chaos.copying import CopyRun

# As `headwater.local.properties` has it for both inner topics.
INNER_PARTITIONS: Final = 4


def home(name: str) -> int:
    """The partition of an inner topic in which the brokers keep a group or a transactional id (Java's hash).

    >>> home("chaos.1"), home("a")
    (3, 1)
    """
    hashed = 0
    for char in name:
        hashed = (31 * hashed + ord(char)) & 0xFFFFFFFF
    signed = hashed - (1 << 32) if hashed >= 1 << 31 else hashed
    return abs(signed) % INNER_PARTITIONS


ROLES: Final[dict[str, Callable[[KafkaCluster, CopyRun], int]]] = {
    "transaction coordinator": lambda on, run: on.leader("__transaction_state", home(f"{run.group}-a")),
    "controller": lambda on, _: on.controller(),
    "group coordinator": lambda on, run: on.leader("__consumer_offsets", home(run.group)),
    "leader of input": lambda on, run: on.leader(run.topic, 0),
}
"""Name of a role to the node that has it now."""
