"""The compose file is checked against the steps, the settings and the commands: nobody else keeps them in step."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, Final, cast

import pytest
import yaml
from pydantic import BaseModel

from headwater.cli import local as local_commands
from streams.answer import ANSWER
from streams.hop import Journey
from streams.ingest import INGEST
from streams.measure import MEASURE
from streams.settings import Settings

INFRA: Final = Path(__file__).parents[2] / "infra"
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((INFRA / "docker-compose.yml").read_text("utf-8"))
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
JOURNEYS: Final[tuple[Journey, ...]] = (INGEST, ANSWER, MEASURE)
STEPS: Final = [(journey.name, step) for journey in JOURNEYS for step in journey.steps]
OWN: Final = {name for name, service in SERVICES.items() if "build" in service}
ENDS_BY_ITSELF: Final = {"topics", "connector"}
PINNED: Final = {
    "apache/kafka:4.3.1",
    "semitechnologies/weaviate:1.38.9",
    "redis:7.0.15",
    "postgres:15.14",
    "quay.io/debezium/connect:3.6.1.Final",
    "vllm/vllm-openai:v0.32.0",
    "prom/prometheus:v2.55.1",
    "grafana/grafana:11.6.1",
}


def _registry_options() -> set[str]:
    names = set(inspect.signature(local_commands.registry).parameters) - {"context"}
    return {f"registry --{name.replace('_', '-')}" for name in names}


def _named_settings() -> set[str]:
    """Every environment variable that the settings know."""
    names = set()
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            names |= {f"HEADWATER_{name}__{key}".upper() for key in section.model_fields}
        else:
            names.add(f"HEADWATER_{name}".upper())
    return names


def _used_settings() -> set[str]:
    texts = [path.read_text("utf-8") for path in INFRA.rglob("*") if path.is_file()]
    return {name for text in texts for name in re.findall(r"\bHEADWATER_[A-Z0-9_]+\b", text)}


def test_when_profiles_are_collected_then_they_are_the_four() -> None:
    profiles = {profile for service in SERVICES.values() for profile in service["profiles"]}
    assert profiles == {"core", "cdc", "gpu", "watch"}


def test_when_images_of_others_are_named_then_their_versions_are_pinned() -> None:
    images = {service["image"] for name, service in SERVICES.items() if name not in OWN}
    assert images == PINNED
    assert all(re.search(r":v?\d+\.\d+", image) and "latest" not in image for image in images)


@pytest.mark.parametrize(("journey", "step"), STEPS, ids=[".".join(pair) for pair in STEPS])
def test_when_a_step_is_in_a_journey_then_a_service_runs_it(journey: str, step: str) -> None:
    service = SERVICES[f"{journey}-{step}"]
    assert service["command"] == ["run", f"{journey}.{step}"]
    assert service["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}


def test_when_a_service_is_named_like_a_step_then_the_journey_has_it() -> None:
    named = {name for name in SERVICES if name.split("-")[0] in {journey.name for journey in JOURNEYS}}
    assert named == {f"{journey}-{step}" for journey, step in STEPS}


def test_when_vectors_are_made_then_the_image_has_the_model_and_no_other_image_has() -> None:
    with_model = {name for name in OWN if SERVICES[name]["build"]["target"] == "model"}
    assert {"ingest-embed", "answer-retrieve", "answer-rerank"} <= with_model
    assert with_model <= {f"{journey}-{step}" for journey, step in STEPS}
    assert {SERVICES[name]["build"]["target"] for name in OWN} == {"platform", "model"}


def test_when_a_headwater_variable_is_set_then_the_settings_know_it() -> None:
    assert _used_settings() - _named_settings() == set()


def test_when_the_registry_is_started_then_its_command_has_the_options() -> None:
    command: list[str] = SERVICES["registry"]["command"]
    used = {f"registry {word}" for word in command if word.startswith("--")}
    assert command[0] == "registry"
    assert used - _registry_options() == set()


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_when_a_service_runs_then_it_is_bounded_checked_and_bound_to_this_machine(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["deploy"]["resources"]["limits"]["memory"])
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
    assert ("healthcheck" in service) == (name not in ENDS_BY_ITSELF)
    assert service["restart"] == ("no" if name in ENDS_BY_ITSELF else "unless-stopped")


@pytest.mark.parametrize("name", sorted(OWN))
def test_when_the_image_is_our_own_then_it_can_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_when_ports_are_published_then_no_two_services_share_one() -> None:
    published = [str(port).rsplit(":", 1)[0] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == len(set(published))


def test_when_folders_and_volumes_are_mounted_then_they_exist() -> None:
    mounts = [str(mount) for service in SERVICES.values() for mount in service.get("volumes", [])]
    named = {mount.split(":")[0] for mount in mounts if not mount.startswith((".", "$"))}
    folders = {mount.split(":")[0] for mount in mounts if mount.startswith("./")}
    assert named == set(COMPOSE["volumes"])
    assert [folder for folder in folders if not (INFRA / folder).is_dir()] == []


def test_when_a_service_waits_for_another_then_it_shares_a_profile_with_it() -> None:
    for name, service in SERVICES.items():
        for other in service.get("depends_on", {}):
            assert set(service["profiles"]) <= set(SERVICES[other]["profiles"]), f"{name} waits for {other}"


def test_when_a_secret_is_needed_then_it_comes_from_outside() -> None:
    for service in SERVICES.values():
        values = cast("dict[str, str]", service.get("environment", {}))
        secrets = {key: value for key, value in values.items() if "PASSWORD" in key and "ALLOWLIST" not in key}
        assert all(re.fullmatch(r"\$\{[A-Z_]+:-\}", value) for value in secrets.values()), secrets


def test_when_the_own_image_is_built_then_it_is_not_root_and_imports_nothing_from_its_folder() -> None:
    text = (INFRA / "images" / "Dockerfile").read_text("utf-8")
    copied = set(re.findall(r"^COPY (\w+) \w+$", text, re.M))
    assert re.search(r"^USER 10001:10001$", text, re.M)
    assert "PYTHONSAFEPATH=1" in text
    assert {"schemas", "topics", "processors", "adapters", "streams", "headwater"} == copied
    for target in ("platform", "model"):
        assert re.search(rf"^FROM runtime AS {target}$", text, re.M)
    platform_build = text.split("AS build-model")[0]
    assert "embed" not in platform_build
