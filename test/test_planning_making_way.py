"""Robots that block each other where there is no way round: one of them makes way, and comes back."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_worlds import MODEL, IdealFleet, hall, least_gap
from scipy import ndimage

from dyna_nav.mdp import GoalTolerance
from dyna_nav.planning import Dyna2Controller, PlannerConfig
from dyna_nav.planning.lattice import Lattice, PotentialConfig
from dyna_nav.planning.making_way import MakingWay, MakingWayConfig, flood
from dyna_nav.planning.potential import time_to_go
from dyna_nav.planning.ways import way_of
from dyna_nav.world_model.kinematics import KinematicModel

# Two rooms of 4 x 4 m and an aisle of 6 x 1.2 m between them.
ROOMS = hall(14, 4, [(4, 0, 10, 1.4), (4, 2.6, 10, 4)])
LEFT, RIGHT = (1.5, 2.0, 0.0), (12.5, 2.0, math.pi)
CONFIG = MakingWayConfig()


class Blocked:
    """Robots that stand where they are for as long as one looks."""

    def __init__(self, poses, goals, site=ROOMS, config=CONFIG):
        self.lattice = Lattice.of(site, MODEL, PotentialConfig())
        self.pose = np.array(poses, float)
        self.fields = np.stack(
            [
                time_to_go(self.lattice, np.array(goal, float), MODEL, GoalTolerance(), PotentialConfig())
                for goal in goals
            ]
        )
        self.under_way = np.ones(len(poses), bool)
        self.making_way = MakingWay(self.lattice, len(poses), MODEL.radius, config)
        self.now = 0.0

    def after(self, seconds):
        """Time passes; who got a refuge or was let go on the way."""
        changed, end = [], self.now + seconds
        while self.now < end - 1e-9:
            self.now += 0.1
            changed += self.making_way.update(self.now, self.pose, self.under_way, self.fields)
        return changed


def test_of_two_that_met_in_an_aisle_the_one_nearer_to_an_open_place_makes_way():
    run = Blocked([(5.0, 2.0, 0.0), (5.9, 2.0, math.pi)], [RIGHT, LEFT])
    assert run.after(CONFIG.patience - 0.2) == []
    assert run.after(1.0) == [0]
    x, y, _ = run.making_way.refuge[0]
    assert x < 4.0
    assert abs(y - 2.0) > 2 * MODEL.radius  # beside the way of the other
    assert np.isnan(run.making_way.refuge[1]).all()


def test_a_group_that_has_nowhere_to_go_is_looked_at_once_in_a_while_and_not_all_the_time(monkeypatch):
    site = hall(14, 1.4)  # an aisle, and nothing else
    run = Blocked([(5.0, 0.7, 0.0), (5.9, 0.7, math.pi)], [(13.5, 0.7, 0.0), (0.5, 0.7, 0.0)], site=site)
    floods = []
    monkeypatch.setattr("dyna_nav.planning.making_way.flood", lambda *place: floods.append(place) or flood(*place))
    assert run.after(5.5 * CONFIG.patience) == []
    assert len(floods) == 2 * 5


def test_it_comes_back_when_the_other_has_passed():
    run = Blocked([(5.0, 2.0, 0.0), (5.9, 2.0, math.pi)], [RIGHT, LEFT])
    run.after(CONFIG.patience + 1.0)
    run.pose[0] = run.making_way.refuge[0]
    run.pose[1, 0] = 4.5  # still in the aisle
    assert run.after(2.0) == []
    run.pose[1, :2] = LEFT[:2]
    assert run.after(1.0) == [0]
    assert not run.making_way.making_way.any()


def test_it_does_not_wait_for_ever_for_somebody_who_never_comes():
    run = Blocked([(5.0, 2.0, 0.0), (5.9, 2.0, math.pi)], [RIGHT, LEFT])
    run.after(CONFIG.patience + 1.0)
    run.pose[0] = run.making_way.refuge[0]
    assert 0 in run.after(CONFIG.longest + 1.0)


def test_in_a_queue_the_last_one_goes_first():
    run = Blocked([(6.0, 2.0, 0.0), (5.1, 2.0, 0.0), (6.9, 2.0, math.pi)], [RIGHT, RIGHT, LEFT])
    assert run.after(CONFIG.patience + 0.6) == [1]
    run.pose[1] = run.making_way.refuge[1]
    assert run.after(CONFIG.patience + 0.6) == [0]


@pytest.mark.parametrize("apart", [{"under_way": False}, {"gap": 3.0}, {"moves": True}])
def test_nobody_makes_way_without_need(apart):
    """Not for a robot that has arrived, not for one that is far away, and not while both get on."""
    run = Blocked([(5.0, 2.0, 0.0), (5.9 + apart.get("gap", 0.0), 2.0, math.pi)], [RIGHT, LEFT])
    run.under_way[1] = apart.get("under_way", True)
    for _ in range(4):
        if apart.get("moves"):
            run.pose[:, 1] = 4.0 - run.pose[:, 1] + 0.4
        assert run.after(2.0) == []


def test_neighbours_that_are_not_in_each_others_way_stay():
    run = Blocked([(2.0, 1.2, 0.0), (2.0, 2.4, 0.0)], [(0.8, 0.6, 0.0), (0.8, 3.4, 0.0)])
    assert run.after(3 * CONFIG.patience) == []


def test_who_is_about_to_drive_in_waits_for_who_comes_through():
    run = Blocked([(2.6, 2.0, 0.0), (7.0, 2.0, math.pi)], [RIGHT, LEFT])
    assert run.after(0.2) == [0]
    x, y, _ = run.making_way.refuge[0]
    assert x < 4.0
    assert abs(y - 2.0) > 2 * MODEL.radius
    run.pose[1] = 2.0, 0.8, math.pi
    assert run.after(1.0) == [0]
    assert not run.making_way.making_way.any()


def test_who_stands_beside_the_way_already_waits_there_until_the_other_has_come_out():
    run = Blocked([(2.6, 0.7, 0.0), (9.0, 2.0, math.pi)], [RIGHT, LEFT])
    assert run.after(0.2) == [0]
    np.testing.assert_allclose(run.making_way.refuge[0, :2], run.pose[0, :2], atol=run.lattice.resolution)
    for run.pose[1, 0] in np.arange(8.8, 4.0, -0.2):
        assert run.after(0.2) == []
    run.pose[1] = LEFT
    assert run.after(1.0) == [0]
    assert not run.making_way.making_way.any()


def test_who_is_still_far_from_the_aisle_drives_on_and_the_nearer_one_goes_first():
    run = Blocked([(0.6, 2.0, 0.0), (10.8, 2.0, math.pi)], [RIGHT, LEFT])
    assert run.after(1.0) == []
    run.pose[0] = 2.2, 2.0, 0.0
    assert run.after(1.0) == [0]


@pytest.mark.parametrize(
    ("site", "second"),
    [
        (ROOMS, ((7.0, 2.0, 0.0), RIGHT)),  # drives the same way
        (ROOMS, ((12.0, 2.0, 0.0), (12.5, 3.0, 0.0))),  # does not come through
        (hall(14, 4, [(4, 0, 10, 0.8), (4, 3.2, 10, 4)]), ((7.0, 2.0, math.pi), LEFT)),  # there is room for both
    ],
)
def test_nobody_waits_for_who_is_not_met_in_a_stretch_that_holds_one(site, second):
    run = Blocked([(2.6, 2.0, 0.0), second[0]], [RIGHT, second[1]], site)
    assert run.after(0.5 * CONFIG.patience) == []


def test_nobody_waits_for_who_drives_ahead_through_the_same_stretch():
    run = Blocked([(7.4, 2.0, 0.0), (9.0, 2.0, 0.0)], [RIGHT, RIGHT])
    assert run.after(0.5 * CONFIG.patience) == []


def test_who_has_waited_for_too_long_drives_in():
    run = Blocked([(2.6, 2.0, 0.0), (7.0, 2.0, math.pi)], [RIGHT, LEFT])
    assert run.after(CONFIG.longest) == [0]
    assert run.after(0.5 * CONFIG.patience) == [0]
    assert not run.making_way.making_way.any()


def test_without_foresight_nobody_waits_before_the_stretch():
    config = replace(CONFIG, foresight=False)
    run = Blocked([(2.6, 2.0, 0.0), (7.0, 2.0, math.pi)], [RIGHT, LEFT], config=config)
    assert run.after(1.0) == []


def test_a_new_goal_ends_the_retreat():
    run = Blocked([(5.0, 2.0, 0.0), (5.9, 2.0, math.pi)], [RIGHT, LEFT])
    run.after(CONFIG.patience + 1.0)
    run.making_way.forget(0)
    assert not run.making_way.making_way.any()


def test_two_that_meet_in_a_narrow_aisle_both_arrive_without_a_touch():
    fleet = IdealFleet([LEFT, RIGHT])
    controller = Dyna2Controller(KinematicModel(MODEL), config=PlannerConfig(budget_ms=0.0))
    controller.reset(ROOMS, 2, np.random.default_rng(0), MODEL)
    for robot, goal in enumerate((RIGHT, LEFT)):
        controller.assign(robot, np.array(goal))
        fleet.goals[robot] = goal
    way, made_way = [], False
    while fleet.time < 90 and not (controller.report and controller.report.arrived.all()):
        controller.wait_for_potentials()
        way.append(fleet.step(controller.act(fleet.observe())))
        made_way |= controller._routes.makes_way.any()
        parked = controller._routes._detours._parked.parked
        assert not (parked & ~controller.report.arrived).any()  # who waits for the other is not led around
    controller.close()
    assert controller.report.arrived.all()
    assert made_way
    assert least_gap(np.concatenate(way)) > 2 * MODEL.radius


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000), share=st.floats(0.1, 0.6))
def test_a_flood_reaches_what_is_connected_by_ways_of_the_length_it_says(seed, share):
    rng = np.random.default_rng(seed)
    passable = rng.random((12, 15)) > share
    passable[3, 4] = True
    distance, before = flood(passable, 3, 4)
    connected = ndimage.label(passable, np.ones((3, 3)))[0]
    np.testing.assert_array_equal(np.isfinite(distance), connected == connected[3, 4])
    for cell in np.flatnonzero(np.isfinite(distance)):
        length, here = 0.0, cell
        while before[here] >= 0:
            (r, c), (br, bc) = divmod(here, 15), divmod(before[here], 15)
            length, here = length + math.hypot(r - br, c - bc), before[here]
        assert here == 3 * 15 + 4
        assert length == pytest.approx(distance.flat[cell])


def test_the_way_down_a_potential_ends_at_its_goal():
    run = Blocked([LEFT], [RIGHT])
    row, col = run.lattice.cell_of(run.pose[0])
    cells = way_of(run.fields[0], row, col)
    assert np.hypot(*((cells[-1] + 0.5) * run.lattice.resolution - np.array([2.0, 12.5]))) < 0.4
    assert (np.abs(np.diff(cells, axis=0)).max(axis=1) == 1).all()
