"""A folder, or a store of objects, mirrored on the topic of changes: what changed is published, what is gone deleted.

What was published is read back from the topic, so that nothing is kept beside the log: files that were deleted while
nobody watched are noticed, files that did not change are not sent again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, Literal

from adapters.errors import UnavailableError
from adapters.folder_source import FileGoneError, FolderSource, Found, Refused
from adapters.object_source import FoundObject, ObjectSource
from processors.ports import Claims
from schemas.documents import DocumentChanged, DocumentDeleted
from schemas.envelope import Micros
from schemas.failures import REASON, STEP
from streams import headers as names
from streams.errors import StreamsError
from streams.publishing import Published, Publisher, Upload, document_changed
from streams.reading import Reader, Reading, Slice
from topics.ingest import DOCUMENT_CHANGED

__all__ = ["STEP_NAME", "Change", "FolderMirror", "Known", "known_from", "read_known"]

STEP_NAME: Final = "watch"
FOLDER: Final = "folder"
"""The property that says from which folder a document came: only that folder's mirror deletes it."""

STATE: Final = "state"
"""The property that says what a store of objects told of its content: size, and ETag or time."""

# Enough to keep the brokers busy, few enough to look at again when they went away.
_AT_ONCE: Final = 200

Action = Literal["published", "unchanged", "deleted", "refused"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Change:
    """What became of one file."""

    action: Action
    document: str
    reason: str = ""


Send = Callable[[], Future[Published]]
Planned = tuple[Change, Send | None]
"""What is to become of a file, and how; nothing has to be sent for one that did not change."""


@dataclass
class Known:
    """What the log holds of this folder: the hash of each document, the reason of each refusal.

    `states` are those that a store of objects gave, so that what did not change need not be read again.
    """

    hashes: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)


def read_known(reader: Reader, tenant: str, folder: str) -> Known:
    """Fold the topic of changes, and its dead letters, into what is known of a folder. Raises what reading raises."""
    prefix = f"{tenant}|".encode()
    names_of = (DOCUMENT_CHANGED.name, DOCUMENT_CHANGED.dead_letters)
    parts = {name: Slice(keep=lambda key, _: key.startswith(prefix)) for name in names_of}
    return known_from(reader.read_each(parts), folder)


def known_from(readings: Iterable[Reading], folder: str) -> Known:
    """What readings of both topics, each partition in its order, say of a folder.

    The order of the log counts, not the time that stands in it: clocks are put back. Only between a refusal, which
    stands on another topic, and a change there is nothing but the time: the later one is told of.
    """
    changes: dict[str, _Note] = {}
    refusals: dict[str, _Note] = {}
    for reading in readings:
        if (note := _note(reading, folder)) is None:
            continue
        notes = refusals if note.reason else changes
        held = notes.get(note.document)
        # A document is in one partition, unless the topic was given more of them since.
        if held is None or held.partition == note.partition or held.at <= note.at:
            notes[note.document] = note
    known = Known()
    for document, note in changes.items():
        if note.digest:
            known.hashes[document] = note.digest
        if note.digest and note.state:
            known.states[document] = note.state
    for document, refusal in refusals.items():
        if document not in changes or changes[document].at < refusal.at:
            known.refusals[document] = refusal.reason
    return known


@dataclass(frozen=True)
class _Note:
    """What a record says of a document of a folder: its hash and state, both empty for gone, or why it was refused."""

    at: Micros
    partition: int
    document: str
    digest: str = ""
    state: str = ""
    reason: str = ""


def _note(reading: Reading, folder: str) -> _Note | None:
    event = reading.event
    if not isinstance(event, DocumentChanged | DocumentDeleted):
        return None
    mine = isinstance(event, DocumentChanged) and event.properties.get(FOLDER) == folder
    place = (reading.at, reading.partition, event.document)
    if reading.topic == DOCUMENT_CHANGED.name:
        said = event.properties if isinstance(event, DocumentChanged) and mine else {}
        return _Note(*place, said.get("sha256", ""), said.get(STATE, ""))
    if not mine or names.value(reading.headers, STEP) != STEP_NAME.encode():
        return None
    return _Note(*place, reason=(names.value(reading.headers, REASON) or b"").decode())


