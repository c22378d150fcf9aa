"""Measurements that are a little old, as they look from where the robot is now.

Odometry and scans arrive more slowly than they are needed, and late. Both are carried forward along the arc that the
robot drives with its last known twist; on the robot and in training by these functions.
"""

from __future__ import annotations

import math

import numpy as np

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
    beams = len(angles)
    hit = np.isfinite(scan)
    reach = np.where(hit, scan, 0.0)
    x, y = reach * np.cos(angles) - viewpoint[0], reach * np.sin(angles) - viewpoint[1]
    distance = np.where(hit, np.hypot(x, y), scan)
    direction = np.where(hit, np.arctan2(y, x), angles) - viewpoint[2]
    beam = np.round((direction - angles[0]) / (2 * np.pi / beams)).astype(int) % beams
    known = np.flatnonzero(~np.isnan(scan))
    order = known[np.argsort(-distance[known], kind="stable")]  # the nearest is entered last, and stays
    result, source = np.full(beams, np.nan), np.full(beams, -1)
    result[beam[order]], source[beam[order]] = distance[order], order
    left, right = np.roll(source, 1), np.roll(source, -1)
    gap = (source < 0) & (left >= 0) & (right >= 0) & ((right - left) % beams == 1)
    result[gap] = np.minimum(distance[left[gap]], distance[right[gap]])
    return result
