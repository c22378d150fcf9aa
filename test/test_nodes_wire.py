"""What is read from serialised messages is what rclpy would have read."""

from __future__ import annotations

import array
import math
import struct

import numpy as np
import pytest
from geometry_msgs.msg import TwistStamped
from hypothesis import given
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import BatteryState, LaserScan

from dyna_nav.nodes import wire

NUMBERS = st.floats()
FRAMES = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=12)
AXES = "xyz"


def same(one, other):
    """Whether two numbers are one, NaN included."""
    return one == other or (math.isnan(one) and math.isnan(other))


def fill_header(draw, message):
    message.header.stamp.sec = draw(st.integers(-(2**31), 2**31 - 1))
    message.header.stamp.nanosec = draw(st.integers(0, 2**32 - 1))
    message.header.frame_id = draw(FRAMES)


def fill_twist(draw, twist):
    for part in (twist.linear, twist.angular):
        for axis in AXES:
            setattr(part, axis, draw(NUMBERS))


@st.composite
def odometries(draw):
    message = Odometry()
    fill_header(draw, message)
    message.child_frame_id = draw(FRAMES)
    pose = message.pose.pose
    for part, axes in ((pose.position, AXES), (pose.orientation, "xyzw")):
        for axis in axes:
            setattr(part, axis, draw(NUMBERS))
    fill_twist(draw, message.twist.twist)
    message.pose.covariance[7] = message.twist.covariance[8] = draw(NUMBERS)
    return message


@st.composite
def commands(draw):
    message = TwistStamped()
    fill_header(draw, message)
    fill_twist(draw, message.twist)
    return message


GEOMETRY = ("angle_min", "angle_max", "angle_increment", "time_increment", "scan_time", "range_min", "range_max")


@st.composite
def scans(draw):
    message = LaserScan()
    fill_header(draw, message)
    for name in GEOMETRY:
        setattr(message, name, draw(st.floats(width=32)))
    message.ranges = array.array("f", draw(st.lists(st.floats(width=32), max_size=20)))
    message.intensities = array.array("f", draw(st.lists(st.floats(width=32), max_size=3)))
    return message


def assert_same_header(read, message):
    stamp = message.header.stamp
    assert (read.header.stamp.sec, read.header.stamp.nanosec) == (stamp.sec, stamp.nanosec)
    assert read.header.frame_id == message.header.frame_id


def assert_same_twist(read, twist):
    for part in ("linear", "angular"):
        assert all(same(getattr(getattr(read, part), axis), getattr(getattr(twist, part), axis)) for axis in AXES)


@given(odometries())
def test_odometry(message):
    read = wire.read(Odometry, serialize_message(message))
    assert_same_header(read, message)
    assert read.child_frame_id == message.child_frame_id
    assert all(same(getattr(read.pose.pose.position, axis), getattr(message.pose.pose.position, axis)) for axis in AXES)
    turn, wanted = read.pose.pose.orientation, message.pose.pose.orientation
    assert all(same(getattr(turn, axis), getattr(wanted, axis)) for axis in "xyzw")
    assert_same_twist(read.twist.twist, message.twist.twist)


@given(commands())
def test_commands(message):
    read = wire.read(TwistStamped, serialize_message(message))
    assert_same_header(read, message)
    assert_same_twist(read.twist, message.twist)


@given(scans())
def test_scans(message):
    read = wire.read(LaserScan, serialize_message(message))
    assert_same_header(read, message)
    assert all(same(getattr(read, name), getattr(message, name)) for name in GEOMETRY)
    assert np.array_equal(read.ranges, np.array(message.ranges, np.float32), equal_nan=True)


def test_other_types_are_read_by_rclpy():
    assert wire.read(BatteryState, serialize_message(BatteryState(percentage=0.5))) == BatteryState(percentage=0.5)


def test_what_is_serialised_in_another_way_is_read_by_rclpy():
    message = TwistStamped()
    message.header.stamp.sec, message.header.frame_id, message.twist.linear.x = 3, "map", 1.5
    big_endian = bytes(4) + struct.pack(">iII4s6d", 3, 0, 4, b"map\0", 1.5, 0, 0, 0, 0, 0)
    assert wire.read(TwistStamped, big_endian) == message


@pytest.mark.parametrize("message", [Odometry(), LaserScan(ranges=[1.0] * 9), TwistStamped()])
@pytest.mark.parametrize("length", [5, 17, 30, 60])
def test_what_ends_too_early_is_what_it_is_for_rclpy(message, length):
    data, kind = serialize_message(message)[:length], type(message)
    try:
        expected = deserialize_message(data, kind)
    except RuntimeError:
        with pytest.raises(RuntimeError):
            wire.read(kind, data)
    else:
        assert wire.read(kind, data) == expected