class FolderMirror:
    """Keeps the topic of changes like the folder. Use it with what `read_known` gave, and `sync` after every change.

        >>> mirror = FolderMirror(source, publisher, claims, "acme", known)  # doctest: +SKIP
        >>> [change.action for change in mirror.sync()]  # doctest: +SKIP
        ['published', 'unchanged', 'deleted']

    While Kafka is away a file is not lost: what could not be sent is in `pending`, to be synced again.
    """

    def __init__(
        self, source: FolderSource | ObjectSource, publisher: Publisher, claims: Claims, tenant: str, known: Known
    ) -> None:
        self._source = source
        self._publisher = publisher
        self._claims = claims
        self._tenant = tenant
        self._known = known
        self._states: dict[str, object] = dict(known.states)
        self.pace: Callable[[], None] = lambda: None
        self.pending: set[str] = set()
        self.problem = ""

    def sync(self, below: Iterable[str] = ("",)) -> Iterator[Change]:
        """Look at the folder, or at some relative paths of it, and publish the difference.

        Yields what became of each file once the cluster has it; what it would not take is in `pending`.
        """
        self.problem = ""
        wanted = {*below, *self.pending}
        self.pending = set()
        batch: list[Planned] = []
        try:
            for step in self._differences({""} if "" in wanted else wanted):
                batch.append(step)
                if len(batch) >= _AT_ONCE:
                    yield from self._carry_out(batch)
                    batch = []
        except UnavailableError as error:
            # What could not be listed or read to its end says nothing about what is gone.
            self.problem = str(error)
            self.pending.add("")
        yield from self._carry_out(batch)

    def _differences(self, below: set[str]) -> Iterator[Planned]:
        seen: set[str] = set()
        for relative in sorted(below):
            for file in self._source.scan(relative):
                if file.document not in seen:
                    seen.add(file.document)
                    yield self._refused(file) if isinstance(file, Refused) else self._found(file)
        if self._known.hashes and "" in below and not seen and not self._source.trusts_empty:
            raise UnavailableError(
                f"listing {self._source.root!r}: it is empty, and {len(self._known.hashes)} documents came from there; "
                "if they are to be deleted, say --allow-empty"
            )
        for document in sorted(self._known.hashes):
            if document not in seen and any(_is_below(document, relative) for relative in below):
                yield self._gone(document)

    def _found(self, file: Found | FoundObject) -> Planned:
        if self._states.get(file.document) == file.state:
            return Change("unchanged", file.document), None
        try:
            body = self._source.read(file)  # type: ignore[arg-type]  # what a source found, it reads
        except FileGoneError as error:
            _log.info("%s", error)
            return self._gone(file.document)
        self._states[file.document] = file.state
        digest = hashlib.sha256(body).hexdigest()
        if self._known.hashes.get(file.document) == digest:
            return Change("unchanged", file.document), None
        upload = Upload(
            tenant=self._tenant,
            document=file.document,
            body=body,
            media_type=file.media_type,
            source_uri=file.uri,
            properties=self._properties(file),
        )
        return Change("published", file.document), lambda: self._send(document_changed(upload, self._claims), digest)

    def _gone(self, document: str) -> Planned:
        self._states.pop(document, None)
        if document not in self._known.hashes:
            return Change("unchanged", document), None
        event = DocumentDeleted(tenant=self._tenant, document=document, reason="the file is gone")
        return Change("deleted", document), lambda: self._send(event, None)

    def _refused(self, file: Refused) -> Planned:
        """A version of the document that was taken before stays: it was good, and this one is nobody's."""
        if self._known.refusals.get(file.document) == file.reason:
            return Change("unchanged", file.document), None
        event = DocumentChanged(
            tenant=self._tenant,
            document=file.document,
            media_type=file.media_type,
            properties={**self._properties(), "size": str(file.size)},
        )

        def send() -> Future[Published]:
            self._known.refusals[file.document] = file.reason
            return self._publisher.refuse(DOCUMENT_CHANGED, event, file.reason, STEP_NAME)

        return Change("refused", file.document, file.reason), send

    def _send(self, event: DocumentChanged | DocumentDeleted, digest: str | None) -> Future[Published]:
        sent = self._publisher.send(DOCUMENT_CHANGED, event)
        if digest is None:
            self._known.hashes.pop(event.document, None)
        else:
            self._known.hashes[event.document] = digest
            self._known.refusals.pop(event.document, None)
        return sent

    def _carry_out(self, batch: list[Planned]) -> Iterator[Change]:
        under_way: list[tuple[Change, Future[Published] | None]] = []
        for change, send in batch:
            try:
                if send:
                    self.pace()
                under_way.append((change, send() if send else None))
            except (StreamsError, UnavailableError) as error:
                self._look_again(change, error)
        for change, sent in under_way:
            try:
                if sent is not None:
                    self._publisher.wait(sent)
                yield change
            except StreamsError as error:
                self._look_again(change, error)

    def _look_again(self, change: Change, error: Exception) -> None:
        """Forget what was assumed: whether the record arrived is unknown, and sending it twice is safe."""
        self.problem = str(error)
        self.pending.add(change.document)
        self._states.pop(change.document, None)
        self._known.refusals.pop(change.document, None)
        if change.action == "deleted":
            self._known.hashes[change.document] = ""
        if change.action == "published":
            self._known.hashes.pop(change.document, None)

    def _properties(self, file: Found | FoundObject | None = None) -> dict[str, str]:
        state = {STATE: file.state} if isinstance(file, FoundObject) else {}
        return {FOLDER: str(self._source.root), **state}


def _is_below(document: str, relative: str) -> bool:
    return not relative or document == relative or document.startswith(f"{relative}/")
