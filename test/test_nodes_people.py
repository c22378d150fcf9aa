"""People in fleet runs: who hit whom is told from the robot's speed, and only what a moving robot did counts."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from PIL import Image
from ros_harness import RosHarness
from simulation_worlds import hall
from std_msgs.msg import String
from visualization_msgs.msg import Marker, MarkerArray

from dyna_nav.nodes.collision_reports import collision_report, in_words, reported_collision
from dyna_nav.nodes.diagnostics import PlannerReport
from dyna_nav.nodes.fleet_monitor import FleetMonitor
from dyna_nav.nodes.fleet_results import completed, draw_picture, results, summary
from dyna_nav.nodes.fleet_run import FleetOptions, make_children
from dyna_nav.nodes.markers import people_markers
from dyna_nav.nodes.messages import EVENTS, NEWEST
from dyna_nav.simulation import Collision

NAMES = ["r1", "r2"]
WALL = Collision(1.0, 0, "wall", 2.0, 3.0, 0.4)
ROBOTS = Collision(1.5, 0, "robot:1", 4.0, 3.0, 0.0)
RAN_OVER = Collision(2.0, 1, "walker:3", 6.0, 3.0, 0.06)
WALKED_INTO = Collision(3.0, 0, "walker:1", 8.0, 3.0, 0.05)
SLOW_START = 120.0  # a machine that compiles every kernel first [s]


def run(*hits, people=6):
    """The outcome of a run of one trip in which these collisions were heard, and what heard them."""
    monitor = SimpleNamespace(
        names=NAMES, collisions=[], walked_into=[], planner=PlannerReport(), planners=[PlannerReport()], safe_stops={},
        status={"trips_completed": 1}, first_command_s=None, simulated_s=9.0, wall_s=9.0,
        traces={name: [(1.0, 1.0), (9.0, 1.0)] for name in NAMES},
    )  # fmt: skip
    for hit in hits:
        FleetMonitor._on_collision(monitor, String(data=json.dumps(collision_report(hit, NAMES))))
    return results(monitor, FleetOptions(robots=2, people=people, trips=1), {}, [], {}), monitor


@pytest.mark.parametrize(
    ("hit", "words"),
    [
        (WALL, "collision of r1 with wall at (2.0, 3.0)"),
        (ROBOTS, "collision of r1 with r2 at (4.0, 3.0)"),
        (RAN_OVER, "r2 hit walker:3 at 0.06 m/s at (6.0, 3.0)"),
        (WALKED_INTO, "walker:1 walked into r1, which stood, at (8.0, 3.0)"),
    ],
)
def test_it_is_told_who_hit_whom(hit, words):
    assert in_words(collision_report(hit, NAMES)) == words


@pytest.mark.parametrize("hit", [WALL, RAN_OVER, WALKED_INTO])
def test_a_collision_survives_its_report(hit):
    assert reported_collision(collision_report(hit, NAMES), NAMES) == hit


def test_who_walks_into_a_standing_robot_is_counted_and_does_not_make_the_run_fail():
    outcome, _ = run(WALKED_INTO)
    assert (outcome["collisions"], outcome["people_hit_moving"], outcome["people_hit_standing"]) == (0, 0, 1)
    assert (outcome["collision_list"], len(outcome["walked_into_list"])) == ([], 1)
    assert completed(outcome)


def test_a_person_hit_by_a_moving_robot_is_a_collision_as_every_other():
    outcome, _ = run(RAN_OVER, WALL, WALKED_INTO)
    assert (outcome["collisions"], outcome["people_hit_moving"], outcome["people_hit_standing"]) == (2, 1, 1)
    assert not completed(outcome)


def test_the_summary_has_a_line_about_people_when_there_are_people():
    said = "people among the robots: 1 hit by a robot that moved, 1 walked into one that stood"
    assert said in summary(run(RAN_OVER, WALKED_INTO)[0]).splitlines()
    assert "people" not in summary(run(WALL, people=0)[0])


def test_the_picture_tells_a_robot_that_hit_somebody_from_one_that_was_walked_into(tmp_path):
    pictures = []
    for hits in ((), (WALL,), (RAN_OVER,), (WALKED_INTO,)):
        outcome, monitor = run(*hits)
        draw_picture(hall(), monitor, outcome, str(tmp_path / "run.png"))
        image = np.asarray(Image.open(tmp_path / "run.png").convert("RGB"))
        pictures.append([int((image == colour).all(axis=-1).sum()) for colour in ((255, 0, 0), (181, 23, 158))])
    nothing, star, cross, ring = pictures
    assert nothing == [0, 0]
    assert star[0] > 0 == star[1]
    assert cross[0] == ring[0] == 0
    assert cross[1] > ring[1] > 0  # one is filled, the other is not


def test_people_are_shown_as_upright_cylinders():
    markers = people_markers(np.array([[1.0, 2.0], [3.0, 4.0]]), [0.25, 0.3], Time(sec=7)).markers
    assert [(m.type, m.id, m.pose.position.x, m.scale.x) for m in markers] == [
        (Marker.CYLINDER, 0, 1.0, 0.5), (Marker.CYLINDER, 1, 3.0, 0.6),
    ]  # fmt: skip
    assert all(m.pose.position.z == m.scale.z / 2 and m.header.frame_id == "map" for m in markers)


def test_the_number_of_people_reaches_the_simulator_and_nobody_else(tmp_path):
    make_children(FleetOptions(people=6), NAMES, {}, tmp_path)
    parameters = json.loads((tmp_path / "parameters.yaml").read_text())
    assert [name for name, entry in parameters.items() if "people" in entry["ros__parameters"]] == ["simulator"]
    assert parameters["simulator"]["ros__parameters"]["people"] == 6


def test_the_simulator_shows_its_people_and_says_that_they_walked_into_a_robot_that_stands():
    with RosHarness() as ros:
        heard, shown = [], []
        ros.node.create_subscription(String, "collisions", lambda hit: heard.append(json.loads(hit.data)), EVENTS)
        ros.node.create_subscription(MarkerArray, "people", lambda message: shown.append(len(message.markers)), NEWEST)
        parameters = {"robots": NAMES, "map": "random:3", "people": 16, "seed": 2, "real_time_factor": 20.0}
        simulator = ros.start("dyna_nav.nodes.simulator", parameters)
        ros.wait_for(lambda: heard and shown, "somebody to walk into a robot", SLOW_START)
        assert set(shown) == {16}
        assert heard[0]["other"].startswith("walker:")
        assert heard[0]["speed"] == 0.0
        assert f"{heard[0]['other']} walked into {heard[0]['robot']}, which stood" in simulator.output


def test_the_simulator_refuses_more_people_than_it_can_have_in_one_sentence():
    with RosHarness() as ros:
        simulator = ros.start("dyna_nav.nodes.simulator", {"robots": NAMES, "map": "random:3", "people": 65})
        assert simulator.wait(SLOW_START) == 2
        assert simulator.output.strip() == "parameter people is 65; it must lie in [0, 64]"
