"""pytorch-mppi as an opponent: in lockstep with ideal robots; skipped where the package is absent."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planning_worlds import HALL, MODEL, until_all_arrive

pytest.importorskip("pytorch_mppi")
torch = pytest.importorskip("torch")

from dyna_nav.outsiders.mppi import KinematicMPPI, LearnedMPPI, MPPIConfig  # noqa: E402


def test_a_robot_arrives_without_touching_anything(drive):
    controller, fleet = drive(KinematicMPPI(), [(1.5, 1.5, 0.0)], [(10.5, 6.5, 0.0)])
    commands, way = until_all_arrive(controller, fleet, 40)
    assert fleet.time < 20
    assert HALL.clearance_at(way).min() >= MODEL.radius
    assert commands[..., 0].min() >= 0.0
    assert commands[..., 0].max() <= MODEL.max_speed
    assert np.abs(commands[..., 1]).max() <= MODEL.max_turn_rate


def test_the_learned_model_drives_too(drive):
    controller, fleet = drive(LearnedMPPI(MPPIConfig(samples=100)), [(2, 2, 0.0)], [(10, 2, 0.0)])
    until_all_arrive(controller, fleet, 20)
    assert fleet.time < 12


def test_the_same_seed_drives_the_same_way_and_leaves_torch_alone(drive):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first, second = (
        until_all_arrive(*drive(KinematicMPPI(), [(1.5, 1.5, 0.0)], [(10.5, 6.5, 0.0)]), 3)[0] for _ in range(2)
    )  # fmt: skip
    assert np.array_equal(first, second)
    assert torch.equal(before, torch.random.get_rng_state())


def test_robots_without_a_goal_or_a_pose_stand(drive):
    poses, goals = [(2, 2, 0.0), (2, 6, 0.0), (10, 2, math.pi)], [(10, 6, 0), None, (2, 3, 0)]
    controller, fleet = drive(KinematicMPPI(), poses, goals)
    fleet.pose[2] = np.nan
    commands = controller.act(fleet.observe())
    assert commands[0].any()
    assert not commands[1:].any()


def test_a_goal_in_a_rack_is_refused(drive):
    controller, _ = drive(KinematicMPPI(), [(2, 2, 0.0)], [None])
    with pytest.raises(ValueError, match="robot 0"):
        controller.assign(0, np.array([6.0, 4.0, 0.0]))
