"""Between ROS messages and numpy: poses, velocities, paths, maps. Frames and units as in REP-103 and REP-105."""

from __future__ import annotations

import array
import math

import numpy as np
from geometry_msgs.msg import Pose, PoseStamped, Quaternion, TwistStamped
from nav_msgs.msg import OccupancyGrid, Path
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Header

from dyna_nav.site import OccupancyMap

MAP_FRAME = "map"
SENSOR = qos_profile_sensor_data  # for subscribers; best effort: the newest counts, a lost one is not worth waiting for
SENSOR_SOURCE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)  # for publishers: serves every subscriber
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)  # commands and goals
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
EVENTS = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def yaw_of(orientation: Quaternion) -> float:
    """Heading [rad] of an orientation, counter-clockwise from x."""
    q = orientation
    return math.atan2(2.0 * (q.w * q.z + q.x * q.y), 1.0 - 2.0 * (q.y * q.y + q.z * q.z))


def pose_array(pose: Pose) -> np.ndarray:
    """[3] x [m], y [m], yaw [rad] of a pose message, in the message's frame."""
    return np.array([pose.position.x, pose.position.y, yaw_of(pose.orientation)])


def pose_message(pose: np.ndarray) -> Pose:
    """Pose message of [3] x [m], y [m], yaw [rad]."""
    message = Pose()
    message.position.x, message.position.y = float(pose[0]), float(pose[1])
    message.orientation.z, message.orientation.w = math.sin(pose[2] / 2), math.cos(pose[2] / 2)
    return message


def pose_stamped(pose: np.ndarray, stamp, frame: str = MAP_FRAME) -> PoseStamped:
    """PoseStamped of [3] x [m], y [m], yaw [rad]."""
    return PoseStamped(header=Header(stamp=stamp, frame_id=frame), pose=pose_message(pose))


def twist_stamped(command: np.ndarray, stamp, frame: str) -> TwistStamped:
    """TwistStamped of [2] forward speed [m/s], turn rate [rad/s] in the robot's frame."""
    message = TwistStamped(header=Header(stamp=stamp, frame_id=frame))
    message.twist.linear.x, message.twist.angular.z = float(command[0]), float(command[1])
    return message


def path_message(poses: np.ndarray, stamp) -> Path:
    """Path of [k, 3] poses in the map frame."""
    return Path(header=Header(stamp=stamp, frame_id=MAP_FRAME), poses=[pose_stamped(pose, stamp) for pose in poses])


def grid_message(grid: OccupancyMap, stamp) -> OccupancyGrid:
    """The site's map as the message that rviz, Nav2 and others read."""
    rows, cols = grid.cells.shape
    message = OccupancyGrid(header=Header(stamp=stamp, frame_id=MAP_FRAME))
    message.info.map_load_time = stamp
    message.info.resolution = float(grid.resolution)
    message.info.width, message.info.height = cols, rows
    message.info.origin = pose_message(np.array([grid.origin[0], grid.origin[1], 0.0]))
    message.data = array.array("b", np.ascontiguousarray(grid.cells, dtype=np.int8).tobytes())
    return message


def ranges_at(angles: np.ndarray, message: LaserScan) -> np.ndarray:
    """Ranges [beams] (m) of a scan at the wanted angles [beams] (rad, ascending, a full circle, in the laser's frame).

    As REP-117 has it: inf is no return, -inf one too near to measure and is put at `range_min`. NaN: not measured; the
    laser does not look there, or its reading says nothing. Of several readings near one wanted angle the shortest
    counts.
    """
    ranges = np.asarray(message.ranges, dtype=float)
    ranges = np.where(np.isneginf(ranges), message.range_min, ranges)
    ranges = np.where((ranges >= message.range_min) & (ranges > 0.0), ranges, np.nan)
    ranges = np.where(ranges > message.range_max, np.inf, ranges)
    own = message.angle_min + message.angle_increment * np.arange(len(ranges))
    spacing = 2 * math.pi / len(angles)
    nearest = np.round((own - angles[0]) / spacing).astype(int) % len(angles)
    result = np.full(len(angles), np.nan)
    np.fmin.at(result, nearest, ranges)
    if abs(message.angle_increment) > 1.5 * spacing:  # a coarser laser: wanted angles between its beams
        pitch = abs(message.angle_increment)
        past_first = (np.sign(message.angle_increment) * (angles - own[0])) % (2 * math.pi)
        between = np.round(past_first / pitch).astype(int) % round(2 * math.pi / pitch)
        inside = between < len(ranges)
        result[inside] = ranges[between[inside]]
    return result
