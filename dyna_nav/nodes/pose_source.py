"""Where a robot's pose in the map frame comes from: ``odom`` itself, ``amcl_pose``, or TF.

Each source turns the pose of an odometry message into a pose in the map frame, so the pose is always as fresh as the
odometry; localisation only adds the correction from the odometry's frame to the map (REP-105).
"""

from __future__ import annotations

import importlib.util
import math
from collections import deque

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from std_srvs.srv import Empty

from dyna_nav.nodes.inbox import Inbox
from dyna_nav.nodes.messages import MAP_FRAME, pose_array, yaw_of
from dyna_nav.nodes.robot_names import in_namespace
from dyna_nav.safety.inputs import frame_fault, pose_fault, stamp_seconds
from dyna_nav.viewpoint import compose, inverse

SOURCES = ("odom", "amcl_pose", "tf")
MEMORY = 400  # odometry messages that an AMCL pose, which is some time in the making, can belong to
MATCH = 0.15  # furthest that stamps of one instant may lie apart [s]
MOST_DRIVEN = 3.0  # way on wheels alone after which a pose is a guess [m]
ASK_AGAIN = 1.0  # time between two requests to AMCL for a pose [s]
MOST_TF_AGE = 2.0  # how far TF may lag behind the odometry [s]


class OdometryInMap:
    """The odometry is in the map frame already (a simulator, or a localiser that publishes Odometry)."""

    frames = (MAP_FRAME,)  # frames that the odometry may have
    depth = 1  # how many messages of the odometry it wants to see of those between two looks
    fault: str | None = None  # why there is no pose

    def pose(self, odometry: np.ndarray, stamp: float) -> np.ndarray:
        """Pose [3] in the map frame of an odometry pose [3] stamped [s]; NaN with a fault set where there is none."""
        return odometry

    def close(self) -> None:
        """Take the source's topics down."""


class AmclCorrection:
    """``<robot>/amcl_pose`` corrects the odometry: what AMCL said last, carried on by the wheels since.

    AMCL speaks when the robot has moved, so the way driven since, not the time, tells that it fell silent. To a planner
    that starts while the robot stands it would never speak: it is asked to, as Nav2 does (``request_nomotion_update``).
    """

    frames: tuple[str, ...] = ()
    depth = 50  # all: of a pose that was long in the making it must find the instant

    def __init__(self, node: Node, robot: str):
        self._node, self._topic = node, in_namespace(robot, "amcl_pose")
        self._odometry: deque[tuple[float, np.ndarray, float]] = deque(maxlen=MEMORY)  # stamp [s], pose [3], way [m]
        self._correction: np.ndarray | None = None
        self._corrected_at = 0.0  # way driven when the correction was made [m]
        self._refused = f"{self._topic}: nothing received; start the localisation and give it an initial pose"
        self._inbox = Inbox(node, PoseWithCovarianceStamped, self._topic, reliable=True)
        self._speak = node.create_client(Empty, in_namespace(robot, "request_nomotion_update"))
        self._asked = -math.inf  # odometry stamp at the last request [s]

    @property
    def fault(self) -> str | None:
        """Why there is no pose: AMCL has not spoken for too long, or what it said cannot be believed."""
        if self._correction is None:
            return self._refused
        driven = self._odometry[-1][2] - self._corrected_at
        if driven <= MOST_DRIVEN:
            return None
        return f"{self._topic}: {driven:.1f} m driven since the last one (limit {MOST_DRIVEN:g} m); check the localiser"

    def _on_pose(self, message: PoseWithCovarianceStamped) -> None:
        problem = frame_fault(self._topic, "header.frame_id", message.header.frame_id, (MAP_FRAME,)) or pose_fault(
            self._topic, "pose", message.pose.pose
        )
        if problem:
            self._correction, self._refused = None, problem
            return
        stamp = stamp_seconds(message.header.stamp)
        then = min(self._odometry, key=lambda entry: abs(entry[0] - stamp), default=None)
        if then is None or abs(then[0] - stamp) > MATCH:  # an earlier correction holds for as long as it may
            self._refused = f"{self._topic}: no odometry within {MATCH:g} s of its stamp {stamp:.2f}; check the clocks"
            return
        self._correction = compose(pose_array(message.pose.pose), inverse(then[1]))
        self._corrected_at = then[2]

    def pose(self, odometry: np.ndarray, stamp: float) -> np.ndarray:
        """Pose [3] in the map frame of an odometry pose [3] stamped [s]; NaN while there is no correction."""
        driven = 0.0
        if self._odometry:
            _, before, driven = self._odometry[-1]
            driven += math.hypot(*(odometry[:2] - before[:2]))
        self._odometry.append((stamp, odometry, driven))
        for message, _ in self._inbox.read():
            self._on_pose(message)
        if self._correction is None and abs(stamp - self._asked) >= ASK_AGAIN and self._speak.service_is_ready():
            self._asked = stamp
            self._speak.call_async(Empty.Request())
        return np.full(3, np.nan) if self._correction is None else compose(self._correction, odometry)

    def close(self) -> None:
        """Take the source's topics down."""
        self._inbox.close()
        self._node.destroy_client(self._speak)


class TfCorrection:
    """The transform from the odometry's frame to the map, from TF. Raises ValueError where tf2_ros is missing."""

    depth = 1

    def __init__(self, node: Node, robot: str, odometry_frame: str):
        if importlib.util.find_spec("tf2_ros") is None:
            raise ValueError(
                "parameter pose_source is 'tf', but tf2_ros is not installed here; "
                "source a ROS installation that has it, or choose odom or amcl_pose"
            )
        import tf2_ros
        from rclpy.time import Time

        self._newest = Time()
        self._frame = odometry_frame or in_namespace(robot, "odom")
        self.frames: tuple[str, ...] = (self._frame,)
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)
        self._errors = (tf2_ros.LookupException, tf2_ros.ConnectivityException, tf2_ros.ExtrapolationException)
        self.fault: str | None = f"tf: nothing known about {self._frame} yet"

    def pose(self, odometry: np.ndarray, stamp: float) -> np.ndarray:
        """Pose [3] in the map frame of an odometry pose [3] stamped [s]; NaN, with a fault set, where there is none."""
        try:
            found = self._buffer.lookup_transform(MAP_FRAME, self._frame, self._newest)
        except self._errors as error:
            self.fault = f"tf: no transform from {self._frame} to {MAP_FRAME}: {error}"
            return np.full(3, np.nan)
        made = stamp_seconds(found.header.stamp)
        if made and stamp - made > MOST_TF_AGE:  # a static transform has no stamp
            self.fault = f"tf: {self._frame} to {MAP_FRAME} is {stamp - made:.1f} s old (limit {MOST_TF_AGE:g} s)"
            return np.full(3, np.nan)
        self.fault = None
        move = found.transform.translation
        return compose(np.array([move.x, move.y, yaw_of(found.transform.rotation)]), odometry)

    def close(self) -> None:
        """Take the source's topics down."""
        self._listener.unregister()


def make_pose_source(kind: str, node: Node, robot: str, odometry_frame: str):
    """The pose source of a robot. Raises ValueError for one that is unknown or cannot work here."""
    if kind == "odom":
        return OdometryInMap()
    if kind == "amcl_pose":
        return AmclCorrection(node, robot)
    if kind == "tf":
        return TfCorrection(node, robot, odometry_frame)
    raise ValueError(f"parameter pose_source is {kind!r}; it must be one of {', '.join(SOURCES)}")
