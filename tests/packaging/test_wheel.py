"""The wheel as a stranger gets it: complete, and deaf to folders that share the names of our rooms."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.house.tree import ROOMS, ROOT, dotted, modules, tracked

# What `--help` must not wait for.
HEAVY = ("torch", "sentence_transformers", "confluent_kafka", "numpy", "fastapi", "tantivy", "httpx", "fastavro")


def ran(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=110, check=False
    )


def uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if not found:
        pytest.skip("uv is not installed: it builds the wheel; get it with `pip install uv`")
    return found


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel. The build tool comes from uv's cache where there is no network."""
    out = tmp_path_factory.mktemp("wheel")
    built = ran(uv(), "build", "--wheel", "--offline", "--out-dir", out, ROOT, cwd=out)
    if built.returncode:
        built = ran(uv(), "build", "--wheel", "--out-dir", out, ROOT, cwd=out)
    if built.returncode and any(word in built.stderr for word in ("Failed to fetch", "error sending request")):
        pytest.skip("the build backend is neither cached nor within reach; connect once")
    assert built.returncode == 0, built.stderr
    return next(out.glob("*.whl"))


@dataclass(frozen=True)
class Installed:
    """An environment with our wheel in it, the libraries of this one, and a folder full of decoys."""

    bin: Path
    decoys: Path


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("stranger")
    environment, decoys = folder / "env", folder / "project"
    for command in (
        ("venv", "--offline", "--python", sys.executable, environment),
        ("pip", "install", "--offline", "--no-deps", "--python", environment / "bin" / "python", wheel),
    ):
        done = ran(uv(), *command, cwd=folder)
        assert done.returncode == 0, done.stderr
    # The libraries are those that are here; a path file adds no editable install, so ours is the wheel's.
    site = next(environment.glob("lib/python*/site-packages"))
    (site / "libraries.pth").write_text(sysconfig.get_paths()["purelib"], encoding="utf-8")
    for room in (room for room in ROOMS if room != "headwater"):
        (decoys / room).mkdir(parents=True)
        (decoys / room / "__init__.py").write_text(
            f"raise ImportError('the decoy {room} was imported')\n", encoding="utf-8"
        )
    return Installed(environment / "bin", decoys)


def test_when_the_wheel_is_built_then_nothing_of_the_rooms_is_left_out(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {path.as_posix() for path in tracked() if path.parts[0] in ROOMS}
    assert wanted
    assert not wanted - packed, "files of the rooms that the wheel lacks"


def test_when_the_wheel_is_built_then_it_holds_the_rooms_and_nothing_else(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(ROOMS)


def test_when_installed_beside_decoys_then_every_module_is_ours(installed: Installed) -> None:
    names = [dotted(path) for path in modules() if not path.stem.startswith("__main")]
    script = (
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    module = importlib.import_module(name)\n"
        "    assert module.__file__.startswith(sys.prefix), (name, module.__file__)\n"
    )
    done = ran(installed.bin / "python", "-P", "-c", script, cwd=installed.decoys)
    assert done.returncode == 0, done.stderr


def test_when_the_command_runs_beside_decoys_then_it_helps(installed: Installed) -> None:
    done = ran(installed.bin / "headwater", "--help", cwd=installed.decoys)
    assert done.returncode == 0, done.stderr
    assert "ask" in done.stdout
    assert not done.stderr


def test_when_a_script_of_that_folder_imports_the_client_then_its_own_rooms_do_not_matter(installed: Installed) -> None:
    done = ran(installed.bin / "python", "-c", "from headwater import Client; print(Client)", cwd=installed.decoys)
    assert done.returncode == 0, done.stderr


def test_when_help_is_asked_for_then_nothing_heavy_is_imported(installed: Installed) -> None:
    script = f"import sys, headwater.cli.main\nprint(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = ran(installed.bin / "python", "-P", "-c", script, cwd=installed.decoys)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [], "import these where they are used"


def test_when_asked_then_the_version_is_that_of_the_wheel(installed: Installed, wheel: Path) -> None:
    script = "import importlib.metadata as m; print(m.version('headwater'))"
    done = ran(installed.bin / "python", "-P", "-c", script, cwd=installed.decoys)
    assert done.stdout.strip() == wheel.name.split("-")[1]
