"""Check: what stands in the sources stays, what does not is taken out, and nothing left is no answer."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from adapters.judges import OverlapJudge
from processors.answer.caching import Answers
from processors.answer.check import NOT_IN_DOCUMENTS, NOT_SAID, AnswerBar, check
from processors.answer.edition import Edition
from processors.answer.outlet import Outlet
from schemas.queries import AnswerDrafted, AnswerGiven, AnswerRenewed, AnswerWithheld, Sentence
from tests.processors.answer.questions import draft

KEPT = "Deltas are small. A delta is kept\nfor one hour. Answers are kept for a year."
OTHER = "Kafka is a log."
BAR = AnswerBar(support=0.6, confidence=0.5)
OUTLET = Outlet()
EDITION = Edition("g1", "answers-1", {"g1": "minilm"}.get)


def checked(draft: AnswerDrafted, outlet: Outlet = OUTLET) -> AnswerGiven | AnswerWithheld:
    (result,) = check(draft, OverlapJudge(), BAR, EDITION, Answers(), outlet)
    assert not isinstance(result, AnswerRenewed)
    return result


def given(draft: AnswerDrafted, outlet: Outlet = OUTLET) -> AnswerGiven:
    result = checked(draft, outlet)
    assert isinstance(result, AnswerGiven)
    return result


def said(text: str, *cites: int) -> Sentence:
    return Sentence(text=text, cites=cites)


def test_when_a_sentence_is_quoted_then_its_citation_points_at_its_exact_place() -> None:
    answer = given(draft((said("A delta is kept for one hour.", 1),), KEPT, OTHER, confidence=0.8))
    (citation,) = answer.citations
    assert citation.quote == "A delta is kept\nfor one hour."
    # The passage begins at character 100 of its document.
    assert KEPT[citation.start - 100 : citation.end - 100] == citation.quote
    assert (citation.document, citation.chunk, citation.object_id) == ("doc-1.md", "chunk-1", "object-doc-1.md-1")
    assert (citation.version.offset, citation.page, citation.number) == (1, 1, 1)
    assert answer.text == "A delta is kept for one hour. [1]"
    assert (answer.answer_id, answer.generation, answer.confidence) == ("q-1", "g1", 0.8)
    assert answer.passages == ("object-doc-1.md-1", "object-doc-2.md-2")
    assert (answer.pipeline, answer.embedding) == ("answers-1", "minilm")


def test_when_a_sentence_has_a_span_then_the_answer_says_where_it_stands() -> None:
    quoted = Sentence(text="A delta is kept for one hour.", cites=(2, 1), span="kept for one hour")
    span = given(draft((said("Deltas are small.", 1), quoted), KEPT, OTHER, confidence=0.8)).span
    assert span is not None
    # As it stands in the document, line end and all, in the source that says so.
    assert (span.text, span.number) == ("kept\nfor one hour", 1)
    assert KEPT[span.start - 100 : span.end - 100] == span.text


@pytest.mark.parametrize("span", ["", "kept for two hours"])
def test_when_the_quote_does_not_hold_the_span_then_the_answer_has_none(span: str) -> None:
    quoted = Sentence(text="A delta is kept for one hour.", cites=(1,), span=span)
    assert given(draft((quoted,), KEPT, OTHER, confidence=0.8)).span is None


def test_when_a_sentence_is_paraphrased_then_the_best_sentence_of_the_source_is_the_quote() -> None:
    answer = given(draft((said("One hour is how long a delta is kept.", 1),), KEPT))
    assert answer.citations[0].quote == "A delta is kept\nfor one hour."


@pytest.mark.parametrize(
    ("sentence", "why"),
    [
        (said("A delta is kept for one hour."), "no citation"),
        (said("A delta is kept for one hour.", 9), "a source that does not exist"),
        (said("A delta is kept for one hour.", 2), "a source that does not say so"),
        (said("A delta costs seven dollars in Norway.", 1), "said by nobody"),
        (said("A delta is kept for 5 hours, not one.", 1), "another number"),
    ],
)
def test_when_a_sentence_is_not_supported_then_it_is_taken_out(sentence: Sentence, why: str) -> None:
    supported = said("Answers are kept for a year.", 1)
    answer = given(draft((sentence, supported), KEPT, OTHER))
    assert answer.text == "Answers are kept for a year. [1]", why
    assert [citation.number for citation in answer.citations] == [1]


def test_when_one_of_two_citations_does_not_support_then_only_that_one_is_dropped() -> None:
    answer = given(draft((said("A delta is kept for one hour.", 2, 1),), KEPT, OTHER))
    assert answer.text == "A delta is kept for one hour. [1]"


def test_when_nothing_is_left_then_the_documents_do_not_answer() -> None:
    result = checked(draft((said("The moon is made of cheese.", 1),), KEPT))
    assert isinstance(result, AnswerWithheld)
    assert (result.reason, result.message, result.answer_id) == ("not_in_documents", NOT_IN_DOCUMENTS, "q-1")


def test_when_there_was_no_sentence_then_the_documents_do_not_answer() -> None:
    result = checked(draft((), KEPT, confidence=0.0))
    assert isinstance(result, AnswerWithheld)
    assert result.reason == "not_in_documents"


def test_when_the_confidence_is_below_the_bar_then_it_is_withheld() -> None:
    result = checked(draft((said("A delta is kept for one hour.", 1),), KEPT, confidence=0.4))
    assert isinstance(result, AnswerWithheld)
    assert result.reason == "not_in_documents"


def test_when_the_model_broke_off_before_a_whole_sentence_then_it_is_unavailable() -> None:
    result = checked(draft((), KEPT, confidence=0.0, degraded=("truncated",)))
    assert isinstance(result, AnswerWithheld)
    assert result.reason == "unavailable"


def test_when_the_model_broke_off_later_then_what_stands_is_given_and_says_so() -> None:
    answer = given(draft((said("A delta is kept for one hour.", 1),), KEPT, degraded=("truncated",)))
    assert answer.degraded == ("truncated",)


def test_when_a_header_row_was_repeated_then_the_citation_points_at_the_row_itself() -> None:
    """The passage is a part of a table from character 100 on; the header row stands further up."""
    asked = draft((said("Pump 7 runs at nine bar.", 1),), "pump | pressure\nPump 7 runs at nine bar.", confidence=0.8)
    (source,) = asked.sources
    part = replace(source, passage=replace(source.passage, lead=len("pump | pressure\n"), end=124))
    (citation,) = given(replace(asked, sources=(part,))).citations
    assert (citation.quote, citation.start, citation.end) == ("Pump 7 runs at nine bar.", 100, 124)


CARD = "4111 1111 1111 1111"
PAID = f"The office pays by card. Its card is {CARD}, valid for\na year. Ask Bo."


def test_when_a_quote_holds_what_may_not_be_said_then_it_is_masked_and_its_place_holds() -> None:
    """The document came in while its tenant allowed cards."""
    answer = given(draft((said(f"Its card is {CARD}, valid for a year.", 1),), PAID))
    (citation,) = answer.citations
    hidden = "\u2588" * len(CARD)
    assert answer.text == f"Its card is {hidden}, valid for a year. [1]"
    assert citation.quote == f"Its card is {hidden}, valid for\na year."
    assert PAID[citation.start - 100 : citation.end - 100] == f"Its card is {CARD}, valid for\na year."
    assert (answer.withheld_kinds, answer.confidence) == (("card",), 1.0)


def test_when_only_the_quote_holds_it_then_the_answer_says_so_too() -> None:
    answer = given(draft((said("Its card is valid for a year.", 1),), PAID))
    assert CARD not in answer.citations[0].quote
    assert (answer.text, answer.withheld_kinds) == ("Its card is valid for a year. [1]", ("card",))


def test_when_another_sentence_of_a_passage_holds_it_then_nothing_was_withheld() -> None:
    answer = given(draft((said("The office pays by card.", 1),), PAID))
    assert (answer.text, answer.withheld_kinds) == ("The office pays by card. [1]", ())


def test_when_a_span_holds_it_then_the_answer_has_none_that_shows_it() -> None:
    quoted = Sentence(text=f"Its card is {CARD}, valid for a year.", cites=(1,), span=CARD)
    answer = given(draft((quoted,), PAID))
    assert answer.span is None and CARD not in str(answer)


def test_when_title_and_address_hold_it_then_they_are_masked() -> None:
    asked = draft((said("The office pays by card.", 1),), PAID)
    (source,) = asked.sources
    address = "https://bo:hunter2hunter2@example.org/pay"
    passage = replace(source.passage, title=f"Card {CARD}", source_uri=address)
    answer = given(replace(asked, sources=(replace(source, passage=passage),)))
    assert CARD not in str(answer) and "hunter2" not in str(answer)
    assert answer.withheld_kinds == ("card", "secret")


def test_when_nothing_else_is_left_then_it_is_refused_and_says_why() -> None:
    outlet = Outlet(phrases={"acme": ("delta is kept",)})
    result = checked(draft((said("A delta is kept for one hour.", 1),), KEPT), outlet)
    assert isinstance(result, AnswerWithheld)
    assert (result.reason, result.message, result.withheld_kinds) == ("refused", NOT_SAID, ("phrase",))


def test_when_a_quote_holds_a_phrase_then_it_is_masked_there() -> None:
    asked = draft((said("It is kept for a year as an answer, answers are.", 1),), KEPT)
    answer = given(asked, Outlet(phrases={"": ("Answers are kept",)}))
    assert answer.citations[0].quote == "\u2588" * len("Answers are kept") + " for a year."


def test_when_a_tenant_has_no_outlet_then_everything_is_said() -> None:
    outlet = Outlet(on={"acme": False})
    answer = given(draft((said(f"Its card is {CARD}, valid for a year.", 1),), PAID), outlet)
    assert CARD in answer.text and CARD in answer.citations[0].quote and answer.withheld_kinds == ()
