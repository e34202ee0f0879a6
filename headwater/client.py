"""The client: asks, publishes, deletes, gives feedback, over HTTP or straight over Kafka. Needs none of the rooms."""

from __future__ import annotations

import mimetypes
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, Final

from headwater.errors import ClientError, DocumentRefusedError, MemoryRefusedError, QuestionRefusedError
from headwater.transports import AsyncTransport, Transport
from headwater.values import (
    Answer,
    Change,
    Citation,
    Delta,
    Document,
    Feedback,
    Following,
    Forgotten,
    Memory,
    Question,
    Rating,
    Receipt,
    Subscription,
    Version,
)

__all__ = [
    "Answer",
    "AsyncClient",
    "Change",
    "Citation",
    "Client",
    "Delta",
    "Forgotten",
    "Memory",
    "Receipt",
    "Subscription",
    "Version",
]

TIMEOUT_S: Final = 20.0
"""How long a question may take unless it says otherwise: what a person waits."""

Body = str | bytes | PurePath


class _Defaults:
    """Turns arguments into values, filling in the client's tenant: what both clients share."""

    def __init__(self, tenant: str, timeout_s: float) -> None:
        self.tenant = tenant
        self.timeout_s = timeout_s

    def question(self, text: str, tenant: str | None, options: Mapping[str, Any]) -> Question:
        if not text.strip():
            raise QuestionRefusedError("wanted a question, got an empty one; ask something")
        return Question(question=text, tenant=self._tenant(tenant), **{"timeout_s": self.timeout_s, **options})

    def document(self, name: str, body: Body, tenant: str | None, options: Mapping[str, Any]) -> Document:
        given = dict(options)
        media_type = given.pop("media_type", "") or _media_type(name, body)
        return Document(
            tenant=self._tenant(tenant), document=name, body=_bytes_of(body), media_type=media_type, **given
        )

    def feedback(self, answer: Answer | str, rating: Rating, tenant: str | None, words: Mapping[str, str]) -> Feedback:
        answer_id = answer if isinstance(answer, str) else answer.answer_id
        return Feedback(tenant=self._tenant(tenant), answer_id=answer_id, rating=rating, **words)

    def subscription(self, question: str, tenant: str | None, options: Mapping[str, Any]) -> Subscription:
        if not question.strip():
            raise QuestionRefusedError("wanted a question, got an empty one; ask something")
        given = {"question_id": str(uuid.uuid4()), **options}
        return Subscription(question=question, tenant=self._tenant(tenant), **given)

    def following(self, standing: Subscription | str, tenant: str | None, options: Mapping[str, float]) -> Following:
        if isinstance(standing, Subscription):
            return Following(standing.tenant, standing.question_id, **options)
        return Following(self._tenant(tenant), standing, **options)

    def note(self, text: str, user: str, tenant: str | None, memory: str) -> Memory:
        if not text.strip():
            raise MemoryRefusedError("wanted a note, got an empty one; say what is to be kept")
        return Memory(memory or str(uuid.uuid4()), text, *self.whose(user, tenant))

    def named(self, memory: Memory | str, user: str, tenant: str | None) -> Memory:
        return memory if isinstance(memory, Memory) else Memory(memory, "", *self.whose(user, tenant))

    def whose(self, user: str, tenant: str | None) -> tuple[str, str]:
        if not user.strip():
            raise ClientError("wanted the user whose notes are meant, got none; give user=")
        return self._tenant(tenant), user

    def _tenant(self, tenant: str | None) -> str:
        return self.require(tenant or self.tenant)

    @staticmethod
    def require(tenant: str) -> str:
        if not tenant:
            raise ClientError("wanted a tenant, got none; give tenant= to the client or to the call")
        return tenant


