"""Which hops one process runs, as people write it: `all`, `ingest`, `answer.retrieve`, `ingest.parse+redact+chunk`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streams.answer import ANSWER
from streams.hop import Hop, Journey, JourneyError
from streams.ingest import INGEST
from streams.measure import MEASURE

JOURNEYS: Final = {journey.name: journey for journey in (INGEST, ANSWER, MEASURE)}


@dataclass(frozen=True)
class Selected:
    """Hops that run fused, in one consumer group."""

    journey: str
    hops: tuple[Hop, ...]

    @property
    def group(self) -> str:
        """Named by the first step, so that fusing others behind it keeps the group's place in the log."""
        return f"headwater.{self.journey}.{self.hops[0].name}.v1"


def select(words: tuple[str, ...], *, sources: bool = False) -> list[Selected]:
    """The hops that the words name; each once. `sources` admits hops that read other systems' topics.

    >>> [s.group for s in select(("measure",))]
    ['headwater.measure.evaluate.v1', 'headwater.measure.cost.v1']

    Raises JourneyError for a word that names nothing.
    """
    chosen: list[Selected] = []
    for word in words:
        chosen.extend(_one(word, sources))
    return list({selected.group: selected for selected in chosen}.values())


def _one(word: str, sources: bool) -> list[Selected]:
    if word == "all":
        return [selected for journey in JOURNEYS.values() for selected in _journey(journey, sources)]
    name, _, steps = word.partition(".")
    if name not in JOURNEYS:
        raise JourneyError(f"wanted 'all', a journey ({', '.join(JOURNEYS)}) or journey.step, got {word!r}")
    journey = JOURNEYS[name]
    if not steps:
        return _journey(journey, sources)
    return [Selected(name, tuple(journey.hop(step) for step in steps.split("+")))]


def _journey(journey: Journey, sources: bool) -> list[Selected]:
    """The journey's own choice of what is fused; the other hops stand alone."""
    groups = {step: group for group in journey.fused for step in group}
    chosen = dict.fromkeys(groups.get(step, (step,)) for step in journey.steps)
    selected = [Selected(journey.name, tuple(journey.hop(step) for step in group)) for group in chosen]
    return [one for one in selected if sources or not any(topic.raw for topic in one.hops[0].reads)]
