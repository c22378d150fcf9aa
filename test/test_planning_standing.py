"""Obstacles that stand for a while change the routes; those that pass do not."""

from __future__ import annotations

import numpy as np
import pytest
from planning_worlds import MODEL, hall

from dyna_nav.mdp import STEP
from dyna_nav.planning import Dyna2Controller, PlannerConfig
from dyna_nav.planning.potential import Lattice, PotentialConfig
from dyna_nav.planning.standing import StandingObstacles
from dyna_nav.world_model.kinematics import KinematicModel

SITE = hall(14, 5, [(3, 1.8, 11, 3.4)])  # a rack with an aisle on either side
PALLET = np.array([[7.0, 1.0], [7.0, 1.1]])
NOTHING = np.empty((0, 2))


@pytest.fixture
def standing():
    return StandingObstacles(Lattice.of(SITE, MODEL, PotentialConfig()))


def feed(standing, obstacles, seconds):
    return [standing.update(obstacles, STEP) for _ in range(round(seconds / STEP))]


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


def test_a_robot_goes_round_by_the_other_aisle_when_its_own_is_blocked():
    simulation = pytest.importorskip("dyna_nav.simulation")
    pallets = [simulation.Pallet(7.0, 0.9, np.pi / 2, mass=300.0)]
    world = simulation.Simulation(SITE, 1, 1, poses=np.array([[1.5, 0.9, 0.0]]), pallets=pallets)
    controller = Dyna2Controller(KinematicModel(MODEL), config=PlannerConfig(budget_ms=0))
    controller.reset(SITE, 1, np.random.default_rng(1), MODEL)
    controller.assign(0, np.array([12.5, 0.9, 0.0]))
    highest = 0.0
    for _ in range(600):
        controller.wait_for_potentials()
        world.step(controller.act(world.observe()))
        highest = max(highest, world.true_pose[0, 1])
        if controller.report.stop_reason[0] == "" and np.hypot(*(world.true_pose[0, :2] - [12.5, 0.9])) < 0.3:
            break
    else:
        pytest.fail(f"still at {world.true_pose[0]} after a minute: {controller.report.stop_reason}")
    assert highest > 3.4
    assert not world.collisions
    controller.close()
