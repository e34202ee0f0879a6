"""The models that read text in this process, as the settings name them: MiniLM's, or what needs no model."""

from __future__ import annotations

from typing import Final

from adapters.hashing_embedder import HashingEmbedder
from adapters.overlap_ranker import OverlapRanker
from processors.answer.reader import RuleReader, SpanReader
from processors.ports import Embedder, Ranker
from streams.settings import Settings

__all__ = ["embedder_of", "ranker_of", "span_reader_of"]

_NO_MODEL: Final = "hashing"


def embedder_of(settings: Settings) -> Embedder:
    """The embedder, loaded and run once."""
    embed = settings.embed
    if embed.model == _NO_MODEL:
        return HashingEmbedder(embed.dimension)
    from adapters.sentence_transformers import SentenceTransformerEmbedder

    model = SentenceTransformerEmbedder(batch=embed.batch, threads=embed.threads)
    model.warm()
    return model


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
