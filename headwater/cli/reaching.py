"""Where a command finds the platform: what was said, else the settings, else the stack that this folder remembers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from headwater.client import Client
    from schemas.codec import Codec
    from streams.publishing import Entrance
    from streams.settings import Settings

__all__ = ["Tenant", "ToGateway", "ToKafka", "client_for", "codec_for", "entrance_for", "reach"]

Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Whose documents.")]


@dataclass(frozen=True, kw_only=True)
class ToKafka:
    """The options of a command that works on topics."""

    kafka: Annotated[str, typer.Option(help="Brokers, host:port; else the settings', or the running stack's.")] = ""
    registry: Annotated[str, typer.Option(help="Schema registry; else the settings', or the running stack's.")] = ""


@dataclass(frozen=True, kw_only=True)
class ToGateway(ToKafka):
    """The options of a command that goes the way of applications."""

    url: Annotated[str, typer.Option(help="The gateway; else the running stack's, or the settings'.")] = ""


def reach(context: typer.Context, to: ToKafka | None = None) -> Settings:
    """The settings with the addresses that this command should use.

    What the command line says wins over the settings; a running stack fills in what the settings leave at its default.
    """
    from headwater.local.spec import Addresses
    from streams.settings import Settings, load

    settings = context.obj if isinstance(context.obj, Settings) else load()
    stack = Addresses.read(settings.local.state_folder)
    kafka, registry = (to.kafka, to.registry) if to else ("", "")
    if stack is not None:
        kafka = kafka or (stack.bootstrap if _is_default(settings.kafka, "bootstrap") else "")
        registry = registry or (stack.registry_url if _is_default(settings.registry, "url") else "")
        if _is_default(settings, "claims_folder"):
            settings = settings.model_copy(update={"claims_folder": settings.local.state_folder / "claims"})
    return settings.model_copy(
        update={
            "kafka": settings.kafka.model_copy(update={"bootstrap": kafka} if kafka else {}),
            "registry": settings.registry.model_copy(update={"url": registry} if registry else {}),
        }
    )


def client_for(context: typer.Context, to: ToGateway) -> Client:
    """A client over Kafka where brokers are named, else over HTTP."""
    from headwater.client import Client

    if to.kafka:
        return Client(kafka=to.kafka, registry=reach(context, to).registry.url)
    return Client(to.url or _gateway(context))


def codec_for(settings: Settings) -> Codec:
    """The codec of these settings' registry."""
    from adapters.schema_registry import ConfluentSchemaIds
    from schemas.codec import Codec

    return Codec(ConfluentSchemaIds(settings.registry.url, settings.registry.auto_register))


def entrance_for(settings: Settings) -> Entrance:
    """What events get that enter through a command."""
    from importlib import metadata

    from adapters.host import SystemClock, SystemIds
    from streams.publishing import Entrance

    return Entrance(SystemClock(), SystemIds(), metadata.version("headwater"), settings.git_sha)


def _gateway(context: typer.Context) -> str:
    from headwater.local.spec import Addresses

    settings = reach(context)
    stack = Addresses.read(settings.local.state_folder)
    if stack is not None and _is_default(settings.gateway, "port"):
        return stack.gateway_url
    return f"http://{settings.gateway.host}:{settings.gateway.port}"


def _is_default(section: Any, field: str) -> bool:
    return bool(getattr(section, field) == type(section).model_fields[field].default)
