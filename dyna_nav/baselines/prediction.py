"""Where a robot will be: along its path, or straight on; positions PATH_STEP apart in time."""

from __future__ import annotations

import math

from numba import njit

from dyna_nav.planning.admissible import PATH_STEP


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
