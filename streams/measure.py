"""Measure: what answers are worth and what they cost. Read from top to bottom."""

from __future__ import annotations

from typing import Final

from processors.measure.cost import cost
from processors.measure.evaluate import evaluate
from streams.hop import Hop, Journey
from topics.answer import ANSWER_DRAFTED, ANSWER_GIVEN, PASSAGES_FOUND, PASSAGES_RANKED
from topics.ingest import EMBEDDING_COMPUTED
from topics.measure import ANSWER_EVALUATED, COST_RECORDED

MEASURE: Final = Journey(
    "measure",
    [
        # how good
        Hop((ANSWER_GIVEN,), evaluate, (ANSWER_EVALUATED,)),
        # how dear: every step that spends says so on its event
        Hop((EMBEDDING_COMPUTED, PASSAGES_FOUND, PASSAGES_RANKED, ANSWER_DRAFTED), cost, (COST_RECORDED,)),
    ],
)
