"""Who looks whether a change is there: a reader of the read path, by retrieving or by asking whole questions.

`Retrieving` does what a worker of `answer.retrieve` does with each question, in a process that is not the worker's:
both searches in the index, fusion, the heads in the shared view, the fence; for the ten best, as it asks for one row. A
look costs some milliseconds.
`Asking` sends the question over HTTP and reads the cited answer: seven steps and their topics more each time.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Protocol

from headwater.client import Client
from headwater.local.beside import client_settings
from headwater.local.stack import Stack
from processors.answer.limits import RetrievalLimits
from processors.answer.retrieve import retrieve
from schemas.queries import Query, QueryPlanned
from streams.parts import Parts
from streams.settings import Settings, load

__all__ = ["Asking", "LookingOn", "Retrieving", "settings_of"]

_PREFIX: Final = "HEADWATER_"
_BEST: Final = 10


class LookingOn(Protocol):
    """What a reader finds now: the texts that come from one document, for a question."""

    def __enter__(self) -> LookingOn: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def found(self, question: str, document: str) -> list[str]: ...


class Retrieving:
    """Retrieves over the stack's own index and view of heads. Use it where another process may open the index."""

    def __init__(self, settings: Settings, tenant: str) -> None:
        self._parts = Parts(settings)
        self._tenant = tenant
        self._limits = RetrievalLimits(candidates=_BEST)

    def __enter__(self) -> Retrieving:
        self._parts.port("serving")
        self._parts.open({"serving"}, mending=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()

    def found(self, question: str, document: str) -> list[str]:
        """The texts of a document's passages among the candidates."""
        query = Query(query_id="bench", question=question)
        planned = QueryPlanned(tenant=self._tenant, query=query, kind="retrieval", variants=(question,))
        (outcome,) = retrieve(planned, self._parts.port("serving"), self._limits, self._parts.port("clock"))
        return [passage.text for passage in outcome.passages if passage.document == document]


class Asking:
    """Asks over HTTP. Use it where only the answers are of interest, or the index is the worker's alone."""

    def __init__(self, url: str, tenant: str) -> None:
        self._client = Client(url, tenant=tenant)

    def __enter__(self) -> Asking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def found(self, question: str, document: str) -> list[str]:
        """The answer, where it rests on the document."""
        answer = self._client.ask(question)
        return [answer.text] if any(cited.document == document for cited in answer.citations) else []


def settings_of(stack: Stack, embedder: str, told: tuple[tuple[str, str], ...] = ()) -> Settings:
    """The settings of a stack's workers, for a process beside them; `told` is what the stack's own parts were told."""
    sections: dict[str, Any] = {
        "kafka": {"bootstrap": stack.addresses.bootstrap},
        "registry": {"url": stack.addresses.registry_url},
        "embed": {"model": embedder},
    }
    for name, value in (*client_settings(stack.servers), *told):
        section, _, key = name.removeprefix(_PREFIX).lower().partition("__")
        sections.setdefault(section, {})[key] = value
    return load(**sections)
