"""The fakes' own promises, beyond those of their ports."""

from __future__ import annotations

from adapters.memory import DictEmbeddingCache, HashingEmbedder


def test_when_the_cache_is_full_then_what_was_not_used_for_longest_goes() -> None:
    cache = DictEmbeddingCache(max_entries=2)
    cache.put("m", "a", b"1")
    cache.put("m", "b", b"2")
    assert cache.get("m", "a") == b"1"
    cache.put("m", "c", b"3")
    assert [cache.get("m", name) for name in "abc"] == [b"1", None, b"3"]
    assert len(cache) == 2


def test_when_models_differ_then_their_vectors_stay_apart() -> None:
    cache = DictEmbeddingCache()
    cache.put("one", "a", b"1")
    assert cache.get("two", "a") is None


def test_when_dimensions_differ_then_so_do_the_models() -> None:
    assert HashingEmbedder(64).model != HashingEmbedder(128).model
    assert HashingEmbedder(64).embed(["x"]).shape == (1, 64)
