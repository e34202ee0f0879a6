"""Where a command finds the platform: the command line, then the settings, then the stack of this folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from headwater.cli.reaching import ToGateway, ToKafka, client_for, codec_for, reach
from headwater.http_transport import HttpTransport
from headwater.local.spec import Addresses
from streams.settings import Gateway, Kafka, Local, Registry, Settings

STACK = Addresses("stack:1", "http://stack:2", "http://stack:3", "http://stack:4")


def context(settings: Settings) -> Any:
    """What a command gets from the application."""
    made = typer.Context.__new__(typer.Context)
    made.obj = settings
    return made


@pytest.fixture
def remembered(tmp_path: Path) -> Path:
    addresses = {name: getattr(STACK, name) for name in STACK.__dataclass_fields__}
    (tmp_path / "stack.json").write_text(json.dumps({"addresses": addresses}))
    return tmp_path


def settings_in(folder: Path, **sections: Any) -> Settings:
    return Settings(local=Local(state_folder=folder), **sections)


def test_when_nothing_is_said_then_the_running_stack_is_found(remembered: Path) -> None:
    settings = reach(context(settings_in(remembered)))
    assert (settings.kafka.bootstrap, settings.registry.url) == ("stack:1", "http://stack:2")
    assert settings.claims_folder == remembered / "claims"


def test_when_settings_say_where_then_the_stack_does_not_count(remembered: Path) -> None:
    said = settings_in(remembered, kafka=Kafka(bootstrap="said:1"), registry=Registry(url="http://said:2"))
    settings = reach(context(said))
    assert (settings.kafka.bootstrap, settings.registry.url) == ("said:1", "http://said:2")


def test_when_the_command_line_says_where_then_that_counts(remembered: Path) -> None:
    said = settings_in(remembered, kafka=Kafka(bootstrap="said:1"))
    settings = reach(context(said), ToKafka(kafka="line:1", registry="http://line:2"))
    assert (settings.kafka.bootstrap, settings.registry.url) == ("line:1", "http://line:2")
    assert codec_for(settings) is not None


def test_when_there_is_no_stack_then_the_settings_stay_as_they_are(tmp_path: Path) -> None:
    assert reach(context(settings_in(tmp_path))) == settings_in(tmp_path)


@pytest.mark.parametrize(
    ("url", "gateway", "stack", "expected"),
    [
        ("http://line:3", Gateway(), True, "http://line:3"),
        ("", Gateway(), True, "http://stack:3"),
        ("", Gateway(port=5), True, "http://127.0.0.1:5"),
        ("", Gateway(), False, "http://127.0.0.1:18080"),
    ],
)
def test_when_a_question_is_asked_then_the_nearest_gateway_gets_it(
    remembered: Path, tmp_path: Path, url: str, gateway: Gateway, stack: bool, expected: str
) -> None:
    folder = remembered if stack else tmp_path / "none"
    with client_for(context(settings_in(folder, gateway=gateway)), ToGateway(url=url)) as client:
        assert isinstance(client._transport, HttpTransport)
        assert client._transport._url == expected
