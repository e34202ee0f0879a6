"""Documents of a bench in memory: published through the whole of ingest, then changed one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from adapters.host import SystemClock
from bench.cache.log import Change
from schemas.documents import AccessChanged, DocumentChanged, DocumentDeleted, DocumentHead, DocumentIndexed
from schemas.envelope import Event
from streams.driver import Driver
from streams.ingest import INGEST
from streams.parts import Parts
from streams.pipeline import Origin
from topics.ingest import ACCESS_CHANGED, DOCUMENT_CHANGED, DOCUMENT_HEAD, DOCUMENT_INDEXED

__all__ = ["TENANT", "Documents"]

TENANT: Final = "bench"
ROUND: Final = 100


class Documents:
    """What is published and changed, with ids that count: the same run has the same events."""

    def __init__(self, parts: Parts, say: Callable[[str], None]) -> None:
        self._say = say
        self._ingest = Driver([INGEST], parts.port, parts.memory_codec(), Origin(SystemClock()))
        self._number = 0

    def publish(self, documents: Mapping[str, str]) -> None:
        """The documents before anything is asked."""
        names = list(documents)
        for start in range(0, len(names), ROUND):
            for name in names[start : start + ROUND]:
                self._ingest.put(DOCUMENT_CHANGED, self._changed(name, documents[name]))
            self._ingest.run()
            self._ingest.forget()
            self._say(f"published {min(start + ROUND, len(names))} of {len(names)}")

    def change(self, change: Change) -> list[DocumentHead | DocumentIndexed]:
        """Lets one thing happen; returns the heads and receipts that came of it."""
        event: Event
        if change.kind == "delete":
            event = DocumentDeleted(tenant=TENANT, event_id=self.id(), document=change.document)
        elif change.kind == "restrict":
            event = AccessChanged(tenant=TENANT, event_id=self.id(), document=change.document, access=("group:staff",))
        else:
            event = self._changed(change.document, change.text)
        self._ingest.put(ACCESS_CHANGED if change.kind == "restrict" else DOCUMENT_CHANGED, event)
        self._ingest.run()
        swapped = [*self._ingest.events(DOCUMENT_HEAD), *self._ingest.events(DOCUMENT_INDEXED)]
        self._ingest.forget()
        return swapped

    def id(self) -> str:
        """The next id, of an event or a question."""
        self._number += 1
        return f"event-{self._number}"

    def _changed(self, name: str, text: str) -> DocumentChanged:
        return DocumentChanged(
            tenant=TENANT, event_id=self.id(), document=name, media_type="text/plain", body=text.encode()
        )
