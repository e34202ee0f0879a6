"""Filters: which metadata of documents a question may be narrowed by, and whether a document passes.

Metadata is what the current head of a document says, so it is never older than the text that is read.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from schemas.documents import DocumentHead

__all__ = ["NO_FIELDS", "FieldKind", "FilterField", "FilterFields", "dates", "spelled"]

FieldKind = Literal["word", "number", "date", "choice"]
Test = Callable[[str], bool]
Range = tuple[float, float]

ALWAYS: Final = ("document", "source_uri")
"""What any question may be narrowed by: a document by its name, sources by how their address begins."""
# A question that names more narrows nothing: it is a mistake of a program.
_MOST: Final = 16
_MOST_CHARS: Final = 200
_NUMBER: Final = re.compile(r"-?\d{1,15}(?:\.\d{1,6})?")
_DATE: Final = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?(?:[T ].*)?", re.DOTALL)
_WANTED: Final = {
    "number": "a number, `>=1990`, `<=1990` or `1990..1999`",
    "date": "a date as 2020, 2020-03 or 2020-03-01, `>=2020`, `<=2020` or `2020..2021-06`",
}


@dataclass(frozen=True)
class FilterField:
    """A property of documents that questions may be narrowed by, and how questions speak of it.

    `values` of a `choice`: each with the other words for it. `phrases` hold `{value}`: `in the {value} handbook`; those
    of `since` and `until` draw one end of a range. A number drawn from a question lies between `least` and `most`.
    """

    kind: FieldKind
    values: tuple[tuple[str, tuple[str, ...]], ...] = ()
    phrases: tuple[str, ...] = ()
    since: tuple[str, ...] = ()
    until: tuple[str, ...] = ()
    least: float = float("-inf")
    most: float = float("inf")

    @property
    def words(self) -> dict[str, str]:
        """The values of a choice by everything that they are called."""
        return {spelled(called): value for value, others in self.values for called in (value, *others)}

    def test(self, wanted: str) -> Test | None:
        """What a property must pass for a filter; None where the filter is none of this kind.

        >>> passes = FilterField("number").test(">=1990")
        >>> passes and (passes("1990"), passes("1989.5"), passes("unknown"))
        (True, False, False)
        """
        if self.kind in ("word", "choice"):
            value = self.words.get(spelled(wanted)) if self.kind == "choice" else wanted
            return None if not value or not spelled(value) else _is(spelled(value), self.words)
        parse = _numbers if self.kind == "number" else dates
        bounds = _bounds(wanted, parse)
        return None if bounds is None else _within(bounds, parse)


@dataclass(frozen=True)
class FilterFields:
    """The fields of all tenants, and over them those of each. Whoever asks is told of no other tenant's.

    >>> fields = FilterFields({"year": FilterField("number")})
    >>> fields.problem("acme", {"year": "new"})
    "Wanted a number, `>=1990`, `<=1990` or `1990..1999` in the filter 'year', got 'new'."
    """

    default: Mapping[str, FilterField] = field(default_factory=dict)
    tenants: Mapping[str, Mapping[str, FilterField]] = field(default_factory=dict)

    def of(self, tenant: str) -> dict[str, FilterField]:
        """The fields that a tenant's questions may be narrowed by, beside a document and a source."""
        return {**self.default, **self.tenants.get(tenant, {})}

    def problem(self, tenant: str, filters: Mapping[str, str]) -> str:
        """Why filters can't be used, in words for whoever asked; empty where they can."""
        fields = self.of(tenant)
        if len(filters) > _MOST:
            return f"Wanted at most {_MOST} filters, got {len(filters)}. Leave some out."
        for name, wanted in filters.items():
            if name not in ALWAYS and name not in fields:
                known = ", ".join(sorted({*ALWAYS, *fields}))
                return f"Wanted filters among {known}, got {name[:_MOST_CHARS]!r}. Leave it out."
            if len(wanted) > _MOST_CHARS and name not in ALWAYS:
                return f"Wanted at most {_MOST_CHARS} characters in the filter {name!r}, got {len(wanted)}."
            if name in fields and fields[name].test(wanted) is None:
                return f"Wanted {_wanted(fields[name])} in the filter {name!r}, got {wanted!r}."
        return ""

    def passing(self, tenant: str, filters: Mapping[str, str]) -> Callable[[DocumentHead], bool]:
        """Which documents pass all of these; a filter that has a `problem` lets none pass."""
        fields = self.of(tenant)
        tests = [(name, _test(name, fields, wanted)) for name, wanted in filters.items()]
        return lambda head: all(test is not None and test(_property(head, name)) for name, test in tests)


NO_FIELDS: Final = FilterFields()


def spelled(text: str) -> str:
    """One spelling for what differs in case and white space.

    >>> spelled(" New  York")
    'new york'
    """
    return " ".join(text.casefold().split())


def dates(text: str) -> Range | None:
    """The first and the last day that a date says, as numbers yyyymmdd; None for none.

    >>> dates("2020-02"), dates("2020-02-30")
    ((20200201, 20200229), None)
    """
    found = _DATE.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day = (int(part) if part else 0 for part in found.groups())
    if year == 0 or month > 12 or (found[2] and month == 0) or (found[3] and day == 0):
        return None
    last_month = month or 12
    last_day = monthrange(year, last_month)[1]
    if day > last_day:
        return None
    return _day(year, month or 1, day or 1), _day(year, last_month, day or last_day)


def _day(year: int, month: int, day: int) -> int:
    return year * 10_000 + month * 100 + day


def _numbers(text: str) -> Range | None:
    found = _NUMBER.fullmatch(text.strip())
    return (float(found[0]), float(found[0])) if found else None


def _bounds(wanted: str, parse: Callable[[str], Range | None]) -> Range | None:
    if wanted.startswith(">="):
        found = parse(wanted[2:])
        return found and (found[0], float("inf"))
    if wanted.startswith("<="):
        found = parse(wanted[2:])
        return found and (float("-inf"), found[1])
    first, to, last = wanted.partition("..")
    low, high = parse(first), parse(last if to else first)
    return (low[0], high[1]) if low and high and low[0] <= high[1] else None


def _is(value: str, words: Mapping[str, str]) -> Test:
    """A document may call a value by another of its names, too."""

    def test(held: str) -> bool:
        called = spelled(held)
        return spelled(words.get(called, called)) == value

    return test


def _within(bounds: Range, parse: Callable[[str], Range | None]) -> Test:
    """Whether what a property says lies within; a month or a year must do so wholly."""

    def test(held: str) -> bool:
        found = parse(held)
        return found is not None and bounds[0] <= found[0] and found[1] <= bounds[1]

    return test


def _test(name: str, fields: Mapping[str, FilterField], wanted: str) -> Test | None:
    if name in fields:
        return fields[name].test(wanted)
    if name == "document":
        return lambda held: held == wanted
    return (lambda held: held.startswith(wanted)) if name == "source_uri" else None


def _property(head: DocumentHead, name: str) -> str:
    if name in ("document", "source_uri", "title"):
        return str(getattr(head, name))
    return head.properties.get(name, "")


def _wanted(one: FilterField) -> str:
    if one.kind == "choice":
        return f"one of {', '.join(_some(value for value, _ in one.values))}"
    return _WANTED.get(one.kind, "a word")


def _some(values: Iterable[str], most: int = 20) -> list[str]:
    named = [repr(value) for value in values]
    return named if len(named) <= most else [*named[:most], "…"]
