"""Claim: the delivery engine carries more than its peers, loses nothing and doubles nothing, on the same broker.

Parts: passthrough, latency, rebalance, recovery, losses, scaleout; all of them take about 25 minutes. Each part writes
its raw result beside this file, and the page `docs/bench-engine.md` is written again from all raw results. Prints one
JSON object as its last line.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.engine import handover, latency, losses, passthrough, report, scaleout
from bench.engine.cluster import Cluster, running
from bench.engine.curve import drawn
from bench.engine.environments import machine
from bench.engine.verdicts import EFFICIENCY, PASSTHROUGH, PAUSE_S, RECOVERED_S, missed, slower
from bench.engine.words import say

CLAIM: Final = "engine"
MEMORY: Final = Path("/dev/shm")
ROOM_BYTES: Final = 8 * 1024**3


def parts(arguments: argparse.Namespace, folder: Path) -> dict[str, Callable[[Cluster], dict[str, Any]]]:
    """What can be measured, by name."""
    return {
        "passthrough": lambda it: passthrough.measure(it, folder, arguments.rounds, arguments.share),
        "latency": lambda it: latency.measure(it, folder, capacity()),
        "rebalance": lambda it: handover.measure_rebalance(it, folder),
        "recovery": lambda it: handover.measure_recovery(it, folder),
        "losses": lambda it: losses.measure(it, folder, arguments.kills),
        "scaleout": lambda it: scaleout.measure(it, folder),
    }


def capacity() -> dict[tuple[str, str], float]:
    """Records a second that each contender carried in the last passthrough run, by name and promise."""
    found: dict[tuple[str, str], float] = {}
    last = report.results().get("passthrough", {"pairs": [], "alone": []})
    runs = [(pair["name"], pair["promise"], pair["peer"]) for pair in last["pairs"]]
    runs += [("Headwater", pair["promise"], pair["ours"]) for pair in last["pairs"]]
    runs += [(one["name"], one["promise"], one["run"]) for one in last["alone"]]
    for name, promise, run in runs:
        if "rate" in run:
            found[(name, promise)] = max(run["rate"], found.get((name, promise), 0.0))
    return found


def keep(part: str, found: dict[str, Any]) -> None:
    """Writes a raw result, and the curve of the one that has a curve."""
    report.RESULTS.mkdir(exist_ok=True)
    log = "in memory" if room() else "on disk"
    text = json.dumps({"machine": {**machine(), "log": log}, **found}, indent=1)
    (report.RESULTS / f"{part}.json").write_text(text + "\n", encoding="utf-8")
    if part == "scaleout":
        (report.RESULTS / "scaleout.svg").write_text(drawn(found), encoding="utf-8")


def room() -> str | None:
    """Memory for the broker's log where there is enough; else the usual folder for what is thrown away."""
    return str(MEMORY) if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES else None


def main() -> int:
    """Measures the parts asked for; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one or more of {', '.join(report.PARTS)}; none: all")
    parser.add_argument("--rounds", type=int, default=2, help="pairs with Quix; the others run in the first round")
    parser.add_argument("--kills", type=int, default=losses.KILLS, help="kills per contender in `losses`")
    parser.add_argument("--share", type=float, default=1.0, help="share of backlog and window, for a trial")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(report.PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(report.PARTS)}")
    with tempfile.TemporaryDirectory(prefix="headwater-bench-", dir=room()) as name, running(Path(name)) as cluster:
        wanted = parts(arguments, Path(name))
        for part in arguments.parts or report.PARTS:
            say(part, "begins")
            keep(part, wanted[part](cluster))
    report.write()
    return _told(report.results())


def _told(found: dict[str, Any]) -> int:
    short = missed(found)
    target = {"passthrough": PASSTHROUGH, "pause_s": PAUSE_S, "recovered_s": RECOVERED_S, "efficiency": EFFICIENCY}
    print(json.dumps({"claim": CLAIM, "target": target, "missed": short, "slower": slower(found), "met": not short}))
    return 0 if not short else 1


if __name__ == "__main__":
    sys.exit(main())
