"""`headwater trace ID`: the whole path of one answer or one document version, hop by hop, with times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headwater.cli.options import add
from headwater.cli.output import OutputOption, dim, emit, table
from headwater.cli.reaching import ToKafka, codec_for, reach

if TYPE_CHECKING:
    from streams.tracing import AnswerTrace, DocumentTrace

__all__ = ["as_json", "print_answer_trace", "print_document_trace", "register"]


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    add(app, trace)


@dataclass(frozen=True, kw_only=True)
class TraceOptions(ToKafka):
    """What `trace` can be told."""

    what: Annotated[str, typer.Argument(metavar="ID", help="The id of an answer, or the name of a document.")]
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="Whose document, where several have its name.")] = ""
    output: OutputOption = "table"


def trace(context: typer.Context, options: TraceOptions) -> None:
    """Show every record on the way of an answer, back to the document versions it cites; or of a document's version."""
    from adapters.host import SystemClock
    from headwater.cli.logs import configure
    from streams.reading import Reader
    from streams.tracing import AnswerTrace
    from streams.tracing import trace as find

    configure(quiet_kafka=True)
    settings = reach(context, options)
    with Reader(settings.kafka, codec_for(settings), SystemClock()) as reader:
        found = find(reader, options.what, options.tenant)
    if options.output == "json":
        emit(as_json(found))
    elif isinstance(found, AnswerTrace):
        print_answer_trace(found)
    else:
        print_document_trace(found)


def as_json(found: AnswerTrace | DocumentTrace) -> dict[str, Any]:
    """A trace as plain values, for programs."""
    import dataclasses

    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(dataclasses.asdict(found))
    return {"kind": "answer" if "answer_id" in plain else "document", **plain}


def print_answer_trace(found: AnswerTrace) -> None:
    """For people: the question, its hops, and each citation with the way of its document."""
    from schemas.queries import AnswerGiven

    print(f"{found.tenant} asked: {found.question}")
    given = found.answer
    if given is None:
        print("no answer is on its topic (any more)")
    else:
        print(f"answer: {given.text if isinstance(given, AnswerGiven) else f'{given.reason}: {given.message}'}")
    _print_hops(found)
    for passage in found.passages:
        print(f"  read {passage.document} #{passage.ordinal}, score {passage.score:.3f}")
    for citation, document in found.citations:
        print(f"\n[{citation.number}] {citation.document} version {citation.version.source}/{citation.version.offset}")
        print(f"    “{' '.join(citation.quote.split())}”")
        if document is None:
            print(dim("    the records of this version are no longer kept"))
        else:
            _print_hops(document)


def print_document_trace(found: DocumentTrace) -> None:
    """For people: the version, its hops, and what its receipt says."""
    print(f"{found.tenant}: {found.document}, version {found.version.source}/{found.version.offset}")
    _print_hops(found)
    receipt = found.receipt
    if receipt is not None:
        print(f"{receipt.outcome}: {receipt.kept} chunks kept, {receipt.added} added, {receipt.removed} removed")


def _print_hops(found: AnswerTrace | DocumentTrace) -> None:
    began = min((hop.at for hop in found.hops), default=0)
    rows = [
        {
            "ms": f"{(hop.at - began) / 1000:.1f}",
            "event": hop.event if hop.count == 1 else f"{hop.event} ×{hop.count}",
            "record": f"{hop.topic}/{hop.partition}@{hop.offset}",
        }
        for hop in found.hops
    ]
    table(rows, ["ms", "event", "record"])
    steps = ", ".join(f"{step} {(moment - began) / 1000:.1f}" for step, moment in found.trail.items())
    if steps:
        print(dim(f"steps done, ms: {steps}"))
