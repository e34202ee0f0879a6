"""The pinned jars: read, fetched once, checked each time."""

from __future__ import annotations

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headwater.local.downloads import Jar, fetch, jars_folder, missing, pinned
from headwater.local.errors import DownloadError

SMALL = "aopalliance-repackaged"


@pytest.fixture
def small() -> Jar:
    """One jar of the list, of a few kilobytes."""
    return next(jar for jar in pinned() if jar.artifact == SMALL)


def test_the_list_names_each_jar_once_and_no_address() -> None:
    jars = pinned()
    assert len(jars) == 92
    assert len({jar.filename for jar in jars}) == len(jars)
    assert {str(jar) for jar in jars} >= {"org.apache.kafka:kafka_2.13:4.3.1", "org.apache.kafka:kafka-clients:4.3.1"}
    assert "://" not in Path(fetch.__code__.co_filename).with_name("kafka_jars.txt").read_text()


@pytest.mark.parametrize("line", ["a:b:1", "a:b sha", "a:b:1 abc", "a:b:1:jar " + "0" * 64])
def test_when_a_line_is_malformed_then_it_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "jars.txt").write_text(f"# heading\n\n{line}\n")
    with pytest.raises(DownloadError, match="wanted 'group:artifact:version sha256', got"):
        pinned(tmp_path / "jars.txt")


def test_when_the_list_changes_then_its_folder_does(tmp_path: Path, small: Jar) -> None:
    other = Jar(small.group, small.artifact, small.version, "0" * 64)
    assert jars_folder(tmp_path, [small]) != jars_folder(tmp_path, [other])


@pytest.mark.live
def test_when_a_jar_is_missing_or_corrupted_then_it_is_fetched_again(tmp_path: Path, small: Jar) -> None:
    seen: list[tuple[int, int, str]] = []
    folder = fetch(tmp_path, (small,), progress=lambda done, total, name: seen.append((done, total, name)))
    assert seen == [(1, 1, small.filename)]
    jar = folder / small.filename
    jar.write_bytes(jar.read_bytes() + b"!")
    assert missing(tmp_path, (small,)) == (small,)
    fetch(tmp_path, (small,))
    assert missing(tmp_path, (small,)) == ()
    assert hashlib.sha256(jar.read_bytes()).hexdigest() == small.sha256
    assert [entry.name for entry in tmp_path.iterdir()] == [folder.name]


@pytest.mark.live
def test_when_two_runs_meet_then_both_have_all(tmp_path: Path, small: Jar) -> None:
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: fetch(tmp_path, (small,)), range(4)))
    assert len(folders) == 1
    assert missing(tmp_path, (small,)) == ()


@pytest.mark.live
def test_when_other_bytes_arrive_than_were_pinned_then_they_are_not_kept(tmp_path: Path, small: Jar) -> None:
    wrong = Jar(small.group, small.artifact, small.version, "0" * 64)
    with pytest.raises(DownloadError, match=f"wanted SHA-256 {'0' * 64}, got {small.sha256}"):
        fetch(tmp_path, (wrong,))
    assert not (jars_folder(tmp_path, (wrong,)) / wrong.filename).exists()


@pytest.mark.live
def test_when_a_jar_does_not_exist_then_it_is_named_and_the_rest_is_kept(tmp_path: Path, small: Jar) -> None:
    unknown = Jar(small.group, small.artifact, "0.0.0", "0" * 64)
    with pytest.raises(DownloadError, match=r"aopalliance-repackaged:0\.0\.0: 3 attempts failed"):
        fetch(tmp_path, (small, unknown))


@pytest.mark.live
def test_when_all_is_there_then_nothing_is_fetched(tmp_path: Path, cache_folder: Path) -> None:
    shutil.copytree(fetch(cache_folder), jars_folder(tmp_path, pinned()))
    fetch(tmp_path, progress=lambda *_: pytest.fail("nothing was to be fetched"))
