"""Ingest: from a changed document to its receipt. Read from top to bottom."""

from __future__ import annotations

from typing import Final

from processors.ingest.capture import capture
from processors.ingest.chunk import chunk
from processors.ingest.embed import embed, remember
from processors.ingest.index import fold, index
from processors.ingest.parse import parse
from processors.ingest.redact import redact
from processors.ingest.settle import settle
from streams.hop import BatchLimits, Hop, Journey
from streams.metrics import observe_freshness
from topics.ingest import (
    ACCESS_CHANGED,
    CHUNK_CREATED,
    CHUNK_EMBEDDED,
    DOCUMENT_CHANGED,
    DOCUMENT_HEAD,
    DOCUMENT_INDEXED,
    DOCUMENT_PARSED,
    DOCUMENT_REDACTED,
    EMBEDDING_COMPUTED,
    SOURCE_CHANGES,
)

# A forward pass takes a hundredth of a second per text: more in one batch would only make the first of them wait.
EMBED_BATCH: Final = BatchLimits(records=256)

INGEST: Final = Journey(
    "ingest",
    [
        # the source's record in our words
        Hop((SOURCE_CHANGES,), capture, (DOCUMENT_CHANGED, ACCESS_CHANGED)),
        # bytes become blocks with offsets
        Hop((DOCUMENT_CHANGED,), parse, (DOCUMENT_PARSED,)),
        # a rebuild replays from here
        Hop((DOCUMENT_PARSED,), redact, (DOCUMENT_REDACTED,)),
        # the last event closes the version
        Hop((DOCUMENT_REDACTED,), chunk, (CHUNK_CREATED,)),
        # only what was never computed before
        Hop(
            (CHUNK_CREATED,),
            embed,
            (CHUNK_EMBEDDED, EMBEDDING_COMPUTED),
            limits=EMBED_BATCH,
            committed=remember,
            waits_for=("embedding_cache",),
        ),
        # objects first, then the head that lists them
        Hop(
            (CHUNK_EMBEDDED, ACCESS_CHANGED),
            index,
            (DOCUMENT_HEAD, DOCUMENT_INDEXED),
            committed=fold,
            waits_for=("heads",),
        ),
        # the view, then what nobody lists any more, then the receipt
        Hop(
            (DOCUMENT_HEAD,),
            settle,
            (DOCUMENT_INDEXED,),
            committed=observe_freshness,
            waits_for=("heads", "duplicates"),
        ),
    ],
    # One transaction instead of five between a change and its head; every topic between them is written all the same.
    fused=[("parse", "redact", "chunk", "embed", "index")],
)
