"""The product with the vectors it is given, as peers are: `given.py FOLDER run STEP…` is a worker whose texts' vectors
are looked up and not computed; other commands are Headwater's own."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from adapters.sentence_transformers import SentenceTransformerEmbedder
from adapters.token_vectors import TokenVectors
from bench.peers.material import vectors_in
from headwater.cli.main import main as headwater
from processors.ports import Embedder, Vectors
from streams.parts import Parts
from streams.selection import select
from streams.settings import Settings, load
from streams.worker import Worker

__all__ = ["GivenEmbedder", "GivenParts"]

RUN: Final = "run"


class GivenEmbedder:
    """The model, whose vectors of known texts are given. What ranking needs of it, it computes as ever."""

    def __init__(self, given: Mapping[str, Vectors], inner: SentenceTransformerEmbedder) -> None:
        self._given, self._inner = given, inner

    @property
    def model(self) -> str:
        return self._inner.model

    @property
    def dimension(self) -> int:
        return self._inner.dimension

    def count(self, text: str) -> int:
        return self._inner.count(text)

    def embed(self, texts: Sequence[str]) -> Vectors:
        if not texts or any(text not in self._given for text in texts):
            return self._inner.embed(texts)
        return np.stack([self._given[text] for text in texts])

    def token_vectors(self, texts: Sequence[str]) -> list[TokenVectors]:
        return self._inner.token_vectors(texts)


class GivenParts(Parts):
    """Everything as the settings say, but the vectors."""

    def __init__(self, settings: Settings, folder: Path, inner: SentenceTransformerEmbedder | None = None) -> None:
        super().__init__(settings)
        self._folder = folder
        self._inner = inner or SentenceTransformerEmbedder()

    def _embedder(self) -> Embedder:
        self._inner.warm()
        return GivenEmbedder(vectors_in(self._folder), self._inner)


def main() -> int:
    """A worker, or whatever Headwater's own command makes of the words."""
    folder, command, *words = sys.argv[1:]
    if command != RUN:
        sys.argv[1:] = [command, *words]
        headwater()
        return 0
    settings = load()
    return Worker(settings, select(tuple(words)), GivenParts(settings, Path(folder))).run_as_process()


if __name__ == "__main__":
    sys.exit(main())
