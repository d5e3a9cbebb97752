"""The dashboards as files: what Grafana would refuse, or show wrongly, without a word."""

import json
import logging
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

import dtx_telemetry
from dtx_telemetry import events
from dtx_telemetry.viewer.cli import main

FOLDER = Path(dtx_telemetry.__file__).parent / "dashboards"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("grafana/*.json"))}
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


def test_the_table_of_what_ended_has_every_closing_event() -> None:
    """A kind of scope that is missing there would seem never to end."""
    (query,) = (panel["targets"][0]["expr"] for panel in DASHBOARDS["click"]["panels"] if panel["title"] == "What ended")
    pattern = re.search(r'\|~ "([^"]+)"', query)
    assert pattern is not None
    closing = [event for event in vars(events).values() if isinstance(event, events.Event) and event.outcome is not None]
    printed = [event.name for event in closing if event.level > logging.DEBUG]
    assert len(printed) > 15
    assert [name for name in printed if not re.search(pattern[1], name)] == []


class TestWritingThemOut:
    """``dtx-telemetry dashboards [FOLDER]``."""

    def test_writes_all_and_says_where(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """As they are in the package. A second time changes nothing."""
        folder = tmp_path / "monitoring"
        for _ in range(2):
            assert main(["dashboards", str(folder)]) == 0
            written = [Path(line) for line in capsys.readouterr().out.splitlines()]
            assert {path.relative_to(folder) for path in written} == {path.relative_to(FOLDER) for path in FOLDER.glob("*/*")}
            assert all(path.read_bytes() == (FOLDER / path.relative_to(folder)).read_bytes() for path in written)

    def test_has_a_folder_of_its_own_by_default(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """In the current one."""
        monkeypatch.chdir(tmp_path)
        assert main(["dashboards"]) == 0
        assert (tmp_path / "dtx-dashboards" / "prometheus" / "alerts.yml").is_file()

    def test_replaces_what_somebody_changed_only_if_asked(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Nothing is written before it is clear that all can be."""
        rules = tmp_path / "prometheus" / "alerts.yml"
        rules.parent.mkdir()
        rules.write_text("groups: []\n")
        assert main(["dashboards", str(tmp_path)]) == 2
        assert "alerts.yml is there already and differs" in capsys.readouterr().err
        assert not (tmp_path / "grafana").exists()
        assert main(["dashboards", str(tmp_path), "--overwrite"]) == 0
        assert rules.read_text() != "groups: []\n"

    def test_takes_one_folder(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """And says what is too much."""
        assert main(["dashboards", str(tmp_path), "more"]) == 2
        assert "'more' is one too many" in capsys.readouterr().err

    def test_that_cannot_write_says_why(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """In one line."""
        (tmp_path / "taken").write_text("")
        assert main(["dashboards", str(tmp_path / "taken")]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def names_of(dashboard: dict[str, Any]) -> set[str]:
    return {variable["name"] for variable in dashboard["templating"]["list"]}
