"""LangChain's own retrievers over the chunks of a folder, in this process: the ways are named by the first argument.

Runs in the peer's environment. Prints one JSON object.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from langchain_classic.retrievers import EnsembleRetriever
from langchain_community.retrievers import BM25Retriever
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from bench.peers.asking import TOP, fresh, measured

way, folder = sys.argv[1], Path(sys.argv[2])
edited, gate = sys.argv[3:]


def read(name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


texts = read("texts")
given: dict[str, list[float]] = dict(zip(texts, np.load(folder / "vectors.npy").tolist(), strict=True))
chunks: dict[str, str] = read("chunks")


class Given(Embeddings):  # type: ignore[misc]  # the peer is not installed here
    """Vectors that were computed before."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [given[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return given[text]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def by_words() -> Any:
    documents = [Document(page_content=text, metadata={"id": name}) for name, text in chunks.items()]
    if way == "ensemble":
        return BM25Retriever.from_documents(documents, k=TOP)
    return BM25Retriever.from_documents(documents, k=TOP, preprocess_func=words)


def joined() -> Any:
    dense = store.as_retriever(search_kwargs={"k": TOP})
    if way == "dense":
        return dense
    return EnsembleRetriever(retrievers=[by_words(), dense], weights=[0.5, 0.5])


def ask(question: str) -> list[str]:
    return [found.metadata["id"] for found in retriever.invoke(question)]


def change(number: int) -> None:
    """A store that is edited: the old chunk out, the new one in; BM25Retriever has neither, so it is built again."""
    global retriever
    if edited in chunks:
        store.delete([edited])
    chunks[edited] = edits[number]
    store.add_texts([edits[number]], metadatas=[{"id": edited}], ids=[edited])
    retriever = joined()


def arrived(number: int) -> bool:
    return any(found.page_content == edits[number] for found in retriever.invoke(gate))


edits = read("edits")
store = FAISS.from_texts(list(chunks.values()), Given(), metadatas=[{"id": name} for name in chunks], ids=list(chunks))
retriever = joined()
row = measured(ask, read("judged"), read("others"))
row["fresh_ms"] = fresh(change, arrived, len(edits))
row["versions"] = {
    name: version(name) for name in ("langchain-core", "langchain-classic", "langchain-community", "faiss-cpu")
}
print(json.dumps(row))
