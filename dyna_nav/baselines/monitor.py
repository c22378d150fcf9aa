"""The last word on a command: slow-down zone, time to collision and stop zone, like Nav2's collision monitor.

The stop zone is the sweep of the robot's disc while it brakes (the paper's *velocity polygons*, exact for a disc); the
approach mode keeps a time before collision along the arc; the slow-down zone is a lane ahead, as long as the robot
drives in a set time. Scan returns and the map stand still, and other robots move as their predicted paths say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from dyna_nav.mdp import STEP, RobotModel
from dyna_nav.parameters import parameter
from dyna_nav.planning.admissible import PATH_STEP, braking_path
from dyna_nav.planning.obstacles import clearance_at

SCALES = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])  # shares of a command that are tried
_UNEVENNESS = 0.01  # a distance may seem to fall by so much [m]
_CONTACT = 0.03  # so much less than the full distance to keep is no room any more [m]


@dataclass(frozen=True)
class MonitorConfig:
    """Zones and margins of the collision monitor."""

    latency: float = parameter(0.1, "time until a command moves the wheels [s]", minimum=0, maximum=STEP)
    margin: float = parameter(0.04, "kept from anything while braking [m]", minimum=0, maximum=1)
    speed_margin: float = parameter(0.02, "in addition, per speed [m per m/s]", minimum=0, maximum=1)
    robot_margin: float = parameter(0.1, "kept from other robots while braking [m]", minimum=0, maximum=1)
    time_to_collision: float = parameter(0.6, "collisions this far ahead slow the robot [s]", minimum=0.1, maximum=3)
    approach_speed: float = parameter(0.3, "not slower because of time to collision [m/s]", minimum=0, maximum=2)
    slow_time: float = parameter(0.6, "length of the slow-down zone [s of driving]", minimum=0, maximum=5)
    slow_margin: float = parameter(0.1, "width of the zone beyond the robot on each side [m]", minimum=0, maximum=2)
    slow_share: float = parameter(0.6, "share of full speed in the slow-down zone", minimum=0.05, maximum=1)
    slow_points: int = parameter(4, "returns in the zone that make it count", minimum=1, maximum=1000)
    yield_time: float = parameter(1.5, "a robot that must yield looks so far ahead [s]", minimum=0.1, maximum=5)
    yield_gap: float = parameter(0.15, "gap that it leaves to who has the right of way [m]", minimum=0, maximum=2)


def horizon_points(robot: RobotModel, config: MonitorConfig) -> int:
    """Points of a predicted path: the longest look ahead and a stop from full speed after it."""
    ahead = max(config.time_to_collision, config.yield_time) + config.latency
    return 3 + math.ceil((ahead + robot.max_speed / robot.deceleration) / PATH_STEP)


@njit(cache=True, nogil=True)
def to_keep(full, now):
    """Distance [m] that a path must keep: full, or nearly what the robot has now when that is less.

    Noise lets a distance seem to fall; near contact not even that is let go, or the margin would be used up bit by bit.
    """
    return min(full, max(now - _UNEVENNESS, min(now - 1e-6, full - _CONTACT)))


@njit(cache=True, nogil=True)
def is_free(path, count, points, others, reaches, field, geometry, keep, keep_map):
    """Whether the first ``count`` points of a path [k, 2] keep off everything.

    points [m, 2]: returns, at least ``keep`` [m] away; others [n, k, 2]: paths in step with this one (NaN: absent),
    at least reaches [n] away; field with geometry (origin x, y, resolution): clearance of at least ``keep_map``. What
    is nearer already may not come nearer.
    """
    x, y = path[0, 0], path[0, 1]
    origin_x, origin_y, resolution = geometry
    floor = to_keep(keep_map, clearance_at(field, origin_x, origin_y, resolution, x, y))
    for k in range(1, count):
        if clearance_at(field, origin_x, origin_y, resolution, path[k, 0], path[k, 1]) < floor:
            return False
    for m in range(points.shape[0]):
        px, py = points[m, 0], points[m, 1]
        allowed = to_keep(keep, math.hypot(px - x, py - y))
        for k in range(1, count):
            if (px - path[k, 0]) ** 2 + (py - path[k, 1]) ** 2 < allowed * allowed:
                return False
    for n in range(others.shape[0]):
        if math.isnan(others[n, 0, 0]):
            continue
        allowed = to_keep(reaches[n], math.hypot(others[n, 0, 0] - x, others[n, 0, 1] - y))
        for k in range(1, count):
            if math.hypot(others[n, k, 0] - path[k, 0], others[n, k, 1] - path[k, 1]) < allowed:
                return False
    return True


@njit(cache=True, nogil=True)
def free_share(
    pose, twist, previous, command, keeps_turn, hold, count, scales, limits, latency, points, others, reaches, field,
    geometry, keep, keep_map,
):  # fmt: skip
    """Largest share of a command [2] that may be held for ``hold`` [s] before braking; 0 when none may.

    keeps_turn: only the speed is scaled and not the turn rate with it; otherwise the arc stays the same. count: points
    that are looked at; limits: acceleration, deceleration, turn acceleration. Others as in is_free.
    """
    path = np.empty((count, 2))
    wanted = np.empty(2)
    for scale in scales:
        wanted[0] = scale * command[0]
        wanted[1] = command[1] if keeps_turn else scale * command[1]
        braking_path(pose, twist, previous, wanted, limits, latency, hold, path)
        if is_free(path, count, points, others, reaches, field, geometry, keep, keep_map):
            return scale
    return 0.0


@njit(cache=True, nogil=True)
def in_slow_zone(pose, points, length, half_width):
    """How many of points [m, 2] (map frame) lie in the lane ahead of a robot at pose [3], measured from its centre."""
    cos, sin = math.cos(pose[2]), math.sin(pose[2])
    count = 0
    for m in range(points.shape[0]):
        dx, dy = points[m, 0] - pose[0], points[m, 1] - pose[1]
        if 0.0 < dx * cos + dy * sin < length and abs(dy * cos - dx * sin) < half_width:
            count += 1
    return count


@njit(cache=True, nogil=True)
def follow(path, index, x, y, speed, out):
    """Write where a robot at x, y will be, out [k, 2], that drives on along its path [m, 2] from index at a speed."""
    out[0, 0], out[0, 1] = x, y
    k, way = index, speed * PATH_STEP
    for step in range(1, out.shape[0]):
        left = way
        while left > 0.0 and k < path.shape[0]:
            gap = math.hypot(path[k, 0] - x, path[k, 1] - y)
            if gap > left:
                x += left * (path[k, 0] - x) / gap
                y += left * (path[k, 1] - y) / gap
                break
            x, y = path[k, 0], path[k, 1]
            left -= gap
            k += 1
        out[step, 0], out[step, 1] = x, y


@njit(cache=True, nogil=True)
def extrapolate(pose, twist, out):
    """Write where a robot at pose [3] will be, out [k, 2], that keeps its twist [2]."""
    x, y, yaw = pose[0], pose[1], pose[2]
    out[0, 0], out[0, 1] = x, y
    for step in range(1, out.shape[0]):
        yaw += 0.5 * twist[1] * PATH_STEP
        x += twist[0] * PATH_STEP * math.cos(yaw)
        y += twist[0] * PATH_STEP * math.sin(yaw)
        yaw += 0.5 * twist[1] * PATH_STEP
        out[step, 0], out[step, 1] = x, y


@njit(cache=True, nogil=True)
def returns(pose, scan, angles, reach, discs, out):
    """Write the returns of a scan within ``reach`` [m], map frame, out [beams, 2]; those on discs [k, 3] are left out.

    Returns how many there are.
    """
    count = 0
    for beam in range(angles.size):
        distance = scan[beam]
        if not 0.0 < distance <= reach:
            continue
        x = pose[0] + distance * math.cos(pose[2] + angles[beam])
        y = pose[1] + distance * math.sin(pose[2] + angles[beam])
        known = False
        for k in range(discs.shape[0]):
            if (x - discs[k, 0]) ** 2 + (y - discs[k, 1]) ** 2 < discs[k, 2] ** 2:
                known = True
        if not known:
            out[count, 0], out[count, 1] = x, y
            count += 1
    return count


@njit(cache=True, nogil=True)
def _keeps_clear(path, flows, reach):
    """Whether a path [k, 2] stays ``reach`` [m] off all flows [n, >= k, 2] in step, or comes no nearer than it is."""
    for n in range(flows.shape[0]):
        allowed = to_keep(reach, math.hypot(flows[n, 0, 0] - path[0, 0], flows[n, 0, 1] - path[0, 1]))
        for k in range(1, path.shape[0]):
            if math.hypot(flows[n, k, 0] - path[k, 0], flows[n, k, 1] - path[k, 1]) < allowed:
                return False
    return True


@njit(cache=True, nogil=True)
def yielding_share(pose, twist, previous, command, hold, count, scales, limits, latency, flows, reach):
    """Largest share of a command [2] held for ``hold`` [s] that leaves the way to flows [n, >= count, 2]; 0 to stand.

    1 when standing would be in the way as well: then it has to be led out. Other arguments as in free_share.
    """
    path = np.empty((count, 2))
    braking_path(pose, twist, previous, np.zeros(2), limits, latency, 0.0, path)
    if not _keeps_clear(path, flows, reach):
        return 1.0
    for scale in scales:
        braking_path(pose, twist, previous, scale * command, limits, latency, hold, path)
        if _keeps_clear(path, flows, reach):
            return scale
    return 0.0


@njit(cache=True, nogil=True)
def any_near(path, points, reach):
    """Whether any of points [m, 2] lies within ``reach`` [m] of any point of a path [k, 2]."""
    for k in range(path.shape[0]):
        for m in range(points.shape[0]):
            if (path[k, 0] - points[m, 0]) ** 2 + (path[k, 1] - points[m, 1]) ** 2 < reach * reach:
                return True
    return False
