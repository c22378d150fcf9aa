"""What stands in the way for so long that the routes should lead around it: a pallet left in an aisle, a parked truck.

The live map answers for the next second; the potential leads over the next minute and knows only the map. A lattice
cell that held an obstacle most of the time for some seconds is taken out of the lattice until it has been seen free for
as long, and the potentials are computed anew.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import binary_dilation

from dyna_nav.planning.potential import Lattice

_CERTAIN = 3.0  # net time of being seen before an obstacle counts as standing [s]
_DOUBTFUL = 1.0  # net time below which it does no longer [s]
_MOST = 6.0  # evidence is not counted beyond this, so that what has gone is forgotten in time [s]


class StandingObstacles:
    """Lattice cells that a robot's centre cannot enter because something stands there that is not in the map.

    ``blocked`` bool [rows, cols], or None while nothing stands anywhere; ``version`` changes with it.
    """

    def __init__(self, lattice: Lattice):
        self._lattice = lattice
        self._evidence = np.zeros(lattice.clearance.shape, np.float32)  # [s]
        self._standing = np.zeros(lattice.clearance.shape, bool)
        reach = math.ceil(lattice.radius / lattice.resolution)
        row, col = np.mgrid[-reach : reach + 1, -reach : reach + 1] * lattice.resolution
        self._disc = np.hypot(row, col) <= lattice.radius + 0.5 * lattice.resolution
        self.blocked: np.ndarray | None = None
        self.version = 0

    def update(self, obstacles: np.ndarray, elapsed: float) -> bool:
        """Take the obstacles [k, 2] (map frame [m]) seen now, ``elapsed`` seconds after the last ones.

        Returns whether ``blocked`` has changed.
        """
        rows, cols = self._standing.shape
        cell = np.floor((obstacles - self._lattice.origin) / self._lattice.resolution).astype(int)
        inside = (cell >= 0).all(axis=1) & (cell[:, 0] < cols) & (cell[:, 1] < rows)
        seen = np.zeros((rows, cols), bool)
        seen[cell[inside, 1], cell[inside, 0]] = True
        self._evidence += np.where(seen, elapsed, -elapsed).astype(np.float32)
        np.clip(self._evidence, 0.0, _MOST, out=self._evidence)
        standing = np.where(self._standing, self._evidence > _DOUBTFUL, self._evidence >= _CERTAIN)
        if np.array_equal(standing, self._standing):
            return False
        self._standing = standing
        self.blocked = binary_dilation(standing, self._disc) if standing.any() else None
        self.version += 1
        return True
