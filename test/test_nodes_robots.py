"""Two robots, real processes, real topics: simulator, gate and planner, and what the wheels hear when things fail."""

from __future__ import annotations

import math
import signal

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nav_msgs.msg import OccupancyGrid
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from ros_harness import RosHarness
from running_robots import MAP, NAMES, SLOW_START, Robots
from std_msgs.msg import Bool

from dyna_nav.nodes.controllers import CONTROLLER
from dyna_nav.nodes.messages import LATCHED
from dyna_nav.site import resolve_site


@pytest.fixture(scope="module")
def robots(tmp_path_factory):
    with RosHarness("robots_test") as ros:
        robots = Robots(ros, tmp_path_factory.mktemp("memory"))
        ros.wait_for(lambda: robots.planner_state == "active", "the planner to be active", SLOW_START)
        yield robots


def test_a_goal_is_driven_to(robots):
    robots.drives("r1")
    goal = robots.reports["r1"].goal
    robots.ros.wait_for(lambda: robots.reports["r1"].state == "arrived", "r1 to arrive", 90)
    assert robots.reports["r1"].goal == goal


@pytest.mark.parametrize(
    ("pose", "frame", "complaint"),
    [
        ((-500.0, 0.0, 0.0), "map", "outside the map"),
        ((math.nan, 0.0, 0.0), "map", "finite"),
        (None, "odom", "frame"),
        ("rack", "map", "rack"),
    ],
)
def test_a_bad_goal_is_refused_and_the_robot_keeps_what_it_was_doing(robots, pose, frame, complaint):
    robots.drives("r1")
    before = robots.reports["r1"].goal
    if pose == "rack":
        row, col = np.argwhere(robots.site.map.cells[10:-10, 10:-10] == 100)[0] + 10
        pose = (*robots.site.map.position_of(row, col), 0.0)
    robots.send("r1", robots.station(0) if pose is None else np.array(pose), frame)
    robots.ros.wait_for(lambda: complaint in robots.reports["r1"].refusal, f"a refusal that says {complaint!r}")
    assert robots.reports["r1"].goal == before


def test_a_frozen_planner_stops_the_robots_until_it_wakes(robots):
    robots.drives("r1")
    robots.planner.send_signal(signal.SIGSTOP)
    robots.stands("r1")
    robots.ros.wait_for(lambda: "cmd_vel_planned" in robots.gates["r1"], "the gate to name the silent planner")
    robots.planner.send_signal(signal.SIGCONT)
    robots.drives("r1")


def test_odometry_that_is_not_a_number_stops_its_robot_alone_until_it_is_one_again(robots):
    robots.drives("r1")
    robots.fault("nan_odometry", robot="r1", on=True)
    robots.stands("r1")
    robots.ros.wait_for(lambda: "odom" in robots.reports["r1"].stop_reason, "the planner to name the odometry")
    robots.ros.wait_for(lambda: "odom" in robots.gates["r1"], "the gate to name the odometry")
    robots.drives("r2")
    robots.fault("nan_odometry", robot="r1", on=False)
    robots.drives("r1")


@pytest.mark.parametrize(("fault", "topic"), [("silent_odometry", "odom"), ("silent_scan", "scan")])
def test_a_silent_sensor_stops_its_robot_until_it_speaks_again(robots, fault, topic):
    robots.drives("r1")
    robots.fault(fault, robot="r1", on=True)
    robots.stands("r1")
    robots.ros.wait_for(lambda: f"r1/{topic}" in robots.reports["r1"].stop_reason, f"the planner to name {topic}")
    robots.fault(fault, robot="r1", on=False)
    robots.drives("r1")


def test_a_fault_that_makes_no_sense_is_refused_and_the_simulator_lives(robots):
    robots.fault("explode", robot="r1")
    robots.ros.wait_for(lambda: "fault is 'explode'" in robots.simulator.output, "a complaint")
    assert robots.simulator.running


def transition(robots, number):
    client = robots.ros.node.create_client(ChangeState, "/planner/change_state")
    robots.ros.wait_for(client.service_is_ready, "the planner's lifecycle service")
    answer = client.call_async(ChangeState.Request(transition=Transition(id=number)))
    robots.ros.wait_for(answer.done, "the transition", SLOW_START)
    return answer.result().success


