"""Ingest: from a changed document to its receipt. Read from top to bottom."""

from __future__ import annotations

from typing import Final

from processors.ingest.capture import capture
from processors.ingest.chunk import chunk
from processors.ingest.embed import embed, remember
from processors.ingest.erase import erase
from processors.ingest.index import fold, index
from processors.ingest.keep import keep
from processors.ingest.parse import parse
from processors.ingest.redact import redact
from processors.ingest.settle import settle
from processors.ingest.survey import survey
from streams.hop import BatchLimits, Hop, Journey
from streams.metrics import observe_freshness
from streams.redaction import observe_redactions
from topics.ingest import (
    ACCESS_CHANGED,
    CHUNK_CREATED,
    CHUNK_EMBEDDED,
    DOCUMENT_CHANGED,
    DOCUMENT_ERASED,
    DOCUMENT_HEAD,
    DOCUMENT_INDEXED,
    DOCUMENT_PARSED,
    DOCUMENT_REDACTED,
    EMBEDDING_COMPUTED,
    ERASURE_PLANNED,
    ERASURE_REQUESTED,
    MEMORY_KEPT,
    SOURCE_CHANGES,
)

# A forward pass takes a hundredth of a second per text: more in one batch would only make the first of them wait.
EMBED_BATCH: Final = BatchLimits(records=256)

# Reading happens in processes of its own, of which there are two unless settings say more.
AT_ONCE: Final = 2

# Each erasure reads whole topics: a batch must end before anybody thinks that it hangs.
FEW: Final = BatchLimits(records=10)

INGEST: Final = Journey(
    "ingest",
    [
        # the source's record in our words; versions make a repeat harmless, so it saves itself a transaction
        Hop((SOURCE_CHANGES,), capture, (DOCUMENT_CHANGED, ACCESS_CHANGED), exactly_once=False),
        # what a user wants kept, as a document of theirs alone
        Hop(
            (MEMORY_KEPT,),
            keep,
            (DOCUMENT_CHANGED, ERASURE_REQUESTED, MEMORY_KEPT),
            waits_for=("memories",),
        ),
        # bytes become blocks with offsets
        Hop((DOCUMENT_CHANGED,), parse, (DOCUMENT_PARSED,), at_once=AT_ONCE, ahead=True),
        # a rebuild replays from here
        Hop((DOCUMENT_PARSED,), redact, (DOCUMENT_REDACTED,), committed=observe_redactions),
        # the last event closes the version
        Hop((DOCUMENT_REDACTED,), chunk, (CHUNK_CREATED,)),
        # only what was never computed before; of what is being committed right now some may be computed twice, and is
        # the same
        Hop(
            (CHUNK_CREATED,),
            embed,
            (CHUNK_EMBEDDED, EMBEDDING_COMPUTED),
            limits=EMBED_BATCH,
            committed=remember,
            waits_for=("embedding_cache",),
            ahead=True,
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
        # what there is of a document to be erased, before anything is removed; its delete goes the way of every change
        Hop((ERASURE_REQUESTED,), survey, (DOCUMENT_CHANGED, ERASURE_PLANNED), limits=FEW, waits_for=("serving",)),
        # every store emptied and read back, then the receipt
        Hop((ERASURE_PLANNED,), erase, (DOCUMENT_ERASED, ERASURE_REQUESTED), limits=FEW, waits_for=("serving",)),
    ],
    # One transaction instead of five between a change and its head; every topic between them is written all the same.
    fused=[("parse", "redact", "chunk", "embed", "index")],
)
