"""`headwater gateway`: the HTTP door, until it is told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from headwater.cli.reaching import KafkaOption, RegistryOption, reach

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command()(gateway)


def gateway(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on; else the settings'.")] = "",
    port: Annotated[int, typer.Option(help="Port to listen on; else the settings'.", min=-1)] = -1,
    kafka: KafkaOption = "",
    registry: RegistryOption = "",
) -> None:
    """Serve questions, documents and feedback over HTTP; they become records on topics."""
    from headwater.cli.logs import configure
    from headwater.gateway.app import serve

    configure()
    settings = reach(context, kafka, registry)
    said = {**({"host": host} if host else {}), **({"port": port} if port >= 0 else {})}
    serve(settings.model_copy(update={"gateway": settings.gateway.model_copy(update=said)}))
