"""Filters: what a question may be narrowed by, and which documents pass."""

from __future__ import annotations

import pytest

from processors.answer.filters import FilterField, FilterFields, dates
from tests.processors.answer.corpus import head

FIELDS = FilterFields(
    {
        "year": FilterField("number"),
        "day": FilterField("date"),
        "author": FilterField("word"),
        "edition": FilterField("choice", values=(("HR", ("people", "human resources")), ("IT", ()))),
        "title": FilterField("word"),
    },
    {"other": {"secret": FilterField("word")}},
)


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({}, ""),
        ({"document": "a.md", "source_uri": "file:"}, ""),
        ({"year": "1990"}, ""),
        ({"year": ">=1990"}, ""),
        ({"year": "1990..1999"}, ""),
        ({"year": "1999..1990"}, "Wanted a number, "),
        ({"year": "new"}, "Wanted a number, "),
        ({"year": ">=1990..1999"}, "Wanted a number, "),
        ({"year": "nan"}, "Wanted a number, "),
        ({"day": "2020-02"}, ""),
        ({"day": "<=2020-02-29"}, ""),
        ({"day": "2020-02-30"}, "Wanted a date as "),
        ({"day": "2020-13"}, "Wanted a date as "),
        ({"day": "last year"}, "Wanted a date as "),
        ({"author": "Ada"}, ""),
        ({"author": " "}, "Wanted a word in the filter 'author'"),
        ({"author": "a" * 201}, "Wanted at most 200 characters in the filter 'author', got 201."),
        ({"edition": "Human  Resources"}, ""),
        ({"edition": "legal"}, "Wanted one of 'HR', 'IT' in the filter 'edition', got 'legal'."),
        (
            {"colour": "red"},
            "Wanted filters among author, day, document, edition, source_uri, title, year, got 'colour'.",
        ),
        ({"secret": "x"}, "got 'secret'. Leave it out."),
        ({f"f{n}": "x" for n in range(17)}, "Wanted at most 16 filters, got 17."),
    ],
)
def test_when_filters_are_given_then_those_that_mean_nothing_are_named(filters: dict[str, str], said: str) -> None:
    problem = FIELDS.problem("acme", filters)
    assert said in problem and bool(problem) == bool(said)


def test_when_a_tenant_has_fields_of_its_own_then_only_it_is_told_of_them() -> None:
    assert FIELDS.problem("other", {"secret": "x", "year": "1990"}) == ""
    assert "secret" not in FIELDS.problem("acme", {"colour": "red"})


PROPERTIES = {"year": "1990", "day": "2020-02-05T10:00:00Z", "author": "Ada  Byron", "edition": "People"}


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        ({}, True),
        ({"year": "1990"}, True),
        ({"year": "1990.0"}, True),
        ({"year": ">=1991"}, False),
        ({"year": "<=1990"}, True),
        ({"year": "1980..1989"}, False),
        ({"day": "2020"}, True),
        ({"day": "2020-02-05"}, True),
        ({"day": "2020-02-06"}, False),
        ({"day": "2020-01..2020-02"}, True),
        ({"day": ">=2020-03"}, False),
        ({"author": "ada byron"}, True),
        ({"author": "ada"}, False),
        ({"edition": "human resources"}, True),
        ({"edition": "IT"}, False),
        ({"title": "title 1"}, True),
        ({"document": "a.md", "year": "1990"}, True),
        ({"document": "a.md", "year": "1991"}, False),
        ({"source_uri": "file:b"}, False),
        ({"year": "new"}, False),
        ({"colour": "red"}, False),
    ],
)
def test_when_a_document_is_looked_at_then_it_must_pass_every_filter(filters: dict[str, str], passes: bool) -> None:
    assert FIELDS.passing("acme", filters)(head("a.md", [], properties=PROPERTIES)) is passes


@pytest.mark.parametrize("held", ["", "unknown", "2020-02-05"])
def test_when_a_document_says_no_value_of_the_kind_then_it_does_not_pass(held: str) -> None:
    assert not FIELDS.passing("acme", {"year": ">=0"})(head("a.md", [], properties={"year": held}))
    assert not FIELDS.passing("acme", {"year": ">=0"})(head("a.md", []))


def test_when_a_document_knows_only_its_year_then_it_passes_for_the_year_and_for_no_month_of_it() -> None:
    only_year = head("a.md", [], properties={"day": "2020"})
    assert FIELDS.passing("acme", {"day": "2020"})(only_year)
    assert not FIELDS.passing("acme", {"day": "2020-06"})(only_year)


@pytest.mark.parametrize("text", ["", "0000", "2020-", "2020-00", "2020-1", "20200", "2021-02-29", "2020-02-00"])
def test_when_it_is_no_date_then_it_has_no_days(text: str) -> None:
    assert dates(text) is None
