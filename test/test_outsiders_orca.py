"""pyrvo's ORCA as an opponent: in lockstep with ideal robots; skipped where the package is absent."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planning_worlds import ANGLES, HALL, MODEL, hall, least_gap, until_all_arrive

pytest.importorskip("pyrvo")

from dyna_nav.outsiders.orca import OrcaController, boxes_of


def test_a_robot_arrives_without_touching_anything(drive):
    controller, fleet = drive(OrcaController(), [(1.5, 1.5, 0.0)], [(10.5, 6.5, 0.0)])
    _, way = until_all_arrive(controller, fleet, 40)
    assert fleet.time < 20
    assert HALL.clearance_at(way).min() >= MODEL.radius


def test_robots_that_meet_head_on_pass_each_other(drive):
    ends = [(2, 2, 0.0), (10, 2, 0.0)]
    controller, fleet = drive(OrcaController(), [(2, 2, 0.0), (10, 2, math.pi)], ends[::-1], site=hall(12, 4))
    _, way = until_all_arrive(controller, fleet, 30)
    assert fleet.time < 25
    assert least_gap(way) >= 2 * MODEL.radius


def test_a_robot_drives_around_one_that_stands(drive):
    controller, fleet = drive(OrcaController(), [(2, 2, 0.0), (6, 2, 0.0)], [(10, 2, 0.0), None], site=hall(12, 4))
    commands, way = until_all_arrive(controller, fleet, 30)
    assert fleet.time < 25
    assert not commands[:, 1].any()
    assert least_gap(way) >= 2 * MODEL.radius


def test_a_robot_brakes_for_what_the_laser_sees_in_its_lane(drive):
    controller, fleet = drive(OrcaController(), [(2, 2, 0.0)], [(10, 2, 0.0)])
    fleet.scan[0, np.abs(ANGLES) < 0.3] = MODEL.radius + 0.08
    assert controller.act(fleet.observe())[0, 0] == 0.0


def test_the_same_seed_drives_the_same_way(drive):
    way = [(1.5, 1.5, 0.0)], [(10.5, 6.5, 0.0)]
    first, second = (until_all_arrive(*drive(OrcaController(), *way), 3)[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_boxes_cover_the_blocked_cells_and_nothing_else():
    blocked = np.random.default_rng(0).random((20, 30)) < 0.4
    drawn = np.zeros_like(blocked)
    for left, low, right, high in boxes_of(blocked).astype(int):
        drawn[low:high, left:right] = True
    assert np.array_equal(drawn, blocked)
