"""The registry, asked by the client that everything else uses."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from headwater.local.broker import BrokerSpec, KafkaBroker
from headwater.local.parts import REGISTRY, OwnPart
from headwater.local.ports import choose_port

pytestmark = pytest.mark.live

Connect = Callable[[OwnPart], SchemaRegistryClient]


def _schema(*fields: str, optional: tuple[str, ...] = ()) -> Schema:
    required = [{"name": name, "type": "string"} for name in fields]
    defaulted = [{"name": name, "type": "string", "default": ""} for name in optional]
    return Schema(json.dumps({"type": "record", "name": "R", "fields": required + defaulted}), "AVRO")


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients with nothing cached, closed when the test is over."""
    with ExitStack() as clients:
        yield lambda part: clients.enter_context(SchemaRegistryClient({"url": part.url, "max.retries": 0}))


@pytest.fixture
def subject() -> str:
    return f"test.{uuid.uuid4()}-value"


@pytest.fixture
def client(registry: OwnPart, connect: Connect) -> SchemaRegistryClient:
    return connect(registry)


def test_when_registered_then_found_by_id_version_and_schema(client: SchemaRegistryClient, subject: str) -> None:
    schema = _schema("a")
    schema_id = client.register_schema(subject, schema)
    assert json.loads(str(client.get_schema(schema_id).schema_str)) == json.loads(str(schema.schema_str))
    assert client.get_latest_version(subject).version == 1
    assert client.get_version(subject, 1).schema_id == schema_id
    assert client.get_versions(subject) == [1]
    assert client.lookup_schema(subject, schema).schema_id == schema_id
    assert subject in client.get_subjects()


def test_when_registered_again_or_elsewhere_then_same_id(registry: OwnPart, connect: Connect, subject: str) -> None:
    first = connect(registry).register_schema(subject, _schema("a"))
    spaced = Schema(json.dumps(json.loads(str(_schema("a").schema_str)), indent=4), "AVRO")
    assert connect(registry).register_schema(subject, spaced) == first
    assert connect(registry).register_schema(f"{subject}.other", _schema("a")) == first
    assert connect(registry).get_versions(subject) == [1]


def test_when_many_register_at_once_then_one_id_and_one_version(
    registry: OwnPart, connect: Connect, subject: str
) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: connect(registry).register_schema(subject, _schema("a", subject[5:9])), range(16)))
    assert len(ids) == 1
    assert connect(registry).get_versions(subject) == [1]


def test_when_compatible_with_all_before_then_next_version(client: SchemaRegistryClient, subject: str) -> None:
    client.register_schema(subject, _schema("a"))
    client.register_schema(subject, _schema("a", optional=("b",)))
    assert client.get_versions(subject) == [1, 2]
    assert client.test_compatibility(subject, _schema("a", optional=("c",)))
    assert not client.test_compatibility(subject, _schema("a", "c"))


def test_when_only_the_last_version_is_compatible_then_refused(client: SchemaRegistryClient, subject: str) -> None:
    client.register_schema(subject, _schema("a"))
    client.register_schema(subject, _schema("a", optional=("b",)))
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema(subject, _schema("a", "b"))
    assert (refused.value.http_status_code, refused.value.error_code) == (409, 409)
    assert "reader_field_missing_default_value" in str(refused.value)
    assert "version 1" in str(refused.value)
    assert "version 2" not in str(refused.value)
    assert client.get_versions(subject) == [1, 2]


