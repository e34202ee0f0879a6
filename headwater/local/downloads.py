"""Apache Kafka's jars and Connect's plugins: pinned lists, fetched exactly and checked by SHA-256.

The list was resolved once (`kafka_jars.txt` says how) and is never resolved again, so every machine runs the same
bytes. Jars arrive in a folder named by the list itself, each moved into place whole: two runs may meet there, and a
run that is stopped half way leaves nothing that looks finished.
"""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headwater.local.errors import DownloadError

__all__ = ["KAFKA_VERSION", "Jar", "Progress", "fetch", "fetch_plugins", "jars_folder", "missing", "pinned"]

KAFKA_VERSION: Final = "4.3.1"
_LIST: Final = Path(__file__).with_name("kafka_jars.txt")
_PLUGINS: Final = Path(__file__).with_name("connect_plugins.txt")

# Each jar is one small request; eight in flight hide the round trips without leaning on the repository.
_PARALLEL: Final = 8
_TIMEOUT_S: Final = 30
_ATTEMPTS: Final = 3

Progress = Callable[[int, int, str], None]
"""Called with (jars done, jars in all, the jar that just arrived)."""


@dataclass(frozen=True)
class Jar:
    """One pinned artifact: where it comes from and what its bytes must be."""

    group: str
    artifact: str
    version: str
    sha256: str
    classifier: str = ""
    packaging: str = "jar"

    @property
    def filename(self) -> str:
        """Its name in the folder, which is also its name in a Maven repository."""
        return f"{self.artifact}-{self.version}{'-' * bool(self.classifier)}{self.classifier}.{self.packaging}"

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def pinned(listing: Path = _LIST) -> tuple[Jar, ...]:
    """Read a pinned list, `group:artifact:version[:classifier:type] sha256` a line.

    >>> pinned()[0].artifact
    'lz4-java'
    """
    lines = (line.strip() for line in listing.read_text(encoding="utf-8").splitlines())
    return tuple(_parse(line) for line in lines if line and not line.startswith("#"))


def jars_folder(cache: Path, jars: Iterable[Jar]) -> Path:
    """Where these jars belong below a cache folder; another list has another folder, so a class path never mixes."""
    digest = hashlib.sha256("\n".join(f"{jar} {jar.sha256}" for jar in jars).encode()).hexdigest()
    return cache / f"kafka-{KAFKA_VERSION}-{digest[:12]}"


def missing(cache: Path, jars: tuple[Jar, ...]) -> tuple[Jar, ...]:
    """The jars that are not there yet, or whose bytes are not the pinned ones."""
    folder = jars_folder(cache, jars)
    return tuple(jar for jar in jars if _sha256(folder / jar.filename) != jar.sha256)


def fetch(cache: Path, jars: tuple[Jar, ...] | None = None, progress: Progress | None = None) -> Path:
    """Make sure that every pinned jar is in the cache, and return the folder that holds them.

    Call it before each start: with all 92 there it only reads and checks them (54 MB).

        >>> fetch(Path.home() / ".cache" / "headwater")  # doctest: +SKIP
        PosixPath('/home/ada/.cache/headwater/kafka-4.3.1-…')

    Raises DownloadError for a jar that cannot be had, or that arrives with other bytes than were pinned.
    """
    wanted = pinned() if jars is None else jars
    folder = jars_folder(cache, wanted)
    folder.mkdir(parents=True, exist_ok=True)
    absent = missing(cache, wanted)
    if not absent:
        return folder
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=cache) as staging:
        _fetch_all(absent, Path(staging), folder, progress)
    return folder


def fetch_plugins(cache: Path, progress: Progress | None = None) -> Path:
    """Make sure that Connect's plugins are there, unpacked, and return the folder for its `plugin.path`.

    An archive is unpacked beside its place and moved there whole; names that lead out of it are refused (tarfile's
    `data` filter).
    """
    archives = pinned(_PLUGINS)
    folder = fetch(cache, archives, progress)
    for archive in archives:
        place = folder / "plugins" / archive.filename.removesuffix(f".{archive.packaging}")
        if not place.exists():
            _unpack(folder / archive.filename, place)
    return folder / "plugins"


def _unpack(archive: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=archive.parent) as staging:
        whole = Path(staging) / "whole"
        with tarfile.open(archive) as tar:
            tar.extractall(whole, filter="data")
        try:
            whole.rename(place)
        except OSError:
            # Another run was there first.
            if not place.exists():
                raise


def _fetch_all(jars: tuple[Jar, ...], staging: Path, folder: Path, progress: Progress | None) -> None:
    pool = ThreadPoolExecutor(max_workers=_PARALLEL, thread_name_prefix="jars")
    try:
        arrivals = {pool.submit(_fetch_one, jar, staging, folder): jar for jar in jars}
        for done, arrival in enumerate(as_completed(arrivals), start=1):
            arrival.result()
            if progress is not None:
                progress(done, len(jars), arrivals[arrival].filename)
    finally:
        # On the first failure the jars not yet begun are dropped; those in flight end by their own timeout.
        pool.shutdown(wait=True, cancel_futures=True)


def _fetch_one(jar: Jar, staging: Path, folder: Path) -> None:
    """Download one jar beside its place, check it, and move it there in one step."""
    arrived = _download(jar, staging)
    found = _sha256(arrived)
    if found != jar.sha256:
        raise DownloadError(
            f"fetching {jar}: wanted SHA-256 {jar.sha256}, got {found}; "
            "the repository in between serves other bytes than were pinned, so the jar was not kept"
        )
    arrived.replace(folder / jar.filename)


def _download(jar: Jar, staging: Path) -> Path:
    try:
        from jgo.maven import MavenContext
    except ImportError as error:
        raise DownloadError(
            "fetching Apache Kafka needs jgo, which is not installed; run: uv pip install 'headwater[local]'"
        ) from error
    failure: Exception | None = None
    for attempt in range(_ATTEMPTS):
        # A folder for each attempt: jgo takes any file in its cache for whole, even one cut short by a lost connection.
        context = MavenContext(repo_cache=staging / f"{jar.sha256[:16]}-{attempt}", timeout=_TIMEOUT_S)
        try:
            version = context.project(jar.group, jar.artifact).at_version(jar.version)
            artifact = version.artifact(classifier=jar.classifier, packaging=jar.packaging)
            return Path(artifact.resolve())
        except Exception as error:  # jgo raises RuntimeError, and lets every error of its HTTP client through.
            failure = error
    raise DownloadError(
        f"fetching {jar}: {_ATTEMPTS} attempts failed, the last with: {failure}; "
        "check the network and run the command again, what has arrived is kept"
    ) from failure


def _parse(line: str) -> Jar:
    coordinates, _, sha256 = line.partition(" ")
    parts = coordinates.split(":")
    if len(parts) not in (3, 5) or len(sha256) != 64:
        raise DownloadError(f"reading the pinned list: wanted 'group:artifact:version sha256', got {line!r}")
    classifier, packaging = parts[3:] or ("", "jar")
    return Jar(parts[0], parts[1], parts[2], sha256, classifier, packaging)


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None
