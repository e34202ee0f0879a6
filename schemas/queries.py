"""What happens to a question: asked, admitted, planned, passages found and ranked, prompt, draft, answer."""

from __future__ import annotations

from typing import Literal

from schemas.documents import Parent
from schemas.envelope import Event, Micros, Value, Version

Lane = Literal["interactive", "bulk", "UNKNOWN"]
QueryKind = Literal["retrieval", "direct", "tool", "out_of_scope", "UNKNOWN"]
ChangeReason = Literal["first", "edited", "gone", "found", "other", "UNKNOWN"]
WithheldReason = Literal[
    "not_in_documents",
    "invalid_question",
    "unknown_tenant",
    "refused",
    "expired",
    "unavailable",
    "cancelled",
    "overloaded",
    "no_question",
    "invalid_filter",
    "out_of_scope",
    "UNKNOWN",
]


class CacheTicket(Value, frozen=True, kw_only=True):
    """Under which key the answer to a query may be kept, and what its search found, of which index generation.

    `scope` is the key of whatever the same asker could ask of the same. `found` is a digest of the candidates, empty
    before the search; `vectors` are those of the variants. `scores` are the ranker's, by object id; `ranked` is a
    digest of what they made of the candidates, empty before ranking.
    """

    key: str
    generation: str
    scope: str = ""
    found: str = ""
    vectors: tuple[bytes, ...] = ()
    scores: tuple[float, ...] = ()
    ranked: str = ""


class StandingRound(Value, frozen=True, kw_only=True):
    """Which standing question a query asks anew: for the how-manieth time, as which event subscribed to it.

    `variants` are what was searched for, empty before the search is planned.
    """

    question_id: str
    round: int
    subscription: str = ""
    variants: tuple[str, ...] = ()


class Query(Value, frozen=True, kw_only=True):
    """Who asks what, until when. It rides on every event of the answer journey, since steps keep no state.

    `deadline_at` 0 means none was given. `groups` are the principals of the asker (`group:x`, `user:y`). `resolved` is
    what a question asks that leans on its session, empty where it stands by itself. `standing` is set where the
    platform asks by itself, `drawn` are the filters that the question states in its words. These three and `ticket` are
    its own: what an application puts there is dropped. With `memory` the user's own notes are looked at beside the
    documents.
    """

    query_id: str
    question: str
    session: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    lane: Lane = "interactive"
    deadline_at: Micros = Micros(0)
    filters: dict[str, str] = {}
    max_passages: int = 6
    ticket: CacheTicket | None = None
    standing: StandingRound | None = None
    resolved: str = ""
    drawn: dict[str, str] = {}
    memory: bool = False

    @property
    def meant(self) -> str:
        """The question as it is to be understood by whoever ranks, reads and writes."""
        return self.resolved or self.question


class Usage(Value, frozen=True, kw_only=True):
    """What a step spent: a count of a unit (`tokens_in`, `tokens_out`, `seconds`) at a model."""

    step: str
    model: str
    unit: str
    quantity: float


class QueryAsked(Event, frozen=True, kw_only=True):
    """Somebody asked. The one event an application has to produce."""

    query: Query


class QueryCancelled(Event, frozen=True, kw_only=True):
    """Nobody waits for this answer any more. `deadline_at` is the question's own, 0 where it is not known."""

    query_id: str
    deadline_at: Micros = Micros(0)


class QueryAdmitted(Event, frozen=True, kw_only=True):
    """The question passed the door: policy, guards, rate, budget. `query.question` is normalised."""

    query: Query


class QueryPlanned(Event, frozen=True, kw_only=True):
    """How the question will be answered: its kind and the variants to search for; `degraded` as on AnswerGiven."""

    query: Query
    kind: QueryKind
    variants: tuple[str, ...]
    degraded: tuple[str, ...] = ()


class Passage(Value, frozen=True, kw_only=True):
    """A chunk that was found, with where it stands and what it scored.

    The first `lead` characters of `text` stand further up than `start`. Where there is a `parent`, the prompt holds it
    in place of the text.
    """

    object_id: str
    document: str
    version: Version
    chunk: str
    ordinal: int
    text: str
    title: str
    source_uri: str
    start: int
    end: int
    score: float
    page: int | None = None
    heading_path: tuple[str, ...] = ()
    scores: dict[str, float] = {}
    generation: str = ""
    lead: int = 0
    parent: Parent | None = None


class PassagesFound(Event, frozen=True, kw_only=True):
    """Candidates that passed the fence, best first. `fenced` counts those that did not."""

    query: Query
    plan: tuple[str, ...]
    passages: tuple[Passage, ...]
    fenced: int = 0
    rounds: int = 1
    usage: tuple[Usage, ...] = ()
    degraded: tuple[str, ...] = ()


class PassagesRanked(Event, frozen=True, kw_only=True):
    """The few passages worth reading, best first; `degraded` names what was left out for lack of time."""

    query: Query
    passages: tuple[Passage, ...]
    degraded: tuple[str, ...] = ()
    usage: tuple[Usage, ...] = ()


class Source(Value, frozen=True, kw_only=True):
    """A passage under the number by which the answer cites it."""

    number: int
    passage: Passage


class PromptAssembled(Event, frozen=True, kw_only=True):
    """Exactly what the model will be asked, so that an answer can be reproduced."""

    query: Query
    system: str
    prompt: str
    prompt_version: str
    sources: tuple[Source, ...]
    tokens: int = 0
    degraded: tuple[str, ...] = ()


