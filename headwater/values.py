"""What goes in and out of the client: plain frozen values, so that an application needs no schema of the platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from typing import Any, Literal

__all__ = [
    "Answer",
    "Cause",
    "Change",
    "Citation",
    "Delta",
    "Document",
    "Feedback",
    "Following",
    "Forgotten",
    "Lane",
    "Memory",
    "Question",
    "Rating",
    "Receipt",
    "Subscription",
    "Version",
]

Rating = Literal["up", "down"]
Lane = Literal["interactive", "bulk"]


@dataclass(frozen=True, order=True)
class Version:
    """Which state of a document: the source's own position, then the offset on the topic of changes."""

    source: int
    offset: int


@dataclass(frozen=True)
class Citation:
    """Where a numbered claim of an answer stands; `start` and `end` are character offsets in the parsed document.

    `memory` names the note where it stands in one of the asker's own, and is empty for a document.
    """

    number: int
    document: str
    version: Version
    object_id: str
    chunk: str
    title: str
    source_uri: str
    quote: str
    start: int
    end: int
    page: int | None = None
    memory: str = ""


@dataclass(frozen=True)
class Span:
    """The words that answer by themselves, and where they stand in the document of citation `number`."""

    text: str
    number: int
    start: int
    end: int


@dataclass(frozen=True)
class Answer:
    """An answer with its citations; where the documents do not answer, `withheld` says so and `text` says it in words.

    >>> answer = Answer(answer_id="a", question="?", text="Nothing on that.", withheld="not_in_documents")
    >>> answer.answered
    False
    """

    answer_id: str
    question: str
    text: str
    citations: tuple[Citation, ...] = ()
    model: str = ""
    prompt_version: str = ""
    generation: str = ""
    confidence: float = 0.0
    degraded: tuple[str, ...] = ()
    cached_from: str = ""
    span: Span | None = None
    trail: Mapping[str, int] = field(default_factory=dict)
    withheld: str = ""
    withheld_kinds: tuple[str, ...] = ()
    pipeline: str = ""
    embedding: str = ""
    drawn: Mapping[str, str] = field(default_factory=dict)

    @property
    def answered(self) -> bool:
        """Whether the documents answer the question."""
        return not self.withheld

    @property
    def from_memory(self) -> bool:
        """Whether anything of it rests on a note of the asker's own."""
        return any(citation.memory for citation in self.citations)


@dataclass(frozen=True)
class Delta:
    """The next piece of an answer's text while it is written; the final answer's text replaces them all."""

    index: int
    text: str


@dataclass(frozen=True)
class Receipt:
    """Where what was sent stands on its topic: it will be worked on, whatever happens to this process."""

    event_id: str
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True)
class Question:
    """A question on its way out."""

    question: str
    tenant: str
    session: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    filters: Mapping[str, str] = field(default_factory=dict)
    max_passages: int = 6
    lane: Lane = "interactive"
    timeout_s: float = 20.0
    memory: bool = False


@dataclass(frozen=True)
class Document:
    """A document on its way out."""

    tenant: str
    document: str
    body: bytes
    media_type: str
    title: str = ""
    source_uri: str = ""
    access: tuple[str, ...] = ("*",)
    properties: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str = ""


@dataclass(frozen=True)
class Feedback:
    """A person's judgement on its way out."""

    tenant: str
    answer_id: str
    rating: Rating
    comment: str = ""
    correction: str = ""


@dataclass(frozen=True)
class Subscription:
    """A question that stands: `question_id` names it within its tenant."""

    question_id: str
    question: str
    tenant: str
    user: str = ""
    groups: tuple[str, ...] = ()
    filters: Mapping[str, str] = field(default_factory=dict)
    max_passages: int = 6


@dataclass(frozen=True)
class Following:
    """Whose changes are to be followed: those of the last `since_s` seconds, then what comes, for `for_s` (0: on and
    on)."""

    tenant: str
    question_id: str
    since_s: float = 60.0
    for_s: float = 0.0


@dataclass(frozen=True)
class Memory:
    """A note that a user wants kept beyond a session; `memory` is its name among the user's, `kept_at` seconds since
    1970, 0 while it is on its way."""

    memory: str
    text: str
    tenant: str
    user: str
    kept_at: float = 0.0


@dataclass(frozen=True)
class Forgotten:
    """How many notes of a user are being erased, with their sessions; receipts carry the ids of the `requests`."""

    memories: int
    requests: tuple[str, ...]


@dataclass(frozen=True)
class Cause:
    """A document because of which an answer changed: `edited`, `gone` or `found`, and its version."""

    reason: str
    document: str
    version: Version


@dataclass(frozen=True)
class Change:
    """A standing question's answer changed: `reason` and `document` are those of the first of the `causes`.

    `withheld` says why there is no answer now; `before` is empty where a document it was drawn from is gone.
    """

    event_id: str
    question_id: str
    question: str
    before: str
    after: str
    reason: str
    document: str
    version: Version
    causes: tuple[Cause, ...] = ()
    citations: tuple[Citation, ...] = ()
    withheld: str = ""
    answer_id: str = ""
    answer_id_before: str = ""


def change_of(fields: Mapping[str, Any]) -> Change:
    """The change in a gateway's JSON or a decoded record."""
    causes = tuple(Cause(**{**_known(Cause, one), "version": _version(one)}) for one in fields.get("causes", ()))
    given = {"causes": causes, "citations": _citations(fields), "version": _version(fields)}
    return Change(**{**_known(Change, fields), **given})


def answer_of(fields: Mapping[str, Any]) -> Answer:
    """The answer in a gateway's JSON or a decoded record; fields that a newer release added are left out."""
    citations = _citations(fields)
    span = Span(**_known(Span, fields["span"])) if fields.get("span") else None
    lists = {name: tuple(fields.get(name, ())) for name in ("degraded", "withheld_kinds")}
    return Answer(**{**_known(Answer, fields), **lists, "citations": citations, "span": span})


def receipt_of(fields: Mapping[str, Any]) -> Receipt:
    """The receipt in a gateway's JSON."""
    return Receipt(**_known(Receipt, fields))


def _citations(fields: Mapping[str, Any]) -> tuple[Citation, ...]:
    given = fields.get("citations", ())
    return tuple(Citation(**{**_known(Citation, one), "version": _version(one)}) for one in given)


def _version(fields: Mapping[str, Any]) -> Version:
    return Version(**_known(Version, fields["version"]))


def _known(kind: type[Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: fields[each.name] for each in dataclass_fields(kind) if each.name in fields}
