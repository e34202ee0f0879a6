"""What a retired generation leaves behind, taken away: its index, and its view of heads where many share one."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

from adapters.index_manifest import remove_index
from adapters.object_log import IndexFolderError
from processors.ingest.generations import require_name
from processors.ports import Clock, Ids
from streams.generation_start import WRITES_OWN
from streams.generations import GenerationError
from streams.ingest import INGEST
from streams.regeneration import hops_of
from streams.selection import Selected
from streams.settings import Settings

__all__ = ["drop_heads", "drop_store", "groups_of"]

_LOOK_AGAIN_S: Final = 0.2


def groups_of(generation: str, *, built: bool) -> list[str]:
    """The consumer groups in which workers write a generation: its own, or ordinary ingest's.

    A step that is fused behind another has no group, and ends with its worker's others.

    >>> groups_of("g2", built=True)
    ['headwater.generation.regenerate.g2.v1', 'headwater.generation.settle.g2.v1']
    """
    writers: Iterable[Selected] = hops_of(generation)
    if not built:
        writers = [Selected(INGEST.name, (INGEST.hop(step),)) for step in sorted(WRITES_OWN)]
    return [selected.group for selected in writers]


def drop_store(settings: Settings, generation: str, clock: Clock, within_s: float) -> None:
    """Deletes the index of a generation, where there is one; a folder once the worker that held it has let go.

    Raises GenerationError where it is held still, IndexUnavailableError where its server is away.
    """
    index = settings.index
    if index.kind == "local":
        _remove_folder(settings, generation, clock, within_s)
        return
    from adapters.weaviate_connection import WeaviateOptions
    from adapters.weaviate_schema import drop

    drop(WeaviateOptions(index.url, index.grpc_port, index.api_key), index.corpus, generation)


def drop_heads(settings: Settings, generation: str, ids: Ids) -> None:
    """Empties the shared view of a generation's heads; a view of a process's own goes with it."""
    if settings.heads.kind == "memory":
        return
    from adapters.redis_heads import RedisHeads, RedisOptions

    view = RedisHeads(RedisOptions(settings.heads.url, settings.heads.timeout_s), generation, ids)
    try:
        view.forget()
    finally:
        view.close()


def _remove_folder(settings: Settings, generation: str, clock: Clock, within_s: float) -> None:
    until = clock.monotonic() + within_s
    while True:
        try:
            remove_index(settings.index.folder / require_name(generation))
            return
        except IndexFolderError as error:
            if clock.monotonic() > until:
                raise GenerationError(
                    f"generation {generation!r} is retired, but its index is still held after {within_s:g} s: {error}; "
                    "run this again once the worker has let go"
                ) from error
            threading.Event().wait(_LOOK_AGAIN_S)
