"""Tell: what a standing question was answered now against what it was answered last; a difference is told, with why.

No model, and no state but the log: the last answer is what the step itself wrote, in one transaction with what it told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from processors.answer.fence import may_read, readers
from processors.answer.standing import LastAnswers, Questions, asked_as, round_of, same_answer
from processors.contract import Reject
from processors.ports import Serving
from schemas.documents import DocumentHead
from schemas.envelope import Event, Version
from schemas.queries import AnswerChanged, AnswerRenewed, Cause, QuestionAnswered, StandingAnswer

__all__ = ["note_told", "tell"]

_NOWHERE: Final = Version(source=0, offset=0)


def tell(
    renewed: Sequence[AnswerRenewed], questions: Questions, answered: LastAnswers, serving: Serving
) -> list[list[Event] | Reject]:
    """A QuestionAnswered for each new answer, and an AnswerChanged where it says something else than the one before.

    An answer of a round that was told already, or to a question that stands no more, tells nothing. Raises
    HeadsClosedError while the view of heads is being rebuilt, since only it knows what is gone.
    """
    told: dict[tuple[str, str], QuestionAnswered] = {}
    return [list(_one(event, questions, answered, serving, told)) for event in renewed]


def note_told(events: Iterable[Event], answered: LastAnswers) -> None:
    """Gives the view the answers that were just committed, so that the next one is compared with them."""
    for event in events:
        if isinstance(event, QuestionAnswered):
            answered.fold(event)


def _one(
    new: AnswerRenewed,
    questions: Questions,
    answered: LastAnswers,
    serving: Serving,
    told: dict[tuple[str, str], QuestionAnswered],
) -> Iterator[Event]:
    key = (new.tenant, new.question_id)
    question, last = questions.get(*key), told.get(key) or answered.get(*key)
    if question is None or not asked_as(question, new.query):
        return
    now = QuestionAnswered(tenant=new.tenant, question_id=new.question_id, query=new.query, answer=new.answer)
    if round_of(now) <= round_of(last):
        return
    told[key] = now
    yield now
    if last is None or not same_answer(last.answer, new.answer):
        yield _changed(now, last, serving)


def _changed(now: QuestionAnswered, last: QuestionAnswered | None, serving: Serving) -> AnswerChanged:
    causes = _causes(last.answer, now, serving) if last else ()
    is_gone = any(cause.reason == "gone" for cause in causes)
    first = causes[0] if causes else None
    return AnswerChanged(
        tenant=now.tenant,
        question_id=now.question_id,
        question=now.query.question,
        # Who may not read a document any more is not sent its words once more.
        before=last.answer.text if last and not is_gone else "",
        after=now.answer.text,
        document=first.document if first else "",
        version=first.version if first else _NOWHERE,
        reason=first.reason if first else "other" if last else "first",
        causes=causes,
        citations=now.answer.citations,
        withheld=now.answer.withheld,
        answer_id=now.answer.answer_id,
        answer_id_before=last.answer.answer_id if last else "",
    )


def _causes(last: StandingAnswer, now: QuestionAnswered, serving: Serving) -> tuple[Cause, ...]:
    """What became of the documents that were cited, and which ones are cited now; else the same of all that was read:
    a sentence may fall below the bar because of what stands beside it."""
    before, after = _read(last), _read(now.answer)
    with serving.lease(now.tenant) as served:
        heads = served.heads.get_many(now.tenant, before.keys() - after.keys())
    readable = _readable(heads, readers(now.tenant, now.query))
    cited, citing = {one.document for one in last.citations}, {one.document for one in now.answer.citations}
    for old, new in ((cited, citing), (set(before), set(after))):
        causes = [*_fate({d: before[d] for d in sorted(old) if d in before}, {**readable, **after})]
        causes += [Cause(reason="found", document=d, version=after[d]) for d in sorted(new - set(before)) if d in after]
        if causes:
            return tuple(causes)
    return ()


def _fate(before: Mapping[str, Version], now: Mapping[str, Version]) -> Iterator[Cause]:
    """Of each document that was drawn from: whether it is gone, or has another version. Deleted and forbidden look the
    same, as they do to every search."""
    for document, version in before.items():
        if document not in now:
            yield Cause(reason="gone", document=document, version=version)
        elif now[document] != version:
            yield Cause(reason="edited", document=document, version=now[document])


def _readable(heads: Mapping[str, DocumentHead], asker: frozenset[str]) -> dict[str, Version]:
    return {document: head.version for document, head in heads.items() if head.chunks and may_read(head, asker)}


def _read(answer: StandingAnswer) -> dict[str, Version]:
    return {one.document: one.version for one in answer.read}