class AnswerDelta(Event, frozen=True, kw_only=True):
    """The next piece of text as it is generated; `index` counts from 0."""

    query_id: str
    index: int
    text: str


class Sentence(Value, frozen=True, kw_only=True):
    """A sentence of a draft and the numbers of the sources it cites.

    `span` are the words of it that answer the question by themselves, where the writer knows them. Where it was
    verified, `evidence` are the words of a source that say it, with the `support` they give it, or it is `refuted`.
    """

    text: str
    cites: tuple[int, ...]
    support: float = 0.0
    span: str = ""
    evidence: str = ""
    refuted: bool = False


class AnswerDrafted(Event, frozen=True, kw_only=True):
    """What the generator said, before the check. No sentences means that the sources don't answer it.

    `withheld_kinds` as on AnswerGiven: where they are all there is, the answer may not be said.
    """

    query: Query
    sentences: tuple[Sentence, ...]
    sources: tuple[Source, ...]
    model: str
    prompt_version: str
    confidence: float = 0.0
    degraded: tuple[str, ...] = ()
    usage: tuple[Usage, ...] = ()
    withheld_kinds: tuple[str, ...] = ()


class Citation(Value, frozen=True, kw_only=True):
    """Where a numbered claim stands: document version, chunk, offsets, and the words themselves.

    `memory` is the note's name where it stands in a note of the asker's own, else empty.
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


class ExactSpan(Value, frozen=True, kw_only=True):
    """The words that answer a question by themselves, and where they stand in the document of citation `number`."""

    text: str
    number: int
    start: int
    end: int


class AnswerGiven(Event, frozen=True, kw_only=True):
    """The final answer. `answer_id` is the query's id, so a repeat is dropped at the sink.

    `span` is the short answer where the question asks for one and a sentence holds it. `cached_from` names the answer
    that was given again; it is empty where this one was made for its question. `session` is the key of the session
    that it belongs to, `degraded` names what was done without. `withheld_kinds` are the kinds of data that the text or
    a quote does not show, `phrase` among them where a sentence was left out for what it says. `pipeline` names all that
    made it beside the documents (`headwater compat` says what that is), `embedding` the model of its generation.
    `drawn` are the filters that the question states in its words; `degraded` says `filters` where they were dropped.
    """

    answer_id: str
    question: str
    text: str
    citations: tuple[Citation, ...]
    model: str
    prompt_version: str
    generation: str = ""
    confidence: float = 0.0
    passages: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()
    span: ExactSpan | None = None
    cached_from: str = ""
    session: str = ""
    withheld_kinds: tuple[str, ...] = ()
    pipeline: str = ""
    embedding: str = ""
    drawn: dict[str, str] = {}


class AnswerWithheld(Event, frozen=True, kw_only=True):
    """No answer, and why, in words that may be shown to the asker. The other fields as on AnswerGiven."""

    answer_id: str
    question: str
    reason: WithheldReason
    message: str
    cached_from: str = ""
    session: str = ""
    degraded: tuple[str, ...] = ()
    withheld_kinds: tuple[str, ...] = ()
    drawn: dict[str, str] = {}


class TurnRemembered(Event, frozen=True, kw_only=True):
    """An answer is part of its session now: the next question there may lean on it. `session` is the session's key."""

    answer_id: str
    session: str


class QuestionStanding(Event, frozen=True, kw_only=True):
    """A question to be asked again when what its answer rests on changes.

    `query` says what is asked and as whom; its id, deadline and session are not used. The newest event of a question
    counts; with `active` False nothing is told of it any more.
    """

    question_id: str
    query: Query
    active: bool = True


class ReadPassage(Value, frozen=True, kw_only=True):
    """An object that was read for an answer, of which version of its document."""

    document: str
    version: Version
    object_id: str


class StandingAnswer(Value, frozen=True, kw_only=True):
    """What a standing question was answered, and from what. `withheld` says why there is no answer, else is empty."""

    answer_id: str
    text: str
    withheld: str = ""
    citations: tuple[Citation, ...] = ()
    read: tuple[ReadPassage, ...] = ()


class AnswerRenewed(Event, frozen=True, kw_only=True):
    """A standing question was asked again and answered. `query.ticket` is what the answer stands on."""

    question_id: str
    query: Query
    answer: StandingAnswer


class QuestionAnswered(Event, frozen=True, kw_only=True):
    """The last answer to a standing question, to compare the next one with, and to see whether it still holds."""

    question_id: str
    query: Query
    answer: StandingAnswer


class Cause(Value, frozen=True, kw_only=True):
    """A document because of which an answer changed, and the version that is read now; of one that is gone, the last
    that was read."""

    reason: ChangeReason
    document: str
    version: Version


class AnswerChanged(Event, frozen=True, kw_only=True):
    """A standing question's answer changed, and because of which document.

    `reason` is `first` where there was none before; `edited`: what it was drawn from has another version; `gone`: it
    can't be read any more by who asks, however that came; `found`: another document says it now; `other`: none of
    these, as another index generation. `document` and `version` are those of the first of the `causes`. `before` is
    left empty where a document it was drawn from is gone; `withheld` says why there is no answer now.
    """

    question_id: str
    before: str
    after: str
    document: str
    version: Version
    question: str = ""
    reason: ChangeReason = "UNKNOWN"
    causes: tuple[Cause, ...] = ()
    citations: tuple[Citation, ...] = ()
    withheld: str = ""
    answer_id: str = ""
    answer_id_before: str = ""
