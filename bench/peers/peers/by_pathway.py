"""Pathway's DocumentStore over the chunks of a folder, served over HTTP until it is stopped; edits come as lines.

Runs in the peer's environment. `hybrid` and `dense` are served by Pathway's DocumentStoreServer, which answers every
50 ms; `hybrid-1ms` by the same endpoint of its REST connector with a commit every millisecond.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pathway as pw
from pathway.stdlib.indexing import BruteForceKnnFactory, HybridIndexFactory, TantivyBM25Factory
from pathway.xpacks.llm.document_store import DocumentStore
from pathway.xpacks.llm.servers import DocumentStoreServer

way, folder, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])


def read(name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def plain(text: str) -> str:
    """The words alone: its query parser refuses other marks, which ends the server."""
    return " ".join(re.findall(r"\w+", text.lower()))


given = {plain(text): vector for text, vector in zip(read("texts"), np.load(folder / "vectors.npy"), strict=True)}


class Chunk(pw.Schema):  # type: ignore[misc]  # the peer is not installed here
    name: str = pw.column_definition(primary_key=True)
    data: bytes
    _metadata: pw.Json


class Chunks(pw.io.python.ConnectorSubject):  # type: ignore[misc]  # as above
    """The chunks at once, then each edit as it comes."""

    def run(self) -> None:
        for name, text in read("chunks").items():
            self.put(name, text)
        self.commit()
        for line in sys.stdin:
            self.put(*json.loads(line))
            self.commit()

    def put(self, name: str, text: str) -> None:
        now = int(time.time())
        self.next(name=name, data=text.encode(), _metadata={"path": name, "modified_at": now, "seen_at": now})


@pw.udf(deterministic=True)  # type: ignore[untyped-decorator]
def embed(text: str) -> np.ndarray[Any, Any]:
    """The vector that was computed before."""
    vector: np.ndarray[Any, Any] = given[plain(text)]
    return vector


dense = BruteForceKnnFactory(dimensions=384, embedder=embed)
factory = dense if way == "dense" else HybridIndexFactory([dense, TantivyBM25Factory()])
store = DocumentStore(pw.io.python.read(Chunks(), schema=Chunk, autocommit_duration_ms=20), retriever_factory=factory)
if way == "hybrid-1ms":
    queries, writer = pw.io.http.rest_connector(
        webserver=pw.io.http.PathwayWebserver(host="127.0.0.1", port=port),
        route="/v1/retrieve",
        schema=store.RetrieveQuerySchema,
        autocommit_duration_ms=1,
        delete_completed_queries=False,
        methods=("GET", "POST"),
    )
    writer(store.retrieve_query(queries))
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
else:
    DocumentStoreServer("127.0.0.1", port, store).run(with_cache=False)
