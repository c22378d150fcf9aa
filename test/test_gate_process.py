"""The velocity gate as it runs: a process of its own, real topics, real silence, real signals."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from ros_harness import ROOT, RosHarness, child_environment
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Bool

from dyna_nav.safety import gate as causes

GATE = "dyna_nav.nodes.velocity_gate"
RANDOM = np.random.default_rng(0)


class Robot:
    """Stands in for planner, base and laser of one robot: sends at 20 Hz, hears what the wheels are told."""

    def __init__(self, ros: RosHarness, name: str = "r1", command_type: type = TwistStamped):
        self.name, self._ros = name, ros
        node, prefix = ros.node, f"/{name}/" if name else "/"
        self._command = node.create_publisher(TwistStamped, prefix + "cmd_vel_planned", 1)
        self._odometry = node.create_publisher(Odometry, prefix + "odom", qos_profile_sensor_data)
        self._scan = node.create_publisher(LaserScan, prefix + "scan", qos_profile_sensor_data)
        self.base = node.create_subscription(command_type, prefix + "cmd_vel", self._hear, 10)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnose, 10)
        self.speed, self.turn_rate, self.ahead = 0.5, 0.2, 5.0
        self.odometry_speed = 0.0
        self.silent: set[str] = set()
        self.sent = 0  # commands
        self.heard: list[tuple[float, float, float]] = []  # time [s], speed [m/s], turn rate [rad/s]
        self.status: DiagnosticStatus | None = None
        self.reports: list[DiagnosticStatus] = []
        ros.every(0.05, self.send)

    def send(self) -> None:
        stamp = self._ros.node.get_clock().now().to_msg()
        if "command" not in self.silent:
            message = TwistStamped()
            message.header.stamp = stamp
            message.twist.linear.x, message.twist.angular.z = self.speed, self.turn_rate
            self._command.publish(message)
            self.sent += 1
        if "odometry" not in self.silent:
            message = Odometry()
            message.header.stamp = stamp
            message.twist.twist.linear.x = self.odometry_speed
            self._odometry.publish(message)
        if "scan" not in self.silent:
            message = LaserScan(range_min=0.05, range_max=12.0, angle_min=-math.pi, angle_increment=math.pi / 180)
            message.header.stamp = stamp
            message.angle_max = message.angle_min + 359 * message.angle_increment
            ranges = 5.0 + 0.01 * RANDOM.standard_normal(360)
            ranges[180] = self.ahead
            message.ranges = ranges.astype(np.float32).tolist()
            self._scan.publish(message)

    def drives(self) -> bool:
        return bool(self.heard) and self.heard[-1][1:] == (self.speed, self.turn_rate) != (0.0, 0.0)

    def stands(self) -> bool:
        return bool(self.heard) and self.heard[-1][1:] == (0.0, 0.0)

    def blames(self, cause: str) -> bool:
        return self.status is not None and self.cause == cause

    @property
    def cause(self) -> str:
        return next(pair.value for pair in self.status.values if pair.key == "cause")

    def stops(self, cause: str) -> int:
        return int(next(pair.value for pair in self.status.values if pair.key == f"stops: {cause}"))

    def _hear(self, message) -> None:
        twist = message.twist if isinstance(message, TwistStamped) else message
        self.heard.append((time.monotonic(), twist.linear.x, twist.angular.z))

    def _diagnose(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == (f"velocity_gate: {self.name}" if self.name else "velocity_gate"):
                self.status = status
                self.reports.append(status)


@pytest.fixture
def ros():
    with RosHarness() as harness:
        yield harness


@pytest.fixture(scope="module")
def shared():
    """One gate and one robot for the faults that it survives anyway."""
    with RosHarness() as harness:
        harness.start(GATE, parameters={"robots": ["r1"]})
        yield harness, Robot(harness)


@pytest.fixture
def robot(shared):
    harness, robot = shared
    robot.speed, robot.turn_rate, robot.ahead, robot.odometry_speed = 0.5, 0.2, 5.0, 0.0
    robot.silent.clear()
    harness.wait_for(robot.drives, "the robot to drive")
    robot.wait_for = harness.wait_for
    return robot


def expect_stop_and_recovery(robot, fault, mend, cause, says):
    """The fault stops the wheels, names its cause in /diagnostics, counts once; mended, the robot drives on."""
    robot.wait_for(lambda: robot.blames(""), "a clean bill of health")
    stops = robot.stops(cause)
    fault()
    robot.wait_for(lambda: robot.stands() and robot.blames(cause), f"a stop for {cause}")
    assert says in robot.status.message
    assert robot.status.level != DiagnosticStatus.OK
    assert robot.stops(cause) == stops + 1
    mend()
    robot.wait_for(lambda: robot.drives() and robot.blames(""), f"driving on after {cause}")
    assert robot.status.level == DiagnosticStatus.OK


@pytest.mark.parametrize(
    ("part", "cause", "topic"),
    [
        ("command", causes.COMMAND_STALE, "cmd_vel_planned"),
        ("odometry", causes.ODOMETRY_STALE, "odom"),
        ("scan", causes.SCAN_STALE, "scan"),
    ],
)
def test_a_topic_that_falls_silent_stops_the_robot(robot, part, cause, topic):
    expect_stop_and_recovery(
        robot, lambda: robot.silent.add(part), lambda: robot.silent.discard(part), cause, f"{topic}: silent for"
    )


@pytest.mark.parametrize(
    ("name", "value", "cause", "says"),
    [
        ("odometry_speed", math.nan, causes.ODOMETRY_BAD, "odom: twist.linear.x is nan"),
        ("speed", 1.6, causes.COMMAND_BAD, "linear.x is 1.6; it must lie in [-0.5, 1.5]"),
        ("turn_rate", math.nan, causes.COMMAND_BAD, "angular.z is nan"),
        ("ahead", 0.36, causes.OBSTACLE, "obstacle at 0.36 m"),
    ],
)
def test_a_fault_stops_the_robot(robot, name, value, cause, says):
    good = getattr(robot, name)
    expect_stop_and_recovery(
        robot, lambda: setattr(robot, name, value), lambda: setattr(robot, name, good), cause, says
    )


@pytest.mark.parametrize("topic", ["/emergency_stop", "/r1/emergency_stop"])
@pytest.mark.parametrize("durability", [DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL])
def test_the_emergency_stop_is_obeyed_latched_or_not(shared, robot, topic, durability):
    node = shared[0].node
    publisher = node.create_publisher(Bool, topic, QoSProfile(depth=1, durability=durability))
    robot.wait_for(lambda: publisher.get_subscription_count() >= 1, "the gate to listen")
    expect_stop_and_recovery(
        robot,
        lambda: publisher.publish(Bool(data=True)),
        lambda: publisher.publish(Bool(data=False)),
        causes.EMERGENCY_STOP,
        topic,
    )
    node.destroy_publisher(publisher)


def test_an_emergency_stop_pressed_before_the_gate_starts_is_obeyed(ros):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    ros.node.create_publisher(Bool, "/emergency_stop", latched).publish(Bool(data=True))
    robot = Robot(ros)
    ros.start(GATE, parameters={"robots": ["r1"]})
    ros.wait_for(lambda: robot.stands() and robot.blames(causes.EMERGENCY_STOP), "the late gate to obey")


def test_an_emergency_stop_outlives_the_gate_and_ends_when_it_is_released(ros):
    robot, publisher = Robot(ros), ros.node.create_publisher(Bool, "/r1/emergency_stop", 1)
    gate = ros.start(GATE, parameters={"robots": ["r1"]})
    ros.wait_for(robot.drives, "the robot to drive")
    publisher.publish(Bool(data=True))
    ros.wait_for(lambda: robot.stands() and robot.blames(causes.EMERGENCY_STOP), "a stop")
    gate.send_signal(signal.SIGKILL)
    gate.wait()
    robot.status = None
    again = ros.start(GATE, parameters={"robots": ["r1"]})
    ros.wait_for(lambda: robot.blames(causes.EMERGENCY_STOP), "the new gate to know of it")
    assert robot.stands()
    assert "ros2 topic pub --once /r1/emergency_stop" in again.output
    ros.wait_for(lambda: publisher.get_subscription_count() >= 1, "the new gate to listen")
    publisher.publish(Bool(data=False))
    ros.wait_for(robot.drives, "the robot to drive again")
    again.send_signal(signal.SIGKILL)
    again.wait()
    robot.heard.clear()
    ros.start(GATE, parameters={"robots": ["r1"]})
    ros.wait_for(robot.drives, "a third gate to have nothing to remember")


def test_commands_pass_once_each_while_nothing_is_wrong(robot):
    """At 10 Hz of commands `cmd_vel` shows 10 Hz: the gate's own timer adds nothing."""
    robot.wait_for(lambda: robot.blames(""), "a clean bill of health")
    sent, heard = robot.sent, len(robot.heard)
    robot.wait_for(lambda: robot.sent >= sent + 40, "forty commands")
    robot.silent.add("command")
    robot.wait_for(robot.stands, "the commands to end")
    moving = [twist for _, *twist in robot.heard[heard:] if twist != [0.0, 0.0]]
    assert set(map(tuple, moving)) == {(0.5, 0.2)}
    assert len(moving) <= robot.sent - sent + 1  # one may have been under way


