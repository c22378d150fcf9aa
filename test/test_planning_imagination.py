"""A batch of rollouts: who begins with what, how it goes on, and which trajectories are kept."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from planning_worlds import MODEL, hall

from dyna_nav.mdp import GoalTolerance, wrap_angle
from dyna_nav.planning.config import Dyna2Config, PlannerConfig
from dyna_nav.planning.imagination import Imagined, Rollouts, holds, rows_for
from dyna_nav.planning.lattice import HEADING_ANGLES
from dyna_nav.planning.rollouts import judge
from dyna_nav.planning.straight_way import motion_of
from dyna_nav.world_model.kinematics import KinematicModel

PLENTY = 60  # rollouts of a robot
CONFIG = Dyna2Config()


class Doubtful(KinematicModel):
    """A model whose members disagree about everything by as much as they are told."""

    doubt = 0.0

    def disagreement(self, features):
        return np.full(len(features), self.doubt), np.zeros(len(features))


@pytest.fixture
def imagine(drive_dyna2):
    """Runs batches of one robot's rollouts by the simulation policy, from where it is on its way."""
    run = drive_dyna2(model=Doubtful(MODEL))
    run.steps(3)
    dyna2 = run.dyna2
    actions, warm = len(dyna2.actions), np.ones((1, CONFIG.horizon), np.int64)
    scene = dyna2._look(run.controller._last, run.controller._live)  # once: the transient memory fades with each look

    def batch(doubt=0.0, after=None, seconds_left=lambda: np.inf, seed=0, share=PLENTY, behind=None):
        """behind: how far the robot has to turn to the left until its potential is lowest [rad]."""
        dyna2.model.doubt, rng = doubt, np.random.default_rng(seed)
        if behind is not None:
            dyna2.values.fields[0] = 10.0 + 3.0 * abs(wrap_angle(HEADING_ANGLES - scene.state.pose[0, 2] - behind))
        robot, number = rows_for(scene.state.planned, share, dyna2.model.members, actions, dyna2._draw)
        rollouts = Rollouts(dyna2.model, dyna2.values, CONFIG, scene, robot, number % actions, number < actions, after)
        rollouts.run(
            lambda rollouts, step: rollouts.follow_simulation_policy(
                step, number, warm, rng.random((rollouts.rows, 3))
            ),
            seconds_left,
        )
        return rollouts, number

    return batch


def test_each_robot_has_its_share_and_each_member_rows_of_all():
    robot, number = rows_for(np.array([True, False, True]), 20, 5, 9, np.array([3, 0, 1]))
    assert robot.reshape(5, 2, 4).tolist() == [[[0] * 4, [2] * 4]] * 5
    for one in (0, 2):
        assert sorted(number[robot == one]) == list(range(20))


def test_an_action_is_not_always_predicted_by_the_same_member():
    for draw in range(5):
        _, number = rows_for(np.array([True, True]), 20, 5, 9, np.array([draw, 0]))
        member = [
            [(number.reshape(5, 2, 4)[:, robot] == action).any(axis=1).argmax() for action in range(9)]
            for robot in (0, 1)
        ]
        assert member == [[(action + draw) % 5 for action in range(9)], [action % 5 for action in range(9)]]


def test_however_small_the_share_each_action_begins_a_rollout_and_another_one_is_left():
    _, number = rows_for(np.array([True]), 0, 5, 9, np.array([2]))
    assert set(range(10)) <= set(number)


def test_rollouts_change_their_mind_on_the_way(imagine):
    rollouts, number = imagine()
    actions, long = 9, rollouts.length >= CONFIG.horizon
    changes = (np.diff(rollouts.chosen, axis=0) != 0).sum(axis=0)
    assert (changes[(number != actions) & long] > 0).mean() > 0.5
    held = (number > actions) & (number <= 2 * actions)
    assert (changes[held & long] == 0).all()
    assert set(rollouts.chosen[0][held]) == set(range(actions))


def test_guided_rollouts_hold_their_action_for_a_while_and_nothing_in_them_is_chance(imagine):
    (first, number), (second, _) = imagine(seed=1), imagine(seed=2)
    actions, long = 9, first.length >= CONFIG.horizon
    for k, hold in enumerate((3, CONFIG.horizon, 1, 5)):
        rows = (number - (number > actions)) // actions == k
        rows &= number != actions  # that repeats the last cycle
        assert set(first.chosen[0, rows]) == set(range(actions))
        assert (first.chosen[:hold, rows & long] == first.chosen[0, rows & long]).all()
        assert np.array_equal(first.chosen[:, rows], second.chosen[:, rows])
    free = number > (1 + CONFIG.guided) * actions
    assert not np.array_equal(first.chosen[:, free], second.chosen[:, free])


