"""`headwater render`: writes what is generated from the code, or says what is stale."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Final

import typer

__all__ = ["register", "rendered", "stale"]

GATE: Final = 3
USAGE: Final = 2
AVRO: Final = Path("schemas/avro")
RELEASED: Final = AVRO / "released"


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command()(render)


def render(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 3 where a page is not fresh.")] = False,
    release: Annotated[
        str, typer.Option(help="Also keep the schemas as those of this release, for compatibility tests to come.")
    ] = "",
    root: Annotated[Path, typer.Option(help="The checkout.")] = Path(),
) -> None:
    """Write schemas and reference pages from the code: Avro, events, topics, settings, commands, AsyncAPI."""
    if not (root / AVRO).is_dir():
        typer.echo(
            f"wanted a checkout with {AVRO}/, got {str(root.resolve())!r}; run in the repository's root", err=True
        )
        raise typer.Exit(USAGE)
    pages = rendered(root)
    differing = stale(root, pages)
    if check:
        _report(differing)
        return
    for path in differing:
        _put(root / path, pages.get(path))
        typer.echo(f"{'wrote' if path in pages else 'removed'} {path}")
    if release:
        _keep(root, pages, release)


def rendered(root: Path) -> dict[str, str]:
    """Every generated file of the checkout at `root`, path -> text."""
    import topics.answer
    import topics.ingest
    import topics.measure
    from headwater.cli import asyncapi, pages
    from headwater.cli.main import app
    from schemas.rendering import avsc
    from streams.answer import ANSWER
    from streams.ensure import DECLARED
    from streams.ingest import INGEST
    from streams.measure import MEASURE

    version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    journeys = (INGEST, ANSWER, MEASURE)
    rooms = (topics.ingest, topics.answer, topics.measure)
    return {
        **{f"{AVRO.as_posix()}/{topic.name}.avsc": avsc(topic.events) for topic in DECLARED},
        "schemas/README.md": pages.events_page(DECLARED, journeys),
        "docs/topics.md": pages.topics_page(DECLARED, journeys, rooms),
        "docs/settings.md": pages.settings_page(),
        "docs/settings.schema.json": pages.settings_schema(),
        "docs/cli.md": pages.commands_page(app),
        "docs/asyncapi.yaml": asyncapi.asyncapi_page(version, DECLARED, journeys),
    }


def stale(root: Path, pages: dict[str, str]) -> list[str]:
    """The paths whose file differs from what the code says, those that nothing renders any more included."""
    orphans = {path.relative_to(root).as_posix() for path in (root / AVRO).glob("*.avsc")} - set(pages)
    differing = {path for path, text in pages.items() if _text(root / path) != text}
    return sorted(differing | orphans)


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _put(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _report(differing: list[str]) -> None:
    for path in differing:
        typer.echo(f"not fresh: {path}", err=True)
    if differing:
        typer.echo("run: headwater render", err=True)
        raise typer.Exit(GATE)
    typer.echo("everything generated is fresh")


def _keep(root: Path, pages: dict[str, str], release: str) -> None:
    folder = root / RELEASED / release
    if folder.exists():
        typer.echo(
            f"wanted to keep the schemas of release {release!r}, {folder} exists; a release never changes", err=True
        )
        raise typer.Exit(USAGE)
    for path, text in pages.items():
        if path.endswith(".avsc"):
            _put(folder / Path(path).name, text)
    typer.echo(f"kept {folder}")


def _refused(reason: str) -> typer.Exit:
    typer.echo(reason, err=True)
    return typer.Exit(USAGE)
