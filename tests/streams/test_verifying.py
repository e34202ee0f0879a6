"""Who verifies: nobody where nothing is set, a model where there is one and it is wanted."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.model_verifier import ModelVerifier
from processors.answer.verifying import Unverified
from streams.answer_memory import pipeline_of
from streams.parts import Parts
from streams.settings import Settings, SettingsError, load


def parts(**given: Any) -> Parts:
    return Parts(Settings(embed={"model": "hashing"}, **given))


def test_when_nothing_is_set_then_nobody_verifies() -> None:
    assert isinstance(parts().port("verifier"), Unverified)
    assert isinstance(parts(generate={"url": "http://127.0.0.1:9"}).port("verifier"), Unverified)


def test_when_it_is_wanted_then_the_model_is_asked_on_the_way_on_which_it_writes() -> None:
    made = parts(generate={"url": "http://127.0.0.1:9"}, verify={"on": True})
    verifier = made.port("verifier")
    assert isinstance(verifier, ModelVerifier)
    assert verifier._generator is made.port("model_gateway") is made.port("writer")._generator


def test_when_there_is_no_model_to_ask_then_the_error_says_what_to_set() -> None:
    with pytest.raises(SettingsError, match=r"wanted a model to ask, there is none; set generate.url"):
        parts(verify={"on": True}).port("verifier")


def test_when_the_bars_are_out_of_order_then_the_error_says_so() -> None:
    with pytest.raises(SettingsError, match=r"wanted low below high, got 0.9 and 0.85"):
        load(verify={"low": 0.9})


def test_when_it_is_turned_on_then_kept_answers_are_not_given_again() -> None:
    chosen = [parts(generate={"url": "http://127.0.0.1:9"}, verify={"on": on}) for on in (False, True)]
    assert len({pipeline_of(one.settings, one) for one in chosen}) == 2
