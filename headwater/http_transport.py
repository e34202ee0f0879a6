"""Over HTTP: the gateway's `/v1`, JSON and server-sent events, for both clients.

What is said and what is understood stands in functions that know no connection; the two classes only carry it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import httpx

from headwater import http_memories as notes
from headwater.errors import (
    AnswerExpiredError,
    ClientError,
    DocumentRefusedError,
    GatewayUnavailableError,
    MemoryRefusedError,
    MemoryUnknownError,
    ProtocolError,
    QuestionCancelledError,
    QuestionRefusedError,
    TenantUnknownError,
)
from headwater.values import (
    Answer,
    Change,
    Delta,
    Document,
    Feedback,
    Following,
    Forgotten,
    Memory,
    Question,
    Receipt,
    Subscription,
    answer_of,
    change_of,
    receipt_of,
)

__all__ = ["AsyncHttpTransport", "HttpTransport"]

# The gateway answers by itself at the deadline: only one that is gone is noticed this late.
GRACE_S: Final = 5.0
CONNECT_S: Final = 5.0
SHORT_S: Final = 35.0
"""Publishing waits for the brokers, which the gateway gives 30 s."""

_SSE: Final = "text/event-stream"
_ERRORS: Final[Mapping[str, type[ClientError]]] = {
    "question-empty": QuestionRefusedError,
    "question-too-long": QuestionRefusedError,
    "question-refused": QuestionRefusedError,
    "question-cancelled": QuestionCancelledError,
    "tenant-unknown": TenantUnknownError,
    "deadline-expired": AnswerExpiredError,
    "body-too-large": DocumentRefusedError,
    "memory-refused": MemoryRefusedError,
    "memory-forgotten": MemoryRefusedError,
    "memories-full": MemoryRefusedError,
    "memory-unknown": MemoryUnknownError,
}


@dataclass(frozen=True)
class _Call:
    """A request before it has a connection."""

    method: str
    path: str
    content: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = SHORT_S

    def arguments(self) -> dict[str, Any]:
        """What httpx takes."""
        given: dict[str, Any] = {"headers": dict(self.headers)}
        given["timeout"] = httpx.Timeout(self.timeout_s, connect=CONNECT_S)
        if self.content is not None:
            given["json"] = self.content
        return given


def _ask(question: Question, accept: str) -> _Call:
    fields = {
        "question": question.question,
        "tenant": question.tenant,
        "session": question.session,
        "user": question.user,
        "groups": list(question.groups),
        "filters": dict(question.filters),
        "max_passages": question.max_passages,
        "lane": question.lane,
        "memory": question.memory,
        "timeout_s": question.timeout_s,
    }
    return _Call("POST", "/v1/ask", fields, {"Accept": accept}, question.timeout_s + GRACE_S)


def _publish(document: Document) -> _Call:
    fields = {
        "tenant": document.tenant,
        "document": document.document,
        "content_base64": base64.b64encode(document.body).decode(),
        "media_type": document.media_type,
        "title": document.title,
        "source_uri": document.source_uri,
        "access": list(document.access),
        "properties": dict(document.properties),
    }
    headers = {"Idempotency-Key": document.idempotency_key} if document.idempotency_key else {}
    return _Call("POST", "/v1/documents", fields, headers)


def _delete(tenant: str, document: str) -> _Call:
    return _Call("DELETE", f"/v1/documents/{quote(tenant, safe='')}/{quote(document, safe='/')}")


def _feedback(given: Feedback) -> _Call:
    fields = {
        "tenant": given.tenant,
        "answer_id": given.answer_id,
        "rating": given.rating,
        "comment": given.comment,
        "correction": given.correction,
    }
    return _Call("POST", "/v1/feedback", fields)


def _subscribe(standing: Subscription) -> _Call:
    fields = {
        "question": standing.question,
        "tenant": standing.tenant,
        "user": standing.user,
        "groups": list(standing.groups),
        "filters": dict(standing.filters),
        "max_passages": standing.max_passages,
    }
    return _Call("PUT", f"/v1/standing/{quote(standing.question_id, safe='')}", fields)


def _unsubscribe(tenant: str, question_id: str) -> _Call:
    return _Call("DELETE", f"/v1/standing/{quote(question_id, safe='')}", headers={"X-Tenant": tenant})


def _changes(following: Following) -> _Call:
    path = f"/v1/standing/{quote(following.question_id, safe='')}/changes"
    told = f"{path}?since_s={following.since_s:g}&for_s={following.for_s:g}"
    return _Call("GET", told, headers={"X-Tenant": following.tenant, "Accept": _SSE})


def _understood(response: httpx.Response) -> dict[str, Any]:
    """The JSON of a response, or its problem as an error."""
    fields = _json(response.text, response.request.url)
    if response.is_success:
        return fields
    raise _problem(fields, response.status_code, response.headers)


def _json(text: str, url: httpx.URL | str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise ProtocolError(f"wanted JSON from {url}, got {text[:80]!r}; is this a Headwater gateway?") from error
    if not isinstance(fields, dict):
        raise ProtocolError(f"wanted a JSON object from {url}, got {text[:80]!r}; is this a Headwater gateway?")
    return fields


def _problem(fields: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> ClientError:
    """A problem document (RFC 9457) as an error of ours, by its type; the status decides where the type is unknown."""
    kind = str(fields.get("type", "")).rsplit(":", 1)[-1]
    message = str(fields.get("detail") or fields.get("title") or f"status {status}")
    request_id = str(fields.get("request_id", ""))
    if kind in _ERRORS:
        return _ERRORS[kind](message, request_id)
    if status in (429, 502, 503):
        after = headers.get("retry-after", "")
        return GatewayUnavailableError(message, request_id, float(after) if after.isdigit() else 1.0)
    return ClientError(message, request_id)


class _Events:
    """Server-sent events, line by line, into deltas and the answer, or into changes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._name = ""
        self._data: list[str] = []

    def line(self, text: str) -> Delta | Answer | Change | None:
        """What a line completes; comments and events that only announce complete nothing."""
        if text.startswith("event:"):
            self._name = text[6:].strip()
        elif text.startswith("data:"):
            self._data.append(text[5:].removeprefix(" "))
        elif not text and self._data:
            name, data = self._name, "\n".join(self._data)
            self._name, self._data = "", []
            return self._event(name, data)
        return None

    def _event(self, name: str, data: str) -> Delta | Answer | Change | None:
        if name not in ("token", "done", "error", "changed"):
            return None
        fields = _json(data, self._url)
        if name == "token":
            return Delta(index=int(fields["index"]), text=str(fields["text"]))
        if name == "done":
            return answer_of(fields)
        if name == "changed":
            return change_of(fields)
        raise _problem(fields, int(fields.get("status", 500)), {})


