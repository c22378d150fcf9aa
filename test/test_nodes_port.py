"""What the planner knows of a robot: how old it is, from where it was seen, and where the robot is on the map."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from gate_messages import odometry, scan, twist
from geometry_msgs.msg import PoseWithCovarianceStamped
from sensor_msgs.msg import BatteryState

from dyna_nav.nodes.cycle_statistics import DurationHistogram
from dyna_nav.nodes.pose_source import AmclCorrection, OdometryInMap
from dyna_nav.nodes.robot_port import InputTimeouts, RobotPort
from dyna_nav.safety.inputs import InputLimits, LaserMount
from dyna_nav.viewpoint import seen_from

ANGLES = np.arange(360) * (2 * np.pi / 360) - np.pi


class Silence(contextlib.nullcontext):
    """The handle of a subscription on which nothing comes."""

    def take_message(self, *_):
        return None


class Node:
    """A node whose clock stands at 100 s and whose topics lead nowhere."""

    def __init__(self):
        self.destroyed, self.requests = [], []

    def create_client(self, kind, name):
        return SimpleNamespace(service_is_ready=lambda: True, call_async=lambda _: self.requests.append(name))

    def create_subscription(self, kind, topic, *_, **__):
        return SimpleNamespace(topic=topic, msg_type=kind, handle=Silence())

    def create_lifecycle_publisher(self, kind, topic, qos, **_):
        return topic

    def destroy_subscription(self, subscription):
        self.destroyed.append(subscription.topic)

    def destroy_lifecycle_publisher(self, topic):
        self.destroyed.append(topic)

    destroy_client = destroy_lifecycle_publisher

    def get_clock(self):
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=100 * 10**9))


def make_port(source="odom", laser=None, **timeouts):
    return RobotPort(
        Node(), "r1", source, "", ANGLES, InputTimeouts(**timeouts), InputLimits(), laser or LaserMount(),
        lambda goal: None, DurationHistogram(),
    )  # fmt: skip


def in_map(stamp, speed=0.0, turn_rate=0.0):
    message = odometry(stamp, speed, turn_rate)
    message.header.frame_id = OdometryInMap.frames[0]
    return message


def circle():
    """A round room of radius 4 m."""
    return np.full(360, 4.0)


@pytest.mark.parametrize(("waited", "made"), [(0.0, 0.2), (0.2, 0.0)])
def test_pose_and_scan_are_carried_over_their_true_age(waited, made):
    port = make_port()
    port._on_odometry(in_map(100.0 - made, 1.0), waited)
    port._on_scan(scan(100.0 - made, circle()), waited)
    seen = port.input()
    assert seen.fault is None
    assert 0.2 <= seen.pose[0] <= 0.3
    assert 0.2 <= seen.pose_age <= 0.3
    assert 0.2 <= seen.scan_age <= 0.3
    assert seen.scan[180] == pytest.approx(4.0 - seen.pose[0], abs=0.05)  # they arrived one after the other


def test_an_input_that_waited_too_long_is_silence():
    port = make_port()
    port._on_odometry(in_map(100.0), 0.0)
    port._on_scan(scan(100.0, circle()), 0.5)
    assert "r1/scan" in port.input().fault


def test_a_charge_that_is_not_measured_is_the_last_one_or_full():
    """Nothing behind the port has to reckon with NaN: the model would answer NaN, and nobody watch over the robot."""
    port = make_port()
    port._on_odometry(in_map(100.0), 0.0)
    port._on_scan(scan(100.0, circle()), 0.0)
    charges = []
    for percentage in (math.nan, 0.4, math.nan):
        port._on_battery(BatteryState(percentage=percentage), 0.0)
        charges.append(port.input().battery)
    assert charges == pytest.approx([1.0, 0.4, 0.4])
    assert port.input().fault is None


def test_a_laser_is_where_it_was_mounted():
    port = make_port(laser=LaserMount(x=0.5, yaw=math.pi / 2))
    port._on_odometry(in_map(100.0), 0.0)
    port._on_scan(scan(100.0, np.where(np.arange(360) == 90, 2.0, 9.0)), 0.0)  # the laser's right is ahead
    assert port.input().scan[180] == pytest.approx(2.5, abs=1e-3)


def test_a_scan_from_where_it_was_taken_is_itself():
    ranges = np.linspace(1.0, 9.0, 360)
    ranges[10:20], ranges[30] = np.nan, np.inf
    assert seen_from(ranges, ANGLES, np.zeros(3)) == pytest.approx(ranges, nan_ok=True)


def test_a_wall_that_is_approached_has_no_holes_but_blind_beams_stay_blind():
    wall = np.where(np.abs(ANGLES) < 1.0, 1.0 / np.cos(ANGLES), np.nan)
    seen = seen_from(wall, ANGLES, np.array([0.3, 0.0, 0.0]))
    ahead = np.abs(ANGLES) < 0.9
    assert (seen * np.cos(ANGLES))[ahead] == pytest.approx(0.7, abs=0.03)
    assert np.isnan(seen[np.abs(ANGLES) > 1.6]).all()


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("scan", {"frame_id": "rear"}, "scan refused: r1/scan: header.frame_id is 'rear'; it must be "),
        ("odometry", {"frame_id": "odom"}, "odometry refused: r1/odom: header.frame_id is 'odom'; it must be 'map'"),
        ("odometry", {"child": "imu"}, "odometry refused: r1/odom: child_frame_id is 'imu'; it must be "),
    ],
)
def test_another_device_on_the_same_topic_is_refused_until_it_is_gone(kind, change, says):
    port = make_port()

    def hear(**other):
        messages = {"odometry": in_map(100.0), "scan": scan(100.0)}
        strange = messages[kind]
        strange.header.frame_id = other.get("frame_id", strange.header.frame_id)
        if "child" in other:
            strange.child_frame_id = other["child"]
        port._on_odometry(messages["odometry"], 0.0)
        port._on_scan(messages["scan"], 0.0)
        return port.input().fault

    assert hear() is None
    assert hear(**change).startswith(says)
    assert hear() is None


def test_who_was_not_heard_yet_is_waited_for_and_who_fell_silent_is_a_fault():
    port = make_port()
    assert port.input().fault == "waiting for odometry: r1/odom: nothing received yet"
    port._odometry_at = port._scan_at = time.monotonic() - 1.0
    assert port.input().fault.startswith("odometry silent: r1/odom: ")


def test_a_gate_that_fell_silent_lets_nothing_through():
    port = make_port()
    assert np.isnan(port.executed).all()
    port._on_executed(SimpleNamespace(twist=twist(0.5, 0.1)), 0.0)
    assert port.executed.tolist() == [0.5, 0.1]
    port._on_executed(SimpleNamespace(twist=twist(0.5, 0.1)), 0.4)
    assert port.executed.tolist() == [0.0, 0.0]


def amcl_pose(stamp, x):
    message = PoseWithCovarianceStamped()
    message.header.frame_id, message.pose.pose.orientation.w = "map", 1.0
    message.header.stamp.sec, message.header.stamp.nanosec = int(stamp), round(stamp % 1 * 1e9)
    message.pose.pose.position.x = x
    return message


def driven(source, first, last):
    """Drive at 1 m/s along x, odometry at 20 Hz; the last pose."""
    for tick in range(round(first * 20), round(last * 20) + 1):
        pose = source.pose(np.array([tick / 20, 0.0, 0.0]), 100.0 + tick / 20)
    return pose


def test_a_late_amcl_pose_belongs_to_the_odometry_of_its_stamp():
    source = AmclCorrection(Node(), "r1")
    driven(source, 0.0, 1.0)
    source._on_pose(amcl_pose(100.5, 10.5))
    assert driven(source, 1.05, 1.5) == pytest.approx([11.5, 0.0, 0.0])
    source._on_pose(amcl_pose(90.0, 99.0))
    assert driven(source, 1.55, 2.0) == pytest.approx([12.0, 0.0, 0.0])


def test_an_amcl_pose_of_another_time_is_no_pose():
    source = AmclCorrection(Node(), "r1")
    driven(source, 0.0, 1.0)
    source._on_pose(amcl_pose(90.0, 99.0))
    assert "no odometry within" in source.fault


def test_amcl_is_asked_to_speak_until_it_has():
    """It says nothing by itself while the robot stands, and a planner that was restarted must know where it is."""
    source = AmclCorrection(node := Node(), "r1")
    driven(source, 0.0, 2.9)
    assert node.requests == ["r1/request_nomotion_update"] * 3  # once a second
    source._on_pose(amcl_pose(102.9, 2.9))
    driven(source, 2.95, 5.0)
    assert len(node.requests) == 3


def test_after_three_metres_without_amcl_there_is_no_pose():
    source = AmclCorrection(Node(), "r1")
    driven(source, 0.0, 0.0)
    source._on_pose(amcl_pose(100.0, 0.0))
    driven(source, 0.05, 3.0)
    assert source.fault is None
    driven(source, 3.05, 3.1)
    assert "3.1 m driven" in source.fault
    source._on_pose(amcl_pose(103.1, 3.1))
    assert source.fault is None


def test_a_port_takes_down_what_its_pose_source_listens_to():
    port = make_port("amcl_pose")
    port.close()
    assert "r1/amcl_pose" in port._node.destroyed


@pytest.mark.parametrize(("given", "frame"), [("", "r1/odom"), ("wheels", "wheels")])
def test_with_tf_odometry_must_be_in_the_frame_that_is_looked_up(monkeypatch, given, frame):
    tf2_ros = ModuleType("tf2_ros")
    tf2_ros.__spec__ = ModuleSpec("tf2_ros", None)
    for name in ("Buffer", "TransformListener"):
        setattr(tf2_ros, name, lambda *_: SimpleNamespace(unregister=lambda: None))
    for name in ("LookupException", "ConnectivityException", "ExtrapolationException"):
        setattr(tf2_ros, name, type(name, (Exception,), {}))
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2_ros)
    port = RobotPort(
        Node(), "r1", "tf", given, ANGLES, InputTimeouts(), InputLimits(), LaserMount(), lambda goal: None,
        DurationHistogram(),
    )  # fmt: skip
    message = odometry(100.0)
    message.header.frame_id = "other"
    port._on_odometry(message, 0.0)
    assert port.input().fault == (f"odometry refused: r1/odom: header.frame_id is 'other'; it must be '{frame}'")
