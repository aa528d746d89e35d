"""The page of metrics and the dashboard say what the code counts."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric

from universal_core.config import Config
from universal_core.metrics.gauges import GAUGES
from universal_core.runtime import Runtime

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "reference" / "metrics.md"
DASHBOARD = DOCS / "reference" / "grafana-dashboard.json"
GUIDE = DOCS / "how-to" / "monitor.md"
BUILD = ("version", "python")
_NAME = re.compile(r"\b(?:universal|process)_\w+")
_GROUPED = re.compile(r"\b(?:by|label_values)\s*\(([^)]*)\)")
_MATCHED = re.compile(r"(\w+)(?:=~|!~|!=|=)\"")
FROM_PROMETHEUS = {"le", "job"}


def metrics() -> Iterator[tuple[Metric, tuple[str, ...]]]:
    """Yield every metric with its labels."""
    metrics = Runtime(Config()).metrics
    assert metrics is not None
    for collector in metrics.measures.registry._collector_to_names:
        for found in getattr(collector, "describe", collector.collect)():
            gauge = GAUGES.get(found.name.removeprefix("universal_"))
            yield found, gauge[1] if gauge else tuple(getattr(collector, "_labelnames", ()))


def name_of(metric: Metric) -> str:
    """Return the name under which Prometheus has it."""
    return metric.name + {"counter": "_total", "info": "_info"}.get(metric.type, "")


def labels() -> dict[str, set[str]]:
    """Return the labels of every series by its name: a histogram has three."""
    found = {}
    for metric, own in metrics():
        endings = ("", "_bucket", "_sum", "_count") if metric.type == "histogram" else ("",)
        found.update(
            {name_of(metric) + ending: set(own or (BUILD if metric.type == "info" else ())) for ending in endings}
        )
    return found


def row(metric: Metric, own: tuple[str, ...]) -> str:
    kind = {"info": "gauge"}.get(metric.type, metric.type)
    own = BUILD if metric.type == "info" else own
    named = ", ".join(f"`{label}`" for label in own) or "none"
    return f"| `{name_of(metric)}` | {kind} | {named} | {metric.documentation} |"


def expressions() -> list[str]:
    board = json.loads(DASHBOARD.read_text("utf-8"))
    targets = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    variables = [one["query"]["query"] for one in board["templating"]["list"] if one["type"] == "query"]
    return targets + variables


def queries() -> list[Any]:
    """Return every query of the dashboard, and those of the guide."""
    text = GUIDE.read_text("utf-8")
    shown = [line for line in text.splitlines() if _NAME.search(line) and ("`" in line or "expr" in line)]
    return [pytest.param(one, id=str(number)) for number, one in enumerate([*expressions(), *shown])]


def test_every_metric_has_its_row_and_there_are_no_others() -> None:
    rows = {line for line in PAGE.read_text("utf-8").splitlines() if re.match(r"\| `(universal|process)_", line)}
    known = {row(metric, own) for metric, own in metrics()}
    assert rows == known, f"\nadd: {sorted(known - rows)}\nremove: {sorted(rows - known)}"


def test_every_label_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE))))
    assert {label for metric, own in metrics() if metric.type != "info" for label in own} <= explained


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for one in expressions() for name in _NAME.findall(one)}
    assert {name_of(metric) for metric, _ in metrics() if metric.name.startswith("universal_")} <= shown


@pytest.mark.parametrize("query", queries())
def test_queries_name_only_what_there_is(query: str) -> None:
    known = labels()
    names = set(_NAME.findall(query))
    assert names <= known.keys()
    wanted = {label.strip() for group in _GROUPED.findall(query) for label in group.split(",")} - names
    wanted |= set(_MATCHED.findall(query))
    assert wanted <= set().union(*(known[name] for name in names)) | FROM_PROMETHEUS


def test_the_dashboard_can_be_imported_anywhere() -> None:
    board = json.loads(DASHBOARD.read_text("utf-8"))
    panels = board["panels"]
    assert {one["name"] for one in board["templating"]["list"]} == {"datasource", "job", "model"}
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in panels if panel["type"] != "row")
