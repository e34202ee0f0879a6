"""The drift auditor: compares the log of changes, the heads and the index, again and again, and repairs what drifted.

The way of a look (`Auditor.look`):
1. Take in what the log says since the last look.
2. Digests per partition of all sides; where they are equal, that is all.
3. Differing partitions document by document. What the groups have not handled yet is on its way, and what became a dead
   letter is somebody's to decide: neither is drift.
4. Only what was found just so at least the grace ago is drift. Just before a repair it is looked at once more.
Repairs go the ordinary way: a change is put on its topic again, lost objects are made anew from the redacted text. Only
objects that no head lists are removed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from confluent_kafka import KafkaException, murmur2
from prometheus_client import Counter as Count
from prometheus_client import Gauge

from adapters.errors import AdapterError
from processors.contract import Stop
from processors.ingest import drift
from processors.ingest.drift import Finding, Place
from schemas.documents import DocumentHead, DocumentRedacted
from schemas.envelope import Micros
from streams.audit_source import SourceSide, handled
from streams.erasing import LETTER_TOPICS
from streams.errors import StreamsError
from streams.group_lag import GroupLag
from streams.keyed_log import KeyedLog, document_key
from streams.parts import Parts
from streams.reading import Reader
from streams.rebuild import mend
from topics.ingest import ACCESS_CHANGED, DOCUMENT_CHANGED, DOCUMENT_HEAD, DOCUMENT_REDACTED

__all__ = ["Auditor", "Report"]

_LOG = structlog.get_logger(__name__)

DRIFT: Final = Gauge("headwater_audit_drift", "Documents that drifted, as the last look found.", ["kind", "generation"])
REPAIRS: Final = Count("headwater_audit_repairs_total", "Repairs, by what had drifted.", ["kind"])
LOOKS: Final = Count("headwater_audit_looks_total", "Looks of the auditor that came to an end.")
FAILED: Final = Count("headwater_audit_failures_total", "Looks that a dependency kept from coming to an end.")

# A change that does not become a head although it was put there again and again needs a person.
_REPAIRS_MOST: Final = 3


@dataclass(frozen=True)
class Report:
    """One look: what drifted, what of it was repaired, and how much was compared."""

    documents: int
    objects: int
    partitions: int
    compared: int
    suspects: int
    drift: tuple[Finding, ...] = ()
    repaired: tuple[Finding, ...] = ()

    def counts(self) -> dict[str, int]:
        """Documents by kind, every kind there is."""
        found = Counter(finding.kind for finding in self.drift)
        return {kind: found[kind] for kind in drift.KINDS}


@dataclass
class Auditor:
    """Looks, remembers what it suspects, and repairs if it may. Use one per index, in the process that holds it.

    `group`: the consumer group that makes the heads of this generation, where that is not ordinary ingest.
    Raises what reading the cluster or the index raises; nothing was repaired then that was not confirmed.
    """

    parts: Parts
    grace_s: float
    repair: bool = False
    group: str = ""
    _source: SourceSide = field(default_factory=SourceSide)
    _repairs: Counter[Place] = field(default_factory=Counter)
    _suspects: drift.Suspects = field(init=False)

    def __post_init__(self) -> None:
        self._suspects = drift.Suspects(self.grace_s)
        for kind in drift.KINDS:
            DRIFT.labels(kind, self._generation)
            REPAIRS.labels(kind)

    def look(self) -> Report:
        """One look. Drift is told from the second on, since only then it is known to stay."""
        parts = self.parts
        # 1. What the log says.
        with Reader(parts.settings.kafka, parts.codec, parts.port("clock")) as reader:
            self._source.update(reader)
            count = len(reader.bounds(DOCUMENT_CHANGED.name))
        # 2. Digests.
        heads = {(head.tenant, head.document): head for head in parts.port("heads").walk()}
        store = parts.port("store")
        in_source, in_index = drift.partitions(self._source.said, heads.values(), store.walk(), _partition_in(count))
        # 3. Document by document.
        found = [*self._against_source(in_source, heads, count), *self._against_index(in_index, count)]
        # 4. Only what stays is drift.
        confirmed = self._suspects.confirmed(found, parts.port("clock").monotonic())
        repaired = [finding for finding in confirmed if self.repair and self._repaired(finding)]
        report = Report(
            documents=len(self._source.said),
            objects=sum(len(head.chunks) for head in heads.values()),
            partitions=count,
            compared=len(in_source | in_index),
            suspects=len(found),
            drift=tuple(confirmed),
            repaired=tuple(repaired),
        )
        self._tell(report)
        return report

    def look_safely(self) -> Report | None:
        """A look for a service: a dependency that is away is told, and looked for again."""
        try:
            return self.look()
        except (Stop, StreamsError, AdapterError, KafkaException) as error:
            FAILED.inc()
            _LOG.warning("audit.failed", reason=str(error))
            return None

    def _against_source(self, wanted: set[int], heads: dict[Place, DocumentHead], count: int) -> list[Finding]:
        if not wanted:
            return []
        inside = _partition_in(count)
        done = self._handled()
        said = {
            place: last
            for place, last in self._source.said.items()
            if inside(place) in wanted and self._is_handled(place, done)
        }
        # The view may have moved on since it was walked: what it says now counts.
        view = self.parts.port("heads")
        now = {place: head for place in said if (head := view.get(*place))}
        known = {p: h for p, h in heads.items() if inside(p) in wanted and p not in self._source.said} | now
        suspected = {finding.place for finding in drift.against_source(said, known, ())}
        failed, elsewhere = self._with_letters(suspected), self._headed_elsewhere(suspected - now.keys())
        return [one for one in drift.against_source(said, known, elsewhere) if one.place not in failed]

    def _handled(self) -> dict[tuple[str, int], int]:
        lag = GroupLag(self.parts.settings.kafka, self.parts.port("clock"))
        try:
            return handled(lag, self.group)
        finally:
            lag.close()

    def _is_handled(self, place: Place, done: dict[tuple[str, int], int]) -> bool:
        stands = (self._source.at.get(place), self._source.access_at.get(place))
        return all(one.offset < done.get((one.topic, one.partition), 0) for one in stands if one)

    def _against_index(self, wanted: set[int], count: int) -> list[Finding]:
        if not wanted:
            return []
        inside = _partition_in(count)
        objects = [
            found for found in self.parts.port("store").walk() if inside((found.tenant, found.document)) in wanted
        ]
        heads = {
            (head.tenant, head.document): head
            for head in self.parts.port("heads").walk()
            if inside((head.tenant, head.document)) in wanted
        }
        return list(drift.against_index(heads, objects))

    def _with_letters(self, places: set[Place]) -> set[Place]:
        """Those of which a dead letter is younger than their newest version: that one may never become a head."""
        if not places:
            return set()
        keys = {document_key(*place).encode(): place for place in places}
        letters = [topic.dead_letters for topic in (*LETTER_TOPICS, ACCESS_CHANGED)]
        newest: dict[Place, Micros] = {}
        for reading in self._log.matching(letters, lambda key, _: key in keys):
            place = keys[reading.key.encode()]
            newest[place] = max(newest.get(place, reading.at), reading.at)
        stands = self._source.at
        return {place for place, at in newest.items() if place not in stands or at >= stands[place].at}

    def _headed_elsewhere(self, places: set[Place]) -> set[Place]:
        if not places:
            return set()
        mine = self._generation
        found = self._log.matching([DOCUMENT_HEAD.name], lambda _, value: bool(value))
        heads = [reading.event for reading in found if isinstance(reading.event, DocumentHead)]
        return {
            (head.tenant, head.document)
            for head in heads
            if head.generation != mine and (head.tenant, head.document) in places and not head.gone
        }

    @property
    def _generation(self) -> str:
        return str(self.parts.port("generation"))

    @property
    def _log(self) -> KeyedLog:
        log: KeyedLog = self.parts.port("keyed_log")
        return log

    def _repaired(self, finding: Finding) -> bool:
        """Repairs, if a last look still finds it; says whether it did."""
        if self._repairs[finding.place] >= _REPAIRS_MOST:
            _LOG.error("audit.given_up", kind=finding.kind, tenant=finding.tenant, document=finding.document)
            return False
        done: bool = _REPAIR[finding.kind](self, finding)
        if done:
            self._repairs[finding.place] += 1
            REPAIRS.labels(finding.kind).inc()
            _LOG.info("audit.repaired", kind=finding.kind, tenant=finding.tenant, document=finding.document)
        return done

    def _published_again(self, finding: Finding) -> bool:
        topic = ACCESS_CHANGED if finding.kind == "access" else DOCUMENT_CHANGED
        readings = self._log.of_key(topic, document_key(*finding.place))
        if not readings or readings[-1].value is None:
            return False
        self._log.put_again(readings[-1])
        return True

    def _made_again(self, finding: Finding) -> bool:
        head = self._head(finding)
        texts = [reading.event for reading in self._log.of_key(DOCUMENT_REDACTED, document_key(*finding.place))]
        text = texts[-1] if texts else None
        if head is None or head.gone or not isinstance(text, DocumentRedacted):
            return False
        return mend(self.parts, {finding.place: head}, [text]) > 0

    def _removed(self, finding: Finding) -> bool:
        """Removes objects; those that the head lists by now never."""
        head = self._head(finding)
        listed = {chunk.object_id for chunk in head.chunks} if head else set[str]()
        return bool(self.parts.port("store").remove(finding.tenant, sorted(set(finding.evidence) - listed)))

    def _hinted(self, finding: Finding) -> bool:
        head = self._head(finding)
        if head is None:
            return False
        listed = {chunk.object_id for chunk in head.chunks}
        self.parts.port("store").set_access(finding.tenant, sorted(set(finding.evidence) & listed), head.access)
        return True

    def _left_alone(self, _: Finding) -> bool:
        """A head that the log knows nothing of: whether it is to go is for a person to say (`headwater erase`)."""
        return False

    def _head(self, finding: Finding) -> DocumentHead | None:
        head: DocumentHead | None = self.parts.port("heads").get(*finding.place)
        return head

    def _tell(self, report: Report) -> None:
        LOOKS.inc()
        for kind, number in report.counts().items():
            DRIFT.labels(kind, self._generation).set(number)
        if report.drift:
            kinds = {kind: number for kind, number in report.counts().items() if number}
            _LOG.warning("audit.drift", index=self._generation, repaired=len(report.repaired), **kinds)


_REPAIR: Final[dict[str, Any]] = {
    "headless": Auditor._published_again,
    "behind": Auditor._published_again,
    "access": Auditor._published_again,
    "generation": Auditor._published_again,
    "unsourced": Auditor._left_alone,
    "lost": Auditor._made_again,
    "garbage": Auditor._removed,
    "hint": Auditor._hinted,
}


def _partition_in(count: int) -> drift.PartitionOf:
    def partition_of(place: Place) -> int:
        return int(murmur2(document_key(*place).encode(), count))

    return partition_of
