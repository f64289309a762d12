"""What the dashboard and the alerts ask for, the service exports: every metric and every label."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from adapters.metrics import MeasuredGateway, Metrics
from handlers.gateway import Gateway
from infra.bootstrap import build
from infra.health import refresh
from infra.settings import Settings
from tests.support.systems import claimed, enqueued, job, reported, told

FOLDER = Path(__file__).parents[2] / "infra" / "observability"
METRIC = re.compile(r"\b(?:millrace_\w+|up)\b")
SELECTED = re.compile(r"\b((?:millrace_\w+|up)\b)\{([^}]*)\}")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
# What Prometheus adds to everything that it scrapes.
SCRAPED = {"job", "instance"}


def _panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


def queries() -> dict[str, str]:
    """Each query by where it stands."""
    found: dict[str, str] = {}
    for file in sorted((FOLDER / "dashboards").glob("*.json")):
        dashboard = json.loads(file.read_text())
        for panel in _panels(dashboard):
            for target in panel.get("targets", ()):
                found[f"{file.stem}: {panel['title']} {target['refId']}"] = target["expr"]
        for variable in dashboard["templating"]["list"]:
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]).groups()  # type: ignore[union-attr]
            found[f"{file.stem}: ${variable['name']}"] = f"max by ({label}) ({metric})"
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            found[f"alert {rule['alert']}"] = rule["expr"]
    return found


async def exported(database_url: str) -> dict[str, set[str]]:
    """The labels of each series that a service with some work behind it exports."""
    metrics = Metrics()

    def measured(gateway: Gateway, known: frozenset[str]) -> Gateway:
        return MeasuredGateway(gateway, metrics, known)

    system = await build(Settings(), database_url, measured=measured, ended=metrics.times.count)
    system.start()
    try:
        for outcome in ("completed", "failed"):
            await enqueued(system, max_attempts=1)
            (grant,) = await claimed(system)
            await reported(system, grant, outcome)
        await enqueued(system, run_at="2100-01-01T00:00:00Z")
        await told(system, "job.enqueue", {"name": "transcribe"})
        await job(system, await enqueued(system))
        await refresh(metrics, system)
    finally:
        await system.stop()
    labels: dict[str, set[str]] = {"up": set()}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


@pytest.fixture
async def series(fresh_database_url: str) -> dict[str, set[str]]:
    return await exported(fresh_database_url)


async def test_every_query_names_metrics_and_labels_that_are_exported(series: dict[str, set[str]]) -> None:
    asked = queries()
    assert len(asked) > 30
    for where, query in asked.items():
        names = METRIC.findall(query)
        assert names, where
        for name in names:
            assert name in series, f"{where}: nothing exports {name}"
        known = SCRAPED.union(*(series[name] for name in names))
        for labels in GROUPED.findall(query):
            assert {label.strip() for label in labels.split(",")} <= known, f"{where}: {query}"
        for name, matchers in SELECTED.findall(query):
            selected = set(re.findall(r"(\w+)\s*[=!]", matchers))
            assert selected <= series[name] | SCRAPED, f"{where}: {query}"


async def test_whatever_is_exported_of_jobs_is_on_the_dashboard(series: dict[str, set[str]]) -> None:
    shown = {name for query in queries().values() for name in METRIC.findall(query)}
    own = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in series if name.startswith("millrace_")}
    assert {name for name in own if not any(each.startswith(name) for each in shown)} == set()


def test_panels_are_told_apart_and_use_the_data_source_that_is_provisioned() -> None:
    (source,) = yaml.safe_load((FOLDER / "datasources.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((FOLDER / "dashboards.yml").read_text())["providers"]
    compose = (FOLDER.parents[1] / "docker-compose.yml").read_text()
    assert f"./infra/observability/dashboards:{provider['options']['path']}" in compose
    for file in (FOLDER / "dashboards").glob("*.json"):
        panels = list(_panels(json.loads(file.read_text())))
        assert len({panel["id"] for panel in panels}) == len(panels)
        assert {panel["datasource"]["uid"] for panel in panels if panel["type"] != "row"} == {source["uid"]}


def test_alerts_say_what_to_do_and_are_loaded() -> None:
    loaded = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["rule_files"]
    assert loaded == ["alerts.yml"]
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert rule["annotations"].keys() == {"summary", "description"}
            assert re.fullmatch(r"\d+[smh]", rule["for"])
