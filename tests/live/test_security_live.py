"""A broker that lets in who shows a certificate (mTLS) or a password (SASL), and what those hear whom it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from structlog.testing import capture_logs

from headwater.local.broker import BrokerSpec, KafkaBroker
from headwater.local.ports import HOST, choose_port
from streams.access import AccessRefusedError, require_access
from streams.batches import BatchHop
from streams.clients import client_config
from streams.ensure import ensure
from streams.hop import Hop
from streams.settings import Kafka, Settings, SettingsError, load
from tests.live.authority import KEY_PASSWORD, Authority
from tests.streams.bench_hops import Bench, copy, eventually, feedback, running

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
# Of a broker that answers at once; the machine may be busy.
SOON_S = 8.0
PASSWORD = "correct horse battery staple"

Extra = dict[str, str]


@dataclass(frozen=True)
class Secured:
    """A broker with three doors: an open one for the test itself, one for certificates, one for passwords."""

    broker: KafkaBroker
    tls: str
    sasl: str
    extras: dict[str, Extra]

    def kafka(self, way: str, **other: str) -> Kafka:
        extra = {**self.extras[way], **other}
        door = self.tls if way == "mtls" else self.sasl
        return Kafka(bootstrap=door, deadline_s=10.0, extra={k: v for k, v in extra.items() if v})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secured")


@pytest.fixture(scope="module")
def secured(folder: Path, cache_folder: Path) -> Iterator[Secured]:
    ours = Authority(folder, "ours")
    ports = {name: choose_port(name) for name in ("PLAINTEXT", "CONTROLLER", "CERTIFICATES", "PASSWORDS")}
    spec = BrokerSpec(
        folder / "kafka",
        cache_folder,
        port=ports["PLAINTEXT"],
        controller_port=ports["CONTROLLER"],
        quick=True,
        properties=tuple(_properties(ports, ours).items()),
    )
    with KafkaBroker(spec) as broker:
        _add_scram_user(broker.bootstrap)
        yield Secured(broker, f"{HOST}:{ports['CERTIFICATES']}", f"{HOST}:{ports['PASSWORDS']}", _extras(ours))


def _properties(ports: dict[str, int], ours: Authority) -> dict[str, str]:
    addresses = {name: f"{name}://{HOST}:{port}" for name, port in ports.items()}
    module = "org.apache.kafka.common.security"
    passwords = "listener.name.passwords"
    return {
        "listeners": ",".join(addresses.values()),
        "advertised.listeners": ",".join(at for name, at in addresses.items() if name != "CONTROLLER"),
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CERTIFICATES:SSL,PASSWORDS:SASL_SSL"
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(ours.keystore("broker")),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(ours.certificate),
        "listener.name.certificates.ssl.client.auth": "required",
        f"{passwords}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        f"{passwords}.plain.sasl.jaas.config": (f'{module}.plain.PlainLoginModule required user_worker="{PASSWORD}";'),
        f"{passwords}.scram-sha-512.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
    }


def _extras(ours: Authority) -> dict[str, Extra]:
    client = ours.sign("worker")
    trusted = {"ssl.ca.location": str(ours.certificate)}
    password = {"sasl.username": "worker", "sasl.password": PASSWORD}
    return {
        "mtls": {
            "security.protocol": "SSL",
            **trusted,
            "ssl.certificate.location": str(client.certificate),
            "ssl.key.location": str(client.key),
            "ssl.key.password": KEY_PASSWORD,
        },
        "plain": {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", **trusted, **password},
        "scram": {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", **trusted, **password},
    }


def _add_scram_user(bootstrap: str) -> None:
    wanted = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    changed = admin.alter_user_scram_credentials([UserScramCredentialUpsertion("worker", wanted, PASSWORD.encode())])
    changed["worker"].result(20.0)


def settings_of(kafka: Kafka) -> Settings:
    return load(kafka=kafka.model_dump(), worker={"drain_s": 5.0})


@pytest.mark.parametrize("way", ["mtls", "plain", "scram"])
def test_when_a_hop_is_let_in_then_it_copies_exactly_once(secured: Secured, way: str) -> None:
    bench = Bench(secured.broker.bootstrap)
    bench.put(*(feedback(n) for n in range(500)))
    with running(bench.hop(BatchHop, [Hop((bench.source,), copy, (bench.middle,))], settings_of(secured.kafka(way)))):
        assert bench.comments(bench.middle, 500) == [str(n) for n in range(500)]


WRONG = [
    ("mtls", {"ssl.ca.location": "theirs.pem"}, "ssl.ca.location"),
    ("mtls", {"ssl.certificate.location": "", "ssl.key.location": "", "ssl.key.password": ""}, "mTLS"),
    (
        "mtls",
        {"ssl.certificate.location": "theirs-worker.pem", "ssl.key.location": "theirs-worker.key"},
        "an authority that the broker trusts",
    ),
    ("plain", {"sasl.password": "wrong horse"}, "check sasl.username and sasl.password"),
    ("scram", {"sasl.password": "wrong horse"}, "check sasl.username and sasl.password"),
    ("scram", {"sasl.username": "nobody"}, "check sasl.username and sasl.password"),
    ("scram", {"sasl.mechanism": "SCRAM-SHA-256"}, "sasl.mechanism"),
    ("plain", {"ssl.ca.location": "theirs.pem"}, "ssl.ca.location"),
]
NAMES = [f"{way}: {next(iter(other))}" for way, other, _ in WRONG]


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Path:
    """Files of another authority, which the broker does not know, nor we."""
    Authority(folder, "theirs").sign("worker")
    return folder


def refused(secured: Secured, theirs: Path, way: str, other: Extra) -> Kafka:
    paths = {name: str(theirs / value) if value.startswith("theirs") else value for name, value in other.items()}
    return secured.kafka(way, **paths)


@pytest.mark.parametrize(("way", "other", "words"), WRONG, ids=NAMES)
def test_when_somebody_is_not_let_in_then_the_error_comes_soon_and_says_what_to_do(
    secured: Secured, theirs: Path, way: str, other: Extra, words: str
) -> None:
    began = time.monotonic()
    with pytest.raises(AccessRefusedError) as caught:
        ensure(settings_of(refused(secured, theirs, way, other)), dry_run=True)
    assert time.monotonic() - began < SOON_S
    assert words in str(caught.value) and "docs/security.md" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in (PASSWORD, KEY_PASSWORD, "wrong horse"))


def test_when_the_port_speaks_without_tls_then_it_is_said(secured: Secured) -> None:
    kafka = secured.kafka("mtls").model_copy(update={"bootstrap": secured.broker.bootstrap})
    with pytest.raises(AccessRefusedError, match="speaks without TLS"):
        require_access(kafka)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"ssl.key.password": "wrong"}, "ssl.key.location failed"),
        ({"ssl.ca.location": "absent.pem"}, "ssl.ca.location failed"),
        ({"ssl.ca.locations": "ours.pem"}, "No such configuration property"),
        ({"security.protocol": "TLS"}, "security.protocol"),
    ],
)
def test_when_the_settings_cant_be_used_then_the_error_names_the_one(
    secured: Secured, other: Extra, words: str
) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        require_access(secured.kafka("mtls", **other))
    assert KEY_PASSWORD not in str(caught.value)


def test_when_the_broker_is_away_then_access_is_no_matter(secured: Secured) -> None:
    require_access(secured.kafka("mtls").model_copy(update={"bootstrap": f"{HOST}:{choose_port('nobody')}"}))


def headwater(secured: Secured, kafka: Kafka, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, with its password and the rest of its settings where a deployment has them."""
    secret = {name: value for name, value in kafka.extra.items() if "password" in name}
    known = {name: value for name, value in kafka.extra.items() if name not in secret}
    (cwd / "headwater.yaml").write_text(
        json.dumps({"kafka": {"bootstrap": kafka.bootstrap, "extra": known}}), encoding="utf-8"
    )
    (cwd / "secrets").mkdir()
    (cwd / "secrets" / "headwater_kafka").write_text(json.dumps({"extra": secret}), encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HEADWATER_SECRETS_DIR": str(cwd / "secrets")}
    command = [sys.executable, "-m", "headwater.cli.main", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("arguments", [("run", "measure.cost"), ("topics", "ensure"), ("tail", "rag.query.asked.v1")])
def test_when_a_command_is_not_let_in_then_it_ends_with_4_and_one_line(
    secured: Secured, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    began = time.monotonic()
    done = headwater(secured, secured.kafka("plain", **{"sasl.password": "wrong horse"}), tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    assert "error: wanted to be let in at" in done.stderr and "check sasl.username and sasl.password" in done.stderr
    assert "Traceback" not in done.stderr and "horse" not in done.stderr
    assert time.monotonic() - began < SOON_S + 5.0


def test_when_settings_are_shown_then_secrets_from_every_place_are_masked(secured: Secured, tmp_path: Path) -> None:
    shown = headwater(secured, secured.kafka("mtls"), tmp_path, "config", "show", "--origin", "--output", "json")
    rows = {row["name"]: (row["value"], row["place"]) for row in json.loads(shown.stdout)}
    assert rows["kafka.extra.ssl.key.password"] == ("********", "secrets folder")
    assert rows["kafka.extra.ssl.key.location"] == (secured.extras["mtls"]["ssl.key.location"], "settings file")
    assert KEY_PASSWORD not in shown.stdout + shown.stderr


def test_when_a_client_is_refused_again_and_again_then_the_log_says_once_what_to_do(secured: Secured) -> None:
    with capture_logs() as logged:
        admin: Any = AdminClient(client_config(secured.kafka("scram", **{"sasl.password": "wrong horse"})))
        eventually(lambda: (admin.poll(0.1), any(line["event"] == "access.refused" for line in logged))[1])
        for _ in range(20):
            admin.poll(0.1)
    told = [line for line in logged if line["event"] == "access.refused"]
    assert len(told) == 1
    assert "check sasl.username" in told[0]["remedy"] and "invalid credentials" in told[0]["reason"]
