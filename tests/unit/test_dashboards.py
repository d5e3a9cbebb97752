"""The dashboards as files: what Grafana would refuse, or show wrongly, without a word."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

import dtx_telemetry

DASHBOARDS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(dtx_telemetry.__file__).parent / "dashboards" / "grafana").glob("*.json"))
}
#: Grafana's own.
GIVEN = {"__rate_interval", "__range", "__value", "__url_time_range", "__field", "__all"}


def test_each_has_an_id_of_its_own() -> None:
    """By which the others link to it."""
    uids = [dashboard["uid"] for dashboard in DASHBOARDS.values()]
    assert len(set(uids)) == len(uids) == 6


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
class TestEach:
    def test_links_to_dashboards_that_are_there(self, dashboard: dict[str, Any]) -> None:
        """And gives them variables that they have."""
        known = {other["uid"]: names_of(other) for other in DASHBOARDS.values()}
        for uid, arguments in re.findall(r"/d/([\w-]+)\?([^\"]*)", json.dumps(dashboard)):
            assert set(re.findall(r"var-(\w+)=", arguments)) <= known[uid]

    def test_uses_variables_that_it_has(self, dashboard: dict[str, Any]) -> None:
        """Or Grafana would ask for their names."""
        used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard)))
        assert used - GIVEN <= names_of(dashboard)

    def test_has_panels_that_do_not_overlap(self, dashboard: dict[str, Any]) -> None:
        """Each with an id, a title and something to show."""
        panels = dashboard["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        assert all(panel["title"] and (panel.get("targets") or panel["type"] == "row") for panel in panels)
        for one, other in combinations((panel["gridPos"] for panel in panels), 2):
            apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_each_links_to_lines_and_traces() -> None:
    """By ``request.id`` in the end."""
    for name in DASHBOARDS.keys() - {"click"}:
        graphs = [panel for panel in DASHBOARDS[name]["panels"] if panel["type"] in {"timeseries", "stat"}]
        assert all("/d/dtx-click" in json.dumps(panel) for panel in graphs)
    assert "var-request_id=${__value.raw" in json.dumps(DASHBOARDS["click"])


def names_of(dashboard: dict[str, Any]) -> set[str]:
    return {variable["name"] for variable in dashboard["templating"]["list"]}
