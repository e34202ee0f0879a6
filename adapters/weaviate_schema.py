"""What a collection of Weaviate looks like here: its properties, its indexes, and an object as a row of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import numpy as np

from adapters.keyword_index import stemmed
from adapters.weaviate_connection import IndexSchemaError, WeaviateOptions, opened, speaking
from adapters.weaviate_names import collection_name
from processors.ports import IndexObject
from schemas.documents import Chunk
from schemas.envelope import Version

if TYPE_CHECKING:
    from weaviate import WeaviateClient
    from weaviate.classes.config import Property

__all__ = ["VECTOR", "WHOLE", "Shape", "drop", "ensure", "properties_of", "thing_of"]

VECTOR: Final = "chunk"
WHOLE: Final = ["title", "body", "source_uri", "document", "access", "record"]
_LAYOUT: Final = 1


@dataclass(frozen=True)
class Shape:
    """One generation of a corpus: what its collection is called and what its vectors are.

    `kind`: `hnsw` grows with the logarithm of the objects, `flat` compares with all of them. `quantize` keeps one byte
    per dimension in memory.
    """

    model: str
    dimension: int
    corpus: str = "main"
    generation: str = "g1"
    kind: Literal["hnsw", "flat"] = "hnsw"
    quantize: bool = False

    @property
    def collection(self) -> str:
        """The physical collection."""
        return collection_name(self.corpus, self.generation)

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for a collection to be used again."""
        return {
            "headwater": _LAYOUT, "corpus": self.corpus, "generation": self.generation,
            "model": self.model, "dimension": self.dimension,
        }  # fmt: skip


class _Rest(msgspec.Struct, array_like=True, frozen=True):
    """What nobody filters by, whole: numbers of any size survive as they don't in Weaviate's own numbers."""

    object_id: str
    tenant: str
    version: Version
    chunk: Chunk


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(_Rest)


def ensure(client: WeaviateClient, shape: Shape) -> None:
    """Creates the collection, or makes sure that the one there is ours. Raises IndexSchemaError where it is not."""
    from weaviate.exceptions import UnexpectedStatusCodeError

    if not client.collections.exists(shape.collection):
        try:
            _create(client, shape)
        except UnexpectedStatusCodeError:
            # Another process may have made it meanwhile; what is there now is looked at all the same.
            if not client.collections.exists(shape.collection):
                raise
    found = client.collections.use(shape.collection).config.get()
    try:
        identity = msgspec.json.decode(found.description or "")
    except msgspec.DecodeError:
        identity = found.description
    if identity != shape.identity or not found.multi_tenancy_config.enabled:
        raise IndexSchemaError(
            f"wanted the collection {shape.collection!r} to be {shape.identity}, it is {identity}; "
            "models and dimensions are never mixed: build another generation (index.generation), or delete that one"
        )


def drop(options: WeaviateOptions, corpus: str, generation: str) -> bool:
    """Deletes the collection of a generation that is retired, and says whether there was one; makes none first.

    Raises IndexUnavailableError where the server can't be reached.
    """
    name = collection_name(corpus, generation)
    client = opened(options)
    try:
        with speaking("dropping a collection", options):
            was_there = bool(client.collections.exists(name))
            client.collections.delete(name)
    finally:
        client.close()
    return was_there


def properties_of(found: IndexObject, writer: str, call: int) -> dict[str, Any]:
    """An object as a row; `writer` and `call` say which write it was part of (`weaviate_seals.py`)."""
    chunk = msgspec.structs.replace(found.chunk, text="")
    rest = _Rest(found.object_id, found.tenant, found.version, chunk)
    return {
        # The words that find it, stemmed, as in the local index: title, headings and text.
        "terms": " ".join(stemmed("\n".join((found.title, *found.chunk.heading_path, found.chunk.text)))),
        "access": list(found.access),
        "document": found.document,
        "title": found.title,
        "body": found.chunk.text,
        "source_uri": found.source_uri,
        "record": _ENCODER.encode(rest).decode(),
        "writer": writer,
        "call": call,
    }


def thing_of(row: Mapping[str, Any], vector: Sequence[float] = ()) -> IndexObject:
    """A row as an object again, with the vector that came along."""
    rest = _DECODER.decode(row["record"])
    return IndexObject(
        object_id=rest.object_id,
        tenant=rest.tenant,
        document=row["document"],
        version=rest.version,
        title=row["title"] or "",
        source_uri=row["source_uri"] or "",
        access=tuple(row["access"] or ()),
        chunk=msgspec.structs.replace(rest.chunk, text=row["body"] or ""),
        vector=np.asarray(vector, "<f4").tobytes(),
    )


def _create(client: WeaviateClient, shape: Shape) -> None:
    from weaviate.classes.config import Configure, StopwordsPreset, VectorDistances

    index = Configure.VectorIndex
    kind = index.hnsw if shape.kind == "hnsw" else index.flat
    quantizer = index.Quantizer.rq(bits=8) if shape.quantize else index.Quantizer.none()
    client.collections.create(
        shape.collection,
        description=_ENCODER.encode(shape.identity).decode(),
        properties=_properties(),
        multi_tenancy_config=Configure.multi_tenancy(enabled=True, auto_tenant_creation=True),
        # The local index drops no words either; what weighs little, BM25 knows.
        inverted_index_config=Configure.inverted_index(stopwords_preset=StopwordsPreset.NONE),
        vector_config=Configure.Vectors.self_provided(
            name=VECTOR,
            # Of vectors of length 1 it is the cosine, and no vector is changed on its way in.
            vector_index_config=kind(distance_metric=VectorDistances.DOT, quantizer=quantizer),
        ),
    )


def _properties() -> list[Property]:
    """Searched: stems. Filtered: whole values. The rest is only kept."""
    from weaviate.classes.config import DataType, Property, Tokenization

    def text(name: str, kind: DataType = DataType.TEXT, *, filtered: bool = False) -> Property:
        return Property(
            name=name, data_type=kind, tokenization=Tokenization.FIELD,
            index_filterable=filtered, index_searchable=False,
        )  # fmt: skip

    stems = Property(
        name="terms", data_type=DataType.TEXT, tokenization=Tokenization.WHITESPACE,
        index_filterable=False, index_searchable=True,
    )  # fmt: skip
    kept = [text(name) for name in ("title", "body", "source_uri", "record", "writer")]
    call = Property(name="call", data_type=DataType.INT, index_filterable=False, index_range_filters=False)
    return [stems, text("access", DataType.TEXT_ARRAY, filtered=True), text("document", filtered=True), *kept, call]
