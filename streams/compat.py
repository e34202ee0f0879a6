"""Compares what is pinned with what is here: what differs, what that means, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from streams.errors import StreamsError
from streams.pins import Pins, Value, sections_of

__all__ = ["MEANINGS", "PINS_FILE", "Comparison", "Difference", "Meaning", "PinsError", "compared", "read", "write"]

PINS_FILE: Final = Path("headwater.pins.yaml")
_FORMAT: Final = 1
_HEAD: Final = (
    "# What answers are made with. Written by `headwater compat pin`, compared by `headwater compat`; docs/compat.md.\n"
)


class PinsError(StreamsError):
    """A file of pins is not there or can't be used; the message says how to write one."""

    exit_code: Final = 2


@dataclass(frozen=True)
class Meaning:
    """What a difference in a section means, and what to do."""

    means: str
    do: str


_GOLDEN: Final = "run the golden set (headwater eval answers), then headwater compat pin"
_VOID: Final = "kept answers are not given again"
_GENERATION: Final = (
    "headwater index build NAME, headwater index compare NAME --golden FILE, headwater index promote NAME; "
    "then headwater compat pin"
)

MEANINGS: Final = {
    "release": Meaning(f"another release of the code: {_VOID}", _GOLDEN),
    "prompts": Meaning(f"a model is asked otherwise: {_VOID}", _GOLDEN),
    "embedding": Meaning(
        "vectors of another model or width: every chunk has to be embedded again, as a new index generation",
        _GENERATION,
    ),
    "chunking": Meaning(
        "documents are cut otherwise: a new index generation; only chunks with new words are embedded", _GENERATION
    ),
    "reader": Meaning(f"answers without a model are read and quoted otherwise: {_VOID}", _GOLDEN),
    "answering": Meaning(f"answers are found or written otherwise: {_VOID}", _GOLDEN),
    "redaction": Meaning(
        "documents are redacted otherwise from now on; those that are there stay as they are",
        "send again what must be redacted anew, then headwater compat pin",
    ),
    "outlet": Meaning(f"other things are hidden in answers: {_VOID}; nothing has to be built", "headwater compat pin"),
    "schemas": Meaning(
        "other records travel: consumers are upgraded first, and the registry must know the schemas before they are",
        "register them (registry.auto_register, or your CI), upgrade consumers, then headwater compat pin",
    ),
}


@dataclass(frozen=True)
class Difference:
    """A name whose value is not the pinned one; None where one side has no such name."""

    section: str
    name: str
    pinned: Value
    here: Value

    @property
    def meaning(self) -> Meaning:
        return MEANINGS.get(self.section, _UNKNOWN)


_UNKNOWN: Final = Meaning(
    "the file has a section that this release does not know", "use the release that wrote it, or headwater compat pin"
)


@dataclass(frozen=True)
class Comparison:
    """What differs, and what could not be compared since it can't be told on one side."""

    differences: tuple[Difference, ...]
    not_compared: tuple[str, ...]


def compared(pinned: Pins, here: Pins) -> Comparison:
    """All differences, in the order of the sections here and then of the names.

    >>> compared(Pins({"prompts": {"answer": "answer@1"}}), Pins({"prompts": {"answer": "answer@2"}})).differences
    (Difference(section='prompts', name='answer', pinned='answer@1', here='answer@2'),)
    """
    found, untold = list[Difference](), list[str]()
    for section, name in _names(pinned, here):
        sides = [pins.sections.get(section, {}) for pins in (pinned, here)]
        values = [side.get(name) for side in sides]
        if all(name in side for side in sides) and None in values:
            untold.append(f"{section}.{name}")
        elif values[0] != values[1] or type(values[0]) is not type(values[1]):
            found.append(Difference(section, name, *values))
    return Comparison(tuple(found), tuple(untold))


def _names(pinned: Pins, here: Pins) -> Iterator[tuple[str, str]]:
    for section in dict.fromkeys([*here.sections, *pinned.sections]):
        names = {**here.sections.get(section, {}), **pinned.sections.get(section, {})}
        yield from ((section, name) for name in sorted(names))


def write(path: Path, pins: Pins) -> None:
    """Writes pins where people read them: one section after the other, the name of the pipeline on top."""
    told: dict[str, Any] = {"format": _FORMAT, "pipeline": pins.pipeline}
    told |= {name: dict(section) for name, section in pins.sections.items()}
    text = yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=10_000)
    path.write_text(_HEAD + text, encoding="utf-8")


def read(path: Path) -> Pins:
    """The pins of a file. Raises PinsError."""
    if not path.is_file():
        raise PinsError(f"wanted pins at {str(path)!r}, found no file; write one with: headwater compat pin")
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(told, dict) or told.pop("format", None) != _FORMAT:
            raise ValueError(f"wanted `format: {_FORMAT}` on top")
        told.pop("pipeline", None)
        return Pins(sections_of(told))
    except (ValueError, yaml.YAMLError) as error:
        raise PinsError(
            f"the pins at {str(path)!r} can't be used: {error}; write them anew with: headwater compat pin"
        ) from error
