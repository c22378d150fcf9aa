"""The braking rule of the velocity gate: a command may pass only if the robot can still stop short of what it sees.

The robot is a disc that reacts late and then brakes as its firmware does: forward speed falls with `deceleration`, the
turn rate with `turn_acceleration`, each on its own, so that a braking robot leaves its arc and runs out straight. Every
laser return that this sweep would bring nearer than the margin allows is an obstacle in the braking path.

Scan returns are taken as standing still. Plain numpy: this runs in a process that must stay small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dyna_nav.mdp import RobotModel

CONTACT = 0.02  # a return as near as this to the robot's circle may be touching it: lasers are not exact [m]
_SLACK = 0.001  # a return that comes nearer by less than this has not come nearer [m]
_SPACING = 0.08  # longest piece of the sampled braking path [m]; on an arc of 1 m radius its chord is off by 0.8 mm
_MAX_PIECES = 40  # of each phase


@dataclass(frozen=True)
class Obstacle:
    """A laser return inside the braking path: distance from the robot's centre [m], bearing from its heading [rad]."""

    distance: float
    bearing: float


def scan_points(
    ranges: np.ndarray, angles: np.ndarray, range_min: float = 0.0, range_max: float = math.inf
) -> np.ndarray:
    """Laser returns as points [k, 2] in the laser's frame [m], k <= beams.

    As REP-117 has it: +inf and anything at or beyond `range_max` is no return, -inf is one too near to measure and is
    put at `range_min`, NaN and readings below `range_min` say nothing.
    """
    ranges = np.where(np.isneginf(ranges), max(range_min, 1e-3), ranges)
    valid = (ranges >= max(range_min, 1e-3)) & (ranges < range_max)
    distance, angle = ranges[valid], angles[valid]
    return np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=1)


def braking_path(
    speed: float,
    turn_rate: float,
    model: RobotModel,
    latency: float,
    command: tuple[float, float] | None = None,
    delay: float = 0.0,
) -> np.ndarray:
    """Positions [k, 2] of the robot's centre [m] until it stands, in the frame of its present pose.

    For `delay` seconds it goes on with its present `speed` [m/s] and `turn_rate` [rad/s]; then, for `latency` seconds,
    it follows `command` (m/s, rad/s; by default its present motion) as fast as its accelerations allow; then it brakes.
    """
    commanded = (speed, turn_rate) if command is None else command
    positions = [(0.0, 0.0)]
    x = y = heading = 0.0
    for phase in ("delay", "reaction", "brake"):
        duration = {"delay": delay, "reaction": latency, "brake": abs(speed) / model.deceleration}[phase]
        target = {"delay": (speed, turn_rate), "reaction": commanded, "brake": (0.0, 0.0)}[phase]
        length = max(abs(speed), abs(target[0])) * duration
        pieces = min(max(math.ceil(length / _SPACING), 3), _MAX_PIECES)
        step = duration / pieces
        for _ in range(pieces):
            rate = model.deceleration if abs(target[0]) < abs(speed) else model.acceleration
            new_speed = _approach(speed, target[0], rate * step)
            new_turn = _approach(turn_rate, target[1], model.turn_acceleration * step)
            way, turn = 0.5 * step * (speed + new_speed), 0.5 * step * (turn_rate + new_turn)
            x += way * math.cos(heading + 0.5 * turn)
            y += way * math.sin(heading + 0.5 * turn)
            heading += turn
            speed, turn_rate = new_speed, new_turn
            positions.append((x, y))
    return np.array(positions)


def obstacle_in_path(points: np.ndarray, path: np.ndarray, radius: float, margin: float) -> Obstacle | None:
    """The nearest of `points` [n, 2] that a disc moving along `path` [k, 2] would run into, both in the robot's frame.

    Far from everything, the disc is the robot's `radius` and `margin` [m] around it. A robot that already stands nearer
    than that to something keeps the clearance that it has, and a return nearer than `CONTACT` (a pallet it touches) may
    not come nearer still. So turning on the spot is always possible, leaving is, and pushing on is not.
    """
    if not len(points):
        return None
    low, high = path.min(axis=0), path.max(axis=0)
    if (high - low).max() < 1e-4:
        return None
    distance = np.hypot(points[:, 0], points[:, 1])
    reachable = ((points > low - (radius + margin)) & (points < high + (radius + margin))).all(axis=1)
    if not reachable.any():
        return None
    clearance = radius + min(max(float(distance.min()) - _SLACK - radius, CONTACT), margin)
    points, distance = points[reachable], distance[reachable]
    allowed = np.minimum(clearance, distance - _SLACK)
    hit = np.flatnonzero(_distance_to_path(points, path) < allowed)
    if not len(hit):
        return None
    nearest = hit[np.argmin(distance[hit])]
    return Obstacle(float(distance[nearest]), math.atan2(points[nearest, 1], points[nearest, 0]))


def _approach(value: float, goal: float, change: float) -> float:
    return min(value + change, goal) if value < goal else max(value - change, goal)


def _distance_to_path(points: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Least distance [n] of each point [n, 2] to the polyline [k, 2]."""
    start, way = path[:-1], np.diff(path, axis=0)  # [k - 1, 2]
    square = np.maximum(np.einsum("ij,ij->i", way, way), 1e-18)
    dx = points[:, 0, None] - start[:, 0]  # [n, k - 1]
    dy = points[:, 1, None] - start[:, 1]
    along = np.clip((dx * way[:, 0] + dy * way[:, 1]) / square, 0.0, 1.0)
    dx -= along * way[:, 0]
    dy -= along * way[:, 1]
    return np.sqrt((dx * dx + dy * dy).min(axis=1))
