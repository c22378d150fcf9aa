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
from dyna_nav.planning.making_way import MakingWay, MakingWayConfig, flood, mark
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
        self.under_way, self.comes = np.ones(len(poses), bool), np.ones(len(poses), bool)
        self.clearance = self.lattice.clearance
        self.making_way = MakingWay(self.lattice, len(poses), MODEL.radius, config)
        self.now = 0.0

    def after(self, seconds):
        """Time passes; who got a refuge or was let go on the way."""
        changed, end = [], self.now + seconds
        while self.now < end - 1e-9:
            self.now += 0.1
            changed += self.making_way.update(
                self.now, self.pose, self.under_way, self.comes, self.fields, lambda: self.clearance
            )
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
    assert len(floods) == 2 * 2 * 5  # each of the two, with what stands in the way and without


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


BESIDE = hall(14, 4, [(4, 0, 10, 0.7), (4, 3.3, 10, 4)])  # an aisle of 2.6 m


def test_nobody_is_sent_to_where_a_pallet_stands():
    meeting = [(7.0, 2.6, 0.0), (7.9, 2.6, math.pi)], [(12.5, 2.6, 0.0), (1.5, 2.6, math.pi)]
    run = Blocked(*meeting, site=BESIDE)
    pallet = np.array([(x, y) for x in np.arange(6.0, 8.01, 0.1) for y in np.arange(0.7, 1.81, 0.1)])
    assert run.after(CONFIG.patience + 0.6)
    (robot,) = np.flatnonzero(run.making_way.making_way)
    assert np.hypot(*(pallet - run.making_way.refuge[robot, :2]).T).min() < MODEL.radius  # there is the nearest room
    run = Blocked(*meeting, site=BESIDE)
    run.clearance = run.lattice.clearance_with(pallet)
    assert run.after(CONFIG.patience + 0.6)
    (robot,) = np.flatnonzero(run.making_way.making_way)
    assert np.hypot(*(pallet - run.making_way.refuge[robot, :2]).T).min() > MODEL.radius


def test_two_that_wait_for_the_same_one_do_so_at_different_places():
    run = Blocked([(2.6, 2.0, 0.0), (1.8, 2.0, 0.0), (7.0, 2.0, math.pi)], [RIGHT, RIGHT, LEFT])
    x, y = ((np.arange(cells) + 0.5) * run.lattice.resolution for cells in run.clearance.shape[::-1])
    beside = (np.abs(y[:, None] - 2.0) > 0.6) & (x < 4.0)
    pocket = (np.abs(x - 2.2) < 0.3) & (y[:, None] > 2.0) & (y[:, None] < 3.3)  # nearest to both, and holds one
    run.clearance = np.where(beside & ~pocket, 0.0, run.clearance)
    assert sorted(run.after(0.2)) == [0, 1]
    first, second = run.making_way.refuge[:2, :2]
    assert np.hypot(*(first - second)) > 2 * MODEL.radius


@pytest.mark.parametrize("held", ["stopped", "lost"])
def test_who_is_held_up_on_its_way_out_is_waited_for_until_it_is_taken_for_gone(held):
    run = Blocked([(2.6, 2.0, 0.0), (7.0, 2.0, math.pi)], [RIGHT, LEFT])
    assert run.after(0.2) == [0]
    run.under_way[1] = False
    if held == "lost":
        run.pose[1] = np.nan
    assert run.after(3.0) == []
    run.comes[1] = False
    assert run.after(1.0) == [0]


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


@settings(max_examples=100)
@given(seed=st.integers(0, 10_000), share=st.floats(0.1, 0.6), rare=st.floats(0.0, 0.1))
def test_a_flood_finds_the_nearest_clear_cell_that_is_connected_and_a_way_of_that_length(seed, share, rare):
    rng = np.random.default_rng(seed)
    passable, clear = rng.random((12, 15)) > share, rng.random((12, 15)) < rare
    passable[3, 4] = True
    way, length = flood(passable, clear, 3, 4)
    regions = ndimage.label(passable, np.ones((3, 3)))[0]
    connected = regions == regions[3, 4]
    if not (clear & connected).any():
        assert len(way) == 0
        assert math.isinf(length)
        return
    cells = np.stack(np.divmod(way, 15), axis=1)
    steps = np.diff(cells, axis=0)
    assert (np.abs(steps).max(axis=1) == 1).all() if len(steps) else True
    assert tuple(cells[-1]) == (3, 4)
    assert clear[tuple(cells[0])]
    assert passable[tuple(cells.T)].all()
    assert length == pytest.approx(np.hypot(*steps.T).sum())
    alone = np.zeros((*clear.shape, *clear.shape), bool)
    alone[np.nonzero(clear) * 2] = True
    assert length == min(flood(passable, alone[row, col], 3, 4)[1] for row, col in np.argwhere(clear & connected))


@given(seed=st.integers(0, 10_000), reach=st.floats(0.0, 6.0))
def test_what_is_marked_is_nearer_than_the_reach_also_beyond_the_edge(seed, reach):
    places, near = np.random.default_rng(seed).uniform(-5.0, 20.0, (4, 2)), np.zeros((12, 15), bool)
    mark(near, places, reach)
    gaps = np.hypot(*(np.indices(near.shape)[:, None] - places.T[:, :, None, None]))
    away = np.abs(gaps - reach).min(axis=0) > 1e-9
    np.testing.assert_array_equal(near[away], (gaps < reach).any(axis=0)[away])


def test_the_way_down_a_potential_ends_at_its_goal():
    run = Blocked([LEFT], [RIGHT])
    row, col = run.lattice.cell_of(run.pose[0])
    cells = way_of(run.fields[0], row, col)
    assert np.hypot(*((cells[-1] + 0.5) * run.lattice.resolution - np.array([2.0, 12.5]))) < 0.4
    assert (np.abs(np.diff(cells, axis=0)).max(axis=1) == 1).all()
