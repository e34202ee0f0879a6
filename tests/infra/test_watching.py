"""Rules, dashboard and connector: every metric they name is one that the code counts, every target a service."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
INFRA: Final = ROOT / "infra"
ROOMS: Final = ("schemas", "topics", "processors", "adapters", "streams", "headwater")
RULES: Final[list[dict[str, Any]]] = [
    rule
    for group in yaml.safe_load((INFRA / "prometheus" / "rules.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
PANELS: Final[list[dict[str, Any]]] = json.loads(
    (INFRA / "grafana" / "dashboards" / "overview.json").read_text("utf-8")
)["panels"]
SERVICES: Final[dict[str, Any]] = yaml.safe_load((INFRA / "docker-compose.yml").read_text("utf-8"))["services"]
CONNECTOR: Final[dict[str, str]] = json.loads((INFRA / "connect" / "documents.json").read_text("utf-8"))


def _expressions() -> list[str]:
    targets = [target["expr"] for panel in PANELS for target in panel["targets"]]
    return [rule["expr"] for rule in RULES] + targets


def _named_metrics() -> set[str]:
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    names = set()
    for expression in _expressions():
        for record in recorded:
            expression = expression.replace(record, "")
        names |= set(re.findall(r"\bheadwater_[a-z_]+\b", expression))
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}


def _counted_metrics() -> set[str]:
    texts = [path.read_text("utf-8") for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    return {name for text in texts for name in re.findall(r"""["'](headwater_[a-z_]+)["']""", text)}


def test_when_a_metric_is_watched_then_the_code_counts_it() -> None:
    missing = _named_metrics() - _counted_metrics()
    assert missing == set()


def test_when_a_recorded_name_is_used_then_a_rule_records_it() -> None:
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    used = {name for text in _expressions() for name in re.findall(r"\b(?:platform|hop):[a-z_]+:[a-z0-9_]+", text)}
    assert used <= recorded
    assert all(re.fullmatch(r"[a-z]+:headwater_[a-z_]+:[a-z0-9_]+", name) for name in recorded)


@pytest.mark.parametrize("rule", [rule for rule in RULES if "alert" in rule], ids=lambda rule: str(rule["alert"]))
def test_when_an_alert_fires_then_it_says_how_bad_it_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    page, anchor = rule["annotations"]["runbook_url"].split("#")
    sections = {line[3:].lower() for line in (ROOT / page).read_text("utf-8").splitlines() if line.startswith("## ")}
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert anchor == rule["alert"].lower()
    assert anchor in sections


def test_when_alerts_burn_then_short_and_long_windows_stand_in_pairs() -> None:
    burning = {rule["alert"]: rule["expr"] for rule in RULES if "Burn" in rule.get("alert", "")}
    assert len(burning) == 4
    for name, expression in burning.items():
        windows = ("rate5m", "rate1h") if name.endswith("Fast") else ("rate30m", "rate6h")
        assert all(window in expression for window in windows), name


def test_when_prometheus_scrapes_then_every_step_is_a_target_and_every_target_a_service() -> None:
    config = yaml.safe_load((INFRA / "prometheus" / "prometheus.yml").read_text("utf-8"))
    targets = [t for job in config["scrape_configs"] for static in job["static_configs"] for t in static["targets"]]
    hosts = {target.split(":")[0] for target in targets} - {"127.0.0.1"}
    running = {name for name, service in SERVICES.items() if service.get("command", [""])[0] in {"run", "gateway"}}
    assert running <= hosts <= set(SERVICES)


def test_when_the_dashboard_is_loaded_then_its_panels_are_told_apart() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert all(panel["title"] and panel["description"] and panel["targets"] for panel in PANELS)


def test_when_the_connector_is_read_then_it_repeats_nothing_and_hides_its_password() -> None:
    wanted = {
        "plugin.name": "pgoutput",
        "exactly.once.support": "required",
        "poll.interval.ms": "2",
        "topic.prefix": "cdc",
        "tombstones.on.delete": "true",
        "skipped.operations": "none",
    }
    assert wanted.items() <= CONNECTOR.items()
    assert CONNECTOR["database.password"] == "${env:POSTGRES_PASSWORD}"
    connect = SERVICES["connect"]["environment"]
    assert connect["CONNECT_EXACTLY_ONCE_SOURCE_SUPPORT"] == "enabled"
    partitions = SERVICES["ingest-capture"]["environment"]["HEADWATER_KAFKA__PARTITIONS"]
    assert CONNECTOR["topic.creation.default.partitions"] == partitions


def test_when_the_connector_names_tables_then_the_database_has_them() -> None:
    script = (INFRA / "postgres" / "documents.sql").read_text("utf-8")
    tables = {name.split(".")[1] for name in CONNECTOR["table.include.list"].split(",")}
    assert set(re.findall(r"CREATE TABLE (\w+)", script)) == tables


@pytest.mark.parametrize("command", [("check", "config", "prometheus.yml"), ("test", "rules", "rules_test.yml")])
def test_when_promtool_is_there_then_it_accepts_the_rules(command: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("lacks promtool (apt package prometheus)")
    done = subprocess.run(
        [promtool, *command], cwd=INFRA / "prometheus", capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
