"""What must not be believed: each check returns None, or one sentence naming topic, field, value and what to do.

Messages are taken as they come (nav_msgs/Odometry and so on, or anything of that shape); nothing here imports ROS.
`clock` is the node's time [s] when the message arrived; None leaves the stamp unchecked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dyna_nav.parameters import parameter

if TYPE_CHECKING:
    from dyna_nav.site import Site


@dataclass(frozen=True)
class InputLimits:
    """How much an input may be off before it is refused."""

    max_age: float = parameter(0.4, "greatest age of a stamp on arrival [s]", minimum=0.01, maximum=10)
    max_ahead: float = parameter(0.2, "how far a stamp may lie ahead of this clock [s]", minimum=0, maximum=10)
    quaternion: float = parameter(0.01, "how far a quaternion's norm may be from 1", minimum=1e-6, maximum=0.5)
    dead_beams: float = parameter(0.5, "share of NaN or zero readings that makes a scan dead", minimum=0.01, maximum=1)
    max_speed: float = parameter(10.0, "speed that no odometry of this robot can show [m/s]", minimum=0.1, maximum=100)
    max_turn_rate: float = parameter(20.0, "turn rate that none can show [rad/s]", minimum=0.1, maximum=100)


@dataclass(frozen=True)
class LaserMount:
    """Where on the robot the laser measures; planner and velocity gate have to be told the same."""

    x: float = parameter(0.0, "position of the laser ahead of the robot's centre [m]", minimum=-3, maximum=3)
    y: float = parameter(0.0, "position of the laser left of the robot's centre [m]", minimum=-3, maximum=3)
    yaw: float = parameter(0.0, "heading of the laser's zero angle [rad]", minimum=-3.15, maximum=3.15)


LIMITS = InputLimits()


def stamp_seconds(stamp: Any) -> float:
    """A builtin_interfaces/Time as seconds."""
    return stamp.sec + 1e-9 * stamp.nanosec


def clock_on_arrival(clock: float, stamp: float, waited: float) -> float:
    """What the clock, which says `clock` [s] now, said when a message with a stamp [s] came that `waited` [s] since.

    Simulated time may have stood still meanwhile: waiting alone does not put a stamp ahead of the clock.
    """
    return max(clock - waited, min(clock, stamp))


def stamp_fault(topic: str, stamp: float, clock: float | None, limits: InputLimits = LIMITS) -> str | None:
    """A stamp [s] that does not fit the clock [s]: too old, too far ahead, or never set."""
    if clock is None:
        return None
    if stamp <= 0.0 < clock:
        return f"{topic}: header.stamp is 0; the publisher must stamp its messages"
    age = clock - stamp
    if age > limits.max_age:
        limit = f"limit {limits.max_age:g} s"
        return f"{topic}: header.stamp is {age:.2f} s old ({limit}); check the publisher and use_sim_time"
    if age < -limits.max_ahead:
        return (
            f"{topic}: header.stamp lies {-age:.2f} s in the future (limit {limits.max_ahead:g} s); "
            "synchronise the clocks and set use_sim_time alike everywhere"
        )
    return None


def frame_fault(topic: str, field: str, frame: str, allowed: Iterable[str]) -> str | None:
    """A frame other than the allowed ones; a leading slash (ROS 1) does not matter. Nothing allowed: no check."""
    allowed = tuple(allowed)
    if not allowed or frame.lstrip("/") in allowed:
        return None
    return f"{topic}: {field} is '{frame}'; it must be {' or '.join(repr(name) for name in allowed)}"


class FirstFrame:
    """The frame that a stream began with: two devices on one topic, or one that is moved, show as another frame."""

    def __init__(self) -> None:
        self.allowed: tuple[str, ...] = ()  # as frame_fault takes them

    def keep(self, frame: str) -> None:
        """Note the frame of a message that was believed."""
        self.allowed = self.allowed or (frame.lstrip("/"),)


def number_fault(topic: str, fields: Iterable[tuple[str, float]]) -> str | None:
    """The first of the named numbers that is not finite."""
    for field, value in fields:
        if not math.isfinite(value):
            return f"{topic}: {field} is {value}; it must be a finite number"
    return None


def pose_fault(topic: str, field: str, pose: Any, limits: InputLimits = LIMITS) -> str | None:
    """A geometry_msgs/Pose that is not finite or whose quaternion is not normalised."""
    position, orientation = pose.position, pose.orientation
    places = [(f"{field}.position.{axis}", getattr(position, axis)) for axis in "xyz"]
    turns = [(f"{field}.orientation.{axis}", getattr(orientation, axis)) for axis in "xyzw"]
    if fault := number_fault(topic, places + turns):
        return fault
    norm = math.hypot(*(value for _, value in turns))  # of numbers too great to square it makes inf
    if abs(norm - 1.0) > limits.quaternion:
        return f"{topic}: {field}.orientation has norm {norm:.4g}; a quaternion must have norm 1 (w = 1 means no turn)"
    return None


def odometry_fault(
    message: Any,
    topic: str = "odom",
    clock: float | None = None,
    frames: Iterable[str] = (),
    child_frames: Iterable[str] = (),
    limits: InputLimits = LIMITS,
) -> str | None:
    """A nav_msgs/Odometry with a wrong frame, a number that is not finite or not possible, or a stamp off the clock."""
    linear, angular = message.twist.twist.linear, message.twist.twist.angular
    fault = (
        frame_fault(topic, "header.frame_id", message.header.frame_id, frames)
        or frame_fault(topic, "child_frame_id", message.child_frame_id, child_frames)
        or pose_fault(topic, "pose", message.pose.pose, limits)
        or number_fault(topic, ((f"twist.linear.{axis}", getattr(linear, axis)) for axis in "xyz"))
        or number_fault(topic, ((f"twist.angular.{axis}", getattr(angular, axis)) for axis in "xyz"))
    )
    if fault:
        return fault
    if abs(linear.x) > limits.max_speed:
        return f"{topic}: twist.linear.x is {linear.x:.4g} m/s; this robot cannot be faster than {limits.max_speed:g}"
    if abs(angular.z) > limits.max_turn_rate:
        return f"{topic}: twist.angular.z is {angular.z:.4g} rad/s; it cannot be faster than {limits.max_turn_rate:g}"
    return stamp_fault(topic, stamp_seconds(message.header.stamp), clock, limits)


def scan_fault(
    message: Any,
    topic: str = "scan",
    clock: float | None = None,
    frames: Iterable[str] = (),
    limits: InputLimits = LIMITS,
) -> str | None:
    """A sensor_msgs/LaserScan with a wrong frame, an impossible geometry, a dead laser, or a stamp off the clock.

    A laser is dead when nothing at all returns, or when most of its readings are NaN, zero or negative.
    """
    geometry = ("angle_min", "angle_max", "angle_increment", "range_min", "range_max")
    fault = frame_fault(topic, "header.frame_id", message.header.frame_id, frames) or number_fault(
        topic, ((name, getattr(message, name)) for name in geometry[:4])
    )
    if fault:
        return fault
    beams = len(message.ranges)
    if beams == 0:
        return f"{topic}: ranges is empty; check the laser's driver"
    if message.angle_increment == 0.0 and beams > 1:
        return f"{topic}: angle_increment is 0 with {beams} ranges; check the laser's driver"
    span = message.angle_min + (beams - 1) * message.angle_increment
    if abs(span - message.angle_max) > 1.5 * abs(message.angle_increment):  # some drivers count one beam more or less
        return (
            f"{topic}: {beams} ranges from angle_min {message.angle_min:.4g} by angle_increment "
            f"{message.angle_increment:.4g} end at {span:.4g}, not at angle_max {message.angle_max:.4g}"
        )
    if message.range_min < 0.0 or not message.range_max > message.range_min:
        limits_given = f"range_min is {message.range_min:.4g} and range_max {message.range_max:.4g}"
        return f"{topic}: {limits_given}; they must be 0 or more and ascend"
    ranges = np.asarray(message.ranges, dtype=np.float32)
    silent = np.isnan(ranges) | ((ranges <= 0.0) & ~np.isneginf(ranges))
    if silent.mean() >= limits.dead_beams:
        return f"{topic}: {int(silent.sum())} of {beams} ranges are NaN, zero or negative; check the laser"
    if not ((ranges < message.range_max) & ~silent).any():
        return f"{topic}: none of {beams} beams returns anything; check the laser"
    return stamp_fault(topic, stamp_seconds(message.header.stamp), clock, limits)


def battery_fault(message: Any, topic: str = "battery_state") -> str | None:
    """A sensor_msgs/BatteryState whose charge is neither a fraction nor NaN, which says that it is not measured."""
    charge = message.percentage
    if math.isnan(charge) or 0.0 <= charge <= 1.0:
        return None
    return f"{topic}: percentage is {charge:.4g}; it must be a fraction in [0, 1], or NaN where it is not measured"


def goal_fault(
    message: Any,
    site: Site,
    radius: float,
    topic: str = "goal_pose",
    frames: Iterable[str] = ("map",),
    limits: InputLimits = LIMITS,
) -> str | None:
    """A geometry_msgs/PoseStamped where a robot of this radius [m] cannot stand: wrong frame, off the map, in a rack.

    Whether the robot can get there from where it is, is the planner's to find out.
    """
    fault = frame_fault(topic, "header.frame_id", message.header.frame_id, frames) or pose_fault(
        topic, "pose", message.pose, limits
    )
    if fault:
        return fault
    x, y = message.pose.position.x, message.pose.position.y
    where, position = f"{topic}: pose.position is ({x:.2f}, {y:.2f})", np.array([x, y])
    if not bool(site.map.contains(position)):
        (left, bottom), (width, height) = site.map.origin, site.map.size
        return (
            f"{where}, outside the map of {site.name} (x {left:.2f} to {left + width:.2f}, "
            f"y {bottom:.2f} to {bottom + height:.2f}); give a point on the map"
        )
    clearance = float(site.clearance_at(position))
    if clearance <= 0.0:
        return f"{where}, inside a rack, a wall or unknown space of {site.name}; give a point on the free floor"
    if not bool(site.standable(position, radius)):
        return (
            f"{where}, {clearance:.2f} m from the next rack or wall of {site.name}; "
            f"the robot needs {radius:.2f} m, give a point further off"
        )
    return None
