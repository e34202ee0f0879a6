"""Hostile and odd files: each ends as text or with a reason, in time, and leaves the next one alone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from adapters.isolated_parser import IsolatedParser, Isolation
from tests.adapters.hostile.make import LARGEST, samples
from tests.adapters.hostile.outcomes import FILES, Expected, manifest, outcome

TIMEOUT_S = 20.0
# Two tries, and the start of a process between them, on a machine that does much else.
LONGEST_S = 2 * TIMEOUT_S + 20.0


@pytest.fixture(scope="module")
def parser() -> Iterator[IsolatedParser]:
    parser = IsolatedParser(Isolation(timeout_s=TIMEOUT_S, memory_mb=256))
    yield parser
    parser.close()


def test_when_the_set_is_counted_then_it_is_large_and_its_files_are_small() -> None:
    names = [expected.name for expected in manifest()]
    assert len(set(names)) == len(names) >= 40
    assert {path.name for path in FILES.iterdir()} == {"manifest.json", *(f"{name}.sample" for name in names)}
    assert all(path.stat().st_size <= LARGEST for path in FILES.iterdir())
    assert all(bool(expected.text) != bool(expected.reason) for expected in manifest())


@pytest.mark.parametrize("expected", manifest(), ids=lambda expected: expected.name)
def test_when_a_file_is_hostile_then_it_ends_as_said_and_the_next_one_is_read(
    parser: IsolatedParser, expected: Expected
) -> None:
    began = time.monotonic()
    assert outcome(expected, parser) == ""
    assert time.monotonic() - began < LONGEST_S
    assert parser.parse(b"<h1>Tea</h1><p>It is hot.", "text/html").title == "Tea"


def test_when_the_files_are_made_again_then_they_are_the_same() -> None:
    """Compressed ones may differ by the machine's zlib: of these the names and what is expected count."""
    made = {sample.name: sample for sample in samples()}
    assert {(e.name, e.text, e.reason, e.page) for e in manifest()} == {
        (sample.name, sample.text, sample.reason, sample.page) for sample in made.values()
    }
    for name, sample in made.items():
        written = (FILES / f"{name}.sample").read_bytes()
        assert written == sample.body or written[:2] == b"PK" or b"FlateDecode" in written, name
