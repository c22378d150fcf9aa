"""Controllers of other people behind the planner node: what the contract asks for is enough."""

from __future__ import annotations

import numpy as np
import pytest

from dyna_nav.controller import Observation
from dyna_nav.mdp import RobotModel
from dyna_nav.nodes.controllers import PlainController, load_controller, memory_folder
from dyna_nav.nodes.planner_parameters import PlannerNodeConfig
from dyna_nav.planning import PlannerConfig
from dyna_nav.site import resolve_site


@pytest.fixture(scope="module")
def site():
    return resolve_site("random:3")


class Straight:
    """No more than the contract asks for."""

    def reset(self, site, robots, rng, model):
        self.robots = robots

    def assign(self, robot, goal):
        pass

    def act(self, observation):
        return np.full((self.robots, 2), 0.5)


def observation(poses, goals):
    poses, goals = np.array(poses, float), np.array(goals, float)
    n = len(poses)
    return Observation(0.0, poses, np.zeros((n, 2)), np.ones(n), goals, np.full((n, 4), np.inf), np.zeros(4), 10.0)


def test_a_class_with_the_methods_of_the_contract_can_drive(site):
    config = PlannerNodeConfig(robots=("r1", "r2"), controller=f"{__name__}:Straight")
    controller = load_controller(config, PlannerConfig(), site, RobotModel())
    controller.reset(site, 2, np.random.default_rng(0), RobotModel())
    commands = controller.act(observation([(1, 1, 0), (np.nan,) * 3], [(1, 1.1, 0), (5, 5, 0)]))
    assert commands.tolist() == [[0.5, 0.5], [0.0, 0.0]]  # a robot with bad input stands, whatever the class says
    assert controller.report.arrived.tolist() == [True, False]
    assert "no OOD detector" in controller.warnings[0]
    controller.executed(commands)
    controller.close()


def test_a_class_that_answers_with_something_else_is_told_so(site):
    controller = PlainController(Straight(), "Straight", PlannerConfig().tolerance)
    controller.reset(site, 3, np.random.default_rng(0), RobotModel())
    with pytest.raises(ValueError, match=r"Straight: act\(\) answered with shape \(3, 2\); it must be \(1, 2\)"):
        controller.act(observation([(1, 1, 0)], [(2, 2, 0)]))


@pytest.mark.parametrize(
    ("name", "says"),
    [("nowhere:Class", "cannot be imported"), ("io:Nothing", "module io has no Nothing"), ("astar", "as module:Class"),
     ("io:FileIO", "missing a required argument"), ("io:StringIO", "no method reset and no assign and no act")],
)  # fmt: skip
def test_what_is_no_controller_is_refused_in_one_sentence(site, name, says):
    with pytest.raises(ValueError, match=says):
        load_controller(PlannerNodeConfig(controller=name), PlannerConfig(), site, RobotModel())


@pytest.mark.parametrize("home", [None, ""])
def test_an_empty_ros_home_is_none(home, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ROS_HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("ROS_HOME", home)
    assert memory_folder("") == tmp_path / ".ros" / "dyna_nav" / "memory"
