"""Where a command finds the platform: what was said, else the settings, else the stack that this folder remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from headwater.client import Client
    from schemas.codec import Codec
    from streams.publishing import Entrance
    from streams.settings import Settings

__all__ = ["KafkaOption", "RegistryOption", "TenantOption", "UrlOption", "client_for", "codec_for", "entrance_for", "reach"]

UrlOption = Annotated[str, typer.Option("--url", help="The gateway; else the running stack's.")]
KafkaOption = Annotated[str, typer.Option("--kafka", help="Brokers, host:port; else the settings', or the stack's.")]
RegistryOption = Annotated[str, typer.Option("--registry", help="Schema registry; else the settings', or the stack's.")]
TenantOption = Annotated[str, typer.Option("--tenant", "-t", help="Whose documents.")]


def reach(context: typer.Context, kafka: str = "", registry: str = "") -> Settings:
    """The settings with the addresses that this command should use.

    What the command line says wins over the settings; a running stack fills in what the settings leave at its default.
    """
    from headwater.local.spec import Addresses
    from streams.settings import Kafka, Registry, Settings, load

    settings = context.obj if isinstance(context.obj, Settings) else load()
    stack = Addresses.read(settings.local.state_folder)
    if stack is not None:
        kafka = kafka or (stack.bootstrap if settings.kafka.bootstrap == Kafka().bootstrap else "")
        registry = registry or (stack.registry_url if settings.registry.url == Registry().url else "")
    return settings.model_copy(
        update={
            "kafka": settings.kafka.model_copy(update={"bootstrap": kafka} if kafka else {}),
            "registry": settings.registry.model_copy(update={"url": registry} if registry else {}),
        }
    )


def client_for(context: typer.Context, url: str, kafka: str, registry: str) -> Client:
    """A client over Kafka where brokers are named, else over HTTP."""
    from headwater.client import Client

    if kafka:
        return Client(kafka=kafka, registry=reach(context, kafka, registry).registry.url)
    return Client(url or _gateway(context))


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
    from streams.settings import Gateway

    settings = reach(context)
    stack = Addresses.read(settings.local.state_folder)
    if stack is not None and settings.gateway.port == Gateway().port:
        return stack.gateway_url
    return f"http://{settings.gateway.host}:{settings.gateway.port}"
