"""Law 5: what is generated is fresh, and the command that checks it notices what is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from headwater.cli.render import register, rendered, stale
from tests.house.tree import ROOT


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return rendered(ROOT)


@pytest.fixture
def checkout(tmp_path: Path, pages: dict[str, str]) -> Path:
    """A copy of what rendering reads and writes."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for path, text in pages.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    result = CliRunner().invoke(app, ["render", *arguments])
    return result.exit_code, result.output


def test_when_code_changes_then_its_pages_must_follow(pages: dict[str, str]) -> None:
    assert stale(ROOT, pages) == [], "run: headwater render"


def test_when_everything_is_fresh_then_check_says_so(checkout: Path) -> None:
    assert run("--check", "--root", str(checkout)) == (0, "everything generated is fresh\n")


@pytest.mark.parametrize("path", ["docs/topics.md", "schemas/README.md", "schemas/avro/rag.query.asked.v1.avsc"])
def test_when_a_page_was_edited_by_hand_then_check_names_it_and_render_mends_it(checkout: Path, path: str) -> None:
    (checkout / path).write_text("edited", encoding="utf-8")
    code, said = run("--check", "--root", str(checkout))
    assert (code, f"not fresh: {path}" in said) == (3, True)
    assert run("--root", str(checkout)) == (0, f"wrote {path}\n")
    assert run("--check", "--root", str(checkout))[0] == 0


def test_when_a_topic_went_then_its_schema_is_removed(checkout: Path) -> None:
    gone = checkout / "schemas" / "avro" / "rag.old.topic.v1.avsc"
    gone.write_text("[]", encoding="utf-8")
    assert run("--check", "--root", str(checkout))[0] == 3
    assert run("--root", str(checkout)) == (0, "removed schemas/avro/rag.old.topic.v1.avsc\n")
    assert not gone.exists()


def test_when_a_release_is_kept_then_it_never_changes(checkout: Path) -> None:
    code, said = run("--release", "9.9.9", "--root", str(checkout))
    assert code == 0, said
    kept = checkout / "schemas" / "avro" / "released" / "9.9.9"
    assert len(list(kept.glob("*.avsc"))) == len(list((checkout / "schemas" / "avro").glob("*.avsc")))
    code, said = run("--release", "9.9.9", "--root", str(checkout))
    assert (code, "a release never changes" in said) == (2, True)


def test_when_it_is_no_checkout_then_the_error_says_where_to_run(tmp_path: Path) -> None:
    code, said = run("--root", str(tmp_path))
    assert (code, "run in the repository's root" in said) == (2, True)


def test_when_rendered_twice_then_the_text_is_the_same(pages: dict[str, str]) -> None:
    assert rendered(ROOT) == pages
