"""Recognisers of Presidio beside our own: more countries' ids, by forms and checksums; no language model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from importlib import import_module, metadata
from typing import Any, Final

from adapters.errors import MissingExtraError
from processors.ports import Finding

__all__ = ["PresidioRecogniser"]

ADDRESS: Final = "IP_ADDRESS"
# Presidio's entities in our words. Names and places need a model of the language, which nobody here downloads.
KINDS: Final = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "US_SSN": "ssn",
    ADDRESS: "ipv4",
    "MAC_ADDRESS": "mac",
    "US_PASSPORT": "passport",
    "UK_NHS": "national_id",
    "ES_NIF": "national_id",
    "IT_FISCAL_CODE": "national_id",
    "PL_PESEL": "national_id",
    "AU_TFN": "national_id",
    "IN_AADHAAR": "national_id",
    "SG_NRIC_FIN": "national_id",
}
# Below it are forms without a checksum and without a word beside them.
_LEAST_SCORE: Final = 0.4


class PresidioRecogniser:
    """The Recogniser port by Presidio's pattern recognisers (English words beside them). Use one per process.

    >>> PresidioRecogniser().find("card 4111111111111111", {"card"})  # doctest: +SKIP
    [Finding(kind='card', start=5, end=21)]

    Loads in about a second. Give it after our own, which has the first word. Raises MissingExtraError.
    """

    def __init__(self) -> None:
        try:
            analyzer: Any = import_module("presidio_analyzer")
            engines: Any = import_module("presidio_analyzer.nlp_engine")
            spacy: Any = import_module("spacy")
            domains: Any = import_module("tldextract.tldextract")
        except ImportError as error:
            raise MissingExtraError("presidio-analyzer", "guard") from error
        engine = engines.SpacyNlpEngine()
        # Its recogniser of e-mail would fetch the list of domain endings, with a second for each retry.
        domains.TLD_EXTRACTOR = domains.TLDExtract(suffix_list_urls=())
        # An empty pipeline: tokens for the words beside a find, and nothing to download.
        engine.nlp = {"en": spacy.blank("en")}
        registry = analyzer.RecognizerRegistry()
        registry.load_predefined_recognizers(languages=["en"])
        registry.remove_recognizer("SpacyRecognizer")
        self._analyzer = analyzer.AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
        self._there = frozenset(self._analyzer.get_supported_entities("en")) & KINDS.keys()

    @property
    def version(self) -> str:
        return f"presidio-{metadata.version('presidio-analyzer')}"

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(KINDS[entity] for entity in self._there) | ({"ipv6"} if ADDRESS in self._there else set())

    def find(self, text: str, kinds: AbstractSet[str]) -> Sequence[Finding]:
        entities = sorted(entity for entity in self._there if KINDS[entity] in kinds)
        if "ipv6" in kinds and ADDRESS in self._there - set(entities):
            entities.append(ADDRESS)
        if not entities or not text.strip():
            return []
        results = self._analyzer.analyze(text, language="en", entities=entities, score_threshold=_LEAST_SCORE)
        found: list[Finding] = []
        # The surest first; what lies over one of those says less.
        for result in sorted(results, key=lambda result: (-result.score, result.start, -result.end)):
            if all(result.end <= other.start or other.end <= result.start for other in found):
                found.append(Finding(_kind(result.entity_type, text[result.start : result.end]), *_ends(result)))
        return sorted((one for one in found if one.kind in kinds), key=lambda finding: finding.start)


def _kind(entity: str, value: str) -> str:
    """Presidio has one entity for both kinds of internet addresses."""
    return "ipv6" if entity == ADDRESS and ":" in value else KINDS[entity]


def _ends(result: Any) -> tuple[int, int]:
    return int(result.start), int(result.end)
