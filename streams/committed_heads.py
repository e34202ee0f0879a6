"""The committed heads of a group of documents, read from the log when they are asked for: for what is rare."""

from __future__ import annotations

from collections.abc import Callable

from processors.ingest.heads import newer
from processors.ports import Clock
from schemas.codec import Codec
from schemas.documents import DocumentHead
from streams.generation_log import choice_of, read_table
from streams.reading import Reader, Slice
from streams.settings import Settings
from topics.ingest import DOCUMENT_HEAD

__all__ = ["committed_heads"]


def committed_heads(settings: Settings, codec: Codec, clock: Clock) -> Callable[[str], list[DocumentHead]]:
    """A function that finds the newest head of every document whose name begins so, deleted ones included.

        >>> committed_heads(settings, codec, clock)("pages/")  # doctest: +SKIP
        [DocumentHead(tenant='acme', document='pages/7', ...)]

    It reads the whole topic of heads each time: for a truncated table, or to compare a source with the index. The heads
    are those of the generation that serves then: it is there whichever was retired.
    """

    def heads_of(prefix: str) -> list[DocumentHead]:
        generation = choice_of(read_table(settings, codec, clock), settings).generation
        keep = Slice(keep=lambda key, _: key.startswith(f"{generation}|".encode()) and f"|{prefix}".encode() in key)
        newest: dict[tuple[str, str], DocumentHead] = {}
        with Reader(settings.kafka, codec, clock) as reader:
            for reading in reader.read(DOCUMENT_HEAD.name, keep):
                head = reading.event
                if not isinstance(head, DocumentHead) or not head.document.startswith(prefix):
                    continue
                if newer(head, newest.get(place := (head.tenant, head.document))):
                    newest[place] = head
        return list(newest.values())

    return heads_of
