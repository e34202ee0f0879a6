"""Settings with their places: word by word where they are librdkafka's, and no secret among them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streams.origins import MASK, masked, origins
from streams.settings import Kafka, Settings, load

SECRETS = (
    "sasl.password",
    "ssl.key.password",
    "ssl.keystore.password",
    "ssl.key.pem",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.oauthbearer.assertion.private.key.passphrase",
)
OPEN = ("security.protocol", "sasl.username", "sasl.mechanism", "ssl.key.location", "ssl.ca.location")


def shown(settings: Settings) -> dict[str, tuple[object, str]]:
    return {origin.name: (origin.value, origin.place) for origin in origins(settings)}


@pytest.mark.parametrize("name", SECRETS)
def test_when_a_setting_of_librdkafka_is_secret_then_it_is_masked(name: str) -> None:
    settings = load(kafka={"extra": {name: "hidden", "sasl.username": "worker"}})
    rows = shown(settings)
    assert rows[f"kafka.extra.{name}"][0] == MASK
    assert rows["kafka.extra.sasl.username"][0] == "worker"
    assert "hidden" not in repr(settings) + str(settings)


@pytest.mark.parametrize("name", OPEN)
def test_when_a_setting_of_librdkafka_is_no_secret_then_it_is_shown(name: str) -> None:
    assert shown(load(kafka={"extra": {name: "seen"}}))[f"kafka.extra.{name}"][0] == "seen"


def test_when_extra_comes_from_several_places_then_each_word_says_from_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "headwater.yaml").write_text(
        json.dumps({"kafka": {"extra": {"sasl.username": "file", "sasl.mechanism": "PLAIN"}}})
    )
    (tmp_path / "headwater_kafka").write_text(json.dumps({"extra": {"sasl.password": "hidden"}}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADWATER_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("HEADWATER_KAFKA__EXTRA", json.dumps({"sasl.username": "environment"}))
    rows = shown(load())
    assert rows["kafka.extra.sasl.username"] == ("environment", "environment")
    assert rows["kafka.extra.sasl.mechanism"] == ("PLAIN", "settings file")
    assert rows["kafka.extra.sasl.password"] == (MASK, "secrets folder")


def test_when_nothing_is_extra_then_one_line_says_so() -> None:
    assert shown(Settings(kafka=Kafka()))["kafka.extra"] == ({}, "default")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("http://a:8081", "http://a:8081"),
        ("https://user:hidden@a:8081/x", f"https://user:{MASK}@a:8081/x"),
        ("https://user@a", "https://user@a"),
        (7, 7),
    ],
)
def test_when_a_url_has_a_password_then_it_is_masked(value: object, expected: object) -> None:
    assert masked(value) == expected
