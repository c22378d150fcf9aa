"""One robot as the planner meets it: its topics, the newest input of each, and whether that can be believed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry, Path
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import BatteryState, LaserScan

from dyna_nav.nodes import wire
from dyna_nav.nodes.command_delay import CommandDelay
from dyna_nav.nodes.cycle_statistics import DurationHistogram
from dyna_nav.nodes.inbox import NO_PUBLISHER_EVENTS, Inbox
from dyna_nav.nodes.messages import NEWEST, pose_array, ranges_at, twist_stamped
from dyna_nav.nodes.pose_source import make_pose_source
from dyna_nav.nodes.robot_names import in_namespace
from dyna_nav.parameters import parameter
from dyna_nav.safety.inputs import (
    FirstFrame,
    InputLimits,
    LaserMount,
    battery_fault,
    clock_on_arrival,
    odometry_fault,
    scan_fault,
    stamp_seconds,
)
from dyna_nav.viewpoint import arc, compose, inverse, seen_from

MOST_LEAD = 0.3  # a pose is carried forward to the present over no more than this [s]
WAITING = "waiting for "  # begins the fault of a robot of which nothing was heard yet: that is no safe-stop
EXECUTED_DEPTH = 5  # reports of a gate between two looks: the first of a command tells when it arrived
EXECUTED_TIMEOUT = 0.3  # a gate that says nothing for so long lets nothing through any more [s]


@dataclass(frozen=True)
class InputTimeouts:
    """How old an input may grow before its robot stands."""

    odometry: float = parameter(0.3, "age of odom after which the robot stands [s]", minimum=0.05, maximum=0.5)
    scan: float = parameter(0.4, "age of scan after which the robot stands [s]", minimum=0.05, maximum=0.5)


@dataclass(frozen=True)
class RobotInput:
    """What is known of one robot now; with a fault, the sentence that says why nothing can be done with it."""

    pose: np.ndarray  # [3] x [m], y [m], yaw [rad], map frame; NaN when it cannot be believed
    twist: np.ndarray  # [2] forward speed [m/s], turn rate [rad/s]
    battery: float  # 0..1
    scan: np.ndarray  # [beams] ranges [m] as from the present pose; inf: nothing in range, NaN: not measured
    pose_age: float  # how long ago pose and twist were measured [s]
    scan_age: float  # and the scan [s]
    command_delay: float  # the longest that its commands lately took to the velocity gate [s]
    fault: str | None  # "<kind>: <sentence>"


class RobotPort:
    """Reads a robot's inputs and publishes its outputs; nothing is computed here but the age of what arrived."""

    def __init__(
        self,
        node: LifecycleNode,
        name: str,
        pose_source: str,
        odometry_frame: str,
        scan_angles: np.ndarray,
        timeouts: InputTimeouts,
        limits: InputLimits,
        laser: LaserMount,
        on_goal: Callable[[PoseStamped], None],
        delays_ms: DurationHistogram,
    ):
        """scan_angles [beams] rad: where the planner wants ranges; delays_ms counts the delays of commands.

        Stamps are held against the node's clock, which must go on while the node computes. Raises ValueError for an
        impossible pose source.
        """
        self.name, self._node = name, node
        self._scan_angles, self._timeouts, self._limits = scan_angles, timeouts, limits
        self._source = make_pose_source(pose_source, node, name, odometry_frame)
        self._pose, self._twist = np.full(3, np.nan), np.zeros(2)
        self._executed, self._executed_at = np.full(2, np.nan), np.inf
        self._delay = CommandDelay(delays_ms)
        self._battery, self._scan = 1.0, np.full(len(scan_angles), np.nan)
        self._from_laser = inverse(np.array([laser.x, laser.y, laser.yaw]))
        self.scan_max = 0.0  # range of the laser [m]; 0 before the first scan
        self._odometry_at = self._scan_at = -np.inf  # steady time when each was measured [s]
        self._odometry_fault: str | None = None
        self._scan_fault: str | None = None
        self._odometry_frame, self._base_frame, self._scan_frame = FirstFrame(), FirstFrame(), FirstFrame()
        self._battery_fault: str | None = None
        self.command = node.create_lifecycle_publisher(
            TwistStamped, in_namespace(name, "cmd_vel_planned"), NEWEST, event_callbacks=NO_PUBLISHER_EVENTS
        )
        self.plan = node.create_lifecycle_publisher(Path, in_namespace(name, "plan"), NEWEST)
        self._goal = node.create_subscription(PoseStamped, in_namespace(name, "goal_pose"), on_goal, NEWEST)
        self._inboxes = [
            (Inbox(node, Odometry, in_namespace(name, "odom"), self._source.depth, read=wire.read), self._on_odometry),
            (Inbox(node, LaserScan, in_namespace(name, "scan"), read=wire.read), self._on_scan),
            (Inbox(node, BatteryState, in_namespace(name, "battery_state")), self._on_battery),
            (
                Inbox(node, TwistStamped, in_namespace(name, "cmd_vel_executed"), EXECUTED_DEPTH, read=wire.read),
                self._on_executed,
            ),
        ]

    def close(self) -> None:
        """Take the robot's topics down."""
        self._source.close()
        self._node.destroy_subscription(self._goal)
        for inbox, _ in self._inboxes:
            inbox.close()
        self._node.destroy_lifecycle_publisher(self.command)
        self._node.destroy_lifecycle_publisher(self.plan)

    def send(self, command: np.ndarray) -> None:
        """Publish a command [2] (m/s, rad/s); safe from any thread."""
        stamp = self._node.get_clock().now().to_msg()
        self.command.publish(twist_stamped(command, stamp, in_namespace(self.name, "base_link")))

    def planned(self, command: np.ndarray, begun: float) -> None:
        """A command [2] (m/s, rad/s) is about to be sent whose cycle began at the steady time ``begun`` [s]."""
        self._delay.sent(command, begun)

    @property
    def executed(self) -> np.ndarray:
        """[2] what the velocity gate lets through (m/s, rad/s): zero from one that fell silent, NaN before its first.

        A base whose gate is silent is told nothing, and brakes.
        """
        return np.zeros(2) if time.monotonic() - self._executed_at > EXECUTED_TIMEOUT else self._executed

    def look(self) -> None:
        """Take in what arrived since the last look."""
        for inbox, take in self._inboxes:
            for message, waited in inbox.read():
                take(message, waited)

    def input(self) -> RobotInput:
        """The robot now: its newest pose and scan carried forward to the present by its twist, or a fault."""
        now = time.monotonic()
        if fault := self._fault(now):
            return RobotInput(np.full(3, np.nan), self._twist, self._battery, self._scan, np.nan, np.nan, 0.0, fault)
        pose_age, scan_age = now - self._odometry_at, now - self._scan_at
        pose = compose(self._pose, arc(self._twist, min(pose_age, MOST_LEAD)))
        scan = seen_from(self._scan, self._scan_angles, compose(self._from_laser, arc(self._twist, scan_age)))
        delay = self._delay.longest(now)
        return RobotInput(pose, self._twist, self._battery, scan, pose_age, scan_age, delay, None)

    def _fault(self, now: float) -> str | None:
        for kind, topic, at, limit, fault in (
            ("odometry", "odom", self._odometry_at, self._timeouts.odometry, self._odometry_fault),
            ("scan", "scan", self._scan_at, self._timeouts.scan, self._scan_fault),
        ):
            if fault:
                return f"{kind} refused: {fault}"
            if at == -np.inf:
                return f"{WAITING}{kind}: {in_namespace(self.name, topic)}: nothing received yet"
            if now - at > limit:
                return f"{kind} silent: {in_namespace(self.name, topic)}: the newest is older than {limit:g} s"
        if self._source.fault:
            return f"no pose: {self._source.fault}"
        return f"battery refused: {self._battery_fault}" if self._battery_fault else None

    def _on_odometry(self, message: Odometry, waited: float) -> None:
        topic, stamp = in_namespace(self.name, "odom"), stamp_seconds(message.header.stamp)
        clock = self._clock(stamp, waited)
        frames = self._source.frames or self._odometry_frame.allowed
        self._odometry_fault = odometry_fault(message, topic, clock, frames, self._base_frame.allowed, self._limits)
        if self._odometry_fault is None:
            self._odometry_frame.keep(message.header.frame_id)
            self._base_frame.keep(message.child_frame_id)
            self._odometry_at = _measured(stamp, clock, waited)
            self._pose = self._source.pose(pose_array(message.pose.pose), stamp)
            self._twist = np.array([message.twist.twist.linear.x, message.twist.twist.angular.z])

    def _on_scan(self, message: LaserScan, waited: float) -> None:
        stamp = stamp_seconds(message.header.stamp)
        clock = self._clock(stamp, waited)
        self._scan_fault = scan_fault(
            message, in_namespace(self.name, "scan"), clock, self._scan_frame.allowed, self._limits
        )
        if self._scan_fault is None:
            self._scan_frame.keep(message.header.frame_id)
            self._scan_at = _measured(stamp, clock, waited)
            self._scan, self.scan_max = ranges_at(self._scan_angles, message), message.range_max

    def _on_executed(self, message: TwistStamped, waited: float) -> None:
        self._executed = np.array([message.twist.linear.x, message.twist.angular.z])
        self._executed_at = time.monotonic() - waited
        self._delay.executed(self._executed, self._executed_at)

    def _on_battery(self, message: BatteryState, _: float) -> None:
        self._battery_fault = battery_fault(message, in_namespace(self.name, "battery_state"))
        if self._battery_fault is None and not math.isnan(message.percentage):  # not measured: as it was, or full
            self._battery = message.percentage

    def _clock(self, stamp: float, waited: float) -> float | None:
        """The time [s] when a stamped message came, to hold the stamp against; None before simulated time has begun."""
        now = self._node.get_clock().now().nanoseconds * 1e-9
        return clock_on_arrival(now, stamp, waited) if now else None


def _measured(stamp: float, clock: float | None, waited: float) -> float:
    """Steady time [s] when something was measured: when it was received, or before that if its stamp, held against
    the clock [s] of that moment, says so; it has waited [s] since.

    A simulated clock advances in ticks and may lie a little behind the stamp, which then says nothing.
    """
    age = 0.0 if clock is None else max(clock - stamp, 0.0)
    return time.monotonic() - waited - age