def test_a_held_robot_keeps_hearing_zero(robot):
    robot.silent.add("command")
    robot.wait_for(robot.stands, "a stop")
    robot.heard.clear()
    robot.wait_for(lambda: len(robot.heard) >= 10, "ten more zeros")
    assert {(speed, turn) for _, speed, turn in robot.heard} == {(0.0, 0.0)}


def test_robots_are_gated_one_by_one(ros):
    ros.start(GATE, parameters={"robots": ["r1", "r2"]})
    first, second = Robot(ros, "r1"), Robot(ros, "r2")
    ros.wait_for(lambda: first.drives() and second.drives(), "both to drive")
    first.silent.add("scan")
    ros.wait_for(lambda: first.stands() and first.blames(causes.SCAN_STALE), "the first to stop")
    assert second.drives()
    assert second.blames("")


def test_the_robot_of_its_own_namespace_and_plain_twists(ros):
    executed = []
    ros.node.create_subscription(TwistStamped, "/r7/cmd_vel_executed", executed.append, 10)
    ros.start(GATE, parameters={"cmd_vel_stamped": False}, ros_arguments=["-r", "__ns:=/r7"])
    robot = Robot(ros, "r7", command_type=Twist)
    robot.name = ""
    ros.wait_for(lambda: robot.drives() and robot.blames(""), "the robot to drive")
    ros.wait_for(lambda: executed and executed[-1].twist.linear.x == robot.speed, "the planner to be told as well")


