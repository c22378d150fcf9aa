"""What one robot's velocity gate decides: the planner's command as it is, or a standstill and the reason for it.

The gate passes a command on unchanged or sends zero; it never clips, bends or slows one. It believes nothing that it
did not hear lately: ages grow with a steady clock, so that a stopped simulator is silence like any other, from what
a message's stamp says about its age on arrival, held against the node's own (perhaps simulated) clock. It goes on by
itself when the cause has been gone for a moment.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dyna_nav.mdp import RobotModel
from dyna_nav.parameters import parameter
from dyna_nav.safety.braking import braking_path, obstacle_in_path, scan_points
from dyna_nav.safety.inputs import (
    FirstFrame,
    InputLimits,
    LaserMount,
    odometry_fault,
    scan_fault,
    stamp_fault,
    stamp_seconds,
)

EMERGENCY_STOP = "emergency_stop"
ODOMETRY_STALE, ODOMETRY_BAD = "odometry_stale", "odometry_bad"
SCAN_STALE, SCAN_BAD = "scan_stale", "scan_bad"
COMMAND_STALE, COMMAND_BAD = "command_stale", "command_bad"
OBSTACLE = "obstacle"
CAUSES = (EMERGENCY_STOP, ODOMETRY_BAD, ODOMETRY_STALE, SCAN_BAD, SCAN_STALE, COMMAND_BAD, COMMAND_STALE, OBSTACLE)

_CLOCK_RESTART = 1.0  # a stamp that falls back by more than this means that the source began anew [s]
_AHEAD = 0.6  # a robot that drives forward must be able to see this far to either side of its heading [rad]
_MOVING = 0.05  # a laser must see the world change when the robot is faster than this [m/s]


@dataclass(frozen=True)
class GateConfig:
    """When the gate stops the robot and when it lets it go on."""

    command_timeout: float = parameter(0.25, "stop when the last command is older [s]", minimum=0.05, maximum=0.45)
    odometry_timeout: float = parameter(0.4, "stop when the last odometry is older [s]", minimum=0.05, maximum=0.45)
    scan_timeout: float = parameter(0.4, "stop when the last scan is older [s]", minimum=0.05, maximum=0.45)
    frozen_timeout: float = parameter(0.5, "stop when readings do not change on the way [s]", minimum=0.1, maximum=5)
    clock_tolerance: float = parameter(0.2, "how far stamps may lie ahead of the clock [s]", minimum=0, maximum=1)
    command_tolerance: float = parameter(0.01, "how far beyond its limit a command may be", minimum=0, maximum=0.1)
    reverse_speed: float = parameter(0.5, "highest backward speed [m/s]", minimum=0, maximum=5)
    margin: float = parameter(0.02, "kept clear around the robot's circle when braking [m]", minimum=0, maximum=1)
    speed_margin: float = parameter(0.04, "kept clear in addition, per speed [m per m/s]", minimum=0, maximum=1)
    reaction_time: float = parameter(0.1, "from a decision until the brakes bite [s]", minimum=0, maximum=1)
    resume_after: float = parameter(0.2, "drive on when the cause has been gone for so long [s]", minimum=0, maximum=10)
    dead_beams: float = parameter(0.5, "share of NaN or zero readings that makes a scan dead", minimum=0.01, maximum=1)


@dataclass(frozen=True)
class GateDecision:
    """What goes to the wheels [m/s], [rad/s]; when the gate holds the robot, the cause (of CAUSES) and a sentence."""

    speed: float
    turn_rate: float
    cause: str | None = None
    reason: str | None = None


class _Input:
    """One input: when it was last good, and what was wrong with it since."""

    def __init__(self, topic: str, timeout: float, stale: str, bad: str) -> None:
        self.topic, self.timeout, self.stale, self.bad = topic, timeout, stale, bad
        self.made: float | None = None  # when the last message that was believed was made, by the steady clock [s]
        self._stamp: float | None = None
        self._fault: str | None = None
        self._ignored: str | None = None

    def take(
        self, now: float, stamp: float | None, clock: float | None, fault: str | None, limits: InputLimits
    ) -> bool:
        """Whether to believe a message; a bad stamp lets the input grow stale, any other fault stops at once."""
        self._fault, self._ignored = fault, None
        if fault is None and stamp is not None:
            self._ignored = stamp_fault(self.topic, stamp, clock, limits)
            repeated = self._stamp is not None and self._stamp - _CLOCK_RESTART < stamp <= self._stamp
            if self._ignored is None and repeated:
                self._ignored = f"{self.topic}: header.stamp stays at {stamp:.3f}; the publisher repeats itself"
        if fault is not None or self._ignored is not None:
            return False
        # A simulated clock advances in ticks and may lie a little behind the stamp: then the message is new.
        on_arrival = 0.0 if stamp is None or clock is None else max(clock - stamp, 0.0)
        self.made, self._stamp = now - on_arrival, stamp
        return True

    def age(self, now: float) -> float:
        """Seconds since the last message that was believed was made; inf when there was none."""
        return math.inf if self.made is None else now - self.made

    def fault(self, now: float) -> tuple[str, str] | None:
        """Cause and sentence, or None while the input can be relied on."""
        if self._fault is not None:
            return self.bad, self._fault
        age = self.age(now)
        if age <= self.timeout:
            return None
        silence = "nothing received yet" if math.isinf(age) else f"silent for {age:.2f} s (limit {self.timeout:g} s)"
        return self.stale, self._ignored or f"{self.topic}: {silence}; check its publisher"


class VelocityGate:
    """The gate of one robot. Feed it what arrives, ask it what may go to the wheels.

    `now` is a steady clock [s], `clock` the node's clock [s] (simulated time, perhaps) that stamps are held against.
    Messages are those of ROS or anything of their shape. Not safe against calls from several threads.
    """

    def __init__(
        self, model: RobotModel | None = None, config: GateConfig | None = None, laser: LaserMount | None = None
    ) -> None:
        self.model, self.config, self.laser = model or RobotModel(), config or GateConfig(), laser or LaserMount()
        config = self.config
        self.counts: Counter[str] = Counter()  # how often the robot was stopped, per cause
        self.command = _Input("cmd_vel_planned", config.command_timeout, COMMAND_STALE, COMMAND_BAD)
        self.odometry = _Input("odom", config.odometry_timeout, ODOMETRY_STALE, ODOMETRY_BAD)
        self.scan = _Input("scan", config.scan_timeout, SCAN_STALE, SCAN_BAD)
        limits = InputLimits(
            max_ahead=config.clock_tolerance,
            dead_beams=config.dead_beams,
            max_speed=2.0 * self.model.max_speed,  # a robot that is pushed or slides is faster than it drives
            max_turn_rate=4.0 * self.model.max_turn_rate,
        )
        self._limits = {
            self.command: replace(limits, max_age=config.command_timeout),
            self.odometry: replace(limits, max_age=config.odometry_timeout),
            self.scan: replace(limits, max_age=config.scan_timeout),
        }
        self._odometry_frame, self._base_frame, self._scan_frame = FirstFrame(), FirstFrame(), FirstFrame()
        self._planned = (0.0, 0.0)
        self._twist = (0.0, 0.0)
        self._points = np.empty((0, 2))
        self._blind: str | None = None  # why nothing can be said about what lies ahead
        self._ranges: np.ndarray | None = None
        self._scan_changed = 0.0
        self._emergency: set[str] = set()
        self._started = False  # waiting for the first inputs is not a stop
        self._held: tuple[str, str] | None = None
        self._clear_since: float | None = None

    def on_command(self, twist: Any, now: float, stamp: float | None = None, clock: float | None = None) -> None:
        """Take the planner's command, a geometry_msgs/Twist, with the stamp [s] of its header if it has one.

        An order to stand is obeyed whatever its stamp: simulated time may have stood still since the last command.
        """
        fault = self._command_fault(twist)
        command = (twist.linear.x, twist.angular.z)
        believed = self.command.take(now, stamp, clock, fault, self._limits[self.command])
        if believed or (fault is None and command == (0.0, 0.0)):
            self._planned = command

    def on_odometry(self, message: Any, now: float, clock: float | None = None) -> None:
        """Take a nav_msgs/Odometry."""
        limits = self._limits[self.odometry]
        frames, child_frames = self._odometry_frame.allowed, self._base_frame.allowed
        fault = odometry_fault(message, frames=frames, child_frames=child_frames, limits=limits)
        if self.odometry.take(now, stamp_seconds(message.header.stamp), clock, fault, limits):
            self._odometry_frame.keep(message.header.frame_id)
            self._base_frame.keep(message.child_frame_id)
            self._twist = (message.twist.twist.linear.x, message.twist.twist.angular.z)

    def on_scan(self, message: Any, now: float, clock: float | None = None) -> None:
        """Take a sensor_msgs/LaserScan, measured where the laser is mounted."""
        limits = self._limits[self.scan]
        fault = scan_fault(message, frames=self._scan_frame.allowed, limits=limits) or self._frozen(message, now)
        if not self.scan.take(now, stamp_seconds(message.header.stamp), clock, fault, limits):
            return
        self._scan_frame.keep(message.header.frame_id)
        angles = self.laser.yaw + message.angle_min + message.angle_increment * np.arange(len(message.ranges))
        points = scan_points(np.asarray(message.ranges), angles, message.range_min, message.range_max)
        self._points = points + np.array([self.laser.x, self.laser.y])
        self._blind = self._blind_ahead(message, angles)

    def on_emergency_stop(self, pressed: bool, source: str = EMERGENCY_STOP) -> None:
        """Latch or release the emergency stop; every source that pressed it must release it again."""
        (self._emergency.add if pressed else self._emergency.discard)(source)

    def decide(self, now: float) -> GateDecision:
        """What may go to the wheels at `now`."""
        fault = self._fault(now)
        if fault is not None:
            if self._started and (self._held is None or self._held[0] != fault[0]):
                self.counts[fault[0]] += 1
            self._held, self._clear_since = fault, None
        elif self._held is not None:
            self._clear_since = now if self._clear_since is None else self._clear_since
            if now - self._clear_since >= self.config.resume_after:
                self._held = self._clear_since = None
        if self._held is not None:
            return GateDecision(0.0, 0.0, *self._held)
        self._started = True
        return GateDecision(*self._planned)

    def _fault(self, now: float) -> tuple[str, str] | None:
        """Cause and sentence of the gravest thing that is wrong."""
        if self._emergency:
            pressed = ", ".join(sorted(self._emergency))
            return EMERGENCY_STOP, f"{pressed}: pressed; publish false on it to go on"
        for source in (self.odometry, self.scan, self.command):
            if (fault := source.fault(now)) is not None:
                return fault
        if self._planned == (0.0, 0.0):
            return None
        if self._planned[0] > 0.0 and self._blind is not None:
            return SCAN_BAD, self._blind
        path = braking_path(
            *self._twist,
            self.model,
            self.config.reaction_time,
            command=self._planned,
            delay=self.scan.age(now),  # the scan was taken from where the robot was then
        )
        margin = self.config.margin + self.config.speed_margin * abs(self._twist[0])
        obstacle = obstacle_in_path(self._points, path, self.model.radius, margin)
        if obstacle is None:
            return None
        return OBSTACLE, (
            f"scan: obstacle at {obstacle.distance:.2f} m, bearing {math.degrees(obstacle.bearing):.0f} degrees, "
            f"inside the braking path at {self._twist[0]:.2f} m/s"
        )

    def _command_fault(self, twist: Any) -> str | None:
        slack = 1.0 + self.config.command_tolerance
        limits = {
            "linear.x": (-self.config.reverse_speed, self.model.max_speed),
            "angular.z": (-self.model.max_turn_rate, self.model.max_turn_rate),
        }
        for part in ("linear", "angular"):
            for axis in "xyz":
                name, value = f"{part}.{axis}", getattr(getattr(twist, part), axis)
                low, high = limits.get(name, (0.0, 0.0))
                if not low * slack <= value <= high * slack:  # NaN is in no range
                    return f"cmd_vel_planned: {name} is {value:.4g}; it must lie in [{low:g}, {high:g}]"
        return None

    def _blind_ahead(self, message: Any, angles: np.ndarray) -> str | None:
        """A laser that does not measure where the robot drives to, at `angles` [beams] from its heading [rad]."""
        ranges = np.asarray(message.ranges, dtype=np.float32)
        ahead = ranges[np.abs((angles + math.pi) % (2 * math.pi) - math.pi) <= _AHEAD]
        if not len(ahead):
            return f"scan: no beam within {_AHEAD:g} rad of ahead; check the laser's view and laser.yaw"
        silent = np.isnan(ahead) | ((ahead < max(message.range_min, 1e-3)) & ~np.isneginf(ahead))
        if silent.mean() < self.config.dead_beams:
            return None
        return (
            f"scan: {int(silent.sum())} of {len(ahead)} beams within {_AHEAD:g} rad of ahead measure nothing; "
            "check what covers the laser"
        )

    def _frozen(self, message: Any, now: float) -> str | None:
        """A laser whose readings stay exactly the same while the robot drives sends old ones with new stamps."""
        ranges = np.asarray(message.ranges, dtype=np.float32)
        same = self._ranges is not None and np.array_equal(ranges, self._ranges, equal_nan=True)
        self._ranges = ranges
        if not same or abs(self._twist[0]) < _MOVING:
            self._scan_changed = now
        if now - self._scan_changed <= self.config.frozen_timeout:
            return None
        return f"scan: the same readings for {now - self._scan_changed:.1f} s while driving; check the laser"
