"""Every recogniser: finds what is beyond doubt, in order, nothing over another, and only the kinds asked for."""

from __future__ import annotations

from itertools import pairwise

import pytest

from adapters.errors import MissingExtraError
from adapters.presidio import PresidioRecogniser
from processors.ingest.recognise import PatternRecogniser
from processors.ports import Recogniser

TEXT = "Ann (ann@example.org) paid with card 4111 1111 1111 1111 to GB29 NWBK 6016 1331 9268 19, said bo@example.com."


@pytest.fixture(scope="module", params=["patterns", "presidio"])
def recogniser(request: pytest.FixtureRequest) -> Recogniser:
    if request.param == "patterns":
        return PatternRecogniser()
    try:
        return PresidioRecogniser()
    except MissingExtraError:
        pytest.skip("needs the guard extra: pip install 'headwater[guard]'")


def test_when_a_text_holds_data_then_it_is_found_in_order(recogniser: Recogniser) -> None:
    found = recogniser.find(TEXT, {"email", "card", "iban"})
    assert [(one.kind, TEXT[one.start : one.end]) for one in found] == [
        ("email", "ann@example.org"),
        ("card", "4111 1111 1111 1111"),
        ("iban", "GB29 NWBK 6016 1331 9268 19"),
        ("email", "bo@example.com"),
    ]


def test_when_a_kind_is_not_asked_for_then_it_is_not_found(recogniser: Recogniser) -> None:
    assert {one.kind for one in recogniser.find(TEXT, {"card"})} == {"card"}
    assert list(recogniser.find(TEXT, set())) == []
    assert list(recogniser.find(TEXT, {"shoe_size"})) == []


@pytest.mark.parametrize("text", ["", " \n ", "The tide turns at the weir.", "card 4111 1111 1111 1112", "█" * 200])
def test_when_there_is_none_then_nothing_is_found(recogniser: Recogniser, text: str) -> None:
    assert list(recogniser.find(text, {"email", "card", "iban"})) == []


def test_when_all_kinds_are_asked_for_then_no_find_lies_over_another(recogniser: Recogniser) -> None:
    found = recogniser.find(TEXT * 20, recogniser.kinds)
    assert all(one.end <= after.start for one, after in pairwise(found))
    assert {one.kind for one in found} <= recogniser.kinds
    assert recogniser.version
