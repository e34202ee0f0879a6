"""The topics that the capture hop reads: Debezium's by their form, others by the names that the settings declare."""

from __future__ import annotations

import dataclasses
import re

from streams.hop import Hop
from streams.settings import Sources
from topics.ingest import SOURCE_CHANGES

__all__ = ["with_sources"]


def with_sources(hop: Hop, sources: Sources) -> Hop:
    """A hop that also reads the declared topics, where it is the one that reads sources at all.

    >>> from processors.ingest.mapping import TopicMapping
    >>> from streams.ingest import INGEST
    >>> sources = Sources(topics={"crm.notes": TopicMapping(tenant="acme", body="/text")})
    >>> with_sources(INGEST.hop("capture"), sources).reads[0].name
    '^(?:cdc\\\\.[^.]+\\\\.[^.]+|crm\\\\.notes)$'
    """
    if SOURCE_CHANGES not in hop.reads or not sources.topics:
        return hop
    names = "|".join(re.escape(name) for name in sorted(sources.topics))
    pattern = f"^(?:{SOURCE_CHANGES.name.strip('^$')}|{names})$"
    reads = tuple(dataclasses.replace(topic, name=pattern) if topic is SOURCE_CHANGES else topic for topic in hop.reads)
    return dataclasses.replace(hop, reads=reads)
