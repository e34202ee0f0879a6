"""The cluster as an erasure needs it: where a document stands, and by when its topics have forgotten."""

from __future__ import annotations

from processors.contract import Stop
from processors.ingest.erasing import LogForgets, Standing
from processors.ports import Clock
from streams.ensure import topic_configs
from streams.erasing import LETTER_TOPICS, standing_of
from streams.errors import StreamsError
from streams.forgetting import OWN, QUOTING, forgets
from streams.keyed_log import KeyedLog
from streams.settings import Settings

__all__ = ["ClusterErasureLog"]


class ClusterErasureLog:
    """The ErasureLog port over the cluster. Raises Stop where that is away."""

    def __init__(self, settings: Settings, log: KeyedLog, clock: Clock) -> None:
        self._settings = settings
        self._log = log
        self._clock = clock

    def standing(self, tenant: str, document: str) -> Standing:
        """Where a document stands in the log of changes."""
        return standing_of(self._log, tenant, document)

    def forgets(self, letters: bool) -> list[LogForgets]:
        """By when each topic of a document has forgotten; its dead letters too where there are any."""
        names = [topic.name for topic in OWN] + [topic.dead_letters for topic in LETTER_TOPICS] * letters
        return forgets(self._configs(names), names, self._clock.now())

    def answers_forget(self) -> list[LogForgets]:
        """By when the topics of answers have forgotten what they quoted."""
        names = [topic.name for topic in QUOTING]
        return forgets(self._configs(names), names, self._clock.now())

    def _configs(self, names: list[str]) -> dict[str, dict[str, str]]:
        try:
            return topic_configs(self._settings.kafka, names)
        except StreamsError as error:
            raise Stop(f"the cluster: {error}") from error
