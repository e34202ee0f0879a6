"""Scope: what an assistant is not for, declared by examples, told from questions about its documents without a model.

A question is out of scope if it is near to an example of a topic, and nearer to it by a margin than to anything that
its asker may read. The second half decides: by nearness alone, a question about the price of gold in 1971 is as near to
"Should I buy gold?" as other words for that are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from processors.answer.asked import NOT_KEPT, QuestionVectors
from processors.answer.expiry import withheld
from processors.answer.fence import principals
from processors.ports import Embedder, Served, Serving, Vectors
from schemas.queries import AnswerWithheld, QueryPlanned

__all__ = ["NO_SCOPE", "Scope", "Topics", "out_of_scope"]

Topics = Mapping[str, tuple[str, ...]]
"""What is out of scope, each with questions that ask for it."""


@dataclass(frozen=True)
class Scope:
    """The topics of all tenants, and over them those of each, with the bars, which are cosines of MiniLM.

    `nearness` is to the nearest example, `margin` how much nearer that is than the nearest passage. The vectors of
    examples are kept: use one per process.
    """

    default: Topics = field(default_factory=dict)
    tenants: Mapping[str, Topics] = field(default_factory=dict)
    nearness: float = 0.25
    margin: float = 0.15
    _vectors: dict[tuple[str, str], tuple[list[str], Vectors]] = field(default_factory=dict, repr=False, compare=False)

    def concerns(self, planned: QueryPlanned) -> bool:
        """Whether anything is declared, and the question neither leans on its session nor was subscribed to."""
        query = planned.query
        return bool(self.default or planned.tenant in self.tenants) and not (query.resolved or query.standing)

    def examples(self, tenant: str, embedder: Embedder) -> tuple[list[str], Vectors] | None:
        """The topic of each example, and the examples' vectors; None where a tenant has none."""
        topics = {**self.default, **self.tenants.get(tenant, {})}
        told = [(topic, example) for topic, examples in topics.items() for example in examples]
        if not told:
            return None
        # Tenants without topics of their own share an entry: as many are kept as are declared, for each model.
        key = (tenant if tenant in self.tenants else "", embedder.model)
        if key not in self._vectors:
            self._vectors[key] = ([topic for topic, _ in told], embedder.embed([example for _, example in told]))
        return self._vectors[key]


NO_SCOPE: Final = Scope()


def out_of_scope(
    planned: QueryPlanned, serving: Serving, scope: Scope, asked: QuestionVectors = NOT_KEPT
) -> AnswerWithheld | None:
    """The refusal of a question that an assistant is not for; None for any other. Raises what searching raises."""
    if not scope.concerns(planned):
        return None
    with serving.lease(planned.tenant) as served:
        topic = _topic(planned, served, scope, asked)
    if not topic:
        return None
    message = f"This assistant is not for {topic}. Ask about what its documents are about."
    return withheld(planned.tenant, planned.query, "out_of_scope", message)


def _topic(planned: QueryPlanned, served: Served, scope: Scope, asked: QuestionVectors) -> str:
    """What a question is about that is out of scope; empty where it is within."""
    examples = scope.examples(planned.tenant, served.embedder)
    if examples is None:
        return ""
    topics, vectors = examples
    question = asked.looked_at(planned.tenant, served.embedder, planned.query.question)
    nearness = vectors @ question
    best = int(np.argmax(nearness))
    if nearness[best] < scope.nearness:
        return ""
    asker = principals(planned.query)
    # Only what the asker may read: what somebody else could be told of it tells nothing about this question.
    found = served.store.search_vector(planned.tenant, question, 1, asker)
    passage = found[0].score if found else 0.0
    return topics[best] if nearness[best] - passage >= scope.margin else ""
