"""Odometry, scans and commands as they travel, read without ROS's message classes: only what a cycle needs of them.

Making an Odometry in Python makes every message that it consists of twice, and both of its covariances: several times
the work of receiving it, and eight robots send one in every cycle. Here the fields that are used are read from the
serialised message (CDR as in OMG DDSI-RTPS 2.3, 10.2: aligned to the size of each number, counted after a header of
four bytes) into objects that have them in the same places. What is serialised in any other way is left to rclpy.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import LaserScan

_HEADER = 4  # bytes before the message; they say how it is serialised
_LITTLE_ENDIAN = b"\x00\x01"  # plain CDR, as every middleware writes it on x86 and Arm
_STAMP, _LENGTH = struct.Struct("<iI"), struct.Struct("<I")
_POSE, _TWIST, _GEOMETRY = struct.Struct("<7d"), struct.Struct("<6d"), struct.Struct("<7f")
_COVARIANCE = 36 * 8  # bytes


class Stamp(NamedTuple):
    """builtin_interfaces/Time."""

    sec: int
    nanosec: int


class Header(NamedTuple):
    """std_msgs/Header."""

    stamp: Stamp
    frame_id: str


class Vector(NamedTuple):
    """geometry_msgs/Point or Vector3."""

    x: float
    y: float
    z: float


class Quaternion(NamedTuple):
    """geometry_msgs/Quaternion."""

    x: float
    y: float
    z: float
    w: float


class Pose(NamedTuple):
    """geometry_msgs/Pose."""

    position: Vector
    orientation: Quaternion


class Twist(NamedTuple):
    """geometry_msgs/Twist."""

    linear: Vector
    angular: Vector


class PoseAlone(NamedTuple):
    """geometry_msgs/PoseWithCovariance without it."""

    pose: Pose


class TwistAlone(NamedTuple):
    """geometry_msgs/TwistWithCovariance without it."""

    twist: Twist


class OdometryRead(NamedTuple):
    """nav_msgs/Odometry."""

    header: Header
    child_frame_id: str
    pose: PoseAlone
    twist: TwistAlone


class LaserScanRead(NamedTuple):
    """sensor_msgs/LaserScan without intensities."""

    header: Header
    angle_min: float
    angle_max: float
    angle_increment: float
    time_increment: float
    scan_time: float
    range_min: float
    range_max: float
    ranges: np.ndarray  # float32 [beams]; a view of what was received, not to be written to


class TwistStampedRead(NamedTuple):
    """geometry_msgs/TwistStamped."""

    header: Header
    twist: Twist


def read(message_type: type, data: bytes) -> Any:
    """A serialised message as an object with the fields of its type, or those of them that are told here.

    Raises what rclpy raises for data that is no message of this type.
    """
    reader = _READERS.get(message_type)
    if reader is None or data[:2] != _LITTLE_ENDIAN:
        return deserialize_message(data, message_type)
    try:
        return reader(data)
    except (struct.error, ValueError):  # it ends too early, or a text in it is none: rclpy has the words for that
        return deserialize_message(data, message_type)


def _odometry(data: bytes) -> OdometryRead:
    header, at = _header(data)
    child_frame_id, at = _text(data, _aligned(at, 4))
    at = _aligned(at, 8)
    pose = _POSE.unpack_from(data, at)
    twist = _twist(data, at + _POSE.size + _COVARIANCE)
    return OdometryRead(
        header, child_frame_id, PoseAlone(Pose(Vector(*pose[:3]), Quaternion(*pose[3:]))), TwistAlone(twist)
    )


def _laser_scan(data: bytes) -> LaserScanRead:
    header, at = _header(data)
    at = _aligned(at, 4)
    geometry = _GEOMETRY.unpack_from(data, at)
    at += _GEOMETRY.size
    (beams,) = _LENGTH.unpack_from(data, at)
    return LaserScanRead(header, *geometry, np.frombuffer(data, "<f4", beams, at + _LENGTH.size))


def _twist_stamped(data: bytes) -> TwistStampedRead:
    header, at = _header(data)
    return TwistStampedRead(header, _twist(data, _aligned(at, 8)))


def _header(data: bytes) -> tuple[Header, int]:
    """The header that a message begins with, and where it ends."""
    stamp = Stamp(*_STAMP.unpack_from(data, _HEADER))
    frame_id, at = _text(data, _HEADER + _STAMP.size)
    return Header(stamp, frame_id), at


def _twist(data: bytes, at: int) -> Twist:
    numbers = _TWIST.unpack_from(data, at)
    return Twist(Vector(*numbers[:3]), Vector(*numbers[3:]))


def _text(data: bytes, at: int) -> tuple[str, int]:
    """A text, which ends with a zero byte, and where what follows it begins."""
    (length,) = _LENGTH.unpack_from(data, at)
    end = at + _LENGTH.size + length
    if end > len(data):
        raise ValueError("the message ends within a text")
    return data[at + _LENGTH.size : end - 1].decode(), end


def _aligned(at: int, size: int) -> int:
    """The next place for numbers of a size [bytes]."""
    return at + (_HEADER - at) % size


_READERS: dict[type, Callable[[bytes], Any]] = {
    Odometry: _odometry,
    LaserScan: _laser_scan,
    TwistStamped: _twist_stamped,
}
