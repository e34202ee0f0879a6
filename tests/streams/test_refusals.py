"""Which errors of a client are refusals, what to do about each, and how often the log says it."""

from __future__ import annotations

from collections import Counter

import pytest
from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from streams import refusals
from streams.access import require_access
from streams.clients import client_config
from streams.refusals import Refusals, advice, log_refusal
from streams.settings import Kafka, SettingsError

HANDSHAKE = "ssl://b:9093/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: "
CLOSED = "SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker listener?"


@pytest.mark.parametrize(
    ("code", "text", "words"),
    [
        (KafkaError._SSL, HANDSHAKE + "broker certificate could not be verified (after 8ms in state X)", "ca.location"),
        (KafkaError._TRANSPORT, "Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate", "(mTLS)"),
        (KafkaError._TRANSPORT, "error:0A00045C:SSL routines::tlsv13 alert certificate required", "(mTLS)"),
        (KafkaError._AUTHENTICATION, "Authentication failed: Invalid username or password", "sasl.password"),
        (KafkaError._AUTHENTICATION, "SASL SCRAM-SHA-256 mechanism handshake failed: Unsupported", "sasl.mechanism"),
        (KafkaError._SSL, "something else", "security.protocol"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "Topic authorization failed", "ACL"),
        (KafkaError._TRANSPORT, "Connect to ipv4#127.0.0.1:9092 failed: Connection refused", None),
        (KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down", None),
        (KafkaError.REQUEST_TIMED_OUT, "Timed out", None),
    ],
)
def test_when_an_error_is_of_access_then_it_says_what_to_do(code: int, text: str, words: str | None) -> None:
    said = advice(code, text)
    assert (said is None) == (words is None)
    assert words is None or (said and words in said)


def test_when_refused_then_the_first_reason_is_kept_without_what_differs() -> None:
    refusals = Refusals()
    refusals(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    assert refusals.reason == ""
    refusals(KafkaError(KafkaError._AUTHENTICATION, "Authentication failed (after 12ms in state AUTH_REQ)"))
    refusals(KafkaError(KafkaError._SSL, "later"))
    assert refusals.reason.endswith("(it said: Authentication failed)")


def test_when_a_broker_hangs_up_then_only_the_third_time_is_it_a_port_without_tls() -> None:
    refusals = Refusals()
    for expected in (False, False, True):
        refusals(KafkaError(KafkaError._TRANSPORT, CLOSED))
        assert ("speaks without TLS" in refusals.reason) == expected


def test_when_the_same_refusal_comes_for_long_then_the_log_has_few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    # How often each was told is counted for the whole process, in which other tests were refused too.
    monkeypatch.setattr(refusals, "_told", Counter[str]())
    refusal = KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, "Cluster authorization failed")
    with capture_logs() as logged:
        for _ in range(1_001):
            log_refusal(refusal)
        log_refusal(KafkaError(KafkaError._TRANSPORT, "Connection refused"))
    assert 2 <= len(logged) <= 3
    assert {line["event"] for line in logged} == {"access.refused"}


def test_when_the_cluster_is_open_then_clients_are_as_before() -> None:
    assert "error_cb" not in client_config(Kafka())
    assert client_config(Kafka(extra={"security.protocol": "SSL"}))["error_cb"] is log_refusal


def test_when_settings_cant_be_used_then_the_error_names_the_setting_and_no_secret() -> None:
    with pytest.raises(SettingsError, match=r"sasl\.pasword") as caught:
        require_access(Kafka(extra={"sasl.pasword": "hidden"}))
    assert "hidden" not in str(caught.value)
