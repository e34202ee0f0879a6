"""The outlet of a deployment: from its settings to what may be said, and what is counted."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import REGISTRY

from schemas.queries import Sentence
from streams.answer_memory import pipeline_of
from streams.outlet import outlet_of
from streams.parts import Parts
from streams.settings import Settings, SettingsError


def test_when_nothing_is_set_then_answers_are_as_documents_are() -> None:
    outlet = outlet_of(Settings())
    assert outlet.is_on("acme") and outlet.rules("acme")["card"] == "mask" and "email" not in outlet.rules("acme")


def test_when_both_sections_say_something_then_the_outlet_has_the_last_word_and_the_tenant_within_it() -> None:
    settings = Settings(
        redaction={"default": {"phone": "mask"}, "tenants": {"acme": {"card": "allow", "email": "mask"}}},
        outlet={
            "kinds": {"ipv4": "mask", "email": "drop_block"},
            "tenants": {"acme": {"kinds": {"email": "allow"}, "phrases": ["Eagle"]}},
        },
    )
    acme, other = outlet_of(settings).rules("acme"), outlet_of(settings).rules("other")
    assert (acme["phone"], acme["ipv4"], "card" in acme, "email" in acme) == ("mask", "mask", False, False)
    assert (other["card"], other["ipv4"]) == ("mask", "mask")
    assert [one.kind for one in outlet_of(settings).find("acme", "The eagle.")] == ["phrase"]


def test_when_a_tenant_is_off_then_the_others_are_not() -> None:
    outlet = outlet_of(Settings(outlet={"tenants": {"acme": {"on": False}}}))
    assert (outlet.gate("acme"), outlet.is_on("other")) == (None, True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kinds": {"shoes": "mask"}}, r"outlet: .*got shoes; see docs/outlet.md"),
        ({"kinds": {"email": "tokenise"}}, "outlet: .*redaction.token_secret"),
        ({"tenants": {"acme": {"phrases": ["--"]}}}, "outlet: wanted phrases of 1 to 200 characters"),
    ],
)
def test_when_settings_can_not_be_kept_then_the_error_says_which(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        outlet_of(Settings(outlet=given))


def test_when_something_is_hidden_then_it_is_counted_by_kind_and_action() -> None:
    labels = {"kind": "card", "action": "mask"}
    before = REGISTRY.get_sample_value("headwater_outlet_hidden_total", labels) or 0.0
    gate = outlet_of(Settings()).gate("acme")
    assert gate is not None
    gate.take(Sentence(text="It is 4111 1111 1111 1111, she says.", cites=()))
    assert REGISTRY.get_sample_value("headwater_outlet_hidden_total", labels) == before + 1


def test_when_the_outlet_changes_then_kept_answers_are_not_given_again() -> None:
    def pipeline(**given: Any) -> str:
        settings = Settings(embed={"model": "hashing"}, outlet=given)
        return pipeline_of(settings, Parts(settings))

    assert pipeline() == pipeline() != pipeline(phrases=["Eagle"])
