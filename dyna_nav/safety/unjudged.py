"""Who watches the watchers: a robot whose steps cannot be compared with what the model expected drives more slowly.

The novelty of its motion and the circuit breaker both live on that comparison. Without it they find nothing wrong,
which is not the same as nothing being wrong. It fails to come about, for one, when odometry comes more slowly than
cycles do.
"""

from __future__ import annotations

import numpy as np

from dyna_nav.mdp import STEP

_SAME = 0.01  # measurements made within this time are one and the same [s]


class UnjudgedDriving:
    """Counts for each robot the cycles that it drove since one of its steps was last judged."""

    def __init__(self, robots: int, limit: float) -> None:
        """`limit` [s]: driving for so long without being judged is too long."""
        self._limit = limit
        self._cycles = np.zeros(robots, np.int64)
        self._measurements = np.zeros(robots, np.int64)  # how many were new in these cycles
        self._newest = np.full(robots, -np.inf)  # when the newest measurement was made [s]

    def update(self, judged: np.ndarray, drives: np.ndarray, measured: np.ndarray) -> np.ndarray:
        """Take one cycle: who was judged, who drives (bool [robots]), and when each newest measurement was made [s].

        Returns how many measurements per second were seen of each robot that drove for too long without being judged,
        [robots] Hz, at most one per cycle; NaN for all others. NaN for a measurement means that there is none.
        """
        with np.errstate(invalid="ignore"):
            new = np.abs(measured - self._newest) > _SAME
        self._newest = np.where(new, measured, self._newest)
        unjudged = drives & ~judged
        self._cycles = np.where(judged, 0, self._cycles + unjudged)
        self._measurements = np.where(judged, 0, self._measurements + (unjudged & new))
        seconds = self._cycles * STEP
        too_long = (seconds >= self._limit) & (self._cycles > 0)
        return np.where(too_long, self._measurements / np.where(too_long, seconds, 1.0), np.nan)