def test_a_guided_rollout_goes_on_with_the_greedy_action(imagine):
    """To the left, where the goal is thought to lie behind the robot's left shoulder."""
    rollouts, number = imagine(behind=math.radians(110))
    guided = np.flatnonzero((number < 9) & (rollouts.length >= CONFIG.horizon))
    assert len(guided) == 9
    assert (rollouts.chosen[3:, guided] % 3 == 0).all()


def test_rollouts_of_every_action_hold_it_for_different_times_as_far_as_there_are_blocks_of_them():
    assert holds(6, guided=3, horizon=10).tolist() == [3, 10, 1, 5]
    assert holds(3, guided=3, horizon=10).tolist() == [3, 10, 1]
    assert holds(6, guided=1, horizon=10).tolist() == [1, 10]
    assert holds(6, guided=0, horizon=10).tolist() == [10]


def test_where_there_is_one_rollout_of_each_action_it_turns_greedy():
    assert holds(1, guided=3, horizon=10).tolist() == [3]
    assert holds(1, guided=0, horizon=10).tolist() == [10]
    assert holds(1, guided=3, horizon=2).tolist() == [2]


@pytest.mark.parametrize(("share", "guided"), [(10, 9), (15, 9), (20, 9), (25, 9), (35, 18), (60, 27)])
def test_no_action_has_more_guided_rollouts_than_another(imagine, share, guided):
    (first, number), (second, _) = imagine(share=share, seed=1), imagine(share=share, seed=2)
    alike = np.array([np.array_equal(first.chosen[:, row], second.chosen[:, row]) for row in range(first.rows)])
    blocks = len(holds((share - 1) // 9, CONFIG.guided, CONFIG.horizon))
    assert 9 * (blocks - (blocks > 1)) == guided
    assert alike[number <= 9 * blocks].all()
    assert share < 25 or not alike[number > 9 * blocks].all()


def test_familiar_rollouts_reach_the_horizon_and_doubtful_ones_the_cautious_one(imagine):
    assert imagine(doubt=CONFIG.uncertain - 0.01)[0].length.max() == CONFIG.horizon
    assert imagine(doubt=CONFIG.uncertain + 0.01)[0].length.max() == CONFIG.cautious_horizon


def test_what_is_very_doubtful_at_once_is_believed_for_one_step(imagine):
    assert imagine(doubt=CONFIG.very_uncertain + 0.01)[0].length.max() == 1


def test_doubt_beyond_the_familiar_costs_what_it_exceeds_it_by(imagine):
    familiar, doubtful = (imagine(doubt=doubt)[0] for doubt in (CONFIG.uncertain, CONFIG.uncertain + 0.15))
    held = np.arange(familiar.rows)[:2]  # whatever they choose, they pay it in their first step
    paid = familiar._delay[0, held] - doubtful._delay[0, held]
    assert paid == pytest.approx(0.15 * CONFIG.uncertainty_penalty)


def test_a_batch_that_follows_another_one_measures_no_doubt_of_its_own(imagine):
    first, _ = imagine(doubt=CONFIG.uncertain + 0.1)
    second, _ = imagine(doubt=0.0, after=first)
    assert np.array_equal(second.uncertainty, first.uncertainty)
    assert second.length.max() == CONFIG.cautious_horizon
    assert second.model_calls < first.model_calls


def test_without_time_nothing_is_imagined(imagine):
    rollouts, _ = imagine(seconds_left=lambda: 0.0)
    assert (rollouts.steps, rollouts.cut, rollouts.model_calls) == (0, True, 0)


def batch(first, returns, mark):
    """A batch of rows of robot 0 that begin so and return so; all else in it bears a mark."""
    rows = len(first)
    rollouts = SimpleNamespace(
        robot=np.zeros(rows, int), first=np.array(first), length=np.full(rows, mark), steps=mark,
        chosen=np.full((3, rows), mark), states=np.full((4, rows, 5), float(mark)),
    )  # fmt: skip
    return rollouts, np.tile(returns, (4, 1))


def test_the_best_trajectory_of_each_action_is_kept_over_all_batches():
    best = Imagined(robots=1, actions=3, horizon=3)
    best.keep(*batch([0, 0], [0.3, 1.0], mark=1))
    best.keep(*batch([0, 1, 1], [0.5, 2.0, -1.0], mark=2))
    assert best.value.tolist() == [[1.0, 2.0, -np.inf]]
    assert [best.trajectory(0, action)[1].tolist() for action in range(3)] == [[1], [2, 2], []]
    assert best.trajectory(0, 1)[0].tolist() == [[2.0] * 3] * 2
    assert best.steps == 2


def test_what_a_model_imagines_that_answers_nonsense_is_not_kept():
    best = Imagined(robots=1, actions=2, horizon=3)
    best.keep(*batch([0, 1], [-np.inf, -np.inf], mark=1))
    assert not best.length.any()


@pytest.fixture
def touched():
    """Judges one step of rollouts of robot 0, a row for each of its speeds, at the end of which something is near."""
    site = hall(12, 8)
    field, geometry = site.clearance.astype(np.float32), np.array([*site.map.origin, site.map.resolution])

    def judged(velocity, other=2, touch=-0.1, x=6.0):
        """Delay and whether each row goes on, at x [m]; ``other`` leaves a gap of ``touch``, the goal is far away."""
        pose = np.tile([x, 4.0, 0.0], (len(velocity), 1))
        twist = np.column_stack([velocity, np.zeros(len(velocity))])
        start, goal = pose[:, :2].copy(), np.tile([10.0, 4.0, 0.0], (len(velocity), 1))
        expected = np.full((3, 2, 2), np.nan)
        contact, rows = np.full(3, 2 * MODEL.radius), len(velocity)
        expected[other] = [[8.0, 4.0], [x + contact[other] + touch, 4.0]]
        running, delay = np.ones(rows, bool), np.zeros((1, rows))
        judge(
            0, np.zeros(rows, np.int64), running, pose, twist, goal, np.array([0.25, 3.15, 0.4]), np.zeros(rows), delay,
            np.zeros((2, 24, 16, 8), np.float32), np.array([0.0, 0.0, 0.5]), motion_of(MODEL, GoalTolerance(), 0.0),
            np.array([0.0, -0.01, -10.0]), MODEL.radius, np.array([0.02, 0.04]), field, geometry, expected,
            contact, np.array([0.4, 0.2]), np.zeros(rows), start,
        )  # fmt: skip
        return delay[0], running

    return judged


def test_a_robot_that_somebody_walks_into_while_it_stands_has_not_crashed(touched):
    delay, going = touched([0.0, 0.3])
    assert going.tolist() == [True, False]
    assert -0.1 < delay[0] < -0.01
    assert delay[1] < -10.0


def test_a_robot_of_the_fleet_is_not_waited_for_in_its_way(touched):
    _, going = touched([0.0, 0.3], other=1)
    assert going.tolist() == [False, False]


def test_the_way_that_is_lost_to_the_braking_rule_costs_its_time(touched):
    """Beside a wall, with 5 cm of room: 0.75 m/s keep the distance of 2 cm and 4 cm per m/s."""
    x = 0.05 + MODEL.radius + 0.05
    slow, fast = touched([0.7, 1.5], touch=1.0, x=x)[0] - touched([0.7, 1.5], touch=1.0, x=6.0)[0]
    assert slow == pytest.approx(0.0, abs=1e-4)
    assert fast == pytest.approx(-0.01 * (1.0 - 0.75 / 1.5), abs=3e-4)


def test_where_there_is_no_room_at_all_creeping_is_reckoned_with(touched):
    x = 0.05 + MODEL.radius + 0.015
    creeping, fast = touched([0.1, 1.5], touch=1.0, x=x)[0] - touched([0.1, 1.5], touch=1.0, x=6.0)[0]
    assert creeping == pytest.approx(0.0, abs=1e-6)
    assert fast == pytest.approx(-0.01 * (1.0 - 0.1 / 1.5), abs=1e-4)


def test_rollouts_keep_half_of_the_margins_for_laser_returns(drive_dyna2):
    braking = PlannerConfig().braking
    margins = drive_dyna2().dyna2.values.margins
    assert margins == pytest.approx([0.5 * braking.return_margin, 0.5 * braking.return_speed_margin])
