"""Leaving what a robot nearly touches: turn away from it on the spot, then drive off.

A robot within the margin of something may turn but hardly drive, and what it would rather do, drive on, is what the
braking rule refuses. Left to the values of turning left and right, which differ by noise, it would stay there. So when
nothing but turning has been admissible for a while it turns away from the nearest laser return until it can drive, and
drives until it has some room.
"""

from __future__ import annotations

import math

import numpy as np

from dyna_nav.mdp import wrap_angle

_PATIENCE = 8  # cycles without an admissible action that drives, after which a robot turns away
_ROOM = 0.12  # beside the robot's circle, at which it has escaped [m]
_LONGEST = 60  # cycles after which the values decide again


class Escape:
    """Which robots are leaving something; row i is robot i."""

    def __init__(self, robots: int, actions: np.ndarray, radius: float):
        """actions [actions, 2] (m/s, rad/s)."""
        self._drives, self._turn, self._radius = actions[:, 0] > 0.0, actions[:, 1], radius
        self._waited = np.zeros(robots, np.int64)  # cycles in which nothing that drives was admissible
        self._direction = np.zeros(robots)  # in which it turns: 1 left, -1 right, 0: it is not leaving anything
        self._cycles = np.zeros(robots, np.int64)  # since it began to leave

    def forget(self, robot: int) -> None:
        """A robot has a new goal."""
        self._waited[robot] = self._direction[robot] = 0

    def narrow(self, robot: int, pose: np.ndarray, returns: np.ndarray, admissible: np.ndarray) -> np.ndarray:
        """The actions bool [actions] among the admissible ones that a robot may choose from.

        pose [3] and the laser's returns [k, 2] nearby in the map frame. All admissible ones, unless it is leaving
        something: then those that drive, or else the one that turns away on the spot.
        """
        drives = admissible & self._drives
        self._waited[robot] = 0 if drives.any() else self._waited[robot] + 1
        if not len(returns):
            self._direction[robot] = 0
            return admissible
        offset = returns - pose[:2]
        distance = np.hypot(offset[:, 0], offset[:, 1])
        nearest = int(np.argmin(distance))
        if self._direction[robot] == 0:
            if self._waited[robot] < _PATIENCE or distance[nearest] > self._radius + _ROOM:
                return admissible
            bearing = wrap_angle(math.atan2(offset[nearest, 1], offset[nearest, 0]) - pose[2])
            self._direction[robot], self._cycles[robot] = (-1 if bearing > 0 else 1), 0
        self._cycles[robot] += 1
        if distance[nearest] > self._radius + _ROOM or self._cycles[robot] > _LONGEST:
            self._direction[robot] = self._waited[robot] = 0
            return admissible
        away = admissible & ~self._drives & (np.sign(self._turn) == self._direction[robot])
        return drives if drives.any() else away if away.any() else admissible
