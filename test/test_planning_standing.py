"""Obstacles that stand for a while change the routes; those that pass do not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planning_worlds import MODEL, IdealFleet, hall

from dyna_nav.mdp import STEP
from dyna_nav.planning import Dyna2Controller, PlannerConfig
from dyna_nav.planning.lattice import Lattice, PotentialConfig
from dyna_nav.planning.standing import BrokenDown, ParkedRobots, StandingObstacles
from dyna_nav.world_model.kinematics import KinematicModel

SITE = hall(14, 5, [(3, 1.8, 11, 3.4)])  # a rack with an aisle on either side
PALLET = np.array([[7.0, 1.0], [7.0, 1.1]])
NOTHING = np.empty((0, 2))


@pytest.fixture
def standing():
    return StandingObstacles(Lattice.of(SITE, MODEL, PotentialConfig()))


def feed(standing, obstacles, seconds):
    return [standing.update(obstacles, STEP) for _ in range(round(seconds / STEP))]


def test_what_stands_lowers_the_clearance_as_long_as_it_stands(standing):
    free = standing.clearance().copy()
    feed(standing, PALLET, 1.5)
    assert (standing.clearance() < free).any()
    feed(standing, np.empty((0, 2)), 10.0)
    np.testing.assert_array_equal(standing.clearance(), free)


def test_what_stands_for_a_second_and_a_half_counts(standing):
    assert not any(feed(standing, PALLET, 1.0))
    assert any(feed(standing, PALLET, 0.5))
    np.testing.assert_array_equal(standing.points, PALLET)


def test_what_passes_beside_it_does_not_count(standing):
    for k in range(30):
        standing.update(np.concatenate([PALLET, [[3.0 + 0.1 * k, 1.0]]]), STEP)
    np.testing.assert_array_equal(standing.points, PALLET)


def test_what_passes_does_not_count(standing):
    for k in range(60):
        standing.update(np.array([[3.0 + 0.1 * k, 1.0]]), STEP)
    assert standing.points is None


def test_what_was_taken_away_counts_no_longer(standing):
    feed(standing, PALLET, 10.0)
    assert any(feed(standing, NOTHING, 5.5))
    assert standing.points is None


def test_obstacles_beyond_the_map_are_ignored(standing):
    feed(standing, np.array([[-5.0, 1.0], [99.0, 1.0], [1.0, -0.01]]), 5.0)
    assert standing.points is None


def highest_on_the_way(robots, world, position, goals=()):
    """How far up [m] the first robot of a world goes on its way through the aisles; position() tells where it is.

    goals: of the other robots.
    """
    controller = Dyna2Controller(KinematicModel(MODEL), config=PlannerConfig(budget_ms=0))
    controller.reset(SITE, robots, np.random.default_rng(1), MODEL)
    for robot, goal in enumerate(goals):
        controller.assign(robot, goal)
    controller.assign(0, np.array([12.5, 0.9, 0.0]))
    highest = 0.0
    for _ in range(600):
        controller.wait_for_potentials()
        world.step(controller.act(world.observe()))
        highest = max(highest, position()[1])
        if controller.report.arrived[0]:
            break
    else:
        pytest.fail(f"still at {position()} after a minute: {controller.report.stop_reason}")
    controller.close()
    return highest


def test_a_robot_goes_round_by_the_other_aisle_when_its_own_is_blocked():
    simulation = pytest.importorskip("dyna_nav.simulation")
    pallets = [simulation.Pallet(7.0, 0.9, np.pi / 2, mass=300.0)]
    world = simulation.Simulation(SITE, 1, 1, poses=np.array([[1.5, 0.9, 0.0]]), pallets=pallets)
    assert highest_on_the_way(1, world, lambda: world.true_pose[0]) > 3.4
    assert not world.collisions


def test_a_robot_goes_round_by_the_other_aisle_when_one_that_is_not_under_way_stands_in_its_own():
    fleet = IdealFleet([(1.5, 0.9, 0.0), (7.0, 0.9, 0.0)])
    assert highest_on_the_way(2, fleet, lambda: fleet.pose[0]) > 3.4


class Dying(IdealFleet):
    """The second robot obeys no more."""

    def step(self, commands):
        dead = self.pose[1].copy()
        way = super().step(commands)
        self.pose[1], self.twist[1] = dead, 0.0
        return way


def test_a_robot_goes_round_by_the_other_aisle_when_one_that_has_broken_down_stands_in_its_own():
    """Its planner would turn it on the spot, for ever; and it sees no way on whenever another stands before it."""
    fleet = Dying([(4.0, 0.9, 0.0), (7.0, 0.9, 0.0)])
    goals = [None, np.array([1.5, 0.9, math.pi])]
    assert highest_on_the_way(2, fleet, lambda: fleet.pose[0], goals) > 3.4


def stands(parked, seconds, pose, waits=(False, False), start=0.0):
    for k in range(round(seconds / STEP) + 1):
        parked.update(start + k * STEP, np.array(pose, float), np.array(waits))
    return parked.parked.tolist()


HERE, THERE, LOST = (1.0, 1.0, 0.0), (5.0, 1.0, 0.0), (np.nan,) * 3


def test_a_robot_is_parked_when_it_has_stood_for_some_seconds_and_is_not_waiting():
    assert stands(ParkedRobots(2, 0.35), 2.0, [HERE, THERE]) == [False, False]
    assert stands(ParkedRobots(2, 0.35), 4.0, [HERE, THERE]) == [True, True]
    assert stands(ParkedRobots(2, 0.35), 4.0, [HERE, THERE], waits=(True, False)) == [False, True]


def test_who_moves_is_parked_no_more_and_who_is_lost_stands_where_it_was():
    parked = ParkedRobots(2, 0.35)
    stands(parked, 4.0, [HERE, THERE])
    assert stands(parked, 1.0, [LOST, (5.5, 1.0, 0.0)], start=4.1) == [True, False]
    outlines = parked.outlines(1)
    assert np.hypot(*(outlines - HERE[:2]).T) == pytest.approx(np.full(len(outlines), 0.35))
    assert not len(parked.outlines(0))


def test_a_robot_that_was_never_seen_is_nowhere():
    assert stands(ParkedRobots(2, 0.35), 4.0, [LOST, LOST]) == [False, False]


STANDS, MOVES, TURNS = (0.01, -0.01), (0.2, 0.0), (0.0, -0.3)


def broken(rows, count=1):
    """Who has broken down after measured speeds and whether they were told to move, one row a cycle."""
    found = BrokenDown(count, MODEL)
    for twist, told in rows:
        found.update(np.array(twist, float), np.array(told), STEP)
    return found.robots.tolist()


def test_who_was_told_to_move_for_two_seconds_and_has_not_has_broken_down():
    assert broken([([STANDS, STANDS], [True, False])] * 19, 2) == [False, False]
    assert broken([([STANDS, STANDS], [True, False])] * 20, 2) == [True, False]


def test_orders_to_stand_between_those_to_move_do_not_help_it():
    assert broken([([STANDS], [True]), ([STANDS], [False])] * 20) == [True]


@pytest.mark.parametrize("answer", [MOVES, TURNS])
def test_who_answers_has_not_broken_down_or_is_well_again(answer):
    assert broken(([([STANDS], [True])] * 15 + [([answer], [True])]) * 3) == [False]
    assert broken([([STANDS], [True])] * 40 + [([answer], [True])]) == [False]


def test_a_pause_is_no_time_in_which_a_base_did_not_answer():
    found = BrokenDown(1, MODEL)
    for elapsed in (math.nan, 30.0, -5.0):
        found.update(np.array([STANDS]), np.array([True]), elapsed)
    assert found.robots.tolist() == [False]
