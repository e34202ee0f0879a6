"""A step of your own: an event, a topic, a function, a hop; run in memory here, over Kafka by a worker.

    python examples/05_your_own_processor.py

It writes a table of contents for every document that was parsed.
"""

from __future__ import annotations

from collections.abc import Iterator

from adapters.host import SystemClock
from adapters.schema_registry import MemorySchemaIds
from processors.contract import Reject
from schemas.codec import Codec
from schemas.documents import Block, DocumentParsed
from schemas.envelope import Event, Version
from streams.driver import Driver
from streams.hop import Hop, Journey
from streams.pipeline import Origin
from topics.ingest import DOCUMENT_PARSED, by_document
from topics.topic import Topic


# 1. What travels: a frozen value. Its Avro schema is rendered from the class.
class DocumentOutlined(Event, frozen=True, kw_only=True):
    """The headings of a document, indented by their level."""

    document: str
    headings: tuple[str, ...]


# 2. Where it travels, and what keeps one document in one partition.
DOCUMENT_OUTLINED = Topic[DocumentOutlined]("rag.document.outlined.v1", (DocumentOutlined,), by_document)


# 3. What happens to it: no Kafka, no clock. A document that will never work is rejected, and says why.
def outline(document: DocumentParsed, depth: int) -> Iterator[DocumentOutlined]:
    headings = tuple(
        f"{'  ' * (block.level - 1)}{block.text}"
        for block in document.blocks
        if block.kind == "heading" and block.level <= depth
    )
    if not headings:
        raise Reject(f"wanted a document with headings, {document.document!r} has none")
    yield DocumentOutlined(tenant=document.tenant, document=document.document, headings=headings)


# 4. How it joins: from which topic, to which.
OUTLINES = Journey("outlines", [Hop((DOCUMENT_PARSED,), outline, (DOCUMENT_OUTLINED,))])


def parsed(name: str, *headings: tuple[int, str]) -> DocumentParsed:
    blocks = tuple(Block(kind="heading", text=text, start=0, end=len(text), level=level) for level, text in headings)
    return DocumentParsed(
        tenant="acme",
        document=name,
        version=Version(source=0, offset=0),
        title=name,
        media_type="text/markdown",
        source_uri="",
        access=("*",),
        blocks=blocks,
    )


def main() -> None:
    settings = {"depth": 2}
    driver = Driver([OUTLINES], settings.__getitem__, Codec(MemorySchemaIds()), Origin(SystemClock()))
    driver.put(DOCUMENT_PARSED, parsed("guide.md", (1, "Mooring"), (2, "Leases"), (3, "Notice"), (2, "Fees")))
    driver.put(DOCUMENT_PARSED, parsed("note.md"))
    driver.run()
    for event in driver.events(DOCUMENT_OUTLINED):
        print(event.document)
        for heading in event.headings:
            print(f"  {heading}")
    for letter in driver.dead_letters(DOCUMENT_PARSED):
        reason = dict(letter.headers)["dlq.reason"].decode()
        print(f"rejected: {reason}")


if __name__ == "__main__":
    main()
