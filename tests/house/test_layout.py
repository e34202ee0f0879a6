"""Names that say nothing, paths that lead nowhere, and what belongs to one machine only: none of them is here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.house.tree import ROOMS, ROOT, text_files, tracked

BANNED = {"utils", "util", "common", "helpers", "helper", "base", "core", "manager", "service", "misc", "shared"}
THIS = Path("tests/house/test_layout.py")

# A path of one machine, an address of one network's package registry, or its settings.
PRIVATE = (
    r"(?<![\w.:])/(?:work|root|home/\w+|Users/\w+|mnt)/\w",
    r"/tmp/[a-z]",
    r"--(?:extra-)?index-url|--find-links|index-url\s*=",
    r"pypi\.org/simple|pythonhosted\.org|artifactory|devpi|/repository/pypi",
)
# Containers have a file system of their own, and programs name folders that every system has.
IN_CONTAINERS = re.compile(r"infra/|Dockerfile")

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
TOP = (*ROOMS, "tests", "examples", "bench", "docs", "infra", "requirements")
PATHS = re.compile(rf"`((?:{'|'.join(TOP)})/[^`\s]*)`")


@pytest.mark.parametrize("path", [path for path in tracked() if path.suffix == ".py"], ids=str)
def test_when_a_module_is_named_then_the_name_says_what_it_is(path: Path) -> None:
    words = {*path.parts[:-1], path.stem}
    assert not words & BANNED, f"{path}: name it for what it is"


def test_when_a_file_is_tracked_then_it_holds_nothing_of_one_machine() -> None:
    found = [
        f"{path}:{number}: {line.strip()[:120]}"
        for path, text in text_files()
        if path != THIS and not IN_CONTAINERS.search(path.as_posix())
        for number, line in enumerate(text.splitlines(), 1)
        for pattern in PRIVATE
        if re.search(pattern, line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_when_packages_are_locked_then_by_version_and_hash_and_from_anywhere(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    pins = re.findall(r"^([a-z0-9][\w.\-]*(?:\[[\w,\-]+\])?)==[^\s\\]+(.*)$", text, re.MULTILINE | re.IGNORECASE)
    assert len(pins) > 20
    assert text.count("--hash=sha256:") >= len(pins)
    lines = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(lines) == len(pins), "only pinned packages stand in a lock"


def test_when_there_are_locks_then_there_is_one_per_set() -> None:
    assert {lock.stem for lock in LOCKS} == {"base", "dev", "all"}


def mentions() -> Iterator[tuple[Path, str]]:
    """Paths that prose speaks of: in Markdown, and in what Python modules say of themselves."""
    for path, text in text_files():
        if path.suffix in (".md", ".py") and not path.as_posix().startswith("examples/corpus"):
            for found in PATHS.findall(text):
                yield path, found


def leads_somewhere(mentioned: str) -> bool:
    path = mentioned.partition(":")[0].rstrip("/.,")
    if re.search(r"[<>…{}]|NNNN", path):  # A pattern, for the reader to fill in.
        return True
    if re.fullmatch(r"tests/(\w+/)?__init__\.py", path):  # Named because it must not be there.
        return True
    return (ROOT / path).exists() or any(ROOT.glob(path if "*" in path else f"{path}-*"))


def test_when_prose_names_a_path_then_it_exists() -> None:
    broken = [f"{path}: `{found}`" for path, found in mentions() if path != THIS and not leads_somewhere(found)]
    assert not broken, "\n".join(broken)


LINKS = re.compile(r"\]\((?!https?:|#|mailto:)([^)\s#]+)(?:#[^)]*)?\)")


def test_when_a_page_links_then_there_is_something_there() -> None:
    broken = [
        f"{path}: {target}"
        for path, text in text_files()
        if path.suffix == ".md" and not path.as_posix().startswith("examples/corpus")
        for target in LINKS.findall(text)
        if not (ROOT / path.parent / target).exists()
    ]
    assert not broken, "\n".join(broken)


LIMITS = {"README.md": 150, "CONTRIBUTING.md": 150, "Makefile": 80}


def test_when_a_page_has_a_size_then_it_keeps_it() -> None:
    long = {path: lines for path, most in LIMITS.items() if (lines := _lines(ROOT / path)) > most}
    rooms = {f"{room}/README.md": 60 for room in ROOMS if (ROOT / room / "README.md").is_file()}
    records = {path.relative_to(ROOT).as_posix(): 60 for path in (ROOT / "docs" / "adr").glob("*.md")}
    long |= {path: lines for path, most in (rooms | records).items() if (lines := _lines(ROOT / path)) > most}
    assert not long


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_when_headwater_is_installed_then_the_rooms_are_ours_alone() -> None:
    owners = packages_distributions()
    if not any(room in owners for room in ROOMS):
        pytest.skip("headwater is not installed here; a bare checkout owns its folders")
    for room in ROOMS:
        assert set(owners.get(room, ["headwater"])) == {"headwater"}, room