def _cut_off() -> ProtocolError:
    return ProtocolError("wanted an answer, the stream ended before it; ask again")


def _away(url: str, error: httpx.HTTPError) -> ClientError:
    if isinstance(error, httpx.ReadTimeout):
        return AnswerExpiredError(f"the gateway at {url} did not answer before the deadline")
    return GatewayUnavailableError(
        f"the gateway at {url} can't be reached: {error}; is it running (`headwater status`)?"
    )


class HttpTransport:
    """The gateway, for threads."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(base_url=self._url)

    def ask(self, question: Question) -> Answer:
        return answer_of(self._send(_ask(question, "application/json")))

    def ask_stream(self, question: Question) -> Iterator[Delta | Answer]:
        events = _Events(self._url)
        # Closed at once where the caller leaves: the gateway then cancels the question.
        with closing(self._lines(_ask(question, _SSE))) as lines:
            for line in lines:
                piece = events.line(line)
                if isinstance(piece, Delta | Answer):
                    yield piece
                if isinstance(piece, Answer):
                    return
        raise _cut_off()

    def publish(self, document: Document) -> Receipt:
        return receipt_of(self._send(_publish(document)))

    def delete(self, tenant: str, document: str) -> Receipt:
        return receipt_of(self._send(_delete(tenant, document)))

    def feedback(self, feedback: Feedback) -> Receipt:
        return receipt_of(self._send(_feedback(feedback)))

    def subscribe(self, subscription: Subscription) -> Receipt:
        return receipt_of(self._send(_subscribe(subscription)))

    def unsubscribe(self, tenant: str, question_id: str) -> Receipt:
        return receipt_of(self._send(_unsubscribe(tenant, question_id)))

    def changes(self, following: Following) -> Iterator[Change]:
        events = _Events(self._url)
        with closing(self._lines(_changes(following))) as lines:
            for line in lines:
                if isinstance(change := events.line(line), Change):
                    yield change
        if not following.for_s:
            raise _cut_off()

    def remember(self, note: Memory) -> Receipt:
        return receipt_of(self._send(_Call(*notes.remember(note))))

    def memories(self, tenant: str, user: str) -> tuple[Memory, ...]:
        return notes.memories_of(self._send(_Call(*notes.listing(tenant, user))), tenant, user)

    def forget(self, note: Memory) -> Receipt:
        return receipt_of(self._send(_Call(*notes.forget(note))))

    def forget_user(self, tenant: str, user: str) -> Forgotten:
        return notes.forgotten_of(self._send(_Call(*notes.forget_user(tenant, user))))

    def close(self) -> None:
        self._http.close()

    def _lines(self, call: _Call) -> Generator[str, None, None]:
        try:
            with self._http.stream(call.method, call.path, **call.arguments()) as response:
                if response.is_error:
                    response.read()
                    _understood(response)
                yield from response.iter_lines()
        except httpx.HTTPError as error:
            raise _away(self._url, error) from error

    def _send(self, call: _Call) -> dict[str, Any]:
        try:
            return _understood(self._http.request(call.method, call.path, **call.arguments()))
        except httpx.HTTPError as error:
            raise _away(self._url, error) from error


class AsyncHttpTransport:
    """The gateway, for an event loop."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.AsyncClient(base_url=self._url)

    async def ask(self, question: Question) -> Answer:
        return answer_of(await self._send(_ask(question, "application/json")))

    async def ask_stream(self, question: Question) -> AsyncIterator[Delta | Answer]:
        events = _Events(self._url)
        async with aclosing(self._lines(_ask(question, _SSE))) as lines:
            async for line in lines:
                piece = events.line(line)
                if isinstance(piece, Delta | Answer):
                    yield piece
                if isinstance(piece, Answer):
                    return
        raise _cut_off()

    async def publish(self, document: Document) -> Receipt:
        return receipt_of(await self._send(_publish(document)))

    async def delete(self, tenant: str, document: str) -> Receipt:
        return receipt_of(await self._send(_delete(tenant, document)))

    async def feedback(self, feedback: Feedback) -> Receipt:
        return receipt_of(await self._send(_feedback(feedback)))

    async def subscribe(self, subscription: Subscription) -> Receipt:
        return receipt_of(await self._send(_subscribe(subscription)))

    async def unsubscribe(self, tenant: str, question_id: str) -> Receipt:
        return receipt_of(await self._send(_unsubscribe(tenant, question_id)))

    async def changes(self, following: Following) -> AsyncIterator[Change]:
        events = _Events(self._url)
        async with aclosing(self._lines(_changes(following))) as lines:
            async for line in lines:
                if isinstance(change := events.line(line), Change):
                    yield change
        if not following.for_s:
            raise _cut_off()

    async def remember(self, note: Memory) -> Receipt:
        return receipt_of(await self._send(_Call(*notes.remember(note))))

    async def memories(self, tenant: str, user: str) -> tuple[Memory, ...]:
        return notes.memories_of(await self._send(_Call(*notes.listing(tenant, user))), tenant, user)

    async def forget(self, note: Memory) -> Receipt:
        return receipt_of(await self._send(_Call(*notes.forget(note))))

    async def forget_user(self, tenant: str, user: str) -> Forgotten:
        return notes.forgotten_of(await self._send(_Call(*notes.forget_user(tenant, user))))

    async def close(self) -> None:
        await self._http.aclose()

    async def _lines(self, call: _Call) -> AsyncGenerator[str, None]:
        try:
            async with self._http.stream(call.method, call.path, **call.arguments()) as response:
                if response.is_error:
                    await response.aread()
                    _understood(response)
                async for line in response.aiter_lines():
                    yield line
        except httpx.HTTPError as error:
            raise _away(self._url, error) from error

    async def _send(self, call: _Call) -> dict[str, Any]:
        try:
            return _understood(await self._http.request(call.method, call.path, **call.arguments()))
        except httpx.HTTPError as error:
            raise _away(self._url, error) from error
