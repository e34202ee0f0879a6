"""`headwater gateway`: the HTTP door, until it is told to stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from headwater.cli.options import add
from headwater.cli.reaching import ToKafka, reach

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    add(app, gateway)


@dataclass(frozen=True, kw_only=True)
class GatewayOptions(ToKafka):
    """What `gateway` can be told."""

    host: Annotated[str, typer.Option(help="Address to listen on; else the settings'.")] = ""
    port: Annotated[int, typer.Option(help="Port to listen on; else the settings'.")] = -1


def gateway(context: typer.Context, options: GatewayOptions) -> None:
    """Serve questions, documents and feedback over HTTP; they become records on topics."""
    from headwater.cli.logs import configure
    from headwater.gateway.app import serve

    configure()
    settings = reach(context, options)
    host = options.host or settings.gateway.host
    port = options.port if options.port >= 0 else settings.gateway.port
    said = settings.gateway.model_copy(update={"host": host, "port": port})
    serve(settings.model_copy(update={"gateway": said}))
