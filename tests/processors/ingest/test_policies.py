"""Policies and tokens: the same value has the same token, nobody else's; wrong policies are refused by name."""

from __future__ import annotations

import re
from typing import Any

import pytest

from processors.ingest.policies import RedactionPolicy

POLICY = RedactionPolicy(secret=b"one", secrets={"other": b"two"})


@pytest.mark.parametrize(
    ("kind", "one", "same"),
    [
        ("email", "Ann@Example.org", "ann@example.ORG"),
        ("card", "4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("iban", "DE89 3704 0044 0532 0130 00", "de89370400440532013000"),
        ("phone", "+49 (30) 123 456", "+49 30 123456"),
        ("national_id", "X-1234567-L", "X1234567L"),
    ],
)
def test_when_a_value_is_written_in_two_ways_then_it_has_one_token(kind: str, one: str, same: str) -> None:
    assert POLICY.token("acme", kind, one) == POLICY.token("acme", kind, same)


def test_when_a_token_is_made_then_it_is_one_word_of_letters_and_of_its_tenant_kind_and_secret() -> None:
    token = POLICY.token("acme", "email", "ann@example.org")
    assert re.fullmatch(r"tokemail[a-p]{20}", token)
    others = [
        POLICY.token("b", "email", "ann@example.org"),
        POLICY.token("acme", "email", "bob@example.org"),
        POLICY.token("other", "email", "ann@example.org"),
        RedactionPolicy(secret=b"two").token("acme", "email", "ann@example.org"),
        POLICY.token("acme", "secret", "ann@example.org"),
    ]
    assert len({token, *others}) == 6


def test_when_two_secrets_differ_in_letter_size_then_their_tokens_do() -> None:
    assert POLICY.token("acme", "secret", "aB3") != POLICY.token("acme", "secret", "Ab3")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"default": {"shoe size": "mask"}}, "all tenants: wanted kinds among .* got shoe size"),
        ({"tenants": {"acme": {"card": "burn"}}}, "tenant 'acme': wanted mask, tokenise.* got burn"),
        ({"default": {"email": "tokenise"}}, "all tenants: wanted a secret for tokens"),
        ({"tenants": {"acme": {"email": "tokenise"}}, "secrets": {"b": b"x"}}, "tenant 'acme': wanted a secret"),
    ],
)
def test_when_a_policy_can_not_be_kept_then_it_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RedactionPolicy(**given)


def test_when_anything_that_decides_changes_then_the_fingerprint_does() -> None:
    tokens: dict[str, Any] = {"default": {"email": "tokenise"}}
    fingerprints = [
        RedactionPolicy().fingerprint("acme"),
        RedactionPolicy(default={"email": "mask"}).fingerprint("acme"),
        RedactionPolicy(**tokens, secret=b"one").fingerprint("acme"),
        RedactionPolicy(**tokens, secret=b"two").fingerprint("acme"),
    ]
    assert len(set(fingerprints)) == 4
    assert RedactionPolicy(tenants={"b": {"email": "mask"}}).fingerprint("acme") == fingerprints[0]
    assert RedactionPolicy(secret=b"unused").fingerprint("acme") == fingerprints[0]


def test_when_a_policy_is_printed_then_its_secrets_are_not() -> None:
    assert "one" not in repr(POLICY) and "two" not in repr(POLICY)
