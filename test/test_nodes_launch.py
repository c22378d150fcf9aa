"""The launch files, where ROS's launch is installed: their arguments, their nodes, and who is started again."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

launch = pytest.importorskip("launch")
evaluate_parameters = pytest.importorskip("launch_ros.utilities").evaluate_parameters

FOLDER = Path(__file__).resolve().parent.parent / "launch"


def load(name):
    spec = importlib.util.spec_from_file_location(name.replace(".", "_"), FOLDER / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def nodes(name, **arguments):
    """The nodes of a launch file by name, given launch arguments, and without those whose condition is not met."""
    context = launch.LaunchContext()
    module = load(name)
    for action in module.generate_launch_description().entities:
        if isinstance(action, launch.actions.DeclareLaunchArgument):
            if action.name in arguments:
                context.launch_configurations[action.name] = arguments[action.name]
            else:
                action.execute(context)
    found = module.nodes(context)
    return [node for node in found if node.condition is None or node.condition.evaluate(context)]


def executables(found):
    return [node.node_executable for node in found]


def test_a_fleet_is_simulated_unless_asked_otherwise():
    everything = ["planner", "velocity_gate", "simulator", "dispatcher", "map_publisher"]
    assert executables(nodes("fleet.launch.py")) == everything
    assert executables(nodes("fleet.launch.py", simulate="false")) == ["planner", "velocity_gate"]


def test_a_real_robot_has_planner_and_gate_and_needs_a_map():
    assert executables(nodes("robot.launch.py", map="hall.yaml")) == ["planner", "velocity_gate"]
    with pytest.raises(ValueError, match="launch argument map is missing"):
        nodes("robot.launch.py")
    assert executables(nodes("robot.launch.py", map="hall.yaml", namespace="/")) == ["planner", "velocity_gate"]


def test_robots_are_counted_or_named():
    module = load("fleet.launch.py")
    assert module.robot_names("3") == ["r1", "r2", "r3"]
    assert module.robot_names("north, south") == ["north", "south"]
    with pytest.raises(ValueError, match="launch argument robots"):
        module.robot_names("0")
    with pytest.raises(ValueError, match="'7a', which cannot be a ROS namespace"):
        module.robot_names("r1,7a")


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("fleet.launch.py", {"seed": "abc"}, "seed is 'abc'; give a whole number"),
        ("fleet.launch.py", {"people": "some"}, "people is 'some'; give a whole number"),
        ("fleet.launch.py", {"simulate": "maybe"}, "simulate is 'maybe'; give true or false"),
        ("fleet.launch.py", {"use_sim_time": "yes"}, "use_sim_time is 'yes'; give true or false"),
        ("fleet.launch.py", {"log_level": "loud"}, "log_level is 'loud'; give one of debug"),
        ("robot.launch.py", {"use_sim_time": "yes"}, "use_sim_time is 'yes'; give true or false"),
        ("robot.launch.py", {"log_level": "loud"}, "log_level is 'loud'; give one of debug"),
        ("robot.launch.py", {"namespace": "robot 1"}, "'robot 1', which cannot be a ROS namespace"),
    ],
)
def test_a_bad_argument_is_refused_before_anything_starts(name, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        nodes(name, **{"map": "hall.yaml", **arguments})


@pytest.mark.parametrize("name", ["fleet.launch.py", "robot.launch.py"])
def test_a_tilde_is_the_home_because_no_shell_reads_it_there(name, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    planner = nodes(name, map="~/hall.yaml", model="~/bundle")[0]
    *_, given = evaluate_parameters(launch.LaunchContext(), planner._Node__parameters)
    assert (given["map"], given["model"]) == ("/home/somebody/hall.yaml", "/home/somebody/bundle")


@pytest.mark.parametrize("name", ["fleet.launch.py", "robot.launch.py"])
def test_every_argument_says_what_it_is_for(name):
    declared = [
        action
        for action in load(name).generate_launch_description().entities
        if isinstance(action, launch.actions.DeclareLaunchArgument)
    ]
    assert {"map", "model", "use_sim_time", "log_level"} <= {action.name for action in declared}
    assert all(action.description for action in declared)
