"""Zones of the collision monitor as compiled kernels: sweeps of a braking disc, lanes, returns of a scan."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from dyna_nav.planning.admissible import braking_path
from dyna_nav.planning.obstacles import clearance_at

SCALES = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])  # shares of a command that are tried
_UNEVENNESS = 0.005  # a distance may seem to fall by so much [m]
_CONTACT = 0.015  # so much less than the full distance to keep is no room any more [m]


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
