"""What T10 holds against a run: what its readers were given while it went on, and what is there in the end.

1. No answer holds two revisions of a document, goes back to an older one, brings back what was gone, or says what was
   never committed.
2. In the end heads, objects and answers are the table, word for word, and no object is held that no head lists.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from processors.ports import IndexObject
from schemas.documents import DocumentHead
from streams.audit import Auditor
from streams.parts import Parts
from tests.chaos.cdc_reader import TENANT, fenced
from tests.chaos.cdc_run import CdcRun
from tests.chaos.checker import Findings
from tests.chaos.history import Operation

GRACE_S = 2.0
"""How long the auditor lets a difference stand before it believes it: nothing is on its way any more."""


def judge_reads(polls: Iterable[Operation], committed: Mapping[int, int], findings: Findings) -> Counter[str]:
    """Judges one reader; `committed` says of which document a revision is. Returns what it refused to answer, by
    reason."""
    newest: defaultdict[int, int] = defaultdict(int)
    gone: set[tuple[int, int]] = set()
    refused: Counter[str] = Counter()
    for poll in polls:
        if poll.op == "note":
            findings.add("unexpected", poll["text"])
            continue
        if poll.state == "fail":
            refused[poll["reason"]] += 1
            continue
        document, revisions = poll["document"], poll["revisions"]
        findings.seen += 1
        _judge(document, revisions, newest[document], gone, findings)
        for one in revisions:
            if committed.get(one) != document:
                findings.add("aborted_reads", f"document {document}: revision {one} was never committed")
        newest[document] = max(newest[document], *revisions, 0)
    return refused


def _judge(document: int, revisions: list[int], newest: int, gone: set[tuple[int, int]], findings: Findings) -> None:
    if len(revisions) > 1:
        findings.add("inconsistent", f"document {document}: revisions {revisions} in one answer")
    if not revisions:
        gone.add((document, newest))
        return
    if revisions[0] < newest:
        findings.add("backwards", f"document {document}: {revisions[0]} after {newest}")
    if (document, revisions[-1]) in gone:
        findings.add("unexpected", f"document {document}: {revisions[-1]} came back")


def judge_end(run: CdcRun, documents: int, findings: Findings) -> dict[str, Any]:
    """Whether heads, objects and answers are the table. The workers must have stopped."""
    rows, heads = run.rows(), run.heads()
    _judge_heads(rows, heads, findings)
    parts = Parts(run.parts.settings)
    try:
        parts.open({"serving"})
        objects = _judge_objects(parts, rows, heads, findings)
        swept = _judge_drift(parts, findings)
        _judge_answers(parts, documents, rows, findings)
    finally:
        parts.close()
    return {"documents": len(rows), "objects": objects, "swept": swept}


def _judge_heads(rows: Mapping[str, tuple[str, str]], heads: Mapping[str, DocumentHead], findings: Findings) -> None:
    findings.source, findings.output = len(rows), sum(not head.gone for head in heads.values())
    for document, (title, _) in rows.items():
        head = heads.get(document)
        if head is None or head.gone:
            findings.add("lost", f"{document}: wanted {title}, it is missing")
        elif head.title != title:
            findings.add("lost", f"{document}: wanted {title}, it is {head.title}")
    for document, head in heads.items():
        if not head.gone and document not in rows:
            findings.add("unexpected", f"{document}: {head.title} is no row")


def _judge_objects(
    parts: Parts, rows: Mapping[str, tuple[str, str]], heads: Mapping[str, DocumentHead], findings: Findings
) -> int:
    """Each document, put together from the objects that its head lists, is the row's text word for word."""
    held: dict[str, IndexObject] = {found.object_id: found for found in parts.port("store").walk(TENANT)}
    for document, (_, body) in rows.items():
        head = heads.get(document)
        listed = [one.object_id for one in head.chunks] if head else []
        if absent := [name for name in listed if name not in held]:
            findings.add("lost", f"{document}: {len(absent)} listed objects are not held")
        elif " ".join(held[name].chunk.text for name in listed).split() != body.split():
            findings.add("inconsistent", f"{document}: its objects do not say what its row says")
    return len(held)


def _judge_drift(parts: Parts, findings: Findings) -> dict[str, int]:
    """The auditor sweeps what killed workers left behind, and finds nothing else; afterwards nothing at all."""
    auditor = Auditor(parts, GRACE_S, repair=True)
    auditor.look()
    time.sleep(GRACE_S + 0.5)
    swept = {kind: count for kind, count in auditor.look().counts().items() if count}
    auditor.look()
    time.sleep(GRACE_S + 0.5)
    left = {kind: count for kind, count in auditor.look().counts().items() if count}
    for kind in (swept.keys() - {"garbage"}) | left.keys():
        findings.add("inconsistent", f"the auditor found {kind}: {swept.get(kind, 0)}, left {left.get(kind, 0)}")
    return swept


def _judge_answers(parts: Parts, documents: int, rows: Mapping[str, tuple[str, str]], findings: Findings) -> None:
    """The real read path, asked for every document once all is quiet."""
    for number in range(documents):
        title = rows.get(f"texts/{number}", ("", ""))[0]
        wanted, found = {int(title[1:])} if title else set(), fenced(parts, number)
        if found != wanted:
            kind = "unseen" if wanted else "unexpected"
            findings.add(kind, f"document {number}: wanted an answer from {wanted or 'nothing'}, got {found}")