class Client:
    """Asks and publishes. Use it as a context, or close it; it may be shared by threads.

        >>> with Client("http://127.0.0.1:18080", tenant="acme") as client:  # doctest: +SKIP
        ...     client.publish("lease.md", "# Lease\\n\\nA lease runs for twelve months.")
        ...     client.ask("How long is a lease?").text
        'A lease runs for twelve months [1].'

    Over Kafka: `Client(kafka="127.0.0.1:19092", registry="http://127.0.0.1:18081", tenant="acme")`.
    Raises the errors of `headwater.errors`, at the latest a few seconds after `timeout_s`.
    """

    def __init__(
        self, url: str = "", *, kafka: str = "", registry: str = "", tenant: str = "", timeout_s: float = TIMEOUT_S
    ) -> None:
        _one_way(url, kafka, registry)
        self._defaults = _Defaults(tenant, timeout_s)
        self._transport = _transport(url, kafka, registry)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, question: str, tenant: str | None = None, **options: Any) -> Answer:
        """The answer to a question, with citations. Use `ask_stream` to show it while it is written.

        Options: `session`, `user`, `groups` (of the asker, `group:x`), `filters`, `max_passages`, `timeout_s`, `lane`
        (`bulk` waits behind what people ask), `memory` (look at the user's own notes as well).
        A question that the documents don't answer is no error: `answer.answered` is then False.
        """
        return self._transport.ask(self._defaults.question(question, tenant, options))

    def ask_stream(self, question: str, tenant: str | None = None, **options: Any) -> Iterator[Delta | Answer]:
        """The pieces of an answer as they are written, and at the end the answer itself. Options as for `ask`.

        Close the iterator before its end to cancel the question: it then costs nothing more.
        """
        return self._transport.ask_stream(self._defaults.question(question, tenant, options))

    def publish(self, document: str, body: Body, tenant: str | None = None, **options: Any) -> Receipt:
        """Hand in a document, new or changed: text, bytes, or the path of a file.

        Options: `media_type` (else guessed from the name), `title`, `source_uri`, `access` (who may see it; everyone
        of the tenant where nothing is said), `properties`, `idempotency_key` (a repeat with it counts once).
        """
        return self._transport.publish(self._defaults.document(document, body, tenant, options))

    def delete(self, document: str, tenant: str | None = None) -> Receipt:
        """Take a document out: no answer uses it any more once the receipt's change was indexed."""
        return self._transport.delete(self._defaults.require(tenant or self._defaults.tenant), document)

    def feedback(self, answer: Answer | str, rating: Rating, tenant: str | None = None, **words: str) -> Receipt:
        """Say whether an answer was good. Options: `comment`, `correction`."""
        return self._transport.feedback(self._defaults.feedback(answer, rating, tenant, words))

    def subscribe(self, question: str, tenant: str | None = None, **options: Any) -> Subscription:
        """Have a question asked again whenever documents change its answer; `changes` tells, its first answer too.

        Options: `question_id` (its name within the tenant; one that is there changes), `user`, `groups`, `filters`,
        `max_passages`. It stands until `unsubscribe`.
        """
        standing = self._defaults.subscription(question, tenant, options)
        self._transport.subscribe(standing)
        return standing

    def unsubscribe(self, standing: Subscription | str, tenant: str | None = None) -> Receipt:
        """Tell nothing more of a question; by its subscription or its name."""
        ended = self._defaults.following(standing, tenant, {})
        return self._transport.unsubscribe(ended.tenant, ended.question_id)

    def changes(self, standing: Subscription | str, tenant: str | None = None, **options: float) -> Iterator[Change]:
        """What is told of a standing question: of the last `since_s` seconds (60), then as it comes.

        It goes on until it is closed, or for `for_s` seconds. A change may come twice after a broken connection:
        `event_id` tells.
        """
        return self._transport.changes(self._defaults.following(standing, tenant, options))

    def remember(self, text: str, user: str, tenant: str | None = None, memory: str = "") -> Memory:
        """Keep something for a user beyond the session: their questions with `memory=True` find it once it is indexed.

        `memory` is its name among the user's, else one is made; a note that is there is said anew.
        """
        note = self._defaults.note(text, user, tenant, memory)
        self._transport.remember(note)
        return note

    def memories(self, user: str, tenant: str | None = None) -> tuple[Memory, ...]:
        """Every note of a user, oldest first: all that was written before it was asked."""
        tenant, user = self._defaults.whose(user, tenant)
        return self._transport.memories(tenant, user)

    def forget(self, memory: Memory | str, user: str = "", tenant: str | None = None) -> Receipt:
        """Take a note out for good; by itself, or by its name and whose it is. Raises MemoryUnknownError."""
        return self._transport.forget(self._defaults.named(memory, user, tenant))

    def forget_user(self, user: str, tenant: str | None = None) -> Forgotten:
        """Erase every note of a user and every turn of their sessions; `memories` lists nothing from then on.

        A receipt with each of its `requests` follows on `rag.document.erased.v1`: what every store holds after.
        """
        tenant, user = self._defaults.whose(user, tenant)
        return self._transport.forget_user(tenant, user)

    def close(self) -> None:
        """Let the connections go."""
        self._transport.close()