def test_the_planner_is_told_that_nothing_moves_while_no_base_listens(ros):
    executed = []
    ros.node.create_subscription(TwistStamped, "/r1/cmd_vel_executed", executed.append, 10)
    ros.start(GATE, parameters={"robots": ["r1"]})
    robot = Robot(ros)
    ros.wait_for(lambda: executed and executed[-1].twist.linear.x == robot.speed, "the robot to drive")
    ros.node.destroy_subscription(robot.base)
    ros.wait_for(lambda: executed[-1].twist.linear.x == 0.0 and robot.blames(""), "the planner to be told")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_last_word_of_a_gate_that_ends_is_zero(ros, number):
    gate = ros.start(GATE, parameters={"robots": ["r1"]})
    robot = Robot(ros)
    ros.wait_for(robot.drives, "the robot to drive")
    gate.send_signal(number)
    ros.wait_for(lambda: not gate.running, "the gate to end")
    ros.wait_for(robot.stands, "the last word")
    assert gate.wait() == 0
    assert "Traceback" not in gate.output
    assert [heard[1:] for heard in robot.heard[-3:]] == [(0.0, 0.0)] * 3


def test_a_stopped_planner_is_silence_and_a_gate_that_wakes_up_trusts_nothing_old(ros):
    """SIGSTOP of the gate itself: when it comes back it has no fresh inputs, so the first thing it says is zero."""
    gate = ros.start(GATE, parameters={"robots": ["r1"]})
    robot = Robot(ros)
    ros.wait_for(robot.drives, "the robot to drive")
    gate.send_signal(signal.SIGSTOP)
    robot.silent.update(("command", "odometry", "scan"))
    asleep = time.monotonic()
    ros.wait_for(lambda: time.monotonic() - asleep > 0.6, "all inputs to grow old")
    robot.heard.clear()
    gate.send_signal(signal.SIGCONT)
    ros.wait_for(robot.stands, "zero")
    assert {heard[1:] for heard in robot.heard} == {(0.0, 0.0)}


def test_a_parameter_out_of_range_is_one_sentence_and_exit_status_2(ros):
    gate = ros.start(GATE, parameters={"gate.command_timeout": 3.0})
    assert gate.wait() == 2
    assert "parameter gate.command_timeout is 3.0; it must lie in [0.05, 0.45]" in gate.output
    assert "Traceback" not in gate.output


def test_a_margin_cannot_be_set_to_no_effect(ros):
    ros.start(GATE, parameters={"robots": ["r1"]})
    client = ros.node.create_client(SetParameters, "/velocity_gate/set_parameters")
    ros.wait_for(client.service_is_ready, "the gate's parameter service")
    wish = Parameter("gate.margin", value=0.3).to_parameter_msg()
    answer = client.call_async(SetParameters.Request(parameters=[wish]))
    ros.wait_for(answer.done, "the answer")
    assert answer.result().results[0].reason.startswith("gate.margin: read when the node starts")


def test_the_process_loads_neither_learning_nor_compilers(ros):
    gate = ros.start(GATE, parameters={"robots": ["r1"]})
    robot = Robot(ros)
    ros.wait_for(robot.drives, "the robot to drive")
    libraries = Path(f"/proc/{gate.pid}/maps").read_text()
    for name in ("onnxruntime", "torch", "llvmlite", "mujoco"):
        assert name not in libraries
    loaded = subprocess.run(
        [sys.executable, "-c", f"import {GATE}, sys; print(*sys.modules)"],
        env=child_environment(ros.domain),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"numba", "onnxruntime", "torch", "scipy", "mujoco", "matplotlib"} & set(loaded)
