"""The parts of another generation: its own where it differs, the process's where it does not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from schemas.documents import GenerationRegistered
from streams.generation_parts import GenerationParts, configuration_of, registered_of, settings_of
from streams.generations import GenerationError
from streams.parts import Parts
from streams.settings import Settings, load


def settings(folder: Path) -> Settings:
    return load(embed={"model": "hashing"}, index={"folder": folder})


def changed(of: Settings, name: str, **sections: dict[str, object]) -> GenerationRegistered:
    """The event of a generation with some sections of the settings changed."""
    update = {key: getattr(of, key).model_copy(update=values) for key, values in sections.items()}
    index = of.index.model_copy(update={"generation": name})
    return registered_of(Parts(of.model_copy(update={**update, "index": index})), "main", built=True)


def test_when_only_the_chunking_differs_then_the_model_is_shared_and_nothing_else(tmp_path: Path) -> None:
    root = Parts(settings(tmp_path))
    child = GenerationParts(root, changed(root.settings, "g2", chunking={"max_tokens": 90, "target_tokens": 40}))
    for name in ("embedder", "embedding_cache", "clock", "parser"):
        assert child.port(name) is root.port(name), name
    for name in ("heads", "store", "splitter", "generation"):
        assert child.port(name) is not root.port(name), name
    assert child.port("heads").generation == "g2"
    assert "max=90/target=40" in child.port("materials").splitter.fingerprint
    child.close()
    # The root's own are still in use.
    assert root.port("store").existing("acme", []) == set()
    root.close()


def test_when_the_width_differs_then_so_do_model_and_vectors(tmp_path: Path) -> None:
    root = Parts(settings(tmp_path))
    child = GenerationParts(root, changed(root.settings, "g2", embed={"dimension": 64}))
    assert (root.port("embedder").dimension, child.port("embedder").dimension) == (384, 64)
    assert child.port("embedding_cache") is not root.port("embedding_cache")
    assert "by=hashing-64" in child.port("splitter").fingerprint


def test_when_settings_go_through_the_log_then_they_come_out_the_same(tmp_path: Path) -> None:
    of = settings(tmp_path)
    event = changed(of, "g2", chunking={"max_tokens": 90, "target_tokens": 40}, embed={"dimension": 64})
    again = settings_of(of, event)
    assert configuration_of(again) == event.configuration
    assert again.index.generation == "g2"
    # How a model is run here is not the generation's business.
    assert again.embed.threads == of.embed.threads


@pytest.mark.parametrize(
    "configuration", ["{", '{"chunking": {"later_release": 1}}', '{"embed": {"model": "unheard"}}']
)
def test_when_this_release_cant_make_it_then_it_says_which_one(tmp_path: Path, configuration: str) -> None:
    event = msgspec.structs.replace(changed(settings(tmp_path), "g2"), configuration=configuration)
    with pytest.raises(GenerationError, match="generation 'g2' can't be used by this release"):
        settings_of(settings(tmp_path), event)
