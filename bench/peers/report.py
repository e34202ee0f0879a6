"""The table and the verdict, from the raw rows and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from processors.measure.ranking import ranking_scores

__all__ = ["OURS", "figures", "table", "verdicts"]

OURS: Final = {
    "ours, over Kafka, ranked": "durable topics, admission, access, fence, the question embedded, ranking",
    "ours, over Kafka, found": "durable topics, admission, access, fence",
    "ours, in memory, ranked": "access, fence, ranking with the question's pass",
    "ours, in memory, found": "access, fence",
    "ours, in memory, as shipped": "access, fence, the question embedded, ranking; passages cut at 200 tokens",
}
"""Our ways and what each holds."""
PEERS: Final = {"LangChain": "calls in one process", "Pathway": "HTTP server, live input"}
# What is like what: two servers, two libraries; and each against what a peer does at its quickest.
PAIRS: Final = (
    ("ours, over Kafka, ranked", "Pathway, DocumentStoreServer (BM25, KNN)"),
    ("ours, over Kafka, found", "Pathway, DocumentStoreServer (BM25, KNN)"),
    ("ours, over Kafka, ranked", "Pathway, the same store, a commit every ms"),
    ("ours, over Kafka, found", "Pathway, the same store, a commit every ms"),
    ("ours, in memory, found", "LangChain, EnsembleRetriever (BM25, FAISS)"),
    ("ours, in memory, ranked", "LangChain, EnsembleRetriever (BM25, FAISS)"),
    ("ours, in memory, found", "LangChain, the same, BM25 over lower-cased words"),
    ("ours, in memory, found", "LangChain, FAISS alone"),
)
# Those that decide: each system as its makers show it. The others are told all the same.
DECIDING: Final = (PAIRS[0], PAIRS[1], PAIRS[4])
HIGHER_IS_BETTER: Final = ("ndcg@10", "per_s")
COMPARED: Final = ("ndcg@10", "p50_ms", "p99_ms", "per_s", "fresh_p50_ms")

Rows = Mapping[str, Mapping[str, Any]]


def figures(row: Mapping[str, Any], relevant: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """A raw row in figures; the reason where there are none."""
    if "missing" in row:
        return {"missing": row["missing"]}
    scores = ranking_scores(row["runs"], relevant)
    found = {
        "ndcg@10": round(scores.ndcg_at_10, 4),
        "recall@1": round(scores.recall_at_1, 4),
        "recall@5": round(scores.recall_at_5, 4),
        "mrr@10": round(scores.mrr_at_10, 4),
        **{f"{name}_ms": value for name, value in _percentiles(row["ms"]).items()},
        "per_s": row["per_s"],
        "cpu_ms": row["cpu_ms"],
    }
    if row.get("fresh_ms"):
        found |= {f"fresh_{name}_ms": value for name, value in _percentiles(row["fresh_ms"]).items() if name != "p99"}
    return found | ({"versions": row["versions"]} if "versions" in row else {})


def table(rows: Rows) -> str:
    """One row per way."""
    lines = [
        "| way | holds | nDCG@10 | recall@1 | recall@5 | MRR@10 | p50 | p95 | p99 ms | with 8 askers | processor | "
        "edit found p50 | p95 ms |",
        "| --- |" + " --- |" * 12,
    ]
    return "\n".join([*lines, *(_line(name, row) for name, row in rows.items())])


def verdicts(rows: Rows) -> tuple[list[str], bool]:
    """What is ahead and what behind, and whether all that decides is ahead."""
    lines, met = [], True
    for ours, peer in PAIRS:
        ahead = _ahead(rows.get(ours, {}), rows.get(peer, {}))
        if not ahead:
            lines.append(f"{ours} / {peer}: not measured")
            met = met and (ours, peer) not in DECIDING
            continue
        told = ", ".join(f"{measure} {'ahead' if is_ahead else 'BEHIND'}" for measure, is_ahead in ahead.items())
        lines.append(f"{ours} / {peer}: {told}")
        if (ours, peer) in DECIDING:
            met = met and ahead["ndcg@10"] and ahead["p50_ms"]
    return lines, met


def _ahead(ours: Mapping[str, Any], peer: Mapping[str, Any]) -> dict[str, bool]:
    both = [measure for measure in COMPARED if measure in ours and measure in peer]
    return {
        measure: ours[measure] > peer[measure] if measure in HIGHER_IS_BETTER else ours[measure] < peer[measure]
        for measure in both
    }


def _line(name: str, row: Mapping[str, Any]) -> str:
    holds = OURS.get(name) or PEERS[name.partition(",")[0]]
    if "missing" in row:
        return f"| {name} | {holds} | could not run: {row['missing']} |" + " |" * 10
    names = ("ndcg@10", "recall@1", "recall@5", "mrr@10", "p50_ms", "p95_ms", "p99_ms")
    cells = [*(f"{row[each]}" for each in names), f"{row['per_s']}/s", f"{row['cpu_ms']} ms"]
    cells += [f"{row.get(each, '–')}" for each in ("fresh_p50_ms", "fresh_p95_ms")]
    return f"| {name} | {holds} | {' | '.join(cells)} |"


def _percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)
    return {
        f"p{share}": round(ordered[min(len(ordered) - 1, len(ordered) * share // 100)], 2) for share in (50, 95, 99)
    }
