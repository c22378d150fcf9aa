"""Where a robot's pose in the map frame comes from: ``odom`` itself, ``amcl_pose``, or TF.

Each source turns the pose of an odometry message into a pose in the map frame, so the pose is always as fresh as the
odometry; localisation only adds the correction from the odometry's frame to the map (REP-105).
"""

from __future__ import annotations

import importlib.util
import math

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node

from dyna_nav.mdp import wrap_angle
from dyna_nav.nodes.messages import MAP_FRAME, NEWEST, pose_array, yaw_of
from dyna_nav.safety.inputs import frame_fault, pose_fault

SOURCES = ("odom", "amcl_pose", "tf")


class OdometryInMap:
    """The odometry is in the map frame already (a simulator, or a localiser that publishes Odometry)."""

    frames = (MAP_FRAME,)  # frames that the odometry may have
    fault: str | None = None  # why there is no pose

    def pose(self, odometry: np.ndarray) -> np.ndarray:
        """Pose [3] in the map frame of an odometry pose [3]; NaN with a fault set where there is none."""
        return odometry


class AmclCorrection:
    """``<robot>/amcl_pose`` corrects the odometry: what AMCL said last, carried on by the wheels since."""

    frames: tuple[str, ...] = ()

    def __init__(self, node: Node, robot: str):
        self._topic = f"{robot}/amcl_pose"
        self._odometry: np.ndarray | None = None
        self._correction: np.ndarray | None = None
        self._refused = f"{self._topic}: nothing received; start the localisation and give it an initial pose"
        node.create_subscription(PoseWithCovarianceStamped, self._topic, self._on_pose, NEWEST)

    @property
    def fault(self) -> str | None:
        """Why there is no pose: AMCL has not spoken yet, or what it said cannot be believed."""
        return self._refused if self._correction is None else None

    def _on_pose(self, message: PoseWithCovarianceStamped) -> None:
        problem = frame_fault(self._topic, "header.frame_id", message.header.frame_id, (MAP_FRAME,)) or pose_fault(
            self._topic, "pose", message.pose.pose
        )
        if problem:
            self._correction, self._refused = None, problem
        elif self._odometry is not None:
            self._correction = compose(pose_array(message.pose.pose), inverse(self._odometry))

    def pose(self, odometry: np.ndarray) -> np.ndarray:
        """Pose [3] in the map frame of an odometry pose [3]; NaN while there is no correction."""
        self._odometry = odometry
        return np.full(3, np.nan) if self._correction is None else compose(self._correction, odometry)


class TfCorrection:
    """The transform from the odometry's frame to the map, from TF. Raises ValueError where tf2_ros is missing."""

    frames: tuple[str, ...] = ()

    def __init__(self, node: Node, robot: str, odometry_frame: str):
        if importlib.util.find_spec("tf2_ros") is None:
            raise ValueError(
                "parameter pose_source is 'tf', but tf2_ros is not installed here; "
                "source a ROS installation that has it, or choose odom or amcl_pose"
            )
        import tf2_ros
        from rclpy.time import Time

        self._newest = Time()
        self._frame = odometry_frame or f"{robot}/odom"
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)
        self._errors = (tf2_ros.LookupException, tf2_ros.ConnectivityException, tf2_ros.ExtrapolationException)
        self.fault: str | None = f"tf: nothing known about {self._frame} yet"

    def pose(self, odometry: np.ndarray) -> np.ndarray:
        """Pose [3] in the map frame of an odometry pose [3]; NaN, with the fault set, without a transform."""
        try:
            transform = self._buffer.lookup_transform(MAP_FRAME, self._frame, self._newest).transform
        except self._errors as error:
            self.fault = f"tf: no transform from {self._frame} to {MAP_FRAME}: {error}"
            return np.full(3, np.nan)
        self.fault = None
        move = transform.translation
        return compose(np.array([move.x, move.y, yaw_of(transform.rotation)]), odometry)


def make_pose_source(kind: str, node: Node, robot: str, odometry_frame: str):
    """The pose source of a robot. Raises ValueError for one that is unknown or cannot work here."""
    if kind == "odom":
        return OdometryInMap()
    if kind == "amcl_pose":
        return AmclCorrection(node, robot)
    if kind == "tf":
        return TfCorrection(node, robot, odometry_frame)
    raise ValueError(f"parameter pose_source is {kind!r}; it must be one of {', '.join(SOURCES)}")


def compose(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pose [3]: the second one, given in the frame of the first."""
    c, s = math.cos(first[2]), math.sin(first[2])
    x, y = first[0] + c * second[0] - s * second[1], first[1] + s * second[0] + c * second[1]
    return np.array([x, y, wrap_angle(first[2] + second[2])])


def inverse(pose: np.ndarray) -> np.ndarray:
    """Pose [3] that undoes another: compose(inverse(pose), pose) is the origin."""
    c, s = math.cos(pose[2]), math.sin(pose[2])
    return np.array([-c * pose[0] - s * pose[1], s * pose[0] - c * pose[1], wrap_angle(-pose[2])])