def test_when_a_level_is_set_then_it_decides(client: SchemaRegistryClient, subject: str) -> None:
    assert client.get_compatibility() == "BACKWARD_TRANSITIVE"
    client.register_schema(subject, _schema("a"))
    assert client.set_compatibility(subject, "NONE") == {"compatibility": "NONE"}
    assert client.get_compatibility(subject) == "NONE"
    client.register_schema(subject, _schema("z"))
    client.set_compatibility(subject, "FULL")
    assert not client.test_compatibility(subject, _schema("z", "y"))
    assert client.test_compatibility(subject, _schema("z", optional=("y",)))


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/subjects/nobody/versions", None, (404, 40401)),
        ("GET", "/subjects/{known}/versions/9", None, (404, 40402)),
        ("GET", "/subjects/{known}/versions/first", None, (422, 42202)),
        ("GET", "/schemas/ids/99999", None, (404, 40403)),
        ("GET", "/schemas/ids/abc", None, (422, 422)),
        ("POST", "/subjects/{known}", {"schema": '"int"'}, (404, 40403)),
        ("POST", "/subjects/{known}/versions", {"schema": "{"}, (422, 42201)),
        ("POST", "/subjects/{known}/versions", {"schema": '{"type":"record","name":"R"}'}, (422, 42201)),
        ("POST", "/subjects/{known}/versions", {"schema": "x", "schemaType": "PROTOBUF"}, (422, 42201)),
        ("POST", "/subjects/{known}/versions", {}, (422, 422)),
        ("PUT", "/config", {"compatibility": "SOMETIMES"}, (422, 42203)),
    ],
)
def test_when_the_request_is_wrong_then_confluents_code(
    client: SchemaRegistryClient,
    subject: str,
    method: str,
    path: str,
    body: dict[str, str] | None,
    expected: tuple[int, int],
) -> None:
    client.register_schema(subject, _schema("a"))
    answer = httpx.request(method, str(client.config()["url"]) + path.format(known=subject), json=body)
    assert (answer.status_code, answer.json()["error_code"]) == expected
    assert answer.json()["message"]


def test_when_kafka_goes_and_the_registry_restarts_then_ids_stay(
    tmp_path: Path, cache_folder: Path, small_program: tuple[str, ...], connect: Connect
) -> None:
    with KafkaBroker(BrokerSpec(tmp_path / "kafka", cache_folder, quick=True)) as broker:
        part = OwnPart(REGISTRY, tmp_path / "run")
        environment = (("HEADWATER_KAFKA__BOOTSTRAP", broker.bootstrap),)
        part.begin(choose_port("the registry"), environment, small_program)
        part.await_ready(30.0)
        first = connect(part).register_schema("s", _schema("a"))
        second = connect(part).register_schema("t", _schema("b"))

        broker.child.kill()
        with pytest.raises(SchemaRegistryError) as away:
            connect(part).register_schema("u", _schema("c"))
        assert (away.value.http_status_code, away.value.error_code) == (503, 50001)
        assert connect(part).get_subjects() == ["s", "t"]

        part.child.kill()
        broker.start()
        part.begin(part.port, environment, small_program)
        part.await_ready(30.0)
        again = connect(part)
        assert (again.register_schema("s", _schema("a")), again.register_schema("t", _schema("b"))) == (first, second)
        assert again.register_schema("u", _schema("c")) not in (first, second)
        part.stop()


def test_when_a_second_registry_writes_then_the_first_is_fenced(
    tmp_path: Path, cache_folder: Path, small_program: tuple[str, ...], connect: Connect
) -> None:
    with KafkaBroker(BrokerSpec(tmp_path / "kafka", cache_folder, quick=True)) as broker:
        environment = (("HEADWATER_KAFKA__BOOTSTRAP", broker.bootstrap),)
        old, new = OwnPart(REGISTRY, tmp_path / "old"), OwnPart(REGISTRY, tmp_path / "new")
        for part in (old, new):
            part.begin(choose_port("a registry"), environment, small_program)
        for part in (old, new):
            part.await_ready(30.0)
        connect(old).register_schema("s", _schema("a"))
        connect(new).register_schema("t", _schema("b"))
        with pytest.raises(SchemaRegistryError, match="replaced by another"):
            connect(old).register_schema("u", _schema("c"))
        assert connect(new).register_schema("u", _schema("c")) > 0
        old.stop()
        new.stop()
