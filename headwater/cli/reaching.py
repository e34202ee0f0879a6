"""Where a command finds the platform: what was said, else the settings, else the stack that this folder remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headwater.cli.local import settings_of

if TYPE_CHECKING:
    from headwater.client import Client
    from headwater.local.spec import Addresses
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
    Its stores and its Connect are taken with its Kafka only: the index of one log beside another would be mended by it.
    """
    from headwater.local.spec import Addresses

    settings = settings_of(context)
    stack = Addresses.read(settings.local.state_folder)
    said = {
        "kafka": {"bootstrap": to.kafka} if to and to.kafka else {},
        "registry": {"url": to.registry} if to and to.registry else {},
    }
    settings = _with(settings, said)
    if stack is None:
        return settings
    settings = _filled(settings, {"kafka": {"bootstrap": stack.bootstrap}, "registry": {"url": stack.registry_url}})
    return _beside(settings, stack) if settings.kafka.bootstrap == stack.bootstrap else settings


def _beside(settings: Settings, stack: Addresses) -> Settings:
    """The settings with the stores and the Connect of a stack whose Kafka they name."""
    folder = settings.local.state_folder
    found: dict[str, dict[str, Any]] = {"index": {"folder": folder / "index"}}
    if stack.connect_url:
        found["sources"] = {"connect": stack.connect_url}
    if stack.redis_url and _is_default(settings.heads, "url"):
        found["heads"] = {"kind": "redis", "url": stack.redis_url}
    if stack.weaviate_url and _is_default(settings.index, "url"):
        server = {"url": stack.weaviate_url, "grpc_port": stack.weaviate_grpc_port}
        found["index"] |= {"kind": "weaviate", **server, "api_key": _weaviate_key(folder)}
    claims = {"claims_folder": folder / "claims"} if _is_default(settings, "claims_folder") else {}
    return _filled(settings, found).model_copy(update=claims)


def _weaviate_key(state_folder: Path) -> str:
    """What only the stack's own folder knows; empty where this user may not read it, and Weaviate will say so."""
    from headwater.local.weaviate import KEY_FILE

    try:
        return (state_folder / "weaviate" / KEY_FILE).read_text(encoding="utf-8")
    except OSError:
        return ""


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


def _filled(settings: Settings, found: Mapping[str, Mapping[str, Any]]) -> Settings:
    """The settings with what was found where they say nothing of their own."""
    left = {
        section: {field: value for field, value in values.items() if _is_default(getattr(settings, section), field)}
        for section, values in found.items()
    }
    return _with(settings, left)


def _with(settings: Settings, said: Mapping[str, Mapping[str, Any]]) -> Settings:
    sections = {name: getattr(settings, name).model_copy(update=dict(values)) for name, values in said.items()}
    return settings.model_copy(update=sections)


def _is_default(section: Any, field: str) -> bool:
    return bool(getattr(section, field) == type(section).model_fields[field].default)
