"""The topics that the capture hop reads: Debezium's by their form, others by the names that the settings declare."""

from __future__ import annotations

import dataclasses

from streams.hop import Hop
from streams.settings import Sources
from topics.ingest import SOURCE_CHANGES

__all__ = ["with_sources"]


def with_sources(hop: Hop, sources: Sources) -> Hop:
    """A hop that also reads the declared topics, where it is the one that reads sources at all.

    >>> from processors.ingest.mapping import TopicMapping
    >>> from streams.ingest import INGEST
    >>> sources = Sources(topics={"crm.notes": TopicMapping(tenant="acme", body="/text")})
    >>> [topic.name for topic in with_sources(INGEST.hop("capture"), sources).reads][1:]
    ['crm.notes']

    Their names are subscribed beside the form, not in it: the client library's expressions know no groups.
    """
    if SOURCE_CHANGES not in hop.reads or not sources.topics:
        return hop
    named = tuple(dataclasses.replace(SOURCE_CHANGES, name=name) for name in sorted(sources.topics))
    return dataclasses.replace(hop, reads=(*hop.reads, *named))
