"""Random shooting, CEM and MCTS in the place of Dyna-2's search, in lockstep with ideal robots."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from planning_worlds import MODEL, IdealFleet, hall, least_gap

from dyna_nav.planning import PlannerConfig
from dyna_nav.planning.alternatives import CEMController, MCTSController, RandomShootingController
from dyna_nav.planning.alternatives.cem import CEMConfig
from dyna_nav.planning.alternatives.mcts import MCTSConfig, back_up, descend
from dyna_nav.planning.alternatives.shooting import ShootingConfig
from dyna_nav.planning.lockstep import LockstepController
from dyna_nav.world_model.kinematics import KinematicModel

ALTERNATIVES = [RandomShootingController, CEMController, MCTSController]
HALL = hall(12, 8, [(4, 3.5, 8, 4.5)])
CORNERS = [(1.5, 1.5, 0.0), (10.5, 6.5, math.pi), (1.5, 6.5, 0.0), (10.5, 1.5, math.pi)]


@pytest.fixture
def drive():
    controllers = []

    def start(kind, poses, goals, site=HALL, seed=0, **more):
        controller = kind(KinematicModel(MODEL), **more)
        controllers.append(controller)
        fleet = IdealFleet(poses)
        controller.reset(site, len(poses), np.random.default_rng(seed), MODEL)
        for robot, goal in enumerate(goals):
            controller.assign(robot, np.array(goal, float))
            fleet.goals[robot] = goal
        controller.wait_for_potentials()
        return controller, fleet

    yield start
    for controller in controllers:
        controller.close()


def run(controller, fleet, seconds):
    """Drive until all have arrived; commands [steps, n, 2] and positions [ticks, n, 2]."""
    commands, way = [], []
    while fleet.time < seconds and np.hypot(*(fleet.pose - fleet.goals)[:, :2].T).max() > 0.25:
        commands.append(controller.act(fleet.observe()))
        way.append(fleet.step(commands[-1]))
    return np.array(commands), np.concatenate(way)


@pytest.mark.parametrize("kind", ALTERNATIVES)
def test_a_robot_arrives(drive, kind):
    controller, fleet = drive(kind, CORNERS[:1], [CORNERS[1]])
    run(controller, fleet, 40)
    assert fleet.time < 25


@pytest.mark.parametrize("kind", ALTERNATIVES)
def test_robots_that_change_places_never_touch(drive, kind):
    controller, fleet = drive(kind, CORNERS, [CORNERS[k ^ 1] for k in range(4)])
    _, way = run(controller, fleet, 20)
    assert least_gap(way) >= 2 * MODEL.radius
    assert HALL.clearance_at(way).min() >= MODEL.radius


@pytest.mark.parametrize("kind", ALTERNATIVES)
def test_the_same_seed_drives_the_same_way(drive, kind):
    first, second = (run(*drive(kind, CORNERS[:2], [CORNERS[1], CORNERS[0]]), 4)[0] for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("kind", ALTERNATIVES)
def test_a_cycle_imagines_no_more_than_three_times_the_rows_of_dyna2(drive, kind):
    def rows(kind):
        controller, fleet = drive(kind, CORNERS[:1], [CORNERS[1]])
        controller.act(fleet.observe())
        return controller.report.model_calls

    assert rows(LockstepController) < rows(kind) <= 3.1 * rows(LockstepController)


@pytest.mark.parametrize("kind", ALTERNATIVES)
def test_without_time_the_greedy_action_is_taken(drive, kind):
    config = PlannerConfig(budget_ms=1e-6)
    controller, fleet = drive(kind, [(2, 2, 0.0)], [(10, 2, 0.0)], config=config)
    assert controller.act(fleet.observe())[0, 0] > 0.0
    assert controller.report.steps == 0


@pytest.mark.parametrize("kind", ALTERNATIVES)
def test_many_robots_share_the_rows_of_the_model(drive, kind):
    config = PlannerConfig(budget_ms=0.0)
    config = replace(config, dyna2=replace(config.dyna2, model_rows=40))
    controller, fleet = drive(kind, CORNERS, [CORNERS[k ^ 1] for k in range(4)], config=config)
    assert controller.act(fleet.observe()).any()
    assert np.isfinite(controller.report.plans).all()


def test_a_setting_out_of_range_is_refused_with_its_name():
    for config in (ShootingConfig, CEMConfig, MCTSConfig):
        with pytest.raises(ValueError, match="parameter hold is 0"):
            config(hold=0)


# The parts


class Bandit:
    """A tree of one robot, two actions and two decisions; the payoff of each pair of actions is given."""

    def __init__(self, payoff, rows=1):
        self.payoff, self.rows, self.robot = payoff, rows, np.zeros(rows, np.int64)
        shape = (1, 200, 2)
        self.child = np.full(shape, -1)
        self.visits, self.under_way, self.total = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.nodes, self.rng = np.ones(1, np.int64), np.random.default_rng(0)

    def round(self):
        sequences, way = np.full((2, self.rows), -1), np.full((2, self.rows), -1)
        descend(
            self.robot, self.child, self.visits, self.under_way, self.total, self.nodes, self.rng.random(self.rows),
            1.0, sequences, way,
        )  # fmt: skip
        taken = np.where(sequences < 0, self.rng.integers(2, size=sequences.shape), sequences)
        returned = np.zeros((3, self.rows))
        returned[0] = self.payoff[taken[0], taken[1]]
        returned[1] = returned[0]
        back_up(
            self.robot, sequences, way, np.full(self.rows, 2), returned, 1, 1.0, self.visits, self.under_way, self.total
        )
        return sequences


def test_the_tree_search_visits_the_best_pair_of_actions_most():
    bandit = Bandit(np.array([[0.5, 0.0], [-0.5, 0.9]]))
    for _ in range(400):
        bandit.round()
    assert bandit.visits[0, 0].argmax() == 1
    assert bandit.visits[0, bandit.child[0, 0, 1]].argmax() == 1
    assert bandit.visits[0, 0].sum() == 400
    assert not bandit.under_way.any()


def test_a_batch_of_leaves_spreads_over_the_actions():
    first = Bandit(np.zeros((2, 2)), rows=6).round()
    assert sorted(first[0, :2].tolist()) == [0, 1]
    assert (first[0] == 0).sum() == 3


def test_a_rollout_that_ends_early_teaches_nothing_below_its_end():
    bandit = Bandit(np.zeros((2, 2)))
    way, sequences = np.array([[0], [1]]), np.array([[1], [0]])
    returned = np.array([[-10.0], [0.0], [0.0]])
    back_up(
        bandit.robot, sequences, way, np.array([1]), returned, 1, 0.5, bandit.visits, bandit.under_way, bandit.total
    )
    assert bandit.total[0, 0].tolist() == [0.0, -0.5]  # limited to the span
    assert not bandit.visits[0, 1].any()
