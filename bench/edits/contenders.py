"""The peers, each in an environment of its own: what their embedders are asked for when one paragraph changes."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bench.edits.document import after_edits, document
from bench.engine.environments import PeerMissingError, python_of

__all__ = ["CONTENDERS", "Contender", "measure"]

PEERS: Final = Path(__file__).with_name("peers")
# About as many chunks as ours make of the same document.
CHUNK_CHARS: Final = 800
RUN_S: Final = 540.0


@dataclass(frozen=True)
class Contender:
    """One way to run a peer; `edits` bounds those that take long."""

    peer: str
    overlap: float = 0.0
    cached: bool = False
    edits: int = 1_000


CONTENDERS: Final[Mapping[str, Contender]] = MappingProxyType(
    {
        "CocoIndex": Contender("cocoindex"),
        "CocoIndex, overlap 15 %": Contender("cocoindex", overlap=0.15),
        "Pathway": Contender("pathway", edits=100),
        "Pathway, with its in-memory cache": Contender("pathway", cached=True, edits=400),
        "Pathway, with its in-memory cache, overlap 15 %": Contender("pathway", overlap=0.15, cached=True, edits=400),
    }
)


def measure(contender: Contender, seed: int, edits: int) -> dict[str, Any]:
    """The distribution of embedder calls per edit. Raises PeerMissingError where the peer can't be had or fails."""
    before = document(seed)
    kinds, states = [], [before]
    for kind, after in after_edits(before, seed + 1, min(edits, contender.edits)):
        kinds.append(kind)
        # Back to the first state after each, so that every edit is an edit of the same document.
        states += [after, before]
    asked = {
        "states": ["\n\n".join(state) for state in states],
        "chunk_chars": CHUNK_CHARS,
        "overlap_chars": int(CHUNK_CHARS * contender.overlap),
        "cached": contender.cached,
    }
    found = _run(contender.peer, asked)
    counts = found["counts"][1::2]
    return {
        "version": found["version"],
        "promise": 3 if contender.overlap else 2,
        "chunks": found["chunks"],
        "by_kind": {kind: Counter(c for k, c in zip(kinds, counts, strict=True) if k == kind) for kind in set(kinds)},
    }


def _run(peer: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    python = python_of(peer, PEERS)
    script = PEERS / f"by_{peer}.py"
    done = subprocess.run(
        [str(python), str(script)], input=json.dumps(asked), capture_output=True, text=True, timeout=RUN_S, check=False
    )
    if done.returncode != 0:
        raise PeerMissingError(f"{peer} failed: {done.stderr[-600:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
