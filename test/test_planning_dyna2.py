"""Dyna-2 and the controller around it, in lockstep with robots that move as their limits allow."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from planning_drive import CORNERS, HALL, LOCKSTEP
from planning_worlds import MODEL, hall, least_gap

from dyna_nav.mdp import STOP
from dyna_nav.planning import Dyna2Controller, PlannerConfig
from dyna_nav.planning.admissible import BrakingConfig
from dyna_nav.planning.config import Dyna2Config
from dyna_nav.planning.vigilance import Assessment
from dyna_nav.world_model.kinematics import KinematicModel

# Arriving, and what is in the way


def test_a_robot_arrives_in_little_more_than_the_ideal_time(drive_dyna2):
    site = hall(20, 6)
    run = drive_dyna2(site=site, poses=[(2, 3, 0.0)], goals=[(17, 3, 0.0)])
    assert run.until_arrived(30) < 1.25 * 15 / MODEL.max_speed
    run.steps(10)
    assert np.hypot(*run.fleet.twist[0]) < 1e-6


def test_a_robot_that_looks_the_wrong_way_turns_and_arrives(drive_dyna2):
    run = drive_dyna2(poses=[(1.5, 1.5, math.pi)])
    assert run.until_arrived(40) < 25


def test_robots_that_cross_neither_touch_nor_block_each_other(drive_dyna2):
    poses, goals = [(1.5, 4, 0.0), (6, 1.5, math.pi / 2)], [(10.5, 4, 0), (6, 6.5, 0)]
    run = drive_dyna2(2, site=hall(12, 8), poses=poses, goals=goals)
    assert run.until_arrived(30) < 20
    assert least_gap(np.concatenate(run.way)) >= 2 * MODEL.radius


def test_four_robots_that_change_places_never_touch(drive_dyna2):
    run = drive_dyna2(4)
    run.until_arrived(60)
    assert least_gap(np.concatenate(run.way)) >= 2 * MODEL.radius
    assert HALL.clearance_at(np.concatenate(run.way)).min() >= MODEL.radius


@pytest.mark.parametrize(("gap", "may_follow"), [(0.3, False), (1.0, True)])
def test_who_is_ahead_may_be_stopped_without_a_word(drive_dyna2, monkeypatch, gap, may_follow):
    """A velocity gate holds a robot at once: nobody drives at full speed close behind, though the one ahead goes on."""
    ahead = 3.0 + 2 * MODEL.radius + gap
    poses, goals = [(3.0, 2, 0.0), (ahead, 2, 0.0)], [(28, 2, 0.0), (20, 2, 0.0)]
    run = drive_dyna2(2, site=hall(30, 4), poses=poses, goals=goals)
    run.fleet.twist[:, 0] = MODEL.max_speed
    run.controller.executed(run.fleet.twist.copy())
    plans, plan = [], run.dyna2.plan
    monkeypatch.setattr(run.dyna2, "plan", lambda *given: plans.append(plan(*given)) or plans[-1])
    run.steps(1)
    straight_on = [tuple(action) for action in run.dyna2.actions].index((MODEL.max_speed, 0.0))
    assert plans[0].admissible[1, straight_on]
    assert plans[0].admissible[0, straight_on] == may_follow


@pytest.mark.parametrize(("late", "ahead", "needed"), [(0.1, "wall", 0.15), (0.1, "robot", 0.3), (0.0, "wall", 0.0)])
def test_a_robot_whose_commands_come_late_brakes_earlier(drive_dyna2, monkeypatch, late, ahead, needed):
    """By the way that it drives meanwhile; towards a robot, which may be as late, by twice that way."""
    braking = BrakingConfig()
    usual = braking.latency - braking.base_latency
    run = drive_dyna2(2, site=hall(30, 4), poses=[(3.0, 2, 0.0), (25.0, 2, 0.0)], goals=[(28, 2, 0.0), None])
    plans, plan = [], run.dyna2.plan
    monkeypatch.setattr(run.dyna2, "plan", lambda *given: plans.append(plan(*given)) or plans[-1])
    straight_on = [tuple(action) for action in run.dyna2.actions].index((MODEL.max_speed, 0.0))

    def farthest(delay):
        """Up to where it may drive on at full speed [m]."""
        may, may_not = 20.0, 29.0
        while may_not - may > 0.02:
            x = 0.5 * (may + may_not)
            run.fleet.pose[:] = (x, 2, 0.0), (25.0 if ahead == "robot" else 1.0, 2, 0.0)
            run.fleet.twist[0] = MODEL.max_speed, 0.0
            run.controller.executed(run.fleet.twist.copy())
            run.steps(1, lambda observation: replace(observation, command_delay=delay))
            may, may_not = (x, may_not) if plans[-1].admissible[0, straight_on] else (may, x)
        return may

    assert farthest(usual) - farthest(usual + late) == pytest.approx(needed, abs=0.05)


def test_a_goal_without_a_way_makes_no_robot_wander(drive_dyna2):
    site = hall(12, 8, [(6, 0, 6.2, 8)])
    run = drive_dyna2(site=site, poses=[(2, 4, 1.0)], goals=[(9, 4, 0.0)])
    assert not run.steps(30).any()
    assert "no way" in run.controller.report.stop_reason[0]


def test_a_robot_without_a_goal_stands_and_so_does_one_that_arrived(drive_dyna2):
    run = drive_dyna2(2, goals=[(1.5, 1.5, 0.0), None])
    assert not run.steps(5).any()
    assert run.controller.report.stop_reason == ["", ""]


def test_a_goal_that_is_taken_back_stops_the_robot(drive_dyna2):
    run = drive_dyna2()
    run.steps(20)
    run.assign(0, None)
    assert not run.steps(15)[20:].any()
    assert not run.fleet.twist.any()


def test_a_goal_that_two_robots_have_is_still_computed_for_the_one_that_keeps_it(drive_dyna2):
    run = drive_dyna2(2, poses=[(2, 2, 0), (2, 6, 0)], goals=[(9, 4, 0), (9, 4, 0)])
    for goal in ((8, 2, 0), (7, 2, 0), (9, 2, 0), (9, 4, 0)):  # the first changes its mind faster than anybody computes
        run.controller.assign(1, np.array([9.0, 4.0, 0.0]))
        run.controller.assign(0, np.array(goal, float))
    run.controller.wait_for_potentials()
    run.steps(20)
    assert all(run.fleet.pose[:, 0] > 2.2)


# What a goal must be


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        ((math.nan, 1, 0), "nan"),
        ((1, 1), "finite pose"),
        ((50, 1, 0), "outside"),
        ((6, 4, 0), "room"),
        ((0.2, 4, 0), "room"),
    ],
)
def test_a_goal_that_cannot_be_served_is_refused_by_name_and_the_old_one_stays(drive_dyna2, goal, words):
    run = drive_dyna2(2)
    run.steps(1)
    with pytest.raises(ValueError, match=words) as refusal:
        run.controller.assign(1, np.array(goal, float))
    assert "robot 1" in str(refusal.value)
    assert f"{goal[0]:g}"[:3] in str(refusal.value)
    run.until_arrived(40)
    assert run.distance(1) <= 0.25


@pytest.mark.parametrize("robot", [-1, 2])
def test_a_goal_for_a_robot_that_is_not_there_is_refused(drive_dyna2, robot):
    run = drive_dyna2(2)
    with pytest.raises(ValueError, match=f"robot {robot}"):
        run.controller.assign(robot, np.array(CORNERS[0]))


# Choosing


def best_of(run, value, allowed):
    """What the only robot chooses, by the values [actions] of its actions, among those allowed (bool [actions])."""
    scene = run.dyna2._look(run.controller._last, run.controller._live)
    return run.dyna2._best_of(scene, 0, value, allowed)


def test_among_actions_of_equal_value_it_is_not_always_the_first(drive_dyna2):
    run = drive_dyna2()
    run.steps(1)
    actions = len(run.dyna2.actions)
    chosen = {best_of(run, np.ones(actions), np.ones(actions, bool)) for _ in range(100)}
    assert len(chosen) > 5


def test_an_inadmissible_action_is_never_taken_however_good(drive_dyna2):
    run = drive_dyna2()
    run.steps(1)
    worth, only = np.full(len(run.dyna2.actions), -np.inf), np.zeros(len(run.dyna2.actions), bool)
    worth[5], only[[2, 7]] = 10.0, True
    for value in (-1.0, -np.inf, np.nan):
        worth[[2, 7]] = value
        assert {best_of(run, worth, only) for _ in range(20)} <= {2, 7, STOP}


def test_without_any_time_left_it_follows_the_potential(drive_dyna2):
    run = drive_dyna2(2)
    run.steps(3)
    dyna2, state, live = run.dyna2, run.controller._last, run.controller._live
    plan = dyna2.plan(state, live, lambda: 0.0)
    assert plan.steps == 0
    assert plan.model_calls == 0
    for robot in (0, 1):  # what fades from cycle to cycle is no chance either
        dyna2.values.transient.forget(robot)
    first = [tuple(dyna2.plan(state, live, lambda: 0.0).action) for _ in range(12)]
    assert len(set(first)) == 1  # what the potential says, not what the dice say


def test_of_two_actions_that_look_equal_the_slower_one_is_greedy(drive_dyna2):
    """After 0.4 s from standing, half and full speed have come equally far."""
    run = drive_dyna2()
    run.steps(1)
    scene = run.dyna2._look(run.controller._last, run.controller._live)
    allowed = np.zeros(len(run.dyna2.actions), bool)
    allowed[[4, 7]] = True  # straight on
    assert run.dyna2.values.greedy(scene, 0, allowed) == 4


def test_of_actions_that_look_equal_and_are_as_slow_the_straight_one_is_greedy(drive_dyna2):
    run = drive_dyna2()
    run.steps(1)
    run.dyna2.values.fields[:] = 0.0  # there is nothing left to do, and nothing is known about it
    run.dyna2.values.transient.forget(0)
    scene = run.dyna2._look(run.controller._last, run.controller._live)
    assert run.dyna2.values.greedy(scene, 0, np.ones(len(run.dyna2.actions), bool)) == STOP


def test_the_greedy_action_is_the_best_of_potential_and_memories_whatever_they_may_promise(drive_dyna2):
    run = drive_dyna2()
    run.steps(1)
    dyna2, values, state = run.dyna2, run.dyna2.values, run.controller._last
    state.twist[0] = 0.75, 0.0
    allowed = np.zeros(len(dyna2.actions), bool)
    allowed[[4, 7]] = True  # straight on, at half and at full speed: a little farther after 0.4 s
    assert values.greedy(dyna2._look(state, run.controller._live), 0, allowed) == 7
    allowed[8] = True  # a treasure where turning leads to
    x, y, yaw = state.pose[0]
    there = (x + 0.38 * math.cos(yaw - 0.2), y + 0.38 * math.sin(yaw - 0.2), yaw - 0.36)
    values.transient.learn(there, 1.23, state.battery[0], 0, 5.0, 1.0)
    straight = values.learned(0, (x + 0.4 * math.cos(yaw), y + 0.4 * math.sin(yaw), yaw), 1.23, state.battery[0], 0)
    assert values.learned(0, there, 1.23, state.battery[0], 0) > straight + 0.1
    assert values.greedy(dyna2._look(state, run.controller._live), 0, allowed) == 7  # nothing may be promised
    values._promise = 1e6
    assert values.greedy(dyna2._look(state, run.controller._live), 0, allowed) == 8


def test_without_any_time_left_it_still_takes_an_admissible_action(drive_dyna2):
    run = drive_dyna2(2)
    run.steps(3)
    for _ in range(20):
        plan = run.dyna2.plan(run.controller._last, run.controller._live, lambda: 0.0)
        assert plan.admissible[[0, 1], plan.action].all()


def plan_with_time_for(run, steps):
    """A cycle whose time is over after so many imagined steps."""
    looks = itertools.chain([1.0] * (2 + 2 * steps), itertools.repeat(-1.0))  # before all, before and after each step
    return run.dyna2.plan(run.controller._last, run.controller._live, lambda: next(looks))


def test_time_that_runs_out_ends_the_rollouts_where_they_are(drive_dyna2):
    run = drive_dyna2()
    run.steps(1)
    plan = plan_with_time_for(run, 8)
    assert (plan.steps, plan.cut) == (8, True)
    assert np.isfinite(plan.value[0]).all()


def test_rollouts_that_end_far_from_their_horizon_count_for_nothing(drive_dyna2):
    """What differs after a few steps is noise: the robot drives on by potential and memories."""
    run = drive_dyna2()
    run.steps(1)
    plan = plan_with_time_for(run, 3)
    assert (plan.steps, plan.cut) == (0, True)
    assert not np.isfinite(plan.value).any()
    assert run.dyna2.actions[plan.action[0], 0] > 0.0
    assert np.hypot(*(plan.path[0, -1] - plan.path[0, 0])[:2]) > 0.0  # and the others are told that it drives


def test_fewer_rollouts_reach_the_horizon_where_there_is_no_time_for_all(drive_dyna2):
    run = drive_dyna2(config=replace(LOCKSTEP, dyna2=Dyna2Config(rollouts=60)))
    run.steps(1)
    run.dyna2._pace.note(0.02, 60, 10)
    full, some = (
        run.dyna2.plan(run.controller._last, run.controller._live, lambda left=left: left) for left in (1.0, 0.02)
    )
    assert full.rollouts == run.dyna2.config.rollouts
    assert len(run.dyna2.actions) < some.rollouts < full.rollouts
    assert some.steps == full.steps == run.dyna2.config.horizon
    assert not some.cut


class Broken(KinematicModel):
    """A model whose network answers NaN."""

    def predict(self, features):
        mean, variance = super().predict(features)
        return np.full_like(mean, np.nan), variance


def test_a_model_that_answers_nan_stops_no_cycle_and_moves_nobody_into_a_wall(drive_dyna2):
    run = drive_dyna2(2, model=Broken(MODEL))
    assert np.isfinite(run.steps(30)).all()
    assert HALL.clearance_at(np.concatenate(run.way)).min() >= MODEL.radius
    assert np.isfinite(run.controller.report.plans).all()  # what the others are told


def test_the_same_seed_gives_the_same_commands(drive_dyna2):
    one, same, other = (drive_dyna2(2, seed=seed).steps(25) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


# Inputs and trust


def test_a_robot_whose_pose_is_lost_stands_and_the_others_go_on(drive_dyna2):
    run = drive_dyna2(2)
    run.steps(10)

    def lose_the_first(observation):
        pose = observation.pose.copy()
        pose[0] = np.nan
        return replace(observation, pose=pose)

    start = run.distance(1)
    commands = run.steps(20, lose_the_first)[10:]
    assert not commands[:, 0].any()
    assert run.distance(1) < start - 1
    assert run.controller.report.stop_reason[0] == "bad input"
    assert run.until_arrived(40) < 40  # and it goes on when the pose is back


@pytest.mark.parametrize("field", ["twist", "battery", "scan"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_other_bad_inputs_give_finite_commands(drive_dyna2, field, value):
    run = drive_dyna2(2)

    def spoil(observation):
        array = getattr(observation, field).copy()
        array[0] = value
        return replace(observation, **{field: array})

    commands = run.steps(10, spoil)
    assert np.isfinite(commands).all()
    assert commands[:, 1].any()
    if field == "twist":
        assert not commands[:, 0].any()


class Distrust:
    """Vigilance that never trusts the model and allows half of the speed."""

    def reset(self, site, robots):
        self.assessment = Assessment(
            novel=np.zeros(robots, bool),
            reason=("",) * robots,
            distrusted=np.ones(robots, bool),
            speed_scale=np.full(robots, 0.5),
            score=np.zeros(robots),
            error=np.ones(robots),
            unjudged=np.full(robots, np.nan),
        )
        return []

    def watch(self, observation):
        return self.assessment

    def commanded(self, observation, commands):
        pass


def test_what_a_model_has_taught_that_is_trusted_no_longer_is_forgotten(drive_dyna2):
    run = drive_dyna2(vigilance=Distrust())
    for memory, goal in ((run.dyna2.values.permanent, 0), (run.dyna2.values.transient, 0)):
        memory.learn((2.0, 2.0, 0.0), 0.0, 1.0, goal, -1.0, 0.5)
    run.steps(1)
    assert len(run.dyna2.values.permanent)
    assert not len(run.dyna2.values.transient)


def test_without_the_model_a_robot_drives_at_half_speed_and_arrives(drive_dyna2):
    run = drive_dyna2(vigilance=Distrust())
    run.until_arrived(60)
    assert run.distance() <= 0.25
    assert np.abs(np.array(run.commands)[:, :, 0]).max() == pytest.approx(0.5 * MODEL.max_speed)
    assert run.controller.report.model_calls == 0
    assert run.controller.report.breaker_open.all()


def test_a_novel_state_stops_its_robot_and_says_why(drive_dyna2):
    run = drive_dyna2(2, vigilance=Distrust())
    found = run.controller._vigilance.assessment
    run.controller._vigilance.assessment = replace(
        found, novel=np.array([True, False]), reason=("dark", ""), distrusted=np.zeros(2, bool), speed_scale=np.ones(2)
    )
    commands = run.steps(10)
    assert not commands[:, 0].any()
    assert commands[:, 1].any()
    assert run.controller.report.stop_reason == ["dark", ""]


def test_a_configuration_out_of_range_is_refused():
    with pytest.raises(ValueError, match="horizon"):
        Dyna2Controller(KinematicModel(MODEL), config=PlannerConfig(dyna2=Dyna2Config(horizon=0)))