def set_parameter(robots, name, value):
    client = robots.ros.node.create_client(SetParameters, "/planner/set_parameters")
    robots.ros.wait_for(client.service_is_ready, "the planner's parameter service")
    text = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)
    answer = client.call_async(SetParameters.Request(parameters=[Parameter(name=name, value=text)]))
    robots.ros.wait_for(answer.done, "the parameter")
    return answer.result().results[0]


def test_the_lifecycle_stops_refuses_and_drives_again(robots):
    robots.drives("r1")
    assert "map: read at configure" in set_parameter(robots, "map", "/nowhere/hall.yaml").reason
    assert transition(robots, Transition.TRANSITION_DEACTIVATE)
    robots.stands("r1")
    assert transition(robots, Transition.TRANSITION_CLEANUP)
    set_parameter(robots, "map", "/nowhere/hall.yaml")
    assert not transition(robots, Transition.TRANSITION_CONFIGURE)
    assert "/nowhere/hall.yaml" in robots.planner.output
    set_parameter(robots, "controller", "io:StringIO")  # no controller at all
    set_parameter(robots, "map", MAP)
    assert not transition(robots, Transition.TRANSITION_CONFIGURE)
    assert "controller 'io:StringIO' has no method reset and no assign and no act" in robots.planner.output
    set_parameter(robots, "controller", CONTROLLER)
    assert transition(robots, Transition.TRANSITION_CONFIGURE)
    assert transition(robots, Transition.TRANSITION_ACTIVATE)
    robots.ros.wait_for(lambda: robots.planner_state == "active", "the planner to be active")
    robots.forget()
    robots.drives("r1")


def test_a_killed_planner_stops_the_robots_and_a_new_one_drives_on(robots):
    robots.drives("r1")
    robots.planner.send_signal(signal.SIGKILL)
    robots.stands("r1")
    robots.planner = robots.start_planner()
    robots.planner_state = ""
    robots.ros.wait_for(lambda: robots.planner_state == "active", "the new planner", SLOW_START)
    robots.forget()
    robots.drives("r1")


def test_a_planner_that_is_asked_to_end_stops_the_robots_and_leaves_cleanly(robots):
    robots.drives("r1")
    assert robots.planner.stop(signal.SIGTERM) == 0
    robots.stands("r1")
    assert "Traceback" not in robots.planner.output


def test_a_parameter_out_of_range_is_refused_at_configure_with_its_name_and_range():
    with RosHarness("refusal_test") as ros:
        planner = ros.start("dyna_nav.nodes.planner", {"map": MAP, "robots": NAMES, "robot.radius": 9.0})
        refusal = "robot.radius is 9.0; it must lie in [0.05, 2]"
        ros.wait_for(lambda: refusal in planner.output, "the refusal", SLOW_START)
        assert planner.running


def test_the_map_is_published_for_whoever_comes_late():
    with RosHarness("map_test") as ros:
        publisher = ros.start("dyna_nav.nodes.map_publisher", {"map": MAP})
        grids = []
        ros.node.create_subscription(OccupancyGrid, "map", grids.append, LATCHED)
        ros.wait_for(lambda: grids, "the map")
        site = resolve_site(MAP)
        assert (grids[0].info.height, grids[0].info.width) == site.map.cells.shape
        assert np.array_equal(np.array(grids[0].data, np.int8).reshape(site.map.cells.shape), site.map.cells)
        assert publisher.stop() == 0


def test_a_robot_without_a_namespace_drives_and_obeys_the_emergency_stop(tmp_path):
    with RosHarness("lone_robot_test") as ros:
        robot = Robots(ros, tmp_path, [""])
        robot.drives("")
        topics = dict(ros.node.get_topic_names_and_types())
        assert {"/odom", "/scan", "/cmd_vel", "/cmd_vel_planned", "/goal_pose", "/plan"} <= set(topics)
        button = ros.node.create_publisher(Bool, "/emergency_stop", 1)
        ros.wait_for(lambda: button.get_subscription_count() > 0, "the gate to hear the button")
        button.publish(Bool(data=True))
        robot.stands("")
        button.publish(Bool(data=False))
        robot.drives("")
