"""Measurements that are a little old, as they look from where the robot is now.

Odometry and scans arrive more slowly than they are needed, and late. Both are carried forward along the arc that the
robot drives with its last known twist; on the robot and in training by these functions.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from dyna_nav.mdp import wrap_angle


def compose(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pose [3]: the second one, given in the frame of the first."""
    c, s = math.cos(first[2]), math.sin(first[2])
    x, y = first[0] + c * second[0] - s * second[1], first[1] + s * second[0] + c * second[1]
    return np.array([x, y, wrap_angle(first[2] + second[2])])


def inverse(pose: np.ndarray) -> np.ndarray:
    """Pose [3] that undoes another: compose(inverse(pose), pose) is the origin."""
    c, s = math.cos(pose[2]), math.sin(pose[2])
    return np.array([-c * pose[0] - s * pose[1], s * pose[0] - c * pose[1], wrap_angle(-pose[2])])


def arc(twist: np.ndarray, seconds: float) -> np.ndarray:
    """Pose [3] in the robot's own frame after holding a twist [2] (m/s, rad/s) for some seconds."""
    turn = twist[1] * seconds
    chord = twist[0] * seconds * np.sinc(turn / (2 * np.pi))
    return np.array([chord * np.cos(turn / 2), chord * np.sin(turn / 2), turn])


def seen_from(scan: np.ndarray, angles: np.ndarray, viewpoint: np.ndarray) -> np.ndarray:
    """Ranges [beams] (m) of a scan [beams], at the same angles [beams] (rad, a full circle), as from another viewpoint.

    viewpoint [3]: x, y [m], yaw [rad] in the frame of the scan. Beams that get nothing are NaN, except that one beam
    between two neighbours of the scan gets the nearer of them: what is approached widens. What is out of range stays
    there; that its direction changes a little is neglected.
    """
    result = np.empty(len(angles))
    _carry(scan, angles, np.cos(angles), np.sin(angles), viewpoint, result)
    return result


@njit(cache=True, nogil=True)
def _carry(scan, angles, cos, sin, viewpoint, out):
    """Write what seen_from returns to out [beams]; cos and sin are those of the angles [beams]."""
    beams = angles.shape[0]
    pitch = 2 * math.pi / beams
    distance, source = np.empty(beams), np.full(beams, -1)  # of each beam from there; which one is seen where
    for beam in range(beams):
        if math.isnan(scan[beam]):
            continue
        distance[beam], direction = scan[beam], angles[beam]
        if math.isfinite(scan[beam]):
            x, y = scan[beam] * cos[beam] - viewpoint[0], scan[beam] * sin[beam] - viewpoint[1]
            distance[beam], direction = math.hypot(x, y), math.atan2(y, x)
        place = int(np.round((direction - viewpoint[2] - angles[0]) / pitch)) % beams
        if source[place] < 0 or distance[beam] <= distance[source[place]]:  # the nearest hides the others
            source[place] = beam
    for place in range(beams):
        left, right = source[place - 1], source[(place + 1) % beams]
        if source[place] >= 0:
            out[place] = distance[source[place]]
        elif left >= 0 and right >= 0 and (right - left) % beams == 1:
            out[place] = min(distance[left], distance[right])
        else:
            out[place] = np.nan
