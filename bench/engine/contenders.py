"""Who is measured: ours and the peers, each with a guarantee and a tuning; and their worker processes."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Literal

from bench.engine.environments import PEERS, python_of
from headwater.local.child import Child, ChildSpec

Guarantee = Literal["alo", "eo"]
Tuning = Literal["default", "fast", "prompt"]

SESSION_MS: Final = 6_000
"""The group session of every contender but those at their default: what the kills and rebalances are measured with."""
NAMES: Final = {
    "ours": "Headwater",
    "quix_app": "Quix Streams",
    "faust_app": "Faust",
    "aiokafka_loop": "aiokafka loop",
    "bytewax_flow": "Bytewax",
}
PROMISES: Final = {"alo": "at least once", "eo": "exactly once"}


@dataclass(frozen=True)
class Contender:
    """A peer with what it promises and how it is set up. `shape` says what our own worker runs (`ours.py`)."""

    peer: str
    guarantee: Guarantee
    tuning: Tuning = "default"
    shape: str = "bytes"

    @property
    def name(self) -> str:
        """For tables."""
        extra = {"avro": ", Avro decoded and encoded", "keyed": ", KeyedHop, Avro"}.get(self.shape, "")
        setting = "" if self.peer == "ours" else {"default": ", default"}.get(self.tuning, ", tuned")
        return f"{NAMES[self.peer]}{extra}{setting}"

    @property
    def promise(self) -> str:
        return PROMISES[self.guarantee]

    @property
    def word(self) -> str:
        """For file names."""
        return f"{self.peer}-{self.guarantee}-{self.tuning}-{self.shape}"


@dataclass(frozen=True)
class Place:
    """Where a worker works: what every worker script is told, besides who it is."""

    bootstrap: str
    source: str
    sink: str
    group: str
    folder: str
    slot: str = "0"
    session_ms: int = SESSION_MS


def worker(contender: Contender, place: Place, slot: int = 0) -> Child:
    """A worker process of a contender, not yet started; it dies with this process. Raises PeerMissingError."""
    place = replace(place, slot=str(slot))
    told = json.dumps({**asdict(place), **asdict(contender)})
    if contender.peer == "ours":
        command: tuple[str, ...] = (sys.executable, "-P", "-m", "bench.engine.ours", told)
    else:
        command = (str(python_of(contender.peer)), str(PEERS / f"{contender.peer}.py"), told)
    return Child(ChildSpec(f"{contender.word}-{slot}", command, Path(place.folder), (("PYTHONUNBUFFERED", "1"),)))
