"""Who writes the answers of this deployment: quotes alone, or models behind their gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from adapters.breakers import BreakerRules, MemoryBreakers
from adapters.fallback_writer import FallbackWriter
from adapters.model_gateway import ModelGateway, ModelRules, Shared
from adapters.model_race import RaceRules, Route
from adapters.openai_compatible import OpenAICompatible, ServerOptions, Shapes
from adapters.tenant_places import TenantPlaces
from processors.answer.ladder import Ladder
from processors.answer.load import NO_LOAD, Load
from processors.answer.routes import RouteName, RouteRule
from processors.answer.writing import ExtractiveWriter, ModelWriter, Writer
from processors.ports import Breakers, Clock
from streams import model_metrics
from streams.settings import Settings

__all__ = ["gateway_of", "ladder_of", "writer_of"]

_NEVER: Final = float("inf")
# More failures than a process lives to see: a breaker that is off stays closed.
_OFF: Final = BreakerRules(failures=2**62)


def writer_of(
    settings: Settings,
    quoting: Callable[[], ExtractiveWriter],
    clock: Clock,
    load: Load = NO_LOAD,
    gateway: ModelGateway | None = None,
) -> Writer:
    """The writer that the settings ask for; `quoting` makes the one that needs no server, where it is needed. A gateway
    that others use as well is given."""
    ladder = ladder_of(settings, load)
    gateway = gateway or gateway_of(settings, clock, ladder)
    if gateway is None:
        return quoting()
    writer = ModelWriter(gateway, settings.generate.max_tokens)
    if settings.models.fallback != "extractive":
        return writer
    return FallbackWriter(writer, quoting(), clock, ladder)


def ladder_of(settings: Settings, load: Load = NO_LOAD) -> Ladder:
    """With how much less a question is answered that has little time left, or comes under load."""
    models = settings.models
    return Ladder(models.fewer_s, models.small_s, models.quotes_s, load)


def gateway_of(settings: Settings, clock: Clock, ladder: Ladder) -> ModelGateway | None:
    """The way to the models that the settings name; None where they name none."""
    generate, models = settings.generate, settings.models
    if not generate.url:
        return None
    routes = [_route("large", generate.url, generate.model, _options(settings, generate.api_key))]
    if models.small_url:
        options = _options(settings, models.small_api_key)
        if not models.small_extensions:
            shapes: Shapes = "none" if options.shapes == "none" else "response_format"
            options = replace(options, salt_secret="", priorities=False, counts_always=False, shapes=shapes)
        routes.append(_route("small", models.small_url, models.small_model, options))
    places = TenantPlaces(models.tenant_at_once, models.tenant_waiting)
    model_metrics.watch_waiting(lambda: places.waiting)
    rule = RouteRule(models.small_chars, models.small_sources, models.small_bulk)
    return ModelGateway(
        routes, rule, _rules(settings, ladder), Shared(_breakers(settings, clock), clock, places, model_metrics.note)
    )


def _route(name: RouteName, url: str, model: str, options: ServerOptions) -> Route:
    return Route(name, OpenAICompatible(url, model, options), f"{url} {model}")


def _options(settings: Settings, api_key: str) -> ServerOptions:
    return ServerOptions(
        api_key=api_key,
        timeout_s=settings.generate.timeout_s,
        salt_secret=settings.generate.salt_secret,
        priorities=settings.models.priorities,
        counts_always=settings.models.counts_always,
        shapes=settings.verify.shape,
    )


def _rules(settings: Settings, ladder: Ladder) -> ModelRules:
    models = settings.models
    return ModelRules(
        race=RaceRules(models.first_word_s or _NEVER, models.hedge_ms / 1_000 or _NEVER, models.slow_s),
        attempts=models.attempts,
        backoff_s=models.backoff_ms / 1_000,
        extra_share=models.extra_share,
        idle_s=models.silence_s or _NEVER,
        reserve_s=models.reserve_ms / 1_000,
        ladder=ladder,
    )


def _breakers(settings: Settings, clock: Clock) -> Breakers:
    models = settings.models
    if models.breaker == "off":
        return MemoryBreakers(_OFF, clock)
    rules = BreakerRules(models.breaker_failures, models.breaker_share, models.breaker_window_s, models.breaker_rest_s)
    if models.breaker == "memory":
        return MemoryBreakers(rules, clock)
    from adapters.redis_breakers import RedisBreakers
    from adapters.redis_heads import RedisOptions

    return RedisBreakers(RedisOptions(settings.heads.url, settings.heads.timeout_s), rules, clock)
