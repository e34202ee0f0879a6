"""Where a command finds the platform: the command line, then the settings, then the stack of this folder."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import typer

from headwater.cli.reaching import ToGateway, ToKafka, client_for, codec_for, reach
from headwater.http_transport import HttpTransport
from headwater.local.spec import Addresses
from streams.settings import Gateway, Heads, IndexSection, Kafka, Local, Registry, Settings, Sources

STACK = Addresses("stack:1", "http://stack:2", "http://stack:3", "http://stack:4")
FULL = replace(
    STACK,
    connect_url="http://stack:5",
    redis_url="redis://stack:6/0",
    weaviate_url="http://stack:7",
    weaviate_grpc_port=8,
)


def context(settings: Settings) -> Any:
    """What a command gets from the application."""
    made = typer.Context.__new__(typer.Context)
    made.obj = settings
    return made


@pytest.fixture
def remembered(tmp_path: Path) -> Path:
    (tmp_path / "stack.json").write_text(json.dumps({"addresses": asdict(STACK)}))
    return tmp_path


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """The folder of a stack of the full profile."""
    (tmp_path / "stack.json").write_text(json.dumps({"addresses": asdict(FULL)}))
    (tmp_path / "weaviate").mkdir()
    (tmp_path / "weaviate" / "weaviate.key").write_text("only here")
    return tmp_path


def settings_in(folder: Path, **sections: Any) -> Settings:
    return Settings(local=Local(state_folder=folder), **sections)


def test_when_nothing_is_said_then_the_running_stack_is_found(remembered: Path) -> None:
    settings = reach(context(settings_in(remembered)))
    assert (settings.kafka.bootstrap, settings.registry.url) == ("stack:1", "http://stack:2")
    assert settings.claims_folder == remembered / "claims"


def test_when_the_full_profile_runs_then_its_stores_and_its_connect_are_found(full: Path) -> None:
    settings = reach(context(settings_in(full)))
    assert (settings.index.kind, settings.index.url, settings.index.grpc_port) == ("weaviate", "http://stack:7", 8)
    assert settings.index.api_key == "only here"
    assert (settings.heads.kind, settings.heads.url) == ("redis", "redis://stack:6/0")
    assert settings.sources.connect == "http://stack:5"


def test_when_the_embedded_profile_runs_then_its_index_is_the_one_in_its_folder(remembered: Path) -> None:
    settings = reach(context(settings_in(remembered)))
    assert (settings.index.kind, settings.index.folder) == ("local", remembered / "index")
    assert settings.heads.kind == "memory"


def test_when_another_kafka_is_meant_then_no_store_of_the_stack_is_taken(full: Path) -> None:
    settings = reach(context(settings_in(full)), ToKafka(kafka="line:1"))
    assert (settings.index, settings.heads, settings.sources) == (IndexSection(), Heads(), Sources())
    assert settings.claims_folder == Settings().claims_folder


def test_when_the_settings_say_which_stores_then_the_stack_does_not_count(full: Path) -> None:
    said = settings_in(
        full,
        index=IndexSection(kind="weaviate", url="http://said:7", api_key="said"),
        heads=Heads(kind="redis", url="redis://said:6/0"),
        sources=Sources(connect="http://said:5"),
    )
    settings = reach(context(said))
    assert (settings.index.url, settings.index.api_key) == ("http://said:7", "said")
    assert (settings.heads.url, settings.sources.connect) == ("redis://said:6/0", "http://said:5")


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
