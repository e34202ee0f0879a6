"""What this checkout and these settings answer with, by name: prompts, models, rules, settings, schemas.

Nothing is loaded and nobody is asked, so that it can be told wherever the code is. Secrets and addresses are left out:
what is written down is meant to be committed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final

from adapters.prompts import FilePrompts, prompts_in
from adapters.syntax import TreeSitterSyntax
from processors.ingest.policies import RedactionPolicy
from processors.ingest.strategies import SplitterByType
from schemas.rendering import wire_text
from streams.ensure import DECLARED
from streams.outlet import outlet_of
from streams.redaction import redaction_policy
from streams.settings import Settings
from streams.text_models import named_embedder, reader_version, weights_version

__all__ = ["Pins", "Value", "pins_of", "sections_of"]

Value = str | int | float | bool | None
Section = Mapping[str, Value]

_DIGITS: Final = 12
# What opens a server, where it is and how long it may take do not decide what it says; prompts are pinned themselves.
_NOT_ANSWERING: Final = frozenset({"url", "api_key", "salt_secret", "timeout_s", "prompts"})
_OF_MODELS: Final = ("small_model", "small_chars", "small_sources", "small_bulk", "fallback")
# An answer is made by these; the others say how documents came in, and what travels.
_ANSWERS: Final = ("release", "prompts", "embedding", "reader", "answering", "outlet")


@dataclass(frozen=True)
class Pins:
    """Sections of names and values; None is a value that can't be told here."""

    sections: Mapping[str, Section]

    @property
    def pipeline(self) -> str:
        """One name for all that makes an answer; it stands on every one."""
        made = {name: dict(self.sections[name]) for name in _ANSWERS}
        # Whether the weights are installed here decides nothing.
        made["embedding"].pop("weights", None)
        return f"answers-{_digest(json.dumps(made, sort_keys=True))}"


def pins_of(settings: Settings, prompts: FilePrompts | None = None) -> Pins:
    """Everything that is pinned, as it is here. Raises SettingsError where the settings can't be used.

    >>> from streams.settings import load
    >>> sorted(pins_of(load()).sections)[:4]
    ['answering', 'chunking', 'embedding', 'outlet']
    """
    prompts = prompts or FilePrompts(prompts_in(settings.generate.prompts))
    embedder = named_embedder(settings)
    return Pins(
        {
            "release": {"headwater": metadata.version("headwater")},
            "prompts": {name: prompts.get(name).version for name in prompts.names},
            "embedding": {
                "model": embedder.model,
                "dimension": embedder.dimension,
                "weights": weights_version(settings),
            },
            "chunking": _chunking(settings),
            "reader": {"version": reader_version(settings)},
            "answering": dict(_answering(settings)),
            "redaction": _redaction(redaction_policy(settings.redaction)),
            "outlet": _outlet(settings),
            "schemas": {topic.name: _digest(wire_text(topic.events)) for topic in DECLARED},
        }
    )


def _chunking(settings: Settings) -> Section:
    chunking = settings.chunking
    by_type = {kind: rule.rule() for kind, rule in chunking.by_type.items()}
    splitter = SplitterByType(chunking.rule(), by_type, named_embedder(settings), TreeSitterSyntax())
    return {"fingerprint": splitter.fingerprint}


def _answering(settings: Settings) -> Iterable[tuple[str, Value]]:
    for name, value in settings.retrieve.model_dump(mode="json").items():
        yield f"retrieve.{name}", _plain(value)
    yield "scope", _plain(settings.scope.model_dump(mode="json"))
    yield "memory.recalled", settings.memory.recalled
    yield "generate.writer", "model" if settings.generate.url else "quotes"
    for name, value in settings.generate.model_dump(mode="json", exclude=set(_NOT_ANSWERING)).items():
        yield f"generate.{name}", _plain(value)
    for name, value in settings.verify.model_dump(mode="json", exclude={"timeout_s", "reserve_ms"}).items():
        yield f"verify.{name}", _plain(value)
    yield "models.small", bool(settings.models.small_url)
    for name in _OF_MODELS:
        yield f"models.{name}", getattr(settings.models, name)


def _redaction(policy: RedactionPolicy) -> Section:
    """The rules as they come out, without what would tell of a secret."""
    rules = {
        f"{tenant or 'all'}.{kind}": action
        for tenant in sorted({"", *policy.tenants})
        for kind, action in sorted(policy.rules(tenant).items())
    }
    return {"recognisers": ", ".join(one.version for one in policy.recognisers), **rules}


def _outlet(settings: Settings) -> Section:
    outlet = outlet_of(settings)
    told: dict[str, Value] = {}
    for tenant in sorted({"", *outlet.policy.tenants, *outlet.phrases, *outlet.on}):
        whose, phrases = tenant or "all", outlet.phrases.get(tenant, ())
        told[f"{whose}.on"] = outlet.is_on(tenant)
        told.update({f"{whose}.{kind}": action for kind, action in sorted(outlet.rules(tenant).items())})
        # What must not be said does not stand in a file for everybody.
        told[f"{whose}.phrases"] = f"{len(phrases)}, {_digest(json.dumps(sorted(phrases)))}" if phrases else "none"
    return told


def _plain(value: Any) -> Value:
    """A value as it is, or how many parts it has and a digest of them."""
    if isinstance(value, Value):
        return value
    return f"{len(value)}, {_digest(json.dumps(value, sort_keys=True))}" if value else "none"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def sections_of(told: Any) -> dict[str, dict[str, Value]]:
    """Sections as a file says them. Raises ValueError for anything else than names with plain values in sections."""
    if not isinstance(told, dict) or not all(isinstance(section, dict) for section in told.values()):
        raise ValueError("wanted sections of names and values")
    for section, values in told.items():
        for name, value in values.items():
            if not isinstance(name, str) or not isinstance(value, Value):
                raise ValueError(f"wanted a plain value for {section}.{name}, got a {type(value).__name__}")
    return told
