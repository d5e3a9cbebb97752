"""Labels from a path."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtx_telemetry import extract_labels
from dtx_telemetry.config.labels import DEFAULT_PREFIXES, DEFAULT_RESOURCES, DEFAULT_WITHOUT_ID, LabelTable

TABLE = LabelTable()
UUID = "0F8FAD5B-d9cb-469f-a165-70867728950e"


def is_label(segment):
    return segment in DEFAULT_RESOURCES or segment in DEFAULT_WITHOUT_ID


paths = st.lists(
    st.one_of(
        st.sampled_from([*DEFAULT_RESOURCES, *DEFAULT_WITHOUT_ID]),
        st.integers(0, 10**25).map(str),
        st.uuids().map(str),
        st.text(max_size=8).filter(lambda text: "/" not in text),
    ),
    max_size=12,
).map(lambda segments: "/api/" + "/".join(segments))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/tournaments/5/draft/12/", {"labels": ["tournament", "draft"], "tournament.id": 5, "draft.id": 12}),
        ("/ws/draft/5/", {"labels": ["draft"], "draft.id": 5}),
        ("/api/tournaments/", {"labels": ["tournament"]}),
        ("/api/users/me/", {"labels": ["user"]}),
        ("/api/users/me/teams/3/", {"labels": ["user", "team"], "team.id": 3}),
        (f"/api/teams/{UUID}/", {"labels": ["team"], "team.id": UUID}),
        (f"/api/teams/{UUID.replace('-', '')}", {"labels": ["team"], "team.id": UUID.replace("-", "")}),
        ("/api/leagues/1/standings/7/", {"labels": ["league", "standings"], "league.id": 1}),
        ("/api/tournament/5/bracket/", {"labels": ["tournament", "bracket"], "tournament.id": 5}),
        ("/api/games/stats/9/", {"labels": ["game", "stats"]}),
        ("/api/teams/1/users/2/teams/3/", {"labels": ["team", "user"], "team.id": 1, "user.id": 2}),
        ("/api/teams/users/2/team/3/", {"labels": ["team", "user"], "user.id": 2, "team.id": 3}),
        ("/api/organizations/4/matches/007", {"labels": ["organization", "match"], "organization.id": 4, "match.id": 7}),
        ("/api/v1/5/draft/x/6/", {"labels": ["draft"]}),
        ("/api/teams//5/", {"labels": ["team"]}),
        ("/api/teams/-5/", {"labels": ["team"]}),
        ("/api/teams/5.0/", {"labels": ["team"]}),
        ("/api/tournaments/5.json", {"labels": ["tournament"], "tournament.id": 5}),
        ("/api/tournaments/5.json/", {"labels": ["tournament"], "tournament.id": 5}),
        ("/api/tournaments/5.json/draft/7.xml", {"labels": ["tournament", "draft"], "tournament.id": 5, "draft.id": 7}),
        (f"/api/teams/{UUID}.html", {"labels": ["team"], "team.id": UUID}),
        ("/api/users/me.json", {"labels": ["user"]}),
        ("/api/teams/5.", {"labels": ["team"]}),
        ("/api/teams/5.tar.gz", {"labels": ["team"]}),
        ("/api/teams/5.jsön", {"labels": ["team"]}),
        ("/api/teams/.json", {"labels": ["team"]}),
        ("/api/teams/٣/", {"labels": ["team"]}),
        ("/api/teams/" + "9" * 5000, {"labels": ["team"]}),
        ("/api/Teams/5/", {}),
        ("/api/health/", {}),
        ("/api/", {}),
        ("/api", {}),
        ("/tournaments/5/", {}),
        ("/apiary/teams/5/", {}),
        ("/v1/api/teams/5/", {}),
        ("api/teams/5/", {}),
        ("", {}),
    ],
)
def test_a_path_gives_its_labels_and_ids(path, expected):
    """Segments are matched in the path's order; an integer or a UUID after a resource is its id."""
    found = TABLE.extract(path)

    assert found == expected
    assert list(found) == list(expected)


@pytest.mark.parametrize("label", ["tournament", "draft", "league", "organization", "match", "game", "team", "user"])
def test_the_default_table_knows_singular_and_plural(label):
    """Each of DTX's resources is known by both its names and takes an id."""
    plural = f"{label}es" if label == "match" else f"{label}s"

    for segment in (label, plural):
        assert TABLE.extract(f"/api/{segment}/8/") == {"labels": [label], f"{label}.id": 8}


