"""Settings of search: what is declared wrongly is told before anything starts."""

from __future__ import annotations

from typing import Any

import pytest

from streams.settings import SettingsError, load


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"kind": "number", "since": ["since {value}"]}, ""),
        ({"kind": "choice", "values": {"HR": ["people"]}, "phrases": ["{value}"]}, ""),
        ({"kind": "choice"}, "wanted `values` for a choice"),
        ({"kind": "word", "values": {"HR": []}}, "wanted `values` for a choice and for nothing else"),
        ({"kind": "choice", "values": {"HR": ["IT"], "IT": []}}, "wanted each word to mean one of the `values`"),
        ({"kind": "word", "since": ["since {value}"]}, "wanted `since` and `until` for numbers and dates only"),
        ({"kind": "word", "phrases": ["{value}"]}, "wanted words beside {value}"),
        ({"kind": "number", "until": ["until"]}, "wanted {value} once in the phrase 'until'"),
        ({"kind": "colour"}, "Input should be 'word', 'number', 'date' or 'choice'"),
    ],
)
def test_when_a_field_is_declared_then_what_cannot_be_drawn_is_refused(declared: Any, said: str) -> None:
    if not said:
        fields = load(retrieve={"filters": {"field": declared}}).retrieve.fields()
        assert set(fields.of("acme")) == {"field"}
        return
    with pytest.raises(SettingsError) as raised:
        load(retrieve={"tenant_filters": {"acme": {"field": declared}}})
    assert said in str(raised.value)


def test_when_a_tenant_declares_fields_then_they_are_laid_over_those_for_all() -> None:
    year = {"kind": "number"}
    declared = load(retrieve={"filters": {"year": year}, "tenant_filters": {"acme": {"year": {"kind": "date"}}}})
    fields = declared.retrieve.fields()
    assert (fields.of("acme")["year"].kind, fields.of("other")["year"].kind) == ("date", "number")
