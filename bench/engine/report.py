"""The page `docs/bench-engine.md`, written from the raw results and nothing else."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from bench.engine.contenders import NAMES
from bench.engine.environments import PEERS, versions
from bench.engine.passthrough import ratios
from bench.engine.verdicts import missed, slower

RESULTS: Final = Path(__file__).with_name("results")
PAGE: Final = Path(__file__).parents[2] / "docs" / "bench-engine.md"
PARTS: Final = ("passthrough", "latency", "rebalance", "recovery", "losses", "scaleout")
Found = dict[str, Any]
Ratios = dict[tuple[str, str], float]


def results() -> Found:
    """The raw result of each part that was ever measured."""
    paths = {part: RESULTS / f"{part}.json" for part in PARTS}
    return {part: json.loads(path.read_text(encoding="utf-8")) for part, path in paths.items() if path.exists()}


def page(found: Found) -> str:
    """The whole page."""
    tables: dict[str, Callable[[Found], list[str]]] = {
        "passthrough": _passthrough,
        "latency": _latency,
        "rebalance": _rebalance,
        "recovery": _recovery,
        "losses": _losses,
        "scaleout": _scaleout,
    }
    lines = [*_head(), *_verdicts(found), *_contenders()]
    for part in PARTS:
        if part in found:
            lines += ["", *tables[part](found[part]), "", _machine(found[part]["machine"])]
    return "\n".join(lines) + "\n"


def write() -> None:
    """Writes the page again."""
    PAGE.write_text(page(results()), encoding="utf-8")


def _head() -> list[str]:
    return [
        "# The engine beside its peers",
        "",
        "Written by `make bench CLAIM=engine` from the raw results in `bench/engine/results`; do not edit. All",
        "contenders work on the same broker (Kafka 4.3, one node) in the same run, one worker process each unless said",
        "otherwise. Load, reader, broker and worker share the machine's cores.",
        "",
    ]


def _verdicts(found: Found) -> list[str]:
    behind, short = slower(found), missed(found)
    return [
        "## Where Headwater is slower",
        "",
        *([f"- {line}" for line in behind] or ["- Nowhere in this run."]),
        "",
        "## Targets that this run missed",
        "",
        *([f"- {line}" for line in short] or ["- None."]),
        "",
    ]


def _contenders() -> list[str]:
    """Who they are and what was tuned: what each script says of itself."""
    lines = ["## The contenders", "", "Headwater runs as it ships: nothing is tuned for a measure.", ""]
    for script in sorted(PEERS.glob("*.py")):
        said = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
        pinned = ", ".join(f"{name} {version}" for name, version in versions(script.stem).items())
        lines += [f"**{NAMES[script.stem]}** ({pinned}). {_sentences(said)}", ""]
    return lines


def _sentences(docstring: str) -> str:
    first, _, rest = docstring.partition("\n\n")
    return " ".join([first.replace("\n", " "), *(line.strip() for line in rest.splitlines())])


def _passthrough(found: Found) -> list[str]:
    times, worth = ratios(found["pairs"]), ratios(found["pairs"], per_core=True)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for pair in found["pairs"]:
        row = rows.setdefault((pair["promise"], pair["name"]), {"peer": [], "ours": []})
        row["peer"].append(pair["peer"])
        row["ours"].append(pair["ours"])
    body = [
        (name, promise, _rate(row["peer"]), _rate(row["ours"]), *_times(times, worth, (name, promise)))
        for (promise, name), row in sorted(rows.items())
    ]
    alone: dict[tuple[str, str], list[Found]] = {}
    for one in found["alone"]:
        alone.setdefault((one["name"], one["promise"]), []).append(one["run"])
    return [
        "## Passthrough, values of 1,000 bytes, one process",
        "",
        f"One topic in, one topic out, {found['partitions']} partitions each, a backlog that outlasts the"
        f" {found['window_s']:g} s. Ours runs before each peer; the ratio is the median over the pairs. In brackets",
        "the cores that the worker used.",
        "",
        *_table(("peer", "promise", "peer, records/s", "Headwater, records/s", "ratio", "ratio per core-second"), body),
        "",
        "With what every hop of the product does besides, decoding and encoding Avro events of the same size:",
        "",
        *_table(
            ("", "promise", "records/s"), [(name, promise, _rate(runs)) for (name, promise), runs in alone.items()]
        ),
    ]


def _times(times: Ratios, worth: Ratios, who: tuple[str, str]) -> tuple[str, str]:
    return (f"**{times[who]:.2f}×**", f"{worth[who]:.2f}×") if who in times else ("-", "-")


def _rate(runs: Sequence[Found]) -> str:
    good = sorted((run["rate"], run["cores"]) for run in runs if "rate" in run)
    if not good:
        return str(runs[0].get("failed", "-"))
    rate, cores = good[len(good) // 2]
    return f"{rate:,} ({cores:g})"


def _latency(found: Found) -> list[str]:
    body = []
    for row in found["rows"]:
        if "failed" in row:
            body.append((row["name"], row["promise"], row["failed"], "", ""))
            continue
        body.append((row["name"], row["promise"], _waited(row["rest"]), f"{row['rate']:,}", _waited(row["half"])))
    return [
        "## Latency of one hop",
        "",
        f"From being handed to a producer to being read (committed records only where exactly-once is promised)."
        f" At rest {found['rest_rate']:g} records a second; under load half of what the contender carried above, at"
        f" most {found['most_rate']:,.0f} a second. Milliseconds, p50 / p95 / p99.",
        "",
        *_table(("", "promise", "at rest", "load, records/s", "under load"), body),
    ]


def _waited(one: Found | None) -> str:
    if one is None:
        return "nothing came in time"
    told = f"{one['p50']:.1f} / {one['p95']:.1f} / {one['p99']:.1f}"
    return told + (f" ({one['missing']:,} not in time)" if one["missing"] else "")


def _rebalance(found: Found) -> list[str]:
    columns = ("before_p99_s", "pause_p50_s", "pause_p99_s", "lost", "twice")
    return [
        "## Pause while one worker becomes three",
        "",
        f"{found['rate']:g} records a second over {found['partitions']} partitions; per partition the longest gap in"
        f" the output after the two joined, over"
        f" {found['rounds']} runs of ours and one of each peer. Seconds. Bytewax shares partitions out when"
        " its cluster starts, and never again.",
        "",
        *_table(("", "promise", "gap before, p99", "pause p50", "pause p99", "unseen", "twice"), _rows(found, columns)),
    ]


def _recovery(found: Found) -> list[str]:
    columns = ("recovered_s", "partitions", "lost", "twice")
    return [
        "## Recovery after kill -9 of one of two workers",
        "",
        f"Session {found['session_s']:g} s for all (their own defaults: Quix 45 s, aiokafka 10 s, Faust 60 s). Seconds"
        " until the last of the halted partitions flowed again for the reader.",
        "",
        *_table(("", "promise", "seconds", "partitions halted", "unseen", "twice"), _rows(found, columns)),
    ]


def _losses(found: Found) -> list[str]:
    columns = ("records", "lost", "duplicated", "reordered", "uncommitted", "other_deaths", "drained_s")
    return [
        "## Losses and duplicates under kill -9",
        "",
        f"Two workers (Bytewax: one), {found['kills']} kills at random every 0.5 to 3 s (seed {found['seed']}), each"
        f" started again at once, {found['rate']:g} records a second. The checker of `make chaos` compares the topics"
        " as they are in the end, read committed. Where at-least-once is promised, duplicates are allowed, and counted"
        " all the same.",
        "",
        *_table(
            (
                "",
                "promise",
                "records",
                "lost",
                "duplicates",
                "out of order",
                "never committed",
                "died by itself",
                "drained after, s",
            ),
            _rows(found, columns),
        ),
    ]


def _scaleout(found: Found) -> list[str]:
    body = [
        (f"{row['workers']}", *(cell for shape in ("embed", "generate") for cell in _scaled(found[shape][number])))
        for number, row in enumerate(found["embed"])
    ]
    return [
        "## Scale-out",
        "",
        f"An embed hop (BatchHop, transactions, a stub of 50 ms a batch) and a generate hop (KeyedHop, a stub of 200 ms"
        f" a call), {found['partitions']} partitions. Adding a worker is starting it; nothing else is done.",
        "",
        *_table(("workers", "embed, records/s", "efficiency", "generate, records/s", "efficiency"), body),
        "",
        "![Scale-out from one to eight workers](../bench/engine/results/scaleout.svg)",
    ]


def _scaled(row: Found) -> tuple[str, str]:
    return f"{row['rate']:,.0f}", f"{row['efficiency']:.2f}"


def _rows(found: Found, columns: Iterable[str]) -> list[tuple[str, ...]]:
    wanted = tuple(columns)
    return [
        (row["name"], row["promise"], row["failed"], *("" for _ in wanted[1:]))
        if "failed" in row
        else (row["name"], row["promise"], *(f"{row.get(name, 0):,}" for name in wanted))
        for row in found["rows"]
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _machine(machine: Found) -> str:
    return (
        f"Measured on {machine['cores']} cores ({machine['processor']}), {machine['memory_gb']} GB,"
        f" {machine['system']}, Python {machine['python']}, the broker's log {machine['log']}."
    )
