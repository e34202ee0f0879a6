"""What is data and what only looks like it, kind by kind; and that no text, however contrived, takes long."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.ingest import recognise
from processors.ingest.patterns import PATTERNS
from processors.ingest.recognise import PatternRecogniser

RECOGNISER = PatternRecogniser()


def found(text: str, *but: str) -> list[tuple[str, str]]:
    kinds = RECOGNISER.kinds - set(but)
    return [(one.kind, text[one.start : one.end]) for one in RECOGNISER.find(text, kinds)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("write to ann.lee+tea@mail.example.org today", "email", "ann.lee+tea@mail.example.org"),
        ("call +49 30 1234567 now", "phone", "+49 30 1234567"),
        ("call (415) 555-2671 now", "phone", "(415) 555-2671"),
        ("Tel. 030 1234567", "phone", "030 1234567"),
        ("Tél. : 01 23 45 67 89", "phone", "01 23 45 67 89"),
        ("móvil 612 345 678", "phone", "612 345 678"),
        ("0049 30 1234567.", "phone", "0049 30 1234567"),
        ("card 4111-1111-1111-1111, thanks", "card", "4111-1111-1111-1111"),
        ("card 378282246310005.", "card", "378282246310005"),
        ("item 12 4111 1111 1111 1111", "card", "4111 1111 1111 1111"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "iban", "DE89 3704 0044 0532 0130 00"),
        ("IBAN DE89 3704 0044 0532 0130 00 BIC COBADEFF", "iban", "DE89 3704 0044 0532 0130 00"),
        ("to GB29NWBK60161331926819 please", "iban", "GB29NWBK60161331926819"),
        ("SSN 123-45-6789", "ssn", "123-45-6789"),
        ("SSN: 123456789", "ssn", "123456789"),
        ("NHS number 943 476 5919", "national_id", "943 476 5919"),
        ("Steuer-ID: 86 095 742 719", "national_id", "86 095 742 719"),
        ("DNI 12345678Z", "national_id", "12345678Z"),
        ("CF RSSMRA85T10A562S", "national_id", "RSSMRA85T10A562S"),
        ("NIR 2 55 08 14 168 025 38", "national_id", "2 55 08 14 168 025 38"),
        ("host 192.168.7.23 is down", "ipv4", "192.168.7.23"),
        ("host 2001:db8::7, port 80", "ipv6", "2001:db8::7"),
        ("mac 00:1A:2B:3C:4D:5E", "mac", "00:1A:2B:3C:4D:5E"),
        ("born in Leeds on 3 March 1984.", "birth_date", "3 March 1984"),
        ("geb. am 03.04.1971", "birth_date", "03.04.1971"),
        ("Passport no. C01X00T47", "passport", "C01X00T47"),
        ("key AKIAIOSFODNN7EXAMPLE here", "secret", "AKIAIOSFODNN7EXAMPLE"),
        ("api_key = 'q7Zt4LmX9vB2nR8k'", "secret", "q7Zt4LmX9vB2nR8k"),
        ("Passwort: Sommer!2024", "secret", "Sommer!2024"),
        ("postgres://app:s3cretpw@db:5432/x", "secret", "s3cretpw"),
        ("Authorization: Bearer q7Zt4LmX9vB2nR8kq7Zt4", "secret", "q7Zt4LmX9vB2nR8kq7Zt4"),
    ],
)
def test_when_a_text_holds_data_of_a_kind_then_just_that_is_found(text: str, kind: str, value: str) -> None:
    assert found(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "card 4111 1111 1111 1112",
        "0000 0000 0000 0000",
        "DE89 3704 0044 0532 0130 01",
        "part 000-45-6789 and 900-11-2222",
        "part no. 123-45-6789",
        "version 1.2.3.4000 and 127.0.0.1 and v10.2.3.4",
        "upgrade to 10.2.3.4",
        "In 1998, 2004 and 2012 it was 12 % more.",
        "password = changeme",
        "token: <your-token-here>",
        "the secret: patience and good leaves",
        "ratio 3.14159265358979",
        "ISBN 978-3-16-148410-0",
        "550e8400-e29b-41d4-a716-446655440000",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "at 12:30:45 std::vector calls abc::def",
        "2024-01-02 10:30:00 and 01-02-2024 10:30",
        "passport applications rose to 1234567",
        "The bridge of 3 March 1984 stands.",
        "logo@2x.png and react@18.2.0 and git@github.com:a/b",
        "part number 415-555-2671",
    ],
)
def test_when_something_only_looks_like_data_then_it_stays(text: str) -> None:
    assert found(text) == []


SIZE = 1_000_000


@pytest.mark.parametrize("unit", ["1 ", "01 23 ", "a@", "token:aaaaaaaaa", "DE89 ", "eyJaaaaaaaaaa.", "+1 "])
def test_when_a_text_of_a_megabyte_is_contrived_then_it_takes_little_longer_than_a_plain_one(unit: str) -> None:
    assert _seconds(unit) < 12 * max(0.2, _seconds("The river runs to the sea 12 and the tide of 1998 comes back. "))


@cache
def _seconds(unit: str) -> float:
    """Processor time: what else the machine does is no part of it."""
    text = (unit * SIZE)[:SIZE]
    began = time.process_time()
    RECOGNISER.find(text, RECOGNISER.kinds)
    return time.process_time() - began


LABELLED = [
    json.loads(line)["text"]
    for line in (Path(__file__).parents[3] / "bench/redaction/labelled.jsonl").read_text("utf-8").splitlines()
]
EVERY_PATTERN = tuple(replace(pattern, digits=0, marks=(), shape=None) for pattern in PATTERNS)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(LABELLED), st.integers(0, 200), st.integers(1, 200)), min_size=1, max_size=4),
    st.sampled_from(["", " ", "\n\n", "-", "7", "A"]),
)
def test_when_what_saves_time_is_left_out_then_the_same_is_found(parts: list[tuple[str, int, int]], gap: str) -> None:
    text = gap.join(text[start : start + size] if size % 3 else text for text, start, size in parts)
    sooner = RECOGNISER.find(text, RECOGNISER.kinds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recognise, "PATTERNS", EVERY_PATTERN)
        assert RECOGNISER.find(text, RECOGNISER.kinds) == sooner


def test_when_what_saves_time_is_left_out_then_the_same_is_found_in_every_labelled_text() -> None:
    sooner = [RECOGNISER.find(text, RECOGNISER.kinds) for text in LABELLED]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recognise, "PATTERNS", EVERY_PATTERN)
        assert [RECOGNISER.find(text, RECOGNISER.kinds) for text in LABELLED] == sooner
    assert sum(map(len, sooner)) > 300
