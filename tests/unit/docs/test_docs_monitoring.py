"""The dashboard and the alert rules ask for series that relay has."""

import json
import re
from pathlib import Path

import pytest

from relay.metrics import Metrics

FOLDER = Path(__file__).parents[3] / "docs" / "monitoring"
OF_PROMETHEUS = {"job", "le"}
"""Labels that Prometheus and its histograms add."""


def expressions() -> list[tuple[str, str]]:
    """Return every expression with where it stands."""
    dashboard = json.loads((FOLDER / "grafana-dashboard.json").read_text())
    shown = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", ())]
    alerts = re.findall(r"- alert: (\w+)\n\s+expr: (.*)\n", (FOLDER / "alerts.yml").read_text())
    return shown + alerts


def series() -> set[str]:
    """Return the name of every series that relay exports."""
    names: set[str] = set()
    for family in Metrics().registry.collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}
        names.update(family.name + suffix for suffix in suffixes.get(family.type, ("",)))
    return names


def labels() -> set[str]:
    own = {label for metric in vars(Metrics()).values() for label in getattr(metric, "_labelnames", ())}
    return own | OF_PROMETHEUS


@pytest.mark.parametrize(("place", "expression"), expressions())
def test_every_series_and_label_of_an_expression_exists(place: str, expression: str) -> None:
    asked = set(re.findall(r"\b(?:relay|process)_\w+", expression))
    by = {name.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for name in group.split(",")}
    matched = set(re.findall(r"[{,]\s*(\w+)(?==|!=|=~)", expression))

    assert asked, place
    assert asked <= series()
    assert by | matched <= labels()


def test_every_series_of_relay_s_own_is_on_the_dashboard() -> None:
    shown = " ".join(expression for _, expression in expressions())

    own = {name for name in series() if name.startswith("relay_") and not name.endswith(("_sum", "_count"))}
    assert {name for name in own if name not in shown} == set()


def test_every_alert_says_what_it_means_and_names_a_command() -> None:
    text = (FOLDER / "alerts.yml").read_text()

    rules = text.split("- alert: ")[1:]
    assert len(rules) >= 10
    for rule in rules:
        assert re.search(r"severity: (warning|critical)", rule)
        assert "summary: " in rule
        assert re.search(r"description: .*\. (relay|journalctl) ", rule), rule
