"""The files that the how-to pages offer: manifests, alert rules and a dashboard that fit what there is."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from core_messaging_plugins.prometheus_page import page

from core_messaging.settings import Settings
from core_messaging.snapshot import Condition, Snapshot

FILES = Path(__file__).resolve().parents[1] / "how-to/files"
KUBERNETES = "1.33"


def metrics() -> set[str]:
    """The names of all samples that a worker serves."""
    text = page(Snapshot(0.0, ())).body.decode()
    names = set[str]()
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE):
        names |= {f"{name}_bucket", f"{name}_count", f"{name}_sum"} if kind == "histogram" else {name}
    return names


def metrics_in(expressions: list[str]) -> set[str]:
    return {name for each in expressions for name in re.findall(r"\bcore_\w+", each)}


def test_the_alert_rules_name_metrics_and_conditions_that_there_are() -> None:
    (group,) = yaml.safe_load((FILES / "alerts.yml").read_text("utf-8"))["groups"]
    expressions = [rule["expr"] for rule in group["rules"]]
    assert metrics_in(expressions)
    assert metrics_in(expressions) - metrics() == set()
    conditions = {each.value for each in Condition}
    named = [
        name
        for each in expressions
        for text in re.findall(r'condition=~"([^"]+)"', each)
        for name in text.split("|")
    ]
    assert named
    assert set(named) <= conditions
    for rule in group["rules"]:
        assert set(rule["annotations"]) == {"summary", "remedy"}


def test_the_dashboard_names_metrics_that_there_are() -> None:
    dashboard = json.loads((FILES / "grafana.json").read_text("utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    variables = [
        each["query"]["query"] for each in dashboard["templating"]["list"] if each["type"] == "query"
    ]
    assert len(metrics_in(expressions)) > 10
    assert metrics_in([*expressions, *variables]) - metrics() == set()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FILES / name).read_text("utf-8")))


@pytest.mark.parametrize("document", documents("deployment.yml"), ids=lambda each: each["kind"])
def test_the_manifests_are_valid(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_the_stop_of_a_pod_and_of_a_service_has_more_time_than_a_worker_takes() -> None:
    pod = documents("deployment.yml")[0]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > Settings().shutdown_timeout
    service = configparser.ConfigParser(interpolation=None)
    service.optionxform = str  # type: ignore[assignment,method-assign]
    service.read_string((FILES / "orders.service").read_text("utf-8"))
    assert float(service["Service"]["TimeoutStopSec"]) > Settings().shutdown_timeout


def test_the_variables_of_the_manifest_are_settings_or_options_of_plugins() -> None:
    (container,) = documents("deployment.yml")[0]["spec"]["template"]["spec"]["containers"]
    settings = {name.upper() for name in Settings.model_fields}
    plugins = {
        f"CORE_PLUGIN_{name}_{option}" for name in ("HEALTH", "PROMETHEUS") for option in ("PORT", "HOST")
    }
    assert {each["name"] for each in container["env"]} <= settings | plugins


def test_the_scaled_object_scales_the_deployment_on_a_metric_that_there_is() -> None:
    (scaled,) = documents("scaledobject.yml")
    (trigger,) = scaled["spec"]["triggers"]
    assert scaled["spec"]["scaleTargetRef"]["name"] == documents("deployment.yml")[0]["metadata"]["name"]
    assert metrics_in([trigger["metadata"]["query"]]) == {"core_useful_lag"}
    assert metrics_in([trigger["metadata"]["query"]]) <= metrics()
