from __future__ import annotations

import threading
from pathlib import Path

import pytest

from headwater.local.errors import NotReadyError
from headwater.local.weaviate_build import GoMissingError, WeaviateBuildError, build, built, program_path

# In the place of the Go tool: writes down that it ran, and puts a program where it was told to.
SCRIPT = """#!/bin/sh
echo ran >> "$(dirname "$0")/runs"
echo package/one >&2
{body}
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\n' > "$2"
"""


def tool(folder: Path, body: str = "") -> str:
    path = folder / "go-tool"
    path.write_text(SCRIPT.format(body=body), encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_when_there_is_no_go_then_the_error_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(GoMissingError, match=r"install Go 1\.26 or newer.*index\.kind=local") as caught:
        build(tmp_path, go="no-such-tool")
    assert caught.value.exit_code == 4
    assert built(tmp_path) is None


def test_when_it_was_built_then_go_is_not_asked_again(tmp_path: Path) -> None:
    go = tool(tmp_path)
    program = build(tmp_path, go=go)
    assert program == built(tmp_path) == program_path(tmp_path)
    assert build(tmp_path, go="no-such-tool") == program


def test_when_the_build_fails_then_nothing_is_kept_and_the_error_ends_with_its_words(tmp_path: Path) -> None:
    go = tool(tmp_path, "echo cannot find module >&2; exit 3")
    with pytest.raises(WeaviateBuildError, match=r"exit status 3(?s:.*)cannot find module") as caught:
        build(tmp_path, go=go)
    assert caught.value.exit_code == 4
    assert built(tmp_path) is None


def test_when_the_build_takes_too_long_then_it_is_ended(tmp_path: Path) -> None:
    go = tool(tmp_path, "exec sleep 60")
    with pytest.raises(NotReadyError, match="not ended after"):
        build(tmp_path, deadline_s=0.5, go=go)
    assert built(tmp_path) is None


def test_when_two_meet_then_one_builds_and_both_have_it(tmp_path: Path) -> None:
    go = tool(tmp_path, "sleep 0.5")
    threads = [threading.Thread(target=build, args=(tmp_path,), kwargs={"go": go}) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert built(tmp_path)
    assert (tmp_path / "runs").read_text(encoding="utf-8").count("ran") == 1


def test_when_it_builds_then_it_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    build(tmp_path, said.append, go=tool(tmp_path))
    assert "some minutes, once" in said[0]
