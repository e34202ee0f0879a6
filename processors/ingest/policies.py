"""What is done with each kind of data, tenant by tenant, and the tokens that stand for values.

A token is `tok`, the kind, and twenty letters from a to p: the first 80 bits of HMAC-SHA256 under the tenant's secret
over tenant, kind and value, each followed by a zero byte. The value is written in one way first (`one_way`), so
that the same card with spaces or dashes has one token. Letters only: a search index takes it as one word, and no
recogniser takes it for data again. Source: `docs/redaction.md`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal, get_args

from processors.ingest.recognise import PatternRecogniser
from processors.ports import Recogniser

__all__ = ["DEFAULT_RULES", "Action", "RedactionPolicy", "one_way"]

Action = Literal["mask", "tokenise", "drop_block", "drop_document", "allow"]

# Addresses and phone numbers are often what is asked for, so they stay unless a policy names them.
DEFAULT_RULES: Final[Mapping[str, Action]] = {
    "secret": "mask",
    "card": "mask",
    "iban": "mask",
    "ssn": "mask",
    "national_id": "mask",
    "passport": "mask",
}
_LETTERS: Final = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_TOKEN_NIBBLES: Final = 20
_AS_WRITTEN: Final = frozenset({"secret"})


@dataclass(frozen=True)
class RedactionPolicy:
    """Which kinds are masked, tokenised, dropped or left, by default and by tenant. Use one per worker.

    >>> policy = RedactionPolicy(tenants={"acme": {"email": "mask", "card": "allow"}})
    >>> policy.rules("acme")["email"], policy.rules("other").get("email"), "card" in policy.rules("acme")
    ('mask', None, False)

    `default` is laid over DEFAULT_RULES, a tenant's rules over both; kinds that are allowed are not looked for. Where
    several recognisers are given, an earlier one has the first word. Raises ValueError for a kind that nobody
    finds, an unknown action, or tokens without a secret of their tenant (`secrets`, else `secret`).
    """

    default: Mapping[str, Action] = field(default_factory=dict)
    tenants: Mapping[str, Mapping[str, Action]] = field(default_factory=dict)
    secret: bytes = field(default=b"", repr=False)
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    recognisers: tuple[Recogniser, ...] = (PatternRecogniser(),)

    def __post_init__(self) -> None:
        known = frozenset[str]().union(*(recogniser.kinds for recogniser in self.recognisers))
        for tenant, rules in {"": self.default, **self.tenants}.items():
            whose = f"tenant {tenant!r}" if tenant else "all tenants"
            if unknown := rules.keys() - known:
                raise ValueError(f"{whose}: wanted kinds among {', '.join(sorted(known))}, got {', '.join(unknown)}")
            if wrong := set(rules.values()) - set(get_args(Action)):
                raise ValueError(f"{whose}: wanted {', '.join(get_args(Action))}, got {', '.join(map(str, wrong))}")
            if "tokenise" in self.rules(tenant).values() and not self._secret_of(tenant):
                raise ValueError(f"{whose}: wanted a secret for tokens, got none; set redaction.token_secret")

    def rules(self, tenant: str) -> Mapping[str, Action]:
        """What is done with each kind for a tenant; kinds that are left alone are not in it."""
        merged = {**DEFAULT_RULES, **self.default, **self.tenants.get(tenant, {})}
        return {kind: action for kind, action in merged.items() if action != "allow"}

    def token(self, tenant: str, kind: str, value: str) -> str:
        """What stands for a value: the same for the same tenant, kind, value and secret, and it tells nothing else.

        >>> RedactionPolicy(secret=b"s").token("acme", "email", "Ann@Example.org")
        'tokemailnollaoebggcggibdijme'
        """
        message = "".join(f"{part}\0" for part in (tenant, kind, one_way(kind, value))).encode()
        digest = hmac.digest(self._secret_of(tenant), message, "sha256").hex()
        return f"tok{kind.replace('_', '')}{digest[:_TOKEN_NIBBLES].translate(_LETTERS)}"

    def fingerprint(self, tenant: str) -> str:
        """Names all that decides what becomes of a tenant's texts; a secret changes it and can't be read in it."""
        return _fingerprint(
            tuple(sorted(self.rules(tenant).items())),
            tuple(recogniser.version for recogniser in self.recognisers),
            self._secret_of(tenant) if "tokenise" in self.rules(tenant).values() else b"",
        )

    def _secret_of(self, tenant: str) -> bytes:
        return self.secrets.get(tenant) or self.secret


@lru_cache(maxsize=1_024)
def _fingerprint(rules: tuple[tuple[str, str], ...], versions: tuple[str, ...], secret: bytes) -> str:
    key = hmac.digest(secret, b"which secret", "sha256").hex() if secret else ""
    said = "\0".join([*(f"{kind}={action}" for kind, action in rules), *versions, key])
    return f"redaction-{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def one_way(kind: str, value: str) -> str:
    """A value in the one way in which it is compared: small letters, and numbers without what groups them.

    >>> one_way("card", "4111-1111 1111 1111"), one_way("email", "Ann@Example.org"), one_way("phone", "+49 (30) 123")
    ('4111111111111111', 'ann@example.org', '+4930123')
    """
    if kind in _AS_WRITTEN:
        return value
    if kind in ("email", "ipv6", "birth_date"):
        return " ".join(value.lower().split())
    return value if kind == "ipv4" else re.sub(r"[^0-9a-z+]", "", value.lower())
