"""The index on a Weaviate server: one collection per corpus and generation, one tenant of it per tenant of ours."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from adapters.errors import IndexUnavailableError
from adapters.host import SystemIds
from adapters.keyword_index import MAX_TERMS, stemmed
from adapters.weaviate_connection import IndexSchemaError, WeaviateOptions, opened, speaking, unavailable
from adapters.weaviate_names import object_uuid, tenant_name
from adapters.weaviate_reading import (
    MARKS,
    PAGE,
    doubtful,
    forget,
    pages,
    rows,
    seal_uuid,
    searchable,
    unhinted,
)
from adapters.weaviate_schema import VECTOR, WHOLE, Shape, ensure, properties_of, thing_of
from adapters.weaviate_seals import Seals, Ticket
from processors.ports import Candidate, IndexObject, Vectors

if TYPE_CHECKING:
    from weaviate import WeaviateClient
    from weaviate.collections import Collection

__all__ = ["IndexSchemaError", "Shape", "WeaviateIndex", "WeaviateOptions"]

# What a server returns at most for one search (its QUERY_MAXIMUM_RESULTS).
_MOST_RESULTS: Final = 10_000
# Pages or patches in flight: enough to hide the way to the server and back, and what the client does meanwhile.
_AT_ONCE: Final = 4


class WeaviateIndex:
    """The Index port on Weaviate 1.38.8 or newer. Use it where several processes share an index, or it is large.

    >>> index = WeaviateIndex(WeaviateOptions("http://127.0.0.1:8080"), Shape("minilm", 384))  # doctest: +SKIP
    >>> index.upsert(objects)                                                          # doctest: +SKIP
    >>> index.search_text("acme", "leaky valve", 10, frozenset({"*"}))[0].score        # doctest: +SKIP
    6.8

    It connects at once where it can, else at its first use. Safe for threads; make it after a fork, never before.
    Text is scored by Weaviate's BM25 over the stems that the local index knows; vectors by inner product.
    Raises IndexUnavailableError where the server can't be reached or refuses writes, IndexSchemaError where it is too
    old or its collection is of another model or dimension, ValueError for a vector of another dimension.
    The server must index at once (its ASYNC_INDEXING off): what `upsert` wrote is then searchable when it returns.
    """

    def __init__(self, options: WeaviateOptions, shape: Shape) -> None:
        self._options, self.shape = options, shape
        self._seals = Seals(SystemIds().new())
        self._lock = threading.Lock()
        self._client: WeaviateClient | None = None
        self._closed = self._indexes_at_once = False
        self._workers = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="weaviate")
        try:
            self._connected()
        except IndexUnavailableError:
            # An outage pauses work, it does not end a process: the first use tries again.
            pass
        except BaseException:
            self.close()
            raise

    def upsert(self, objects: Sequence[IndexObject]) -> None:
        """Writes objects; when it returns they are durable and both searches find them."""
        by_tenant: defaultdict[str, dict[str, IndexObject]] = defaultdict(dict)
        for found in objects:
            if len(found.vector) != 4 * self.shape.dimension:
                raise ValueError(
                    f"wanted a vector of dimension {self.shape.dimension} ({4 * self.shape.dimension} bytes) for "
                    f"object {found.object_id!r}, got {len(found.vector)} bytes; embed it with {self.shape.model!r}"
                )
            by_tenant[found.tenant][object_uuid(found.object_id)] = found
        for tenant, latest in by_tenant.items():
            with self._seals.alone(tenant):
                self._write(tenant, latest)

    def remove(self, tenant: str, object_ids: Iterable[str]) -> int:
        """Forgets objects and says how many there were; an unknown id is no error."""
        gone = 0
        with self._held(tenant, "removing objects") as held:
            for page in pages(map(object_uuid, object_ids)):
                seen = rows(held, page, []).keys()
                gone += forget(held, list(seen)) if seen else 0
                # What is stored without the entry of its id no filter finds; by its id it is gone all the same.
                gone += sum(self._all(_taken, [(held, uuid) for uuid in page if uuid not in seen]))
        return gone

    def existing(self, tenant: str, object_ids: Iterable[str]) -> set[str]:
        """Those of the ids that are held in full, by every index; what no ended call wrote is not held."""
        ids = list(dict.fromkeys(object_ids))
        known: set[str] = set()
        with self._held(tenant, "asking for objects") as held:
            for page in pages(map(object_uuid, ids)):
                found = rows(held, page, MARKS)
                known |= found.keys() - set(doubtful(held, tenant, found, self._seals))
        return {name for name in ids if object_uuid(name) in known}

    def search_text(self, tenant: str, text: str, limit: int, access: frozenset[str]) -> list[Candidate]:
        """The best objects by BM25 over title, headings and text; any text is only words."""
        from weaviate.classes.query import MetadataQuery

        words = _first(stemmed(text))
        if not words or not access or limit <= 0:
            return []
        found: list[Any] = []
        with self._held(tenant, "searching by words") as held:
            found = held.query.bm25(
                " ".join(words), query_properties=["terms"], limit=min(limit, _MOST_RESULTS), filters=_readable(access),
                return_metadata=MetadataQuery(score=True), return_properties=WHOLE,
            ).objects  # fmt: skip
        return [Candidate(thing_of(row.properties), float(row.metadata.score)) for row in found]

    def search_vector(self, tenant: str, vector: Vectors, limit: int, access: frozenset[str]) -> list[Candidate]:
        """The nearest objects by inner product."""
        from weaviate.classes.query import MetadataQuery

        if vector.shape != (self.shape.dimension,):
            raise ValueError(f"wanted a vector of dimension {self.shape.dimension}, got one of shape {vector.shape}")
        if not access or limit <= 0:
            return []
        # What a quantised index says of distances is only nearly so: then the vectors come along. They are most of the
        # cost of a search.
        exactly: list[str] = [VECTOR] if self.shape.quantize else []
        found: list[Any] = []
        with self._held(tenant, "searching by vector") as held:
            found = held.query.near_vector(
                vector.tolist(), limit=min(limit, _MOST_RESULTS), filters=_readable(access),
                return_metadata=MetadataQuery(distance=True), return_properties=WHOLE, include_vector=exactly or False,
            ).objects  # fmt: skip
        scored = [Candidate(thing_of(row.properties), _product(row, vector)) for row in found]
        return sorted(scored, key=lambda candidate: -candidate.score)

    def set_access(self, tenant: str, object_ids: Iterable[str], access: tuple[str, ...]) -> None:
        """Patches the filter hint; no vector is touched, an unknown id is no error."""
        with self._held(tenant, "patching access") as held:
            for page in pages(map(object_uuid, object_ids)):
                found = rows(held, page, ["access"])
                stale = [uuid for uuid, row in found.items() if tuple(row.properties["access"] or ()) != access]
                # One that says so already, but is not found by it, was patched in part: the same again changes nothing.
                torn = unhinted(held, list(found.keys() - set(stale)), access) if len(stale) < len(found) else set()
                self._patch(held, list(torn), ())
                self._patch(held, [*stale, *torn], access)

    def walk(self, tenant: str | None = None) -> Iterator[IndexObject]:
        """Every object, of one tenant or of all, page by page; what changes meanwhile may be seen or not."""
        with speaking("listing tenants", self._options):
            held = self._connected().collections.use(self.shape.collection)
            names = sorted(held.tenants.get()) if tenant is None else [tenant_name(tenant)]
        for name in names:
            after = None
            while page := self._page(name, after):
                after = page[-1].uuid
                # Seals stand among the objects; they have no record.
                yield from (thing_of(row.properties, row.vector[VECTOR]) for row in page if row.properties["record"])

    def drop(self) -> None:
        """Deletes the collection with all it holds: a generation that is retired."""
        with speaking("dropping the collection", self._options):
            self._connected().collections.delete(self.shape.collection)

    def close(self) -> None:
        """Lets go of the connection."""
        with self._lock:
            client, self._client, self._closed = self._client, None, True
        self._workers.shutdown(wait=True, cancel_futures=True)
        if client is not None:
            client.close()

    def __enter__(self) -> WeaviateIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, tenant: str, latest: dict[str, IndexObject]) -> None:
        """One call: its objects page by page, several pages at a time, then its seal."""
        ticket = self._seals.begin(tenant)
        work = [({uuid: latest[uuid] for uuid in page}, ticket) for page in pages(latest)]
        try:
            if len(work) == 1:
                self._write_page(*work[0])
            else:
                self._all(self._write_page, work)
            self._insert(tenant, [_seal(ticket)])
        except BaseException:
            self._seals.failed(ticket)
            raise
        self._seals.done(ticket)

    def _write_page(self, page: dict[str, IndexObject], ticket: Ticket) -> None:
        """1. What is in doubt goes.  2. The objects are written.  3. What can't be found by its id is written anew."""
        tenant = ticket.tenant
        with self._held(tenant, "asking for objects") as held:
            stored = rows(held, list(page), MARKS)
            if torn := doubtful(held, tenant, stored, self._seals):
                forget(held, torn)
        self._insert(tenant, [_row(found, uuid, ticket) for uuid, found in page.items()])
        if lost := self._unseen(tenant, page):
            # A killed server stored them without the entry of their ids: no filter finds them, and no write mends them.
            with self._held(tenant, "removing what was stored in part") as held:
                for uuid in lost:
                    held.data.delete_by_id(uuid)
            self._insert(tenant, [_row(page[uuid], uuid, ticket) for uuid in lost])
            if lost := self._unseen(tenant, page):
                said = f"{len(lost)} of {len(page)} objects can't be found after they were written"
                raise unavailable("writing objects", said, self._options)
        if not self._indexes_at_once:
            self._require_indexed(tenant, page)

    def _insert(self, tenant: str, made: list[Any]) -> None:
        with speaking("writing objects", self._options):
            held = self._connected().collections.use(self.shape.collection).with_tenant(tenant_name(tenant))
            done = held.data.insert_many(made)
        if done.has_errors:
            said = next(iter(done.errors.values())).message
            raise unavailable(f"writing {len(made)} objects ({len(done.errors)} failed)", said, self._options)

    def _unseen(self, tenant: str, page: dict[str, IndexObject]) -> list[str]:
        seen: set[str] = set()
        with self._held(tenant, "asking for what was just written") as held:
            seen = set(rows(held, list(page), []))
        return sorted(page.keys() - seen)

    def _require_indexed(self, tenant: str, page: dict[str, IndexObject]) -> None:
        """Once per process: a server that puts vectors into a queue would acknowledge what can't be found yet."""
        vector = np.frombuffer(next(iter(page.values())).vector, "<f4").tolist()
        found: set[str] = set()
        with self._held(tenant, "searching what was just written") as held:
            found = searchable(held, list(page), vector)
        if len(found) < len(page):
            raise IndexSchemaError(
                f"wanted {len(page)} objects searchable once written, Weaviate at {self._options.url} finds "
                f"{len(found)}; set ASYNC_INDEXING=false there"
            )
        self._indexes_at_once = True

    def _patch(self, held: Collection[Any, Any], uuids: Sequence[str], access: tuple[str, ...]) -> None:
        from weaviate.exceptions import UnexpectedStatusCodeError

        def patch(uuid: str) -> None:
            try:
                held.data.update(uuid, properties={"access": list(access)})
            except UnexpectedStatusCodeError as error:
                # It was removed meanwhile.
                if error.status_code != 404:
                    raise

        self._all(patch, [(uuid,) for uuid in uuids])

    def _all(self, work: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Several at a time; when the first fails, what was not begun is left and what was begun is waited for.

        Never from inside such a work: all of them might wait for a place.
        """
        running = [self._workers.submit(work, *one) for one in arguments]
        try:
            return [done.result() for done in running]
        finally:
            for left in running:
                left.cancel()
            wait(running)

    def _page(self, name: str, after: Any) -> list[Any]:
        page: list[Any] = []
        with speaking("walking", self._options):
            held: Any = self._connected().collections.use(self.shape.collection)
            with _tenant_or_nothing(held, name):
                query = held.with_tenant(name).query
                page = query.fetch_objects(
                    limit=PAGE, after=after, return_properties=WHOLE, include_vector=[VECTOR]
                ).objects
        return page

    @contextmanager
    def _held(self, tenant: str, doing: str) -> Iterator[Any]:
        """The tenant's part of the collection; a tenant that was never written to holds nothing."""
        name = tenant_name(tenant)
        with speaking(doing, self._options):
            held = self._connected().collections.use(self.shape.collection)
            with _tenant_or_nothing(held, name):
                yield held.with_tenant(name)

    def _connected(self) -> WeaviateClient:
        with self._lock:
            if self._closed:
                raise IndexUnavailableError(
                    f"wanted the index at {self._options.url}, but it was closed; open it again"
                )
            if self._client is None:
                self._client = self._opened()
            return self._client

    def _opened(self) -> WeaviateClient:
        client = opened(self._options)
        try:
            with speaking("opening the collection", self._options):
                ensure(client, self.shape)
        except BaseException:
            client.close()
            raise
        return client


@contextmanager
def _tenant_or_nothing(held: Collection[Any, Any], name: str) -> Iterator[None]:
    """Lets what failed because there is no such tenant end quietly."""
    from weaviate.exceptions import WeaviateBaseError

    try:
        yield
    except WeaviateBaseError as error:
        # The words come first: another thread may have made the tenant since.
        if "tenant not found" not in str(error).lower() and held.tenants.exists(name):
            raise


def _row(found: IndexObject, uuid: str, ticket: Ticket) -> Any:
    from weaviate.classes.data import DataObject

    vector: list[float] = np.frombuffer(found.vector, "<f4").tolist()
    return DataObject(properties_of(found, ticket.writer, ticket.call), uuid, {VECTOR: vector})


def _product(row: Any, vector: Vectors) -> float:
    """The inner product: of the vector that came along, else what the server computed, which calls it a distance."""
    if VECTOR in row.vector:
        return float(np.asarray(row.vector[VECTOR], np.float32) @ vector)
    return -float(row.metadata.distance)


def _taken(held: Collection[Any, Any], uuid: str) -> bool:
    return bool(held.data.exists(uuid)) and bool(held.data.delete_by_id(uuid))


def _seal(ticket: Ticket) -> Any:
    from weaviate.classes.data import DataObject

    return DataObject({"writer": ticket.writer, "call": ticket.call}, seal_uuid(ticket.writer))


def _readable(access: frozenset[str]) -> Any:
    from weaviate.classes.query import Filter

    return Filter.by_property("access").contains_any(sorted(access))


def _first(words: Sequence[str]) -> list[str]:
    """The first different words, with their repetitions: a pasted document says at its beginning what it is about."""
    known = set(list(dict.fromkeys(words))[:MAX_TERMS])
    return [word for word in words if word in known][:_MOST_RESULTS]
