"""The local index's folder: what survives a crash, damage, a full disk, a second process."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adapters.errors import IndexUnavailableError
from adapters.local_index import IndexFolderError, LocalIndex
from adapters.object_log import ObjectLog, Regranted, Removed, Written
from tests.conformance.objects import EMBEDDER, EVERYONE, indexed

VALVE = "The red valve of the pump leaks"
SNOW = "Snow falls on the hills"


def texts(index: LocalIndex, text: str) -> list[str]:
    return sorted(found.object.object_id for found in index.search_text("acme", text, 100, EVERYONE))


def vectors(index: LocalIndex, text: str) -> list[str]:
    found = index.search_vector("acme", EMBEDDER.embed([text])[0], 100, EVERYONE)
    return sorted(candidate.object.object_id for candidate in found)


def filled(folder: Path) -> None:
    with LocalIndex(folder) as index:
        index.upsert([indexed("a", VALVE), indexed("b", SNOW)])


def test_when_opened_again_then_all_is_there(tmp_path: Path) -> None:
    with LocalIndex(tmp_path) as index:
        assert index.is_empty()
        index.upsert([indexed("a", VALVE), indexed("b", SNOW), indexed("c", VALVE)])
        index.upsert([indexed("a", SNOW)])
        index.remove("acme", ["b"])
        index.set_access("acme", ["c"], ("group:x",))
    with LocalIndex(tmp_path) as index:
        assert (index.count("acme"), index.count("zeta"), index.is_empty()) == (2, 0, False)
        assert texts(index, "snow valve") == vectors(index, SNOW) == ["a"]
        assert index.search_text("acme", "valve", 5, frozenset({"group:x"}))[0].object.object_id == "c"
        assert index.existing("acme", ["a", "b", "c"]) == {"a", "c"}


KILLED = """
import sys
from pathlib import Path
from adapters.local_index import LocalIndex
from tests.conformance.objects import indexed
index = LocalIndex(Path(sys.argv[1]))
for number in range(10_000):
    index.upsert([indexed(f"{number}-{part}", "The red valve of the pump leaks") for part in range(3)])
    if number % 2:
        index.remove("acme", [f"{number - 1}-0"])
    print(number, flush=True)
