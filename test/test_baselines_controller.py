"""The baseline drives: lockstep in real physics."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from simulation_worlds import hall, world

from dyna_nav.baselines import AStarController, BaselineConfig
from dyna_nav.baselines.pursuit import PursuitConfig
from dyna_nav.mdp import GoalTolerance, RobotModel, goal_reached
from dyna_nav.simulation import Pallet, Walker

VARIANTS = pytest.mark.parametrize("knows_fleet", [False, True], ids=["blind", "fleet"])


def run(simulation, goals, knows_fleet=False, seconds=60.0, seed=0, config=None):
    """Drive until everybody is there: arrived [n], time [s], true positions and commands [steps, n, 2]."""
    controller = AStarController(knows_fleet, config)
    controller.reset(simulation.site, simulation.robots, np.random.default_rng(seed), RobotModel())
    goals = np.array([goal if goal is not None else (np.nan,) * 3 for goal in goals], float)
    for robot, goal in enumerate(goals):
        controller.assign(robot, None if np.isnan(goal[0]) else goal)
    arrived, way, commands = np.isnan(goals[:, 0]), [], []
    while simulation.time < seconds and not arrived.all():
        seen = simulation.observe()
        arrived |= goal_reached(seen.pose, seen.twist[:, 0], goals, GoalTolerance())
        commands.append(controller.act(seen))
        simulation.step(commands[-1])
        way.append(simulation.true_pose[:, :2])
    return arrived, simulation.time, np.array(way), np.array(commands)


@VARIANTS
def test_alone_it_reaches_its_goal_almost_as_fast_as_possible(knows_fleet):
    simulation = world((2.0, 5.0, 0.0))
    arrived, time, *_ = run(simulation, [(18.0, 5.0, 0.0)], knows_fleet)
    assert arrived.all()
    assert time < 1.12 * 16.0 / 1.5
    assert not simulation.collisions


def test_commands_are_within_the_gates_limits():
    simulation = world((2.0, 5.0, 3.1))
    *_, commands = run(simulation, [(12.0, 2.0, 0.0)])
    assert (commands[..., 0] >= -0.5).all()
    assert (commands[..., 0] <= 1.5 + 1e-9).all()
    assert (np.abs(commands[..., 1]) <= 1.2 + 1e-9).all()


@VARIANTS
def test_it_goes_round_a_pallet_that_the_map_does_not_know(knows_fleet):
    simulation = world((2.0, 5.0, 0.0), pallets=[Pallet(8.0, 5.0)])
    arrived, time, *_ = run(simulation, [(15.0, 5.0, 0.0)], knows_fleet)
    assert arrived.all()
    assert time < 20.0
    assert not simulation.collisions


def test_it_takes_another_aisle_when_a_pallet_closes_one():
    site = hall(16.0, 8.0, boxes=[(4.0, 3.0, 12.0, 5.0), (4.0, 6.3, 12.0, 7.9)])  # aisles of 1.3 m and of 2.9 m
    simulation = world((2.0, 5.6, 0.0), site=site, pallets=[Pallet(8.0, 5.65, np.pi / 2)])
    arrived, _, way, _ = run(simulation, [(14.0, 5.6, 0.0)], seconds=90.0)
    assert arrived.all()
    assert way[:, 0, 1].min() < 3.0
    assert not simulation.collisions


@pytest.mark.parametrize("width", [0.9, 1.0])
@pytest.mark.parametrize(
    "goal", [(2.0, 8.0), (5.0, 9.0), (8.0, 8.0), (9.0, 6.5)], ids=["sharp left", "ahead", "sharp right", "back along"]
)
def test_it_comes_through_a_door_at_an_angle(goal, width):
    """In a thin wall: its disc of 0.7 m has 10 or 15 cm on either side, and the cells of its search are 10 cm."""
    site = hall(10.0, 10.0, boxes=[(0.0, 5.0, 5.0 - width / 2, 5.1), (5.0 + width / 2, 5.0, 10.0, 5.1)])
    simulation = world((1.5, 4.0, 0.0), site=site)
    arrived, time, *_ = run(simulation, [(*goal, 0.0)], knows_fleet=True, seconds=60.0)
    assert arrived.all()
    assert time < 18.0
    assert not simulation.collisions


@VARIANTS
def test_oncoming_robots_pass_each_other(knows_fleet):
    site = hall(20.0, 3.2)
    simulation = world((2.0, 1.6, 0.0), (18.0, 1.6, np.pi), site=site)
    arrived, time, *_ = run(simulation, [(18.0, 1.6, 0.0), (2.0, 1.6, 0.0)], knows_fleet)
    assert arrived.all()
    assert time < 40.0
    assert not simulation.collisions


@VARIANTS
def test_crossing_robots_do_not_touch(knows_fleet):
    simulation = world((4.0, 5.0, 0.0), (10.0, 1.5, np.pi / 2), (16.0, 5.0, np.pi), (10.0, 8.5, -np.pi / 2))
    goals = [(16.0, 5.0, 0.0), (10.0, 8.5, 0.0), (4.0, 5.0, 0.0), (10.0, 1.5, 0.0)]
    arrived, *_ = run(simulation, goals, knows_fleet, seconds=60.0)
    assert arrived.all()
    assert not simulation.collisions


def test_in_an_aisle_that_is_too_narrow_one_backs_out():
    site = hall(14.0, 8.0, boxes=[(3.0, 0.1, 11.0, 3.4), (3.0, 4.6, 11.0, 7.9)])
    simulation = world((1.5, 4.0, 0.0), (12.5, 4.0, np.pi), site=site)
    arrived, *_ = run(simulation, [(12.5, 2.0, 0.0), (1.5, 2.0, 0.0)], knows_fleet=True, seconds=180.0)
    assert arrived.all()
    assert not simulation.collisions


@pytest.mark.parametrize(("start", "seed"), [(1.0, 3), (1.5, 0), (2.5, 1)])
def test_of_two_that_know_each_other_only_one_backs_out_and_it_goes_on_when_the_other_has_passed(start, seed):
    site = hall(24.0, 8.0, boxes=[(6.0, 0.1, 16.0, 3.4), (6.0, 4.6, 16.0, 7.9)])
    simulation = world((start, 4.0, 0.0), (20.5, 4.0, np.pi), site=site)
    goals = [(20.5, 2.0, 0.0), (1.5, 2.0, 0.0)]
    arrived, time, way, _ = run(simulation, goals, knows_fleet=True, seconds=180.0, seed=seed)
    assert arrived.all()
    assert time < 38.0
    assert np.hypot(*np.diff(way, axis=0).transpose(2, 0, 1)).sum(axis=0).min() < 20.5
    assert not simulation.collisions


@VARIANTS
def test_it_goes_round_a_robot_that_stands(knows_fleet):
    simulation = world((3.0, 5.0, 0.0), (9.0, 5.0, 0.0))
    arrived, time, *_ = run(simulation, [(16.0, 5.0, 0.0), None], knows_fleet)
    assert arrived.all()
    assert time < 20.0
    assert not simulation.collisions


def test_a_heading_that_is_asked_for_is_taken():
    simulation = world((3.0, 5.0, 0.0))
    config = BaselineConfig(tolerance=GoalTolerance(heading=0.2))
    controller = AStarController(config=config)
    controller.reset(simulation.site, 1, np.random.default_rng(0), RobotModel())
    goal = np.array([9.0, 6.0, -2.0])
    controller.assign(0, goal)
    while simulation.time < 30.0:
        seen = simulation.observe()
        if goal_reached(seen.pose, seen.twist[:, 0], goal[None], config.tolerance)[0]:
            return
        simulation.step(controller.act(seen))
    raise AssertionError(f"it stands at {simulation.true_pose[0]}")


def test_without_a_goal_or_a_pose_it_stands():
    simulation = world((3.0, 5.0, 0.0), (9.0, 5.0, 0.0))
    controller = AStarController(knows_fleet=True)
    controller.reset(simulation.site, 2, np.random.default_rng(0), RobotModel())
    controller.assign(1, np.array([15.0, 5.0, 0.0]))
    seen = simulation.observe()
    lost = dataclasses.replace(seen, pose=np.where([[False], [True]], np.nan, seen.pose))
    assert not controller.act(lost).any()
    assert controller.act(seen)[1].any()
    controller.assign(1, None)
    assert not controller.act(seen).any()


@pytest.mark.parametrize(
    ("goal", "words"), [((np.nan, 1.0, 0.0), "finite"), ((0.2, 0.2, 0.0), "room"), ((50.0, 5.0, 0.0), "room")]
)
def test_a_goal_that_cannot_be_served_is_refused_and_the_old_one_stays(goal, words):
    simulation = world((3.0, 5.0, 0.0))
    controller = AStarController()
    controller.reset(simulation.site, 1, np.random.default_rng(0), RobotModel())
    controller.assign(0, np.array([15.0, 5.0, 0.0]))
    with pytest.raises(ValueError, match=words):
        controller.assign(0, np.array(goal))
    assert controller.act(simulation.observe())[0, 0] > 0.5


def test_a_bad_number_is_refused_by_name():
    with pytest.raises(ValueError, match=r"pursuit\.lookahead_time"):
        AStarController(config=BaselineConfig(pursuit=PursuitConfig(lookahead_time=-1.0)))


def test_the_same_seed_drives_the_same_way():
    def once():
        simulation = world((4.0, 5.0, 0.0), (14.0, 5.0, np.pi))
        return run(simulation, [(14.0, 5.0, 0.0), (4.0, 5.0, 0.0)], seconds=20.0, seed=3)[2]

    assert np.array_equal(once(), once())


CROSSING = Walker(np.array([(9.0, 1.0), (9.0, 9.0)]), 1.0)


def around(knows_fleet, seconds=2.0):
    """What robot 0 knows while robot 1 drives and somebody crosses: fleet [k, 2], strangers [k, 4]; and the truth."""
    simulation = world((5.0, 4.0, 0.0), (4.0, 7.0, 0.0), walkers=(CROSSING,))
    controller = AStarController(knows_fleet)
    controller.reset(simulation.site, 2, np.random.default_rng(0), RobotModel())
    controller.assign(1, np.array([8.0, 8.0, 0.0]))
    for _ in range(round(seconds / 0.1)):
        commands = controller.act(simulation.observe())
        simulation.step(commands)
    controller.act(simulation.observe())
    person = CROSSING.position(simulation.time)
    return controller._traffic.fleet(0), controller._traffic.strangers(0), person, simulation.true_pose[1]


def test_a_person_who_crosses_is_followed_with_and_without_knowledge_of_the_fleet():
    (_, blind, person, _), (_, fleet, *_) = around(False), around(True)
    for strangers in (blind, fleet):
        nearest = strangers[np.argmin(np.hypot(*(strangers[:, :2] - person).T))]
        assert nearest[:2] == pytest.approx(person, abs=0.25)
        assert nearest[2:] == pytest.approx((0.0, 1.0), abs=0.25)


def test_a_robot_of_a_known_fleet_is_no_stranger():
    fleet, strangers, _, robot = around(True)
    assert fleet == pytest.approx(robot[None, :2], abs=0.05)
    assert len(strangers) == 1
    fleet, strangers, _, robot = around(False)
    assert not len(fleet)
    assert np.hypot(*(strangers[:, :2] - robot[:2]).T).min() < 0.3
    assert len(strangers) == 2
