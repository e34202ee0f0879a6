"""CocoIndex over a sequence of states of one document: which texts its memoised embedder was called with.

Runs in the peer's own environment. Reads JSON from stdin (`states`, `chunk_chars`, `overlap_chars`), writes JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

folder = Path(tempfile.mkdtemp(prefix="edits-cocoindex-"))
os.environ["COCOINDEX_DB"] = str(folder / "state")
os.environ["COCOINDEX_DISABLE_USAGE_TRACKING"] = "1"

import cocoindex as coco  # noqa: E402  # it reads the folder of its state when it is imported
from cocoindex.ops.text import RecursiveSplitter  # noqa: E402

asked: dict[str, Any] = json.load(sys.stdin)
calls = 0
chunks_of_last = 0
splitter = RecursiveSplitter()


@coco.fn(memo=True)  # type: ignore[untyped-decorator, unused-ignore]
async def embed(text: str) -> list[float]:
    global calls
    calls += 1
    return [float(len(text))]


async def handled(text: str) -> None:
    global chunks_of_last
    chunks = splitter.split(
        text, chunk_size=asked["chunk_chars"], chunk_overlap=asked["overlap_chars"], language="markdown"
    )
    chunks_of_last = len(chunks)
    for chunk in chunks:
        await embed(chunk.text)


async def main() -> None:
    await handled((folder / "document.md").read_text(encoding="utf-8"))


app = coco.App(coco.AppConfig(name="edits"), main)
counts = []
for state in asked["states"]:
    (folder / "document.md").write_text(state, encoding="utf-8")
    before = calls
    app.update_blocking()
    counts.append(calls - before)
print(json.dumps({"counts": counts, "chunks": chunks_of_last, "version": coco.__version__}))
