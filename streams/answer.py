"""Answer: from a question to a checked answer. Read from top to bottom."""

from __future__ import annotations

from functools import partial
from typing import Final

from processors.answer.admit import admit
from processors.answer.assemble import assemble
from processors.answer.check import check
from processors.answer.expiry import refused, unwanted
from processors.answer.generate import generate
from processors.answer.remember import remember
from processors.answer.rerank import rerank
from processors.answer.retrieve import retrieve
from processors.answer.rewrite import rewrite
from processors.answer.tell import note_told, tell
from streams.hop import Hop, Journey
from topics.answer import (
    ANSWER_CHANGED,
    ANSWER_DELTA,
    ANSWER_DRAFTED,
    ANSWER_GIVEN,
    ANSWER_RENEWED,
    PASSAGES_FOUND,
    PASSAGES_RANKED,
    PROMPT_ASSEMBLED,
    QUERY_ADMITTED,
    QUERY_ASKED,
    QUERY_ASKED_BULK,
    QUERY_PLANNED,
    QUESTION_ANSWERED,
    TURN_REMEMBERED,
)

# Whoever asks gets an answer: also when time is up or nobody waits any more, also when it became a dead letter.
_Hop = partial(Hop, mode="keyed", guard=unwanted, rejected=refused, waits_for=("cancellations",))
_FENCED: Final = ("cancellations", "serving")

ANSWER: Final = Journey(
    "answer",
    [
        # who asks, and may they; people first, bulk as there is room
        _Hop((QUERY_ASKED, QUERY_ASKED_BULK), admit, (QUERY_ADMITTED, ANSWER_GIVEN), waits_for=_FENCED),
        # what to search for, or the answer that was given before
        _Hop((QUERY_ADMITTED,), rewrite, (QUERY_PLANNED, ANSWER_GIVEN), waits_for=_FENCED),
        # candidates, and the fence
        _Hop((QUERY_PLANNED,), retrieve, (PASSAGES_FOUND, ANSWER_GIVEN), waits_for=_FENCED),
        # many become few
        _Hop((PASSAGES_FOUND,), rerank, (PASSAGES_RANKED, ANSWER_GIVEN)),
        # exactly what will be asked
        _Hop((PASSAGES_RANKED,), assemble, (PROMPT_ASSEMBLED, ANSWER_GIVEN)),
        # text as it comes, then the draft
        _Hop((PROMPT_ASSEMBLED,), generate, (ANSWER_DELTA, ANSWER_DRAFTED, ANSWER_GIVEN)),
        # each sentence against its sources; what stands is kept
        _Hop((ANSWER_DRAFTED,), check, (ANSWER_GIVEN, ANSWER_RENEWED)),
        # of a standing question: whether that is another answer than the last one, and because of what
        Hop(
            (ANSWER_RENEWED,),
            tell,
            (QUESTION_ANSWERED, ANSWER_CHANGED),
            committed=note_told,
            waits_for=("questions", "answered", "serving"),
        ),
        # behind the answer: it becomes a turn of its session; adding one again changes nothing
        Hop((ANSWER_GIVEN,), remember, (TURN_REMEMBERED,), exactly_once=False),
    ],
    # A question crosses one consumer instead of seven; every topic between them is written all the same.
    fused=[("admit", "rewrite", "retrieve", "rerank", "assemble", "generate", "check")],
)
