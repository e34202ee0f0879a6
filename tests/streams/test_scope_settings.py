"""Settings of scope: bounded, and a tenant may take a topic out."""

from __future__ import annotations

import pytest

from streams.settings import SettingsError, load


def test_when_too_many_questions_are_declared_then_it_says_so() -> None:
    with pytest.raises(SettingsError, match="wanted at most 500 questions in all topics, got 501"):
        load(scope={"tenant_topics": {"acme": {"sums": [f"What is {n}?" for n in range(501)]}}})


def test_when_a_tenant_declares_a_topic_without_questions_then_it_is_taken_out() -> None:
    scope = load(scope={"topics": {"sums": ["What is 1?"]}, "tenant_topics": {"acme": {"sums": []}}}).scope.scope()
    assert scope.tenants["acme"] == {"sums": ()} and scope.default == {"sums": ("What is 1?",)}
