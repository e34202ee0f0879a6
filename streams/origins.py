"""Where each setting comes from: which of the places that are asked had the last word on it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from pydantic_settings import EnvSettingsSource, InitSettingsSource, SecretsSettingsSource

from streams.settings import Settings, child_environment

__all__ = ["MASK", "Origin", "masked", "origins"]

MASK: Final = "********"

# The names of librdkafka's settings that are secrets, those to come included; a path to a key's file is none.
_SECRET_NAME: Final = re.compile(r"password|passphrase|secret|key\.pem$|oauthbearer\.config$", re.IGNORECASE)
_IN_URL: Final = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]+(?=@)")

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
    for path, value, secret in _fields(settings, ()):
        place = next((place for place, values in zip(_PLACES, given, strict=True) if _has(values, path)), _DEFAULT)
        yield Origin(".".join(path), MASK if secret and value else masked(value), place)


def masked(value: Any) -> Any:
    """A value without the password of a URL inside it.

    >>> masked("https://worker:hidden@registry:8081")
    'https://worker:********@registry:8081'
    """
    return _IN_URL.sub(rf"\1:{MASK}", value) if isinstance(value, str) else value


def _fields(section: BaseModel, prefix: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, bool]]:
    """Every setting with its path, and whether it is secret; one of plain words, as `kafka.extra`, word by word."""
    for name, field in type(section).model_fields.items():
        value, path = getattr(section, name), (*prefix, name)
        if isinstance(value, BaseModel):
            yield from _fields(value, path)
        elif isinstance(value, Mapping) and value and not any(isinstance(part, BaseModel) for part in value.values()):
            yield from (((*path, key), part, bool(_SECRET_NAME.search(key))) for key, part in value.items())
        else:
            extra = field.json_schema_extra
            yield path, value, isinstance(extra, dict) and bool(extra.get("secret"))


def _has(values: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    found: Any = values
    for name in path:
        if isinstance(found, BaseModel):
            found = found.model_dump(exclude_unset=True)
        if not isinstance(found, Mapping) or name not in found:
            return False
        found = found[name]
    return True
