"""pyrvo's ORCA as an opponent: in lockstep with ideal robots; skipped where the package is absent."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planning_worlds import ANGLES, MODEL, IdealFleet, hall, least_gap

pytest.importorskip("pyrvo")

from dyna_nav.outsiders.orca import OrcaController, boxes_of

HALL = hall(12, 8, [(4, 3.5, 8, 4.5)])


@pytest.fixture
def drive():
    made = []

    def start(poses, goals, site=HALL, seed=0):
        controller = OrcaController()
        made.append(controller)
        fleet = IdealFleet(poses)
        controller.reset(site, len(poses), np.random.default_rng(seed), MODEL)
        for robot, goal in enumerate(goals):
            controller.assign(robot, None if goal is None else np.array(goal, float))
            fleet.goals[robot] = np.nan if goal is None else goal
        return controller, fleet

    yield start
    for controller in made:
        controller.close()


def run(controller, fleet, seconds):
    """Commands [steps, n, 2] and positions [ticks, n, 2] until all have arrived."""
    commands, way = [], []
    while fleet.time < seconds and np.nanmax(np.hypot(*(fleet.pose - fleet.goals)[:, :2].T)) > 0.25:
        commands.append(controller.act(fleet.observe()))
        way.append(fleet.step(commands[-1]))
    return np.array(commands), np.concatenate(way)


def test_a_robot_arrives_without_touching_anything(drive):
    controller, fleet = drive([(1.5, 1.5, 0.0)], [(10.5, 6.5, 0.0)])
    _, way = run(controller, fleet, 40)
    assert fleet.time < 20
    assert HALL.clearance_at(way).min() >= MODEL.radius


def test_robots_that_meet_head_on_pass_each_other(drive):
    controller, fleet = drive([(2, 2, 0.0), (10, 2, math.pi)], [(10, 2, 0.0), (2, 2, 0.0)], site=hall(12, 4))
    _, way = run(controller, fleet, 30)
    assert fleet.time < 25
    assert least_gap(way) >= 2 * MODEL.radius


def test_a_robot_drives_around_one_that_stands(drive):
    controller, fleet = drive([(2, 2, 0.0), (6, 2, 0.0)], [(10, 2, 0.0), None], site=hall(12, 4))
    commands, way = run(controller, fleet, 30)
    assert fleet.time < 25
    assert not commands[:, 1].any()
    assert least_gap(way) >= 2 * MODEL.radius


def test_a_robot_brakes_for_what_the_laser_sees_in_its_lane(drive):
    controller, fleet = drive([(2, 2, 0.0)], [(10, 2, 0.0)])
    fleet.scan[0, np.abs(ANGLES) < 0.3] = MODEL.radius + 0.08
    assert controller.act(fleet.observe())[0, 0] == 0.0


def test_the_same_seed_drives_the_same_way(drive):
    first, second = (run(*drive([(1.5, 1.5, 0.0)], [(10.5, 6.5, 0.0)]), 3)[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_boxes_cover_the_blocked_cells_and_nothing_else():
    blocked = np.random.default_rng(0).random((20, 30)) < 0.4
    drawn = np.zeros_like(blocked)
    for left, low, right, high in boxes_of(blocked).astype(int):
        drawn[low:high, left:right] = True
    assert np.array_equal(drawn, blocked)
