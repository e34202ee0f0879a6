"""The page `docs/bench-edits.md`, written from the raw results and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

__all__ = ["write"]

PAGE: Final = Path(__file__).parents[2] / "docs" / "bench-edits.md"
MOVED: Final = "moved"
# The share of edits that must keep the promise; see docs/adr/0004-chunk-boundaries.md for why none can be absolute.
SHARE: Final = 0.95

HEAD: Final = """# What an edit of one paragraph embeds

Written by `make bench CLAIM=edits` from the raw results in `bench/edits`; do not edit. A document of 264 paragraphs
(45 words each on average, a topic goes on for one to six) is edited in one place: a sentence added, a paragraph
rewritten, a letter corrected, a paragraph inserted or removed, in turn. Every edit is one of the same first state.
Counted are the texts that were never embedded before. A paragraph that is moved changes two places, so it is counted
apart. Chunks of ours hold 200 tokens at most; the peers' are 800 characters, which makes about as many.
"""
NOTES: Final = """
`semantic` also embeds the ends of paragraphs to find where to cut; `parent` also writes the objects of the children
beside the edited one, with vectors that are known.
{extra}

CocoIndex: its `RecursiveSplitter` and a memoised embedder, as in its examples. Pathway: the splitter that its own
`RecursiveSplitter` wraps, a column of embeddings, one commit per state; its caches are off by default.
"""


def write(folder: Path) -> dict[str, Any]:
    """Writes the page again and says whether the promises hold."""
    found = {
        part: json.loads((folder / f"raw-{part}.json").read_text("utf-8"))
        for part in ("ours", "peers")
        if (folder / f"raw-{part}.json").exists()
    }
    lines = [HEAD, *_table_head()]
    verdict: dict[str, Any] = {"target": {"share": SHARE}, "ours": {}, "peers": {}}
    for part in found:
        for name, result in found[part]["results"].items():
            told = _told(result)
            lines.append(_row(f"**{name}**" if part == "ours" else name, result, told))
            verdict[part][name] = told or result["missing"]
    machine = next(iter(found.values()))["machine"]
    lines += [NOTES.format(extra=_extra(found.get("ours", {"results": {}})["results"])), _machine(machine)]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    ours = verdict["ours"].values()
    return {**verdict, "met": all(told["kept"] >= SHARE and told["max"] <= told["promise"] + 2 for told in ours)}


def _told(result: dict[str, Any]) -> dict[str, Any]:
    """Edits in one place, summed up."""
    if "missing" in result:
        return {}
    counts = sum((_counter(result["by_kind"][kind]) for kind in result["by_kind"] if kind != MOVED), Counter())
    moved = sorted(_counter(result["by_kind"].get(MOVED, {})).elements())
    ordered = sorted(counts.elements())
    promise = result.get("promise", 2)
    return {
        "mean": round(sum(ordered) / len(ordered), 2),
        "p99": ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
        "max": ordered[-1],
        "promise": promise,
        "kept": round(sum(count <= promise for count in ordered) / len(ordered), 4),
        "counts": {str(number): counts[number] for number in sorted(counts)},
        "moved_mean": round(sum(moved) / len(moved), 2) if moved else 0.0,
        "moved_max": moved[-1] if moved else 0,
        "edits": len(ordered),
    }


def _counter(counts: dict[str, int]) -> Counter[int]:
    """Counts as they were before JSON made words of their keys."""
    return Counter({int(number): count for number, count in counts.items()})


def _table_head() -> list[str]:
    return [
        "| | chunks | 0 | 1 | 2 | 3 | 4 | more | mean | max | within promise | moved: mean, max |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]


def _row(name: str, result: dict[str, Any], told: dict[str, Any]) -> str:
    if not told:
        return f"| {name} | could not run: {result['missing']} |" + " |" * 10
    edits = told["edits"]
    counts = {int(number): count for number, count in told["counts"].items()}
    shares = [counts.get(number, 0) for number in range(5)]
    cells = [_percent(count, edits) for count in (*shares, edits - sum(shares))]
    version = f" {result['version']}" if "version" in result else ""
    kept = f"≤ {told['promise']}: {_percent(round(told['kept'] * edits), edits)}"
    return " | ".join(
        [
            f"| {name}{version}",
            str(result["chunks"]),
            *cells,
            f"{told['mean']}",
            f"{told['max']}",
            kept,
            f"{told['moved_mean']}, {told['moved_max']} |",
        ]
    )


def _percent(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %" if count else "–"


def _extra(results: dict[str, Any]) -> str:
    """What two strategies cost beside embeddings, in figures."""
    parts = []
    if "semantic" in results:
        parts.append(f"Here that was {results['semantic']['probed']} sentences per edit.")
    if "parent" in results:
        written = sorted(_counter(results["parent"]["written"]).elements())
        parts.append(
            f"Objects written for `parent`: {sum(written) / len(written):.1f} per edit, {written[-1]} at most."
        )
    return " ".join(parts)


def _machine(machine: dict[str, Any]) -> str:
    return f"Python {machine['python']}, {machine['cores']} cores; counts do not depend on the machine."
