"""The checker: reads what was written, what is there and who saw what, and says what is damaged. No Kafka in here.

1. The log of the source says what must be there; nobody's memory of having sent it.
2. lost: said by the source, in no output and in no dead letter. Doomed records must be dead letters, each once.
3. duplicated: there more often than the source said it (exactly once), or under several ids (at least once).
4. reordered: a number below one that its key has had already, or one key in two partitions.
5. aborted_reads: read by a reader of committed records although its transaction was aborted, or gone from the log.
6. unexpected: no record of the source explains it.
7. A concurrent reader is held to the same rules; besides, unseen: in the log, and it never saw it; inconsistent: the
   same place read with two contents; backwards: its offsets went back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.chaos.history import Operation
from tests.chaos.rows import Row, by_partition

Order = Literal["key", "partition", "none"]
EXAMPLES: Final = 5
KINDS: Final = (
    "lost", "duplicated", "reordered", "aborted_reads", "unseen", "inconsistent", "backwards", "unexpected",
    "unreadable",
)  # fmt: skip


@dataclass(frozen=True)
class Poll:
    """What one poll of the concurrent reader brought, in its order."""

    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Evidence:
    """All that is known of a run. Leave out what a run does not have: without polls no reader is judged.

    `watched` says that there was a reader: one that saw nothing is judged by that.
    `source` and `output` are the topics as they are in the end, `letters` the dead-letter topic, `doomed` what must be
    there, by key and number. `operations` are the workers' own histories.
    """

    source: Sequence[Row]
    output: Sequence[Row]
    polls: Sequence[Poll] = ()
    operations: Sequence[Operation] = ()
    letters: Sequence[Row] = ()
    doomed: frozenset[tuple[str, int]] = frozenset()
    watched: bool = False


@dataclass(frozen=True)
class Rules:
    """What a hop promises. `order`: per key, or of a whole partition as its source had it, or none.

    `ignore` names findings that a scenario does not judge.
    """

    exactly_once: bool = True
    order: Order = "key"
    ignore: frozenset[str] = frozenset()


@dataclass
class Findings:
    """What is damaged, by kind, each with its places.

    >>> findings = Findings(); findings.add("lost", "k1/7"); findings.damage, findings.lost
    (True, 1)
    """

    found: dict[str, dict[str, None]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    source: int = 0
    output: int = 0
    seen: int = 0

    def add(self, kind: str, example: str) -> None:
        """Notes a damage; the same one twice counts once."""
        self.found[kind][example] = None

    def count(self, kind: str) -> int:
        return len(self.found[kind])

    @property
    def lost(self) -> int:
        return self.count("lost")

    @property
    def duplicated(self) -> int:
        return self.count("duplicated")

    @property
    def reordered(self) -> int:
        return self.count("reordered")

    @property
    def aborted_reads(self) -> int:
        return self.count("aborted_reads")

    @property
    def damage(self) -> bool:
        """Whether any rule is broken."""
        return any(self.found.values())

    def line(self) -> str:
        """The findings for people: what there was, then what is wrong with it."""
        wrong = [f"{self.count(kind)} {kind.replace('_', ' ')}" for kind in KINDS if self.found[kind]]
        said = f"{self.source:,} in, {self.output:,} out"
        return f"{said}: {', '.join(wrong) or '0 lost, 0 duplicated, order kept'}"

    def examples(self) -> str:
        """A few places of every damage."""
        lines = [f"  {kind}: {', '.join(list(self.found[kind])[:EXAMPLES])}" for kind in KINDS if self.found[kind]]
        return "\n".join(lines)


def check(evidence: Evidence, rules: Rules) -> Findings:
    """Judges a run."""
    findings = Findings(source=len(evidence.source), output=len(evidence.output))
    aborted = {operation["attempt"] for operation in evidence.operations if _aborted(operation)}
    _complete(evidence, findings)
    _judge(evidence.source, evidence.output, rules, findings)
    _uncommitted(evidence.output, aborted, findings)
    if evidence.polls or evidence.watched:
        read = [row for poll in evidence.polls for row in poll.rows]
        findings.seen = len(read)
        _judge(evidence.source, read, rules, findings)
        _uncommitted(read, aborted, findings)
        _reader(read, evidence.output, findings)
    for kind in rules.ignore:
        findings.found[kind].clear()
    return findings


def open_attempts(operations: Iterable[Operation]) -> int:
    """How many kills found a transaction open: begun by the process that was hit, and neither committed nor aborted."""
    open_now: dict[int, bool] = {}
    hits = 0
    for operation in operations:
        pid = operation.fields.get("pid", 0)
        if operation.op == "begin":
            open_now[pid] = True
        if operation.op in ("commit", "abort"):
            open_now[pid] = False
        if operation.op == "fault" and operation["what"] == "kill" and open_now.pop(pid, False):
            hits += 1
    return hits


def _aborted(operation: Operation) -> bool:
    return operation.op == "abort" and operation.state == "ok"


def _complete(evidence: Evidence, findings: Findings) -> None:
    out = {row.what for row in evidence.output}
    letters = Counter(row.what for row in evidence.letters)
    for row in evidence.source:
        there = row.what in letters if row.what in evidence.doomed else row.what in out
        if not there:
            findings.add("lost", _place(row))
    for what, times in letters.items():
        if times > 1:
            findings.add("duplicated", f"dead letter {what[0]}/{what[1]} {times} times")
    for row in evidence.output:
        if row.what in evidence.doomed:
            findings.add("unexpected", f"{_place(row)} should be a dead letter")


def _judge(source: Sequence[Row], rows: Sequence[Row], rules: Rules, findings: Findings) -> None:
    """The rules that hold for the final read and for a concurrent reader alike."""
    said = Counter(row.what for row in source)
    ids: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        if row.what not in said:
            findings.add("unexpected", _place(row))
            continue
        ids.setdefault(row.what, []).append(row)
    for what, copies in ids.items():
        allowed = said[what] if rules.exactly_once else len(copies)
        if len(copies) > allowed or len({copy.event_id for copy in copies}) > max(1, said[what]):
            for copy in copies[1:]:
                findings.add("duplicated", _place(copy))
    _order(source, rows, rules.order, findings)


def _order(source: Sequence[Row], rows: Sequence[Row], order: Order, findings: Findings) -> None:
    """Only the first copy of a record counts: a second one is a duplicate, which has its own rule."""
    if order == "none":
        return
    rank = {row.what: row.offset if order == "partition" else row.seq for row in reversed(source)}
    homes: dict[str, tuple[str, int]] = {}
    for home, log in by_partition(rows).items():
        highest: dict[str, int] = {}
        seen: set[tuple[str, int]] = set()
        for row in log:
            if row.what in seen or row.what not in rank:
                continue
            seen.add(row.what)
            line = row.key if order == "key" else ""
            if rank[row.what] < highest.get(line, -1) or homes.setdefault(row.key, home) != home:
                findings.add("reordered", _place(row))
            highest[line] = max(rank[row.what], highest.get(line, -1))


def _uncommitted(rows: Iterable[Row], aborted: set[str], findings: Findings) -> None:
    for row in rows:
        if row.attempt and row.attempt in aborted:
            findings.add("aborted_reads", f"{_place(row)} of {row.attempt}")


def _reader(read: Sequence[Row], output: Sequence[Row], findings: Findings) -> None:
    final = {(row.topic, row.partition, row.offset): row for row in output}
    last: dict[tuple[str, int], int] = {}
    first: dict[tuple[str, int, int], Row] = {}
    for row in read:
        home, place = (row.topic, row.partition), (row.topic, row.partition, row.offset)
        if row.offset <= last.get(home, -1):
            findings.add("backwards", f"{_place(row)} after {last[home]}")
        last[home] = row.offset
        if place not in final:
            findings.add("aborted_reads", f"{_place(row)}: no longer there")
        if first.setdefault(place, row) != row or final.get(place, row) != row:
            findings.add("inconsistent", _place(row))
    for place, row in final.items():
        if place not in first:
            findings.add("unseen", _place(row))


def _place(row: Row) -> str:
    return f"{row.key}/{row.seq} at {row.topic}/{row.partition}@{row.offset}"
