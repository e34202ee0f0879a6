"""The outlet of this deployment: the policy of its settings, and what is counted of what it hid."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

from processors.answer.outlet import Outlet
from streams.redaction import policy_of
from streams.settings import Settings, SettingsError

__all__ = ["HIDDEN", "outlet_of"]

# By kind and action only, as at ingest.
HIDDEN: Final = Counter(
    "headwater_outlet_hidden_total", "Pieces of data and phrases hidden in answers.", ["kind", "action"]
)


def outlet_of(settings: Settings) -> Outlet:
    """What may be said, by the section `outlet` over the section `redaction`.

    >>> from streams.settings import load
    >>> outlet_of(load()).rules("acme")["card"]
    'mask'

    Raises SettingsError where either names what nobody finds, tokens have no secret, or a phrase can't be used.
    """
    said, kept = settings.outlet, settings.redaction
    names = {*said.tenants, *kept.tenants}
    own = {name: said.tenants[name].kinds if name in said.tenants else {} for name in names}
    section = kept.model_copy(
        update={
            "default": {**kept.default, **said.kinds},
            "tenants": {name: {**kept.tenants.get(name, {}), **said.kinds, **own[name]} for name in names},
        }
    )
    try:
        outlet = Outlet(
            policy_of(section),
            {"": said.phrases, **{name: rules.phrases for name, rules in said.tenants.items() if rules.phrases}},
            {"": said.on, **{name: rules.on for name, rules in said.tenants.items() if rules.on is not None}},
            lambda kind, action: HIDDEN.labels(kind, action).inc(),
        )
        outlet.find("", "")
    except ValueError as error:
        raise SettingsError(f"outlet: {error}; see docs/outlet.md") from error
    return outlet
