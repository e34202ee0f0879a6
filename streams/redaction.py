"""Redaction as this deployment wants it: the policy of its settings, and what is counted once it was applied."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter

from processors.ingest.policies import RedactionPolicy
from processors.ingest.recognise import PatternRecogniser
from processors.ports import Recogniser
from schemas.documents import DocumentRedacted
from schemas.envelope import Event
from streams.settings import Redaction, SettingsError

__all__ = ["FOUND", "observe_redactions", "policy_of", "redaction_policy"]

# By kind and action only: which tenant has how many cards is nobody's business.
FOUND: Final = Counter("headwater_redact_found_total", "Pieces of personal data and secrets.", ["kind", "action"])


def redaction_policy(section: Redaction) -> RedactionPolicy:
    """The policy of the settings. Raises SettingsError where it names what nobody finds, or tokens have no secret.

    >>> redaction_policy(Redaction(default={"email": "mask"})).rules("acme")["email"]
    'mask'
    """
    try:
        return policy_of(section)
    except ValueError as error:
        raise SettingsError(f"redaction: {error}; see docs/redaction.md") from error


def policy_of(section: Redaction) -> RedactionPolicy:
    """The same for who says in words of his own what is wrong: raises ValueError."""
    return RedactionPolicy(
        default=section.default,
        tenants=section.tenants,
        secret=section.token_secret.get_secret_value().encode(),
        secrets={tenant: secret.get_secret_value().encode() for tenant, secret in section.token_secrets.items()},
        recognisers=_recognisers(section.presidio),
    )


def observe_redactions(events: Iterable[Event]) -> None:
    """Counts what was found. Use it once the documents are committed."""
    for event in events:
        if isinstance(event, DocumentRedacted):
            for one in event.redactions:
                FOUND.labels(one.kind, one.action).inc(one.count)


def _recognisers(presidio: bool) -> tuple[Recogniser, ...]:
    if not presidio:
        return (PatternRecogniser(),)
    from adapters.presidio import PresidioRecogniser

    return (PatternRecogniser(), PresidioRecogniser())
