"""The manifest beside an index: another model, width or chunking is refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.index_manifest import IndexMismatchError, check_manifest, remove_index
from adapters.local_index import LocalIndex
from adapters.object_log import IndexFolderError
from processors.ingest.generations import Identity

WHOLE = Identity("hashing-384", 384, "structure/s1/max=200")


def test_when_the_index_is_new_then_what_it_is_made_by_is_written_down(tmp_path: Path) -> None:
    assert check_manifest(tmp_path / "g1", WHOLE) == WHOLE
    assert check_manifest(tmp_path / "g1", Identity()) == WHOLE


def test_when_a_process_knows_only_a_part_then_the_rest_is_kept_and_filled_in_later(tmp_path: Path) -> None:
    check_manifest(tmp_path, Identity("hashing-384", 384))
    assert check_manifest(tmp_path, Identity(fingerprint=WHOLE.fingerprint)) == WHOLE


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Identity("minilm", 384, WHOLE.fingerprint), "model hashing-384, not minilm"),
        (Identity("hashing-384", 256, WHOLE.fingerprint), "dimension 384, not 256"),
        (Identity("hashing-384", 384, "other"), "chunking structure/s1/max=200, not other"),
    ],
)
def test_when_the_settings_are_others_then_it_is_refused_with_what_to_do(
    tmp_path: Path, wanted: Identity, said: str
) -> None:
    check_manifest(tmp_path, WHOLE)
    with pytest.raises(IndexMismatchError, match=f"{said}.*headwater index build"):
        check_manifest(tmp_path, wanted)
    assert check_manifest(tmp_path, Identity()) == WHOLE


def test_when_the_manifest_is_damaged_then_it_says_where(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(IndexMismatchError, match="rebuilt from the Kafka log"):
        check_manifest(tmp_path, WHOLE)


def test_when_an_index_is_removed_then_only_once_nobody_holds_it(tmp_path: Path) -> None:
    folder = tmp_path / "g2"
    index = LocalIndex(folder)
    with pytest.raises(IndexFolderError, match="holds it"):
        remove_index(folder)
    index.close()
    assert (remove_index(folder), folder.exists(), remove_index(folder)) == (True, False, False)
