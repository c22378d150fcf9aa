"""The page of results: every figure comes from the files, targets are judged, and pooled figures are sums."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from campaign_worlds import PACE, MadeUp, command, content, episode, run_entry, section, trip
from evaluation_worlds import open_hall

from dyna_nav.evaluation import benchmark
from dyna_nav.evaluation.benchmark import summarise
from dyna_nav.evaluation.machine import machine
from dyna_nav.evaluation.markdown import anchor, table
from dyna_nav.evaluation.statistics import highest_rate
from dyna_nav.simulation import Collision
from dyna_nav.world_model import bundle

ROOT = Path(__file__).resolve().parent.parent
WALL = Collision(time=2.0, robot=0, other="wall", x=1.0, y=1.0, speed=1.0)
THREE = [
    run_entry(plots=["travel_times"], controllers="dyna2,astar,astar-fleet"),
    run_entry(name="second", site="random:3", seeds="1-8"),
    run_entry(name="absent", map="$MAPS/hall.yaml", site=""),
]
RATIO = PACE["dyna2"] / PACE["astar-fleet"]


def target(**changes) -> dict:
    return {"section": "busy", "runs": "first,second", "figure": "ratio"} | changes


@pytest.fixture
def contacts():
    """What the baseline touches on every seed."""
    return [WALL]


@pytest.fixture
def page_of(tmp_path, monkeypatch, contacts):
    """Makes the page of a campaign from made-up episodes, in which the baseline hits a wall on every seed."""
    stand_in = MadeUp()
    stand_in.collisions = contacts
    monkeypatch.setattr(benchmark, "run_benchmark", stand_in.run_benchmark)
    monkeypatch.setattr(benchmark, "check", lambda *_: open_hall())
    monkeypatch.setattr(bundle, "load_bundle", lambda: SimpleNamespace(version="model-a"))

    def make(**changes) -> str:
        assert command(tmp_path, content(THREE, **changes)) == 0
        return (tmp_path / "out.md").read_text()

    return make


def cells(page: str, start: str) -> list[str]:
    """The cells of the last row that begins so."""
    return [
        cell.strip() for cell in [line for line in page.splitlines() if line.startswith(start)][-1].split("|")[1:-1]
    ]


def test_the_page_says_what_was_measured_on_what(page_of):
    page = page_of()
    assert "2 of 3 runs: 22 episodes with 88 trips" in page
    assert machine()["cpu"] in page
    assert f"{machine()['cores']} cores" in page
    assert "model-a" in page
    assert "`absent`: not made yet; $MAPS/hall.yaml is not there." in page
    assert '\ndyna-nav campaign --campaign mine.yaml --out out --maps "$MAPS"\n' in page
    assert "docs/opponents.md" in page  # which does not lie beside this page


def test_the_project_s_own_page_links_its_neighbours_and_names_no_file_of_a_campaign():
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert "[writing a controller](writing_a_controller.md)" in text
    assert '\ndyna-nav campaign --maps "$MAPS"\n' in text
    assert "on a robot rollouts end when their budget does" in text


def test_every_run_has_its_rows_and_the_line_that_makes_them(page_of):
    page = page_of()
    row = cells(page, "| `first` |")
    assert row[:5] == ["`first`", "**dyna2**", "8", "0", "1.200"]
    row = cells(page, "|  | astar-fleet |")
    assert row[2:5] == ["32", "0", "1.500"]
    assert row[8:11] == ["8", "25.000 %", "8"]  # of the second run: a wall on each of eight seeds
    assert row[-1] == f"{RATIO:.3f} [{RATIO:.3f}, {RATIO:.3f}]"
    assert "dyna-nav evaluate --scenario busy --site random:3 --seeds 1-8 --controllers dyna2,astar-fleet" in page


def test_pooled_rows_are_of_controllers_that_drove_everywhere(page_of):
    pooled = page_of().split("All 2 runs together (intervals from 10 seeds):")[1].split("!")[0]
    row = cells(pooled, "| astar-fleet |")
    assert row[1:4] == ["40", "0", "1.500"]
    assert row[7:10] == ["10", "25.000 %", "10"]
    assert "| astar |" not in pooled


def test_pictures_are_linked_where_they_lie(page_of, tmp_path):
    page = page_of()
    links = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page)
    assert links == ["out/first/travel_times.png"]
    assert '`first`; drawn by `dyna-nav campaign --campaign mine.yaml --maps "$MAPS" --out again --only first`' in page
    assert (tmp_path / links[0]).is_file()


@pytest.mark.parametrize(
    ("changes", "wanted", "measured", "reached"),
    [
        ({"at_most": 0.9}, "at most 0.900", "0.800", "reached"),
        ({"at_most": 0.8}, "at most 0.800", "0.800", "reached"),
        ({"at_most": 0.77}, "at most 0.770", "0.800", "**missed**"),
        ({"figure": "ratio_high", "at_most": 0.85}, "at most 0.850", "0.800", "reached"),
        ({"figure": "trips", "at_least": 2000}, "at least 2,000", "40", "**missed**"),
        ({"figure": "episodes", "at_least": 10}, "at least 10", "10", "reached"),
        ({"figure": "collisions_with_still", "at_most": 0}, "at most 0", "0", "reached"),
        (
            {"figure": "collisions_with_still", "controller": "astar-fleet", "at_most": 0},
            "at most 0", "10", "**missed**",
        ),
        ({"figure": "collisions_per_traversal", "at_most": 0.0005}, "at most 0.050 %", "0.000 %", "reached"),
        ({"figure": "trips_within_3x", "at_least": 0.99}, "at least 99.00 %", "100.00 %", "reached"),
        ({"runs": "*", "at_most": 0.9}, "at most 0.900", "0.800", "reached (2 of 3 runs)"),
        ({"runs": "absent", "at_most": 0.9}, "at most 0.900", "-", "not measured"),
        ({"runs": "*", "than": "astar", "at_most": 0.9}, "at most 0.900", "0.750", "reached (1 of 3 runs)"),
    ],
)  # fmt: skip
def test_a_target_is_judged_by_what_was_measured(changes, wanted, measured, reached, page_of):
    page = page_of(targets=[target(**changes)])
    judged = page.split("### Targets")[1].split("## Crossing")[0].splitlines()[4]
    assert [cell.strip() for cell in judged.split("|")[3:6]] == [wanted, measured, reached]


def test_at_a_glance_counts_the_reference_beside_the_baseline(page_of):
    page = page_of()
    row = cells(page, "| [Crossing flows](#crossing-flows) |")
    assert row[1:5] == ["2", "40", "1.200", "1.500"]
    assert row[5].startswith(f"{RATIO:.3f} [")
    row = cells(page, "| **all of these** |")
    assert row[1:6] == ["2", "40", "", "", ""]  # times of all sections would say which of them was driven most
    assert row[6:8] == ["0.000 % (0)", "25.000 % (10)"]


def test_at_a_glance_keeps_runs_apart_that_are_no_one_thing(page_of):
    page = page_of(sections=[section(pooled=False)])
    assert cells(page, "| [Crossing flows](#crossing-flows): `first` |")[1:5] == ["1", "8", "1.200", "1.500"]
    assert cells(page, "| [Crossing flows](#crossing-flows): `second` |")[1:5] == ["1", "32", "1.200", "1.500"]


def test_the_speed_of_the_evaluation_counts_what_ran_side_by_side(tmp_path, page_of):
    targets = [target(runs="first", figure="real_time_factor", at_least=5)]
    assert command(tmp_path, content([run_entry()], targets=targets), "--jobs", "2") == 0
    assert "| at least 5.0 | 12.0 | reached |" in (tmp_path / "out.md").read_text()  # 60 s in 10 s, twice


def test_a_controller_without_any_trip_has_no_ratios(tmp_path, page_of, monkeypatch):
    monkeypatch.setattr("campaign_worlds.TRIPS", 0)
    assert command(tmp_path, content([run_entry()], targets=[target(runs="first", at_most=1)])) == 0
    page = (tmp_path / "out.md").read_text()
    assert cells(page, "|  | astar-fleet |")[2:5] == ["0", "0", "-"]
    assert "not measured" in page


def test_the_rows_of_a_run_are_rounded_once(tmp_path, page_of, monkeypatch):
    monkeypatch.setitem(PACE, "astar-fleet", 1.24654)  # 1.2465 in the summary
    assert command(tmp_path, content([run_entry()])) == 0
    page = (tmp_path / "out.md").read_text()
    assert cells(page, "|  | astar-fleet |")[4] == "1.247"


def test_jerk_is_that_of_trips_that_were_driven(tmp_path, page_of, monkeypatch):
    def refused(label, seed, robot, number):
        made = trip(label, seed, robot, number)
        refuses = label == "astar-fleet" and robot == 0
        return replace(made, finished=False, note="too far", mean_abs_jerk=0.0) if refuses else made

    monkeypatch.setattr("campaign_worlds.trip", refused)
    assert command(tmp_path, content([run_entry()])) == 0
    head, row = (cells((tmp_path / "out.md").read_text(), start) for start in ("| run |", "|  | astar-fleet |"))
    assert row[head.index("not finished")] == "4"
    assert row[head.index("jerk [m/s³]")] == "1.50"


def test_people_who_are_hit_and_who_walk_into_a_standing_robot_are_counted_apart(tmp_path, page_of, contacts):
    contacts[:] = [Collision(1.0, 0, f"walker:{k}", 1.0, 1.0, speed) for k, speed in enumerate((0.8, 0.0, 0.01))]
    assert command(tmp_path, content([run_entry(scenario="people")])) == 0
    row = cells((tmp_path / "out.md").read_text(), "|  | astar-fleet |")
    head = cells((tmp_path / "out.md").read_text(), "| run |")
    assert (row[head.index("people hit")], row[head.index("walked into a standing robot")]) == ("2", "4")  # two seeds


def test_a_single_robot_on_a_single_seed_gets_no_interval(tmp_path, page_of, monkeypatch):
    one = [run_entry(seeds="1")]
    monkeypatch.setattr("campaign_worlds.ROBOTS", 1)
    assert command(tmp_path, content(one, targets=[target(runs="first", figure="ratio_high", at_most=1)])) == 0
    page = (tmp_path / "out.md").read_text()
    assert cells(page, "|  | astar-fleet |")[-1] == "0.800"
    assert "not measured" in page


def test_the_page_of_a_campaign_that_never_ran_can_be_read(page_of, tmp_path):
    assert command(tmp_path, content(THREE), "--write-page-only") == 0
    page = (tmp_path / "out.md").read_text()
    assert "Nothing yet" in page
    assert "No run of this section is there yet." in page


# What it is made of.


def test_contacts_with_what_stands_still_are_told_from_those_on_the_way():
    speed = np.ones((40, 2), np.float32)
    speed[:, 1] = 0.0
    robots = Collision(time=3.0, robot=0, other="robot:1", x=0.0, y=0.0, speed=1.0)
    pallet = Collision(time=3.0, robot=0, other="pallet:0", x=0.0, y=0.0, speed=1.0)
    walker = Collision(time=3.0, robot=0, other="walker:0", x=0.0, y=0.0, speed=1.0)
    for hit, moving, standing in ((robots, 0, 1), (pallet, 1, 1), (walker, 0, 0), (WALL, 1, 1)):
        run = episode("dyna2", 1, [hit])
        assert summarise([run])["controllers"]["dyna2"]["collisions_with_still"] == moving
        run.speed[:] = speed
        assert summarise([run])["controllers"]["dyna2"]["collisions_with_still"] == standing


def test_no_event_in_many_trials_bounds_the_rate_by_three_in_so_many():
    assert highest_rate(0, 1000) == pytest.approx(2.9957e-3, rel=1e-4)
    assert highest_rate(3, 1000) > 3e-3
    assert np.isnan(highest_rate(0, 0))


def test_numbers_stand_right_in_their_columns():
    assert table(["a", "b"], [["x", "1.0"], ["y", "-"]]).splitlines()[1] == "| --- | --: |"


def test_a_link_to_a_heading_is_what_the_heading_is_called():
    assert anchor("Crossing flows, of four: `busy`") == "crossing-flows-of-four-busy"
