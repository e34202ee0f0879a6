"""Admit: what may come in, and what is answered at the door."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from adapters.errors import HeadsClosedError
from adapters.heads_view import MemoryHeads
from adapters.memory import HashingEmbedder, ManualClock, MemoryIndex
from adapters.one_serving import OneGeneration, OneServing
from processors.answer.admit import AdmitLimits, admit
from processors.answer.filters import FilterField, FilterFields
from schemas.documents import DocumentHead
from schemas.envelope import Version
from schemas.queries import AnswerWithheld, QueryAdmitted, QueryAsked
from tests.processors.answer.questions import TENANT, query

LIMITS = AdmitLimits(max_question_chars=200)
FIRST = Version(source=0, offset=1)


def heads() -> MemoryHeads:
    view = MemoryHeads("g1")
    view.fold(DocumentHead(tenant=TENANT, document="d", version=FIRST, access_version=FIRST, generation="g1"))
    view.open()
    return view


def over(view: MemoryHeads) -> OneServing:
    return OneServing(OneGeneration("g1", HashingEmbedder(), MemoryIndex(), view))


def admitted(
    question: str, *, tenant: str = TENANT, deadline_at: int = 0, limits: AdmitLimits = LIMITS
) -> QueryAdmitted | AnswerWithheld:
    asked = QueryAsked(tenant=tenant, query=query(question, deadline_at=deadline_at))
    (result,) = admit(asked, over(heads()), ManualClock(), limits)
    return result


@pytest.mark.parametrize(
    ("question", "normalised"),
    [
        ("What is a log?", "What is a log?"),
        ("  What\tis\n a   log? ", "What is a log?"),
        ("Ｗｈａｔ is ﬁne?", "What is fine?"),
        ("ログとは？", "ログとは?"),
        ("x" * 200, "x" * 200),
    ],
)
def test_when_a_question_can_be_read_then_it_is_admitted_normalised(question: str, normalised: str) -> None:
    result = admitted(question)
    assert isinstance(result, QueryAdmitted)
    assert result.query.question == normalised
    assert (result.tenant, result.query.query_id) == (TENANT, "q-1")


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("", "Wanted a question, got no words."),
        (" \n\t ", "Wanted a question, got no words."),
        ("?!…", "Wanted a question, got no words."),
        ("x" * 201, "Wanted a question of at most 200 characters, got 201. Shorten it."),
        ("a" * 100_000, "at most 200 characters, got 100000"),
        ("What \x00is it?", "got the control character '\\x00'"),
        ("What is \x1b[31mred?", "got the control character '\\x1b'"),
    ],
)
def test_when_a_question_is_bad_then_the_answer_says_what_to_do(question: str, said: str) -> None:
    result = admitted(question)
    assert isinstance(result, AnswerWithheld)
    assert result.reason == "invalid_question"
    assert said in result.message
    assert len(result.question) <= 500


def test_when_the_tenant_is_unknown_then_the_answer_names_it() -> None:
    result = admitted("Why?", tenant="nobody")
    assert isinstance(result, AnswerWithheld)
    assert result.reason == "unknown_tenant"
    assert "'nobody'" in result.message
    assert result.tenant == "nobody"


def test_when_the_tenant_is_declared_then_it_needs_no_document() -> None:
    limits = AdmitLimits(max_question_chars=200, tenants=frozenset({"new"}))
    assert isinstance(admitted("Why?", tenant="new", limits=limits), QueryAdmitted)


@pytest.mark.parametrize(("left_us", "reason"), [(-1, "expired"), (0, "expired"), (1, None)])
def test_when_the_deadline_has_passed_then_it_is_expired(left_us: int, reason: str | None) -> None:
    result = admitted("Why?", deadline_at=ManualClock().now() + left_us)
    assert (result.reason if isinstance(result, AnswerWithheld) else None) == reason


def test_when_the_view_of_heads_is_closed_then_the_question_waits() -> None:
    view = heads()
    view.close()
    with pytest.raises(HeadsClosedError):
        list(admit(QueryAsked(tenant=TENANT, query=query("Why?")), over(view), ManualClock(), LIMITS))


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"year": "1990..1999", "document": "d"}, ""),
        ({"year": "new"}, "in the filter 'year', got 'new'"),
        ({"colour": "red"}, "Wanted filters among document, source_uri, year, got 'colour'"),
    ],
)
def test_when_a_filter_means_nothing_then_the_asker_is_told_so(filters: dict[str, str], said: str) -> None:
    limits = AdmitLimits(max_question_chars=200, fields=FilterFields({"year": FilterField("number")}))
    asked = QueryAsked(tenant=TENANT, query=replace(query("What is a log?"), filters=filters))
    (result,) = admit(asked, over(heads()), ManualClock(), limits)
    if not said:
        assert isinstance(result, QueryAdmitted) and result.query.filters == filters
        return
    assert isinstance(result, AnswerWithheld) and result.reason == "invalid_filter"
    assert said in result.message