"""


def test_when_purged_then_no_file_holds_what_was_removed_and_the_rest_is_there(tmp_path: Path) -> None:
    with LocalIndex(tmp_path) as index:
        index.upsert([indexed("a", VALVE), indexed("b", SNOW)])
        index.remove("acme", ["a"])
        log = tmp_path / "objects.log"
        assert VALVE.encode() in log.read_bytes(), "the control: removing alone leaves the words in the file"
        index.purge()
        assert VALVE.encode() not in log.read_bytes()
        assert texts(index, "snow valve") == ["b"]
    with LocalIndex(tmp_path) as index:
        assert index.existing("acme", ["a", "b"]) == {"b"}


def spawn(folder: Path, code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("after_s", [0.3, 0.55, 0.8])
def test_when_killed_while_writing_then_what_was_promised_is_there_and_halves_agree(
    tmp_path: Path, after_s: float
) -> None:
    with spawn(tmp_path, KILLED) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines()
    promised = int(lines[-1])
    with LocalIndex(tmp_path) as index:
        held = {found.object_id for found in index.walk("acme")}
        whole = {f"{number}-{part}" for number in range(promised + 1) for part in (1, 2)}
        assert whole <= held
        assert not {f"{number}-0" for number in range(0, promised, 2)} & held
        limit = 4 * len(held)
        found = {candidate.object.object_id for candidate in index.search_text("acme", "valve", limit, EVERYONE)}
        assert found == held
        vector = EMBEDDER.embed([VALVE])[0]
        assert {
            candidate.object.object_id for candidate in index.search_vector("acme", vector, limit, EVERYONE)
        } == held


@pytest.mark.parametrize("lost", [1, 20, 200])
def test_when_the_last_record_was_cut_off_then_the_rest_is_there(tmp_path: Path, lost: int) -> None:
    filled(tmp_path)
    log = tmp_path / "objects.log"
    log.write_bytes(log.read_bytes()[:-lost])
    with LocalIndex(tmp_path) as index:
        assert texts(index, "valve snow") == vectors(index, VALVE) == ["a"]
        index.upsert([indexed("b", SNOW)])
    with LocalIndex(tmp_path) as index:
        assert texts(index, "valve snow") == vectors(index, VALVE) == ["a", "b"]


def test_when_the_disk_kept_zeros_of_the_last_record_then_the_rest_is_there(tmp_path: Path) -> None:
    filled(tmp_path)
    with (tmp_path / "objects.log").open("ab") as log:
        log.write(b"\0" * 500)
    with LocalIndex(tmp_path) as index:
        assert texts(index, "valve snow") == ["a", "b"]


def test_when_the_log_says_more_than_was_seen_then_opening_takes_it_all(tmp_path: Path) -> None:
    filled(tmp_path)
    log = ObjectLog(tmp_path / "objects.log")
    log.append([Written(7, indexed("c", VALVE)), Written(8, indexed("a", SNOW)), Removed(9, "acme", ("b", "unknown"))])
    log.append([Removed(10, "nobody", ("a",)), Regranted(11, "acme", "unknown", ("*",))])
    log.close()
    with LocalIndex(tmp_path) as index:
        assert texts(index, "valve") == ["c"]
        assert texts(index, "snow") == ["a"]
        assert vectors(index, SNOW) == ["a", "c"]


def test_when_the_log_is_lost_then_the_index_is_empty_and_says_so(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "objects.log").unlink()
    with LocalIndex(tmp_path) as index:
        assert index.is_empty()
        assert texts(index, "valve") == []
        index.upsert([indexed("a", VALVE)])
        assert texts(index, "valve") == ["a"]


def flipped(data: bytes) -> bytes:
    return data[:60] + bytes([data[60] ^ 1]) + data[61:]


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda data: b"something else entirely" + data, "does not begin as a log of this version"),
        (flipped, "does not match its checksum"),
        (lambda data: data[:20] + b"\xff" + data[21:], "the header of a record does not match"),
    ],
)
def test_when_the_log_is_damaged_then_the_error_says_what_to_do(
    tmp_path: Path, harm: Callable[[bytes], bytes], message: str
) -> None:
    filled(tmp_path)
    log = tmp_path / "objects.log"
    log.write_bytes(harm(log.read_bytes()))
    with pytest.raises(IndexFolderError, match=f"{message}.*remove the folder.*rebuilt from the Kafka log"):
        LocalIndex(tmp_path)
    shutil.rmtree(tmp_path)
    LocalIndex(tmp_path).close()


def test_when_a_record_is_of_another_version_then_the_error_says_what_to_do(tmp_path: Path) -> None:
    log = ObjectLog(tmp_path / "objects.log")
    log.append([Removed(1, "acme", ("a",))])
    log.append([Written(2, "no object")])  # type: ignore[arg-type]
    log.close()
    with pytest.raises(IndexFolderError, match="a record is of another version"):
        LocalIndex(tmp_path)


HOLDING = """
import sys, time
from pathlib import Path
from adapters.local_index import LocalIndex
index = LocalIndex(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_when_another_process_holds_the_folder_then_it_is_named_until_it_is_killed(tmp_path: Path) -> None:
    with spawn(tmp_path, HOLDING) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(IndexFolderError, match=f"process {process.pid} holds it; stop that one"):
            LocalIndex(tmp_path)
        process.send_signal(signal.SIGKILL)
    filled(tmp_path)


FULL = """
import resource, signal, sys
from pathlib import Path
from adapters.errors import IndexUnavailableError
from adapters.local_index import LocalIndex
from tests.conformance.objects import EVERYONE, indexed
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
index = LocalIndex(Path(sys.argv[1]))
index.upsert([indexed("a", "The red valve leaks")])
resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, resource.RLIM_INFINITY))
for attempt in range(2):
    try:
        index.upsert([indexed("b", "Snow falls on the valve")])
        print("written")
    except IndexUnavailableError as error:
        print("unavailable", "make room" in str(error))
print(len(index.search_text("acme", "valve snow", 9, EVERYONE)), index.existing("acme", ["b"]))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
index.upsert([indexed("b", "Snow falls on the valve")])
print(len(index.search_text("acme", "valve", 9, EVERYONE)))
"""


@pytest.mark.parametrize("room", [0, 350])
def test_when_the_disk_is_full_then_nothing_of_the_write_is_kept_and_it_works_once_there_is_room(
    tmp_path: Path, room: int
) -> None:
    with spawn(tmp_path, FULL.replace("ROOM", str(room))) as process:
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
    assert lines == ["unavailable True", "unavailable True", "1 set()", "2"]
    with LocalIndex(tmp_path) as index:
        assert texts(index, "valve") == vectors(index, VALVE) == ["a", "b"]


COMPACTING = """
import resource, signal, sys
from pathlib import Path
from adapters.local_index import LocalIndex
from tests.conformance.objects import EVERYONE, indexed
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
index = LocalIndex(Path(sys.argv[1]), compact_from=20)
for number in range(8):
    index.upsert([indexed("a", f"The red valve leaks {number}"), indexed("b", "Snow falls on the valve")])
resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
index._compact_at = 0
index._compact()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
index.upsert([indexed("c", "Another valve")])
print(len(index.search_text("acme", "valve", 9, EVERYONE)), [path.name for path in Path(sys.argv[1]).glob("*.new")])
"""


def test_when_the_disk_is_full_while_compacting_then_the_old_log_stays(tmp_path: Path) -> None:
    with spawn(tmp_path, COMPACTING) as process:
        assert process.stdout is not None
        assert process.stdout.read() == "3 []\n"
    with LocalIndex(tmp_path) as index:
        assert texts(index, "valve") == vectors(index, VALVE) == ["a", "b", "c"]


def test_when_most_is_void_then_the_log_shrinks_and_all_still_holds(tmp_path: Path) -> None:
    with LocalIndex(tmp_path, compact_from=50) as index:
        for round_ in range(30):
            index.upsert([indexed(f"{round_}-{number}", f"{VALVE} {round_}") for number in range(10)])
            index.remove("acme", [f"{round_}-{number}" for number in range(1, 10)])
        # A record takes about 400 bytes: a log of 300 writes would hold 120,000.
        assert (tmp_path / "objects.log").stat().st_size < 60_000
        assert index.count("acme") == 30
    with LocalIndex(tmp_path) as index:
        assert texts(index, "valve") == vectors(index, VALVE) == sorted(f"{round_}-0" for round_ in range(30))
        index.upsert([indexed("new", VALVE)])
        assert len(texts(index, "valve")) == 31


def test_when_compaction_was_the_last_thing_then_numbers_go_on(tmp_path: Path) -> None:
    with LocalIndex(tmp_path, compact_from=5) as index:
        index.upsert([indexed(f"{number}", VALVE) for number in range(10)])
        index.remove("acme", [f"{number}" for number in range(9)])
    with LocalIndex(tmp_path) as index:
        index.upsert([indexed("new", SNOW)])
        assert texts(index, "valve snow") == ["9", "new"]


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (b"", "wanted a vector of"),
        (b"\0" * 8, "wanted a vector of 32 float32 for object 'b', got 8 bytes"),
        (np.full(32, np.nan, np.float32).tobytes(), "NaN or infinity"),
    ],
)
def test_when_a_vector_does_not_fit_then_it_is_refused_and_nothing_is_kept(
    tmp_path: Path, vector: bytes, message: str
) -> None:
    with LocalIndex(tmp_path) as index:
        index.upsert([indexed("a", VALVE)])
        odd = indexed("b", SNOW)
        object.__setattr__(odd, "vector", vector)
        with pytest.raises(ValueError, match=message):
            index.upsert([indexed("c", SNOW), odd])
        assert index.existing("acme", ["a", "b", "c"]) == {"a"}
        with pytest.raises(ValueError, match="wanted a vector of dimension 32"):
            index.search_vector("acme", np.zeros(8, np.float32), 5, EVERYONE)


def test_when_closed_then_it_says_so_and_closing_again_is_fine(tmp_path: Path) -> None:
    index = LocalIndex(tmp_path)
    index.close()
    index.close()
    with pytest.raises(IndexUnavailableError, match="it was closed; open it again"):
        index.upsert([indexed("a", VALVE)])
    with pytest.raises(IndexUnavailableError, match="it was closed"):
        index.search_text("acme", "valve", 5, EVERYONE)


def test_when_many_are_removed_then_their_words_go_too(tmp_path: Path) -> None:
    with LocalIndex(tmp_path) as index:
        index.upsert([indexed(f"{number}", VALVE) for number in range(600)])
        index.remove("acme", [f"{number}" for number in range(590)])
        assert len(texts(index, "valve")) == 10
        assert len(vectors(index, VALVE)) == 10