class AsyncClient:
    """The same client for an event loop.

        >>> async with AsyncClient("http://127.0.0.1:18080", tenant="acme") as client:  # doctest: +SKIP
        ...     async for piece in client.ask_stream("How long is a lease?"):
        ...         print(piece.text)

    Arguments, options and errors are those of `Client`.
    """

    def __init__(
        self, url: str = "", *, kafka: str = "", registry: str = "", tenant: str = "", timeout_s: float = TIMEOUT_S
    ) -> None:
        _one_way(url, kafka, registry)
        self._defaults = _Defaults(tenant, timeout_s)
        self._transport = _async_transport(url, kafka, registry)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def ask(self, question: str, tenant: str | None = None, **options: Any) -> Answer:
        """The answer to a question, with citations."""
        return await self._transport.ask(self._defaults.question(question, tenant, options))

    def ask_stream(self, question: str, tenant: str | None = None, **options: Any) -> AsyncIterator[Delta | Answer]:
        """The pieces of an answer as they are written, and at the end the answer itself."""
        return self._transport.ask_stream(self._defaults.question(question, tenant, options))

    async def publish(self, document: str, body: Body, tenant: str | None = None, **options: Any) -> Receipt:
        """Hand in a document, new or changed."""
        return await self._transport.publish(self._defaults.document(document, body, tenant, options))

    async def delete(self, document: str, tenant: str | None = None) -> Receipt:
        """Take a document out."""
        return await self._transport.delete(self._defaults.require(tenant or self._defaults.tenant), document)

    async def feedback(self, answer: Answer | str, rating: Rating, tenant: str | None = None, **words: str) -> Receipt:
        """Say whether an answer was good."""
        return await self._transport.feedback(self._defaults.feedback(answer, rating, tenant, words))

    async def subscribe(self, question: str, tenant: str | None = None, **options: Any) -> Subscription:
        """Have a question asked again whenever documents change its answer."""
        standing = self._defaults.subscription(question, tenant, options)
        await self._transport.subscribe(standing)
        return standing

    async def unsubscribe(self, standing: Subscription | str, tenant: str | None = None) -> Receipt:
        """Tell nothing more of a question."""
        ended = self._defaults.following(standing, tenant, {})
        return await self._transport.unsubscribe(ended.tenant, ended.question_id)

    def changes(
        self, standing: Subscription | str, tenant: str | None = None, **options: float
    ) -> AsyncIterator[Change]:
        """What is told of a standing question, as it comes."""
        return self._transport.changes(self._defaults.following(standing, tenant, options))

    async def remember(self, text: str, user: str, tenant: str | None = None, memory: str = "") -> Memory:
        """Keep something for a user beyond the session."""
        note = self._defaults.note(text, user, tenant, memory)
        await self._transport.remember(note)
        return note

    async def memories(self, user: str, tenant: str | None = None) -> tuple[Memory, ...]:
        """Every note of a user, oldest first."""
        tenant, user = self._defaults.whose(user, tenant)
        return await self._transport.memories(tenant, user)

    async def forget(self, memory: Memory | str, user: str = "", tenant: str | None = None) -> Receipt:
        """Take a note out for good."""
        return await self._transport.forget(self._defaults.named(memory, user, tenant))

    async def forget_user(self, user: str, tenant: str | None = None) -> Forgotten:
        """Erase every note of a user and every turn of their sessions."""
        tenant, user = self._defaults.whose(user, tenant)
        return await self._transport.forget_user(tenant, user)

    async def close(self) -> None:
        """Let the connections go."""
        await self._transport.close()


def _one_way(url: str, kafka: str, registry: str) -> None:
    if bool(url) == bool(kafka):
        raise ClientError('wanted one way in: Client("http://host:port") or Client(kafka="host:port", registry=...)')
    if kafka and not registry:
        raise ClientError(f"wanted the schema registry of the brokers at {kafka!r}, got none; give registry=")


# The libraries of a transport take their time to import, and `import headwater` must not wait for those it won't use.
def _transport(url: str, kafka: str, registry: str) -> Transport:
    if url:
        from headwater.http_transport import HttpTransport

        return HttpTransport(url)
    from headwater.kafka_transport import KafkaTransport

    return KafkaTransport(kafka, registry)


def _async_transport(url: str, kafka: str, registry: str) -> AsyncTransport:
    if url:
        from headwater.http_transport import AsyncHttpTransport

        return AsyncHttpTransport(url)
    from headwater.kafka_transport import KafkaTransport
    from headwater.threaded_transport import ThreadedTransport

    return ThreadedTransport(KafkaTransport(kafka, registry))


def _media_type(name: str, body: Body) -> str:
    path = str(body) if isinstance(body, PurePath) else name
    if path.endswith((".md", ".markdown")):
        return "text/markdown"
    guessed = mimetypes.guess_type(path)[0]
    return guessed or ("text/plain" if isinstance(body, str) else "application/octet-stream")


def _bytes_of(body: Body) -> bytes:
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes):
        return body
    try:
        return Path(body).read_bytes()
    except OSError as error:
        raise DocumentRefusedError(f"wanted a file that can be read, got {str(body)!r}: {error.strerror}") from error
