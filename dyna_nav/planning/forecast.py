"""What the robots of one machine tell each other: the path each expects to drive, and how it would brake now.

The expected paths enter the simulated reward of everybody's rollouts, the braking paths the braking rule. A robot that
falls silent is taken to end its last braking path and to stand there for a while; after that it is what the lasers of
the others see of it.
"""

from __future__ import annotations

import numpy as np

from dyna_nav.mdp import STEP
from dyna_nav.planning.admissible import PATH_STEP

_LOST_MEMORY = 5.0  # how long a robot without a pose is kept where it must have stopped [s]
_STRIDE = round(STEP / PATH_STEP)  # points of a braking path per step


class FleetForecast:
    """``expected`` [robots, steps, 3] poses from now on, ``braking`` [robots, points, 2] positions; NaN: unknown.

    Both are in the map frame [m], [rad]; row i is robot i.
    """

    def __init__(self, robots: int, steps: int, braking_points: int, shared: bool = True):
        """shared: robots say what they plan; otherwise each is taken to go on as it does."""
        self.expected = np.full((robots, steps, 3), np.nan)
        self.braking = np.full((robots, braking_points, 2), np.nan)
        self._silent = np.zeros(robots, np.int64)  # cycles without a pose
        self._shared = shared

    def advance(self, pose: np.ndarray, twist: np.ndarray, drives: np.ndarray) -> None:
        """One step later: what was announced has come nearer, and begins where the robots really are.

        pose [robots, 3] (NaN: silent), twist [robots, 2]; drives bool [robots]: who is under way, the others stay.
        """
        present = ~np.isnan(pose[:, 0])
        self._silent = np.where(present, 0, self._silent + 1)
        self.braking = np.concatenate([self.braking[:, _STRIDE:], self.braking[:, -1:].repeat(_STRIDE, axis=1)], axis=1)
        self.braking[self._silent * STEP > _LOST_MEMORY] = np.nan
        expected = np.concatenate([self.expected[:, 1:], self.expected[:, -1:]], axis=1)
        stays = np.isnan(expected[:, 0, 0]) | ~drives
        expected[stays] = pose[stays, None]
        expected[:, :, :2] += pose[:, None, :2] - expected[:, :1, :2]
        expected[~present] = np.nan
        expected[~present, :, :2] = self.braking[~present, -1, None]
        if not self._shared:
            yaw, speed = pose[present, 2], twist[present, 0]
            velocity = speed[:, None] * np.column_stack([np.cos(yaw), np.sin(yaw)])
            time = np.arange(expected.shape[1])[:, None] * STEP
            expected[present, :, :2] = pose[present, None, :2] + time * velocity[:, None]
        self.expected = expected

    def announce(self, robot: int, pose: np.ndarray, path: np.ndarray) -> None:
        """A robot at pose [3] tells the poses [k, 2 or 3] of its next steps; it stays at the last of them."""
        expected = self.expected[robot]
        expected[:] = pose
        count, parts = min(len(path), len(expected) - 1), path.shape[1] if len(path) else 0
        if count:
            expected[1 : count + 1, :parts] = path[:count]
            expected[count + 1 :, :parts] = path[count - 1]

    def braking_steps(self, robot: int) -> np.ndarray:
        """Positions [k, 2] of a robot's braking path, one for each step after now."""
        return self.braking[robot, _STRIDE::_STRIDE]