@pytest.mark.parametrize("label", ["standings", "bracket", "stats"])
def test_some_labels_take_no_id(label):
    """What follows such a label is not its id."""
    assert TABLE.extract(f"/api/{label}/8/") == {"labels": [label]}


def test_a_table_of_ones_own_replaces_the_default():
    """Only the given resources count, under the given prefixes, and a label listed as such takes no id by any of its names."""
    table = LabelTable({"heroes": "hero", "table": "standings", "stats": "statistic"}, ["standings"], ["/v2/"])

    assert table.extract("/v2/heroes/3/teams/4/") == {"labels": ["hero"], "hero.id": 3}
    assert table.extract("/v2/table/3/") == table.extract("/v2/standings/3/") == {"labels": ["standings"]}
    assert table.extract("/v2/stats/3/") == {"labels": ["statistic"], "statistic.id": 3}
    assert table.extract("/api/heroes/3/") == {}
    assert set(table.id_keys) == {"hero.id", "statistic.id"}


def test_resources_win_over_labels_without_id_of_the_same_segment():
    """A segment that the table of resources names has that label, though by default it is one without an id."""
    assert LabelTable({"stats": "statistic"}).extract("/api/stats/3/") == {"labels": ["statistic"], "statistic.id": 3}


def test_the_public_function_uses_the_configured_table(settings):
    """``RESOURCES``, ``RESOURCES_WITHOUT_ID`` and ``LABEL_PREFIXES`` decide what `extract_labels` finds."""
    assert extract_labels("/api/teams/5/") == {"labels": ["team"], "team.id": 5}

    settings.DTX_TELEMETRY = {"RESOURCES": {"heroes": "hero"}, "RESOURCES_WITHOUT_ID": ["lore"], "LABEL_PREFIXES": ["/v2/"]}

    assert extract_labels("/v2/heroes/5/lore/1/teams/1/") == {"labels": ["hero", "lore"], "hero.id": 5}
    assert extract_labels("/api/heroes/5/") == {}


@given(paths)
def test_what_is_found_stands_in_the_path(path):
    """Labels come once each, in order of their first mention; each id belongs to one and is a segment right after it."""
    found = TABLE.extract(path)
    segments = path.split("/")[2:]
    names = [{**DEFAULT_RESOURCES, **dict.fromkeys(DEFAULT_WITHOUT_ID, "")}.get(segment) or segment for segment in segments]

    labels = found.pop("labels", [])
    assert labels == list(dict.fromkeys(name for name, segment in zip(names, segments, strict=True) if is_label(segment)))
    for key, value in found.items():
        pairs = [after for before, after in pairwise([*names, ""]) if f"{before}.id" == key]
        assert str(value) in pairs


@given(st.text())
def test_any_text_is_a_path(path):
    """Whatever a client asks for, nothing is raised, and outside the prefixes nothing is found."""
    found = TABLE.extract(path)

    assert found == {} or (path.startswith(tuple(DEFAULT_PREFIXES)) and found["labels"])


class CountedDict(dict):
    """Counts how often it is asked, and refuses to be walked."""

    asked = 0

    def get(self, key, default=None):
        self.asked += 1
        return super().get(key, default)

    def __getitem__(self, key):
        self.asked += 1
        return super().__getitem__(key)

    def __contains__(self, key):
        self.asked += 1
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the table was walked")

    items = keys = values = __iter__


@pytest.mark.parametrize("path", ["/api/tournaments/5/draft/12/", "/api/none/of/them/", "/elsewhere/"])
def test_the_cost_does_not_grow_with_the_table(path):
    """A table of 1,008 resources is asked as often as one of 8, at most twice for a segment, and never walked."""
    asked = []
    for size in (0, 1000):
        table = LabelTable({**DEFAULT_RESOURCES, **{f"resource{number}": f"label{number}" for number in range(size)}})
        table._segments = CountedDict(table._segments)
        table.extract(path)
        asked.append(table._segments.asked)

    assert asked[0] == asked[1] <= 2 * len(path.split("/"))
