"""What the figures say: where a peer was better, and which targets were missed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from bench.engine.contenders import SESSION_MS
from bench.engine.passthrough import ratios

Found = dict[str, Any]

PASSTHROUGH: Final = {"at least once": 2.0, "exactly once": 1.5}
REST_ALO_MS: Final = {"p50": 3.0, "p99": 10.0}
REST_EO_MS: Final = {"p50": 30.0}
EFFICIENCY: Final = 0.9
TOO_GOOD: Final = 1.25
PAUSE_S: Final = 1.0
RECOVERED_S: Final = SESSION_MS / 1000 + 2.0
OURS: Final = "Headwater"
# A difference below this is noise of the machine.
NOTICED: Final = 1.05


def slower(found: Found) -> list[str]:
    """Every measure in which a peer did better than we, in words."""
    return [*_slower_through(found), *_slower_hop(found), *_slower_hands(found)]


def missed(found: Found) -> list[str]:
    """Every target that was not reached, in words."""
    return [*_missed_through(found), *_missed_hop(found), *_missed_hands(found), *_missed_losses(found)]


def _slower_through(found: Found) -> Iterator[str]:
    for (name, promise), times in ratios(found.get("passthrough", {}).get("pairs", [])).items():
        if times * NOTICED < 1:
            yield f"Passthrough, {promise}: {name} carries {1 / times:.2f} times as much."


def _slower_hop(found: Found) -> Iterator[str]:
    rows = [row for row in found.get("latency", {}).get("rows", []) if row.get("rest") and row.get("half")]
    for promise in PASSTHROUGH:
        mine = next((row for row in rows if row["name"] == OURS and row["promise"] == promise), None)
        for row in rows:
            if mine is None or row["promise"] != promise or row["name"].startswith(OURS):
                continue
            better = [
                f"{share} {when} {row[key][share]:.1f} ms against {mine[key][share]:.1f} ms"
                for key, when in (("rest", "at rest"), ("half", "under its half load"))
                for share in ("p50", "p99")
                if row[key][share] * NOTICED < mine[key][share] and not row[key]["missing"]
            ]
            if better:
                yield f"Latency, {promise}: {row['name']}: {'; '.join(better)}."


def _slower_hands(found: Found) -> Iterator[str]:
    for part, key, words in (
        ("rebalance", "pause_p99_s", "Pause at a rebalance, p99"),
        ("recovery", "recovered_s", "Recovery after kill -9"),
    ):
        rows = [row for row in found.get(part, {}).get("rows", []) if key in row]
        mine = {row["promise"]: row[key] for row in rows if row["name"] == OURS}
        for row in rows:
            if 0 < row[key] * NOTICED < mine.get(row["promise"], 0):
                yield f"{words}, {row['promise']}: {row['name']} {row[key]:g} s against {mine[row['promise']]:g} s."


def _missed_through(found: Found) -> Iterator[str]:
    for (name, promise), times in ratios(found.get("passthrough", {}).get("pairs", [])).items():
        if name.startswith("Quix") and times < PASSTHROUGH[promise]:
            yield f"Passthrough, {promise}: {times:.2f} times {name}; wanted {PASSTHROUGH[promise]:g} times."


def _missed_hop(found: Found) -> Iterator[str]:
    for row in found.get("latency", {}).get("rows", []):
        if not row["name"].startswith(OURS):
            continue
        wanted = REST_ALO_MS if row["promise"] == "at least once" else REST_EO_MS
        rest = row.get("rest")
        if rest is None:
            yield f"Latency of {row['name']}, {row['promise']}: {row.get('failed', 'nothing came in time')}."
            continue
        for share, most in wanted.items():
            if rest[share] >= most:
                who = f"Latency at rest of {row['name']}, {row['promise']}"
                yield f"{who}: {share} {rest[share]:.1f} ms; wanted < {most:g} ms."


def _missed_hands(found: Found) -> Iterator[str]:
    for part, key, most, words in (
        ("rebalance", "pause_p99_s", PAUSE_S, "Pause at a rebalance, p99"),
        ("recovery", "recovered_s", RECOVERED_S, "Recovery after kill -9"),
    ):
        for row in found.get(part, {}).get("rows", []):
            if row["name"] == OURS and row.get(key, most) >= most:
                yield f"{words}, {row['promise']}: {row.get(key, row.get('failed'))} s; wanted < {most:g} s."
    for shape in ("embed", "generate"):
        last = found.get("scaleout", {}).get(shape, [])[-1:]
        for row in last:
            if row["efficiency"] > TOO_GOOD:
                yield f"Scale-out of {shape}: one worker alone did far less than its share; the rest proves nothing."
            elif row["efficiency"] < EFFICIENCY:
                yield f"Scale-out of {shape} at {row['workers']}: {row['efficiency']:.2f}; wanted {EFFICIENCY:g}."


def _missed_losses(found: Found) -> Iterator[str]:
    for row in found.get("losses", {}).get("rows", []):
        if row["name"] != OURS:
            continue
        doubled = row.get("duplicated", 0) if row["promise"] == "exactly once" else 0
        if "failed" in row or row["lost"] or doubled or row["reordered"]:
            yield f"Losses under kill -9, {row['promise']}: {row}."
