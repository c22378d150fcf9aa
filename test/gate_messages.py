"""Messages as the gate sees them, without ROS: anything of the right shape will do."""

from __future__ import annotations

import math
from types import SimpleNamespace as Message

import numpy as np


def twist(speed=0.0, turn_rate=0.0, **others):
    """A geometry_msgs/Twist; other components as ``lineary=0.1``."""
    parts = {"linear": Message(x=speed, y=0.0, z=0.0), "angular": Message(x=0.0, y=0.0, z=turn_rate)}
    for name, value in others.items():
        setattr(parts[name[:-1]], name[-1], value)
    return Message(**parts)


def header(time, frame="odom"):
    """A std_msgs/Header stamped `time` [s]."""
    return Message(stamp=Message(sec=int(time), nanosec=round((time - int(time)) * 1e9)), frame_id=frame)


def odometry(time, speed=0.0, turn_rate=0.0, x=0.0):
    """A nav_msgs/Odometry."""
    pose = Message(position=Message(x=x, y=0.0, z=0.0), orientation=Message(x=0.0, y=0.0, z=0.0, w=1.0))
    return Message(
        header=header(time),
        child_frame_id="base_link",
        pose=Message(pose=pose),
        twist=Message(twist=twist(speed, turn_rate)),
    )


def scan(time, ranges=None, ahead=None):
    """A sensor_msgs/LaserScan over the full circle; `ahead` [m] replaces what the beam straight ahead reads."""
    ranges = np.full(360, 5.0 + 0.001 * (time % 1), np.float32) if ranges is None else np.asarray(ranges, np.float32)
    if ahead is not None:
        ranges[180] = ahead
    return Message(
        header=header(time, "laser"),
        angle_min=-math.pi,
        angle_max=math.pi - 2 * math.pi / 360,
        angle_increment=2 * math.pi / 360,
        range_min=0.05,
        range_max=12.0,
        ranges=ranges,
    )
