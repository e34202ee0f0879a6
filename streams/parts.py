"""The ports of this deployment, by the names under which steps ask for them: built when first asked, closed together.

The one place that chooses implementations. Add a port by adding a method of its name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from importlib import metadata
from typing import Any, Final

from adapters.erasables import KeptAnswers, SessionTurns
from adapters.folder_claims import FolderClaims
from adapters.heads_view import MemoryHeads
from adapters.host import SystemClock, SystemIds
from adapters.index_manifest import check_manifest
from adapters.judges import EmbeddingJudge
from adapters.local_index import LocalIndex
from adapters.memory import DictEmbeddingCache
from adapters.model_gateway import ModelGateway
from adapters.near_duplicates import MemoryDuplicates, MinHashSigner
from adapters.prompts import FilePrompts, prompts_in
from adapters.schema_registry import ConfluentSchemaIds, MemorySchemaIds
from processors.answer.admit import AdmitLimits
from processors.answer.caching import Answers
from processors.answer.check import AnswerBar
from processors.answer.edition import Edition
from processors.answer.kept import AnswerCache
from processors.answer.ladder import Ladder
from processors.answer.limits import RetrievalLimits
from processors.answer.outlet import Outlet
from processors.answer.reader import SpanReader
from processors.answer.sessions import Sessions
from processors.answer.verifying import Verifier
from processors.answer.writing import ExtractiveWriter, Writer
from processors.ingest.capture import SourceMapping
from processors.ingest.erasing import Erasable
from processors.ingest.generations import Identity
from processors.ingest.memories import MemoryLimits
from processors.ingest.policies import RedactionPolicy
from processors.ingest.regenerate import Materials
from processors.ingest.strategies import SplitterByType
from processors.measure.prices import LOCAL_PRICES, Prices
from processors.ports import Embedder, FollowedHeads, Index, Parser, Ranker
from schemas.codec import Codec
from schemas.documents import DocumentHead
from schemas.envelope import Event
from streams.answer_memory import answers_of, cache_of, forget_swapped, vectors_of
from streams.build_pace import BuildPace
from streams.cancellations import LONGEST_S, Cancelled
from streams.committed_heads import committed_heads
from streams.computed_vectors import ComputedVectors
from streams.editions import edition_of
from streams.erasing import BURIED, ClaimBodies, DeadLetters, Embeddings, TopicRecords
from streams.erasure_log import ClusterErasureLog
from streams.follow import Follower
from streams.follow_heads import HeadsFollower
from streams.generations import Generations
from streams.hop import AnyTopic
from streams.keyed_log import KeyedLog
from streams.living import LivingHeads, LivingStores
from streams.load_gauge import LoadGauge
from streams.memory_view import MemoryView
from streams.models import gateway_of, ladder_of, writer_of
from streams.outlet import outlet_of
from streams.parsing import parser_of, splitter_of
from streams.reading import Reader
from streams.rebuild import mend, missing, newest_redacted
from streams.redaction import redaction_policy
from streams.session_stores import sessions_of
from streams.settings import Settings
from streams.standing import StandingWatch
from streams.standing_views import AnsweredView, StandingView
from streams.text_models import embedder_of, ranker_of, span_reader_of
from streams.verifying import verifier_of
from topics.answer import QUERY_CANCELLED, QUESTION_ANSWERED, QUESTION_STANDING
from topics.ingest import DOCUMENT_HEAD, DOCUMENT_REDACTED, EMBEDDING_COMPUTED, INDEX_GENERATION, MEMORY_KEPT

# Views that fold a compacted topic and drop what a tombstone names.
_VIEWED: Final[dict[str, AnyTopic]] = {
    "questions": QUESTION_STANDING,
    "answered": QUESTION_ANSWERED,
    "memories": MEMORY_KEPT,
}


class Parts:
    """Ports by name. `port("heads")` builds it at the first call; `open` makes its view follow the log.

    >>> from streams.settings import load
    >>> Parts(load()).port("generation")
    'g1'
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._built: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._followers: dict[str, Follower] = {}

    @property
    def version(self) -> str:
        return metadata.version("headwater")

    @cached_property
    def codec(self) -> Codec:
        registry = self.settings.registry
        return Codec(ConfluentSchemaIds(registry.url, registry.auto_register), again=(DOCUMENT_HEAD.events,))

    @staticmethod
    def memory_codec() -> Codec:
        """A codec without a registry: for journeys in memory."""
        return Codec(MemorySchemaIds())

    def port(self, name: str) -> Any:
        """The port of a name. Raises KeyError with the names there are."""
        with self._lock:
            if name not in self._built:
                build = getattr(self, f"_{name}", None)
                if build is None:
                    raise KeyError(f"no port is called {name!r}; add a method _{name} to streams/parts.py")
                self._built[name] = build()
            return self._built[name]

    def has(self, name: str) -> bool:
        """Whether a port was asked for already."""
        return name in self._built

    def followers(self, names: Iterable[str]) -> tuple[Follower, ...]:
        return tuple(self._followers[name] for name in sorted(names))

    def open(self, names: set[str], mending: bool = True) -> None:
        """Follows the views of these names; heads open once caught up, and a damaged index is mended unless told not
        to."""
        if "serving" in names and self.follow_generations().own_lives:
            names = names | {"heads"}
        for name in sorted(names - self._followers.keys()):
            self._followers[name] = self._follow(name)
            self._followers[name].start()
        if "heads" in names:
            self._open_heads(mending)
        if "serving" in names:
            self.port("serving").open()

    def follow_generations(self) -> Generations:
        """The index generations as the log has them now, followed from here on."""
        generations: Generations = self.port("serving")
        if "serving" not in self._followers:
            self._followers["serving"] = self._follow("serving")
            self._followers["serving"].start()
        self._followers["serving"].catch_up(self.settings.worker.start_s)
        return generations

    def close(self) -> None:
        for follower in self._followers.values():
            follower.stop()
        for built in self._built.values():
            if hasattr(built, "close"):
                built.close()

    def _open_heads(self, mending: bool = True) -> None:
        self._followers["heads"].catch_up(self.settings.worker.start_s)
        if mending and (lost := missing(self.port("heads").walk(), self.port("store"))):
            with Reader(self.settings.kafka, self.codec, self.port("clock")) as reader:
                mend(self, lost, newest_redacted(reader.read(DOCUMENT_REDACTED.name)))

    def _follow(self, name: str) -> Follower:
        where = (self.codec, self.settings.kafka, self.port("clock"))
        if name == "heads":
            follower = HeadsFollower(self.port("heads"), *where)
            follower.folded = self._swapped
            return follower
        if name in _VIEWED:
            view = self.port(name)
            told = Follower(_VIEWED[name], view.fold, *where)
            told.dropped = view.drop
            return told
        if name == "cancellations":
            fold = self.port("cancellations").fold
            return Follower(QUERY_CANCELLED, fold, *where, LONGEST_S)
        if name == "serving":
            return Follower(INDEX_GENERATION, self.port("serving").fold, *where)
        if name == "duplicates":
            return Follower(DOCUMENT_HEAD, self._fold_duplicate(), *where)
        computed = ComputedVectors(self.port("embedding_cache"), self.port("embedder").model)
        vectors = Follower(EMBEDDING_COMPUTED, computed.fold, *where)
        vectors.dropped, vectors.known = computed.drop, computed.knows
        return vectors

    def _swapped(self, heads: list[DocumentHead]) -> None:
        """What rests on these documents has to hear of it, once the view has their heads."""
        if self.settings.cache.kind != "none":
            forget_swapped(self.port("answers"), heads)
        if self.has("standing"):
            self.port("standing").changed(heads)

    def _fold_duplicate(self) -> Callable[[Event], None]:
        duplicates, generation = self.port("duplicates"), self.port("generation")

        def fold(event: Event) -> None:
            if isinstance(event, DocumentHead) and event.generation == generation:
                duplicates.fold(event)

        return fold

    def _clock(self) -> SystemClock:
        return SystemClock()

    def _ids(self) -> SystemIds:
        return SystemIds()

    def _generation(self) -> str:
        return self.settings.index.generation

    def _heads(self) -> FollowedHeads:
        heads, generation = self.settings.heads, self.port("generation")
        if heads.kind == "memory":
            return MemoryHeads(generation)
        from adapters.redis_heads import RedisHeads, RedisOptions

        return RedisHeads(RedisOptions(heads.url, heads.timeout_s), generation, self.port("ids"))

    def _store(self) -> Index:
        chosen, generation = self.settings.index, self.port("generation")
        if chosen.kind == "local":
            folder = chosen.folder / generation
            check_manifest(folder, self.identity())
            return LocalIndex(folder)
        from adapters.weaviate_index import Shape, WeaviateIndex, WeaviateOptions

        embedder = self.port("embedder")
        shape = Shape(embedder.model, embedder.dimension, chosen.corpus, generation)
        return WeaviateIndex(WeaviateOptions(chosen.url, chosen.grpc_port, chosen.api_key), shape)

    def identity(self) -> Identity:
        """What this process would write into the index, as far as it has built it."""
        embedder, splitter = self._built.get("embedder"), self._built.get("splitter")
        return Identity(
            embedder.model if embedder else "",
            embedder.dimension if embedder else 0,
            splitter.fingerprint if splitter else "",
        )

    def _serving(self) -> Generations:
        # It extends this class, so it can't be there before.
        from streams.generation_parts import GenerationParts

        return Generations(self, lambda registered: GenerationParts(self, registered))

    def _materials(self) -> Materials:
        """The ports of this generation, for the step that makes one from redacted documents."""
        names = ("generation", "splitter", "embedder", "embedding_cache", "store", "heads", "clock")
        return Materials(**{name: self.port(name) for name in names})

    def _parser(self) -> Parser:
        return parser_of(self.settings.parse)

    def _mapping(self) -> SourceMapping:
        sources = self.settings.sources
        return SourceMapping(sources.tables, sources.topics, self.codec.decode_foreign)

    def _heads_of(self) -> Callable[[str], list[DocumentHead]]:
        return committed_heads(self.settings, self.codec, self.port("clock"))

    def _claims(self) -> FolderClaims:
        return FolderClaims(self.settings.claims_folder)

    def _keyed_log(self) -> KeyedLog:
        return KeyedLog(self.settings.kafka, self.codec, self.port("clock"))

    def _build_pace(self) -> BuildPace:
        return BuildPace(self.port("serving"), self.port("clock"), self.settings.index.build_share)

    def _lives(self) -> LivingHeads:
        return LivingHeads(self.port("serving"))

    def _erasables(self) -> LivingStores:
        """What forgets a document, in the order in which it does: the index of every generation, then what they share.
        A store that may hold something of a document joins here."""
        log, cache, sessions = self.port("keyed_log"), self.port("answer_cache"), self.port("sessions")
        shared: tuple[Erasable, ...] = (
            *([] if cache is None else [KeptAnswers(cache)]),
            *([] if sessions is None else [SessionTurns(sessions)]),
            ClaimBodies(log, self.port("claims")),
            Embeddings(log, self.port("embedding_cache")),
            *(TopicRecords(topic, log) for topic in BURIED),
            DeadLetters(log),
        )
        return LivingStores(self.port("serving"), shared)

    def _erasure_log(self) -> ClusterErasureLog:
        return ClusterErasureLog(self.settings, self.port("keyed_log"), self.port("clock"))

    def _embedding_cache(self) -> DictEmbeddingCache:
        return DictEmbeddingCache()

    def _redaction(self) -> RedactionPolicy:
        return redaction_policy(self.settings.redaction)

    def _splitter(self) -> SplitterByType:
        return splitter_of(self.settings.chunking, self.port("embedder"))

    def _signer(self) -> MinHashSigner:
        signer = MinHashSigner()
        signer.warm()
        return signer

    def _duplicates(self) -> MemoryDuplicates:
        return MemoryDuplicates()

    def _cancellations(self) -> Cancelled:
        return Cancelled(self.port("clock"))

    def _limits(self) -> AdmitLimits:
        chosen = self.settings
        return AdmitLimits(chosen.gateway.max_question_chars, frozenset(chosen.tenants), chosen.retrieve.fields())

    def _retrieval(self) -> RetrievalLimits:
        limits, scope, asked = self.settings.retrieve.limits(), self.settings.scope.scope(), vectors_of(self.settings)
        return replace(limits, scope=scope, asked=asked, recalled=self.settings.memory.recalled)

    def _answer_cache(self) -> AnswerCache | None:
        return cache_of(self)

    def _answers(self) -> Answers:
        return answers_of(self)

    def _questions(self) -> StandingView:
        return StandingView(self.settings.standing.per_tenant)

    def _answered(self) -> AnsweredView:
        return AnsweredView()

    def _standing(self) -> StandingWatch:
        views = (self.port("questions"), self.port("answered"))
        serving, retrieval, clock = self.port("serving"), self.port("retrieval"), self.port("clock")
        return StandingWatch(views, serving, retrieval, clock, self.settings.standing)

    def _sessions(self) -> Sessions | None:
        return sessions_of(self)

    def _memories(self) -> MemoryView:
        return MemoryView(self.settings.memory.per_user)

    def _keeping(self) -> MemoryLimits:
        return self.settings.memory.limits()

    def _prompts(self) -> FilePrompts:
        return FilePrompts(prompts_in(self.settings.generate.prompts), self.port("embedder").count)

    def _bar(self) -> AnswerBar:
        generate = self.settings.generate
        return AnswerBar(support=generate.support_bar, confidence=generate.confidence_bar)

    def _edition(self) -> Edition:
        return edition_of(self)

    def _outlet(self) -> Outlet:
        return outlet_of(self.settings)

    def _prices(self) -> Prices:
        return LOCAL_PRICES

    def _judge(self) -> EmbeddingJudge:
        return EmbeddingJudge(self.port("embedder"))

    def _embedder(self) -> Embedder:
        return embedder_of(self.settings)

    def _ranker(self) -> Ranker:
        return ranker_of(self.settings, self.port("embedder"))

    def _span_reader(self) -> SpanReader:
        return span_reader_of(self.settings)

    def _ladder(self) -> Ladder:
        return ladder_of(self.settings, self.port("load"))

    def _load(self) -> LoadGauge:
        return LoadGauge(self.settings.load.steps(), self.port("clock"))

    def _writer(self) -> Writer:
        gateway = self.port("model_gateway")
        return writer_of(self.settings, self._quoting, self.port("clock"), self.port("load"), gateway)

    def _model_gateway(self) -> ModelGateway | None:
        return gateway_of(self.settings, self.port("clock"), self.port("ladder"))

    def _verifier(self) -> Verifier:
        return verifier_of(self)

    def _quoting(self) -> ExtractiveWriter:
        return ExtractiveWriter(self.port("ranker"), self.port("span_reader"))
