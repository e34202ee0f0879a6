"""The redaction of a deployment: from its settings to the policy, and what is counted."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from schemas.documents import DocumentRedacted
from schemas.documents import Redaction as Found
from schemas.envelope import Version
from streams.redaction import observe_redactions, redaction_policy
from streams.settings import Redaction, SettingsError


def test_when_settings_name_tenants_and_secrets_then_the_policy_has_them() -> None:
    section = Redaction(
        default={"email": "tokenise"},
        tenants={"acme": {"card": "drop_block"}},
        token_secret=SecretStr("all"),
        token_secrets={"acme": SecretStr("own")},
    )
    policy = redaction_policy(section)
    assert policy.rules("acme")["card"] == "drop_block" and policy.rules("b")["card"] == "mask"
    other = redaction_policy(Redaction(default={"email": "tokenise"}, token_secret=SecretStr("all")))
    assert policy.token("b", "email", "x") == other.token("b", "email", "x")
    assert policy.token("acme", "email", "x") != other.token("acme", "email", "x")
    assert "own" not in repr(section) and "own" not in section.model_dump_json()


@pytest.mark.parametrize(
    ("given", "said"),
    [({"default": {"shoes": "mask"}}, "got shoes"), ({"default": {"email": "tokenise"}}, "redaction.token_secret")],
)
def test_when_settings_can_not_be_kept_then_the_error_says_which(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        redaction_policy(Redaction(**given))


def test_when_documents_are_committed_then_finds_are_counted_by_kind_and_action() -> None:
    labels = {"kind": "iban", "action": "tokenise"}
    before = REGISTRY.get_sample_value("headwater_redact_found_total", labels) or 0.0
    event = DocumentRedacted(
        tenant="acme", document="d", version=Version(source=0, offset=1), title="", media_type="", source_uri="",
        access=(), blocks=(), redactions=(Found(kind="iban", count=3, action="tokenise"),),
    )  # fmt: skip
    observe_redactions([event])
    assert REGISTRY.get_sample_value("headwater_redact_found_total", labels) == before + 3
