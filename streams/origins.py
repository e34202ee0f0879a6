"""Where each setting comes from: which of the places that are asked had the last word on it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from pydantic_settings import EnvSettingsSource, InitSettingsSource, SecretsSettingsSource

from streams.settings import Settings, child_environment

__all__ = ["MASK", "Origin", "origins"]

MASK: Final = "********"

# In the order in which they are asked (`Settings.settings_customise_sources`).
_PLACES: Final = ("command line", "environment", "secrets folder", "settings file")
_DEFAULT: Final = "default"


@dataclass(frozen=True)
class Origin:
    """One setting, its value and who had the last word on it; a secret's value is masked."""

    name: str
    value: Any
    place: str


def origins(settings: Settings) -> Iterator[Origin]:
    """Every setting of a loaded object, in the order of the sections. Use it to explain, never to decide.

    >>> next(origins(Settings())).name
    'kafka.bootstrap'
    """
    secrets = child_environment().get("HEADWATER_SECRETS_DIR")
    with warnings.catch_warnings():
        # A secrets folder that is not there was reported when the settings were loaded.
        warnings.simplefilter("ignore")
        asked = Settings.settings_customise_sources(
            Settings,
            InitSettingsSource(Settings, {}),
            EnvSettingsSource(Settings),
            InitSettingsSource(Settings, {}),
            SecretsSettingsSource(Settings, secrets_dir=secrets),
        )
        given = [dict(source()) for source in asked]
    for name, value, secret in _fields(settings, ""):
        place = next((place for place, values in zip(_PLACES, given, strict=True) if _has(values, name)), _DEFAULT)
        yield Origin(name, MASK if secret and value else value, place)


def _fields(section: BaseModel, prefix: str) -> Iterator[tuple[str, Any, bool]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _fields(value, f"{prefix}{name}.")
        else:
            extra = field.json_schema_extra
            yield f"{prefix}{name}", value, isinstance(extra, dict) and bool(extra.get("secret"))


def _has(values: Mapping[str, Any], dotted: str) -> bool:
    found: Any = values
    for name in dotted.split("."):
        if isinstance(found, BaseModel):
            found = found.model_dump(exclude_unset=True)
        if not isinstance(found, Mapping) or name not in found:
            return False
        found = found[name]
    return True
