"""What stands in the way for so long that the routes should lead around it: a pallet left in an aisle, a parked truck.

The live map answers for the next second; the potential leads over the next minute and knows only the map. What lies in
a lattice cell that held an obstacle for more than a second counts as standing until the cell has been seen free for
some seconds, and the potentials are computed anew around it. The cells say how long it has stood there, the laser's
returns in them where exactly: whether a robot fits through beside a pallet is a matter of centimetres.
"""

from __future__ import annotations

import numpy as np

from dyna_nav.planning.potential import Lattice

_CERTAIN = 1.2  # net time of being seen before an obstacle counts as standing: a walker is past by then [s]
_DOUBTFUL = 1.0  # net time below which it does no longer [s]
_MOST = 6.0  # evidence is not counted beyond this, so that what has gone is forgotten in time [s]


class StandingObstacles:
    """What stands and is not in the map.

    ``points`` [k, 2] (map frame [m]), or None while nothing stands anywhere; ``version`` changes with it.
    """

    def __init__(self, lattice: Lattice):
        self._lattice = lattice
        self._evidence = np.zeros(lattice.clearance.shape, np.float32)  # [s]
        self._standing = np.zeros(lattice.clearance.shape, bool)
        self.points: np.ndarray | None = None
        self.version = 0

    def update(self, obstacles: np.ndarray, elapsed: float) -> bool:
        """Take the obstacles [k, 2] (map frame [m]) seen now, ``elapsed`` seconds after the last ones.

        Returns whether ``points`` have changed.
        """
        rows, cols = self._standing.shape
        cell = np.floor((obstacles - self._lattice.origin) / self._lattice.resolution).astype(int)
        inside = (cell >= 0).all(axis=1) & (cell[:, 0] < cols) & (cell[:, 1] < rows)
        obstacles, (col, row) = obstacles[inside], cell[inside].T
        seen = np.zeros((rows, cols), bool)
        seen[row, col] = True
        self._evidence += np.where(seen, elapsed, -elapsed).astype(np.float32)
        np.clip(self._evidence, 0.0, _MOST, out=self._evidence)
        standing = np.where(self._standing, self._evidence > _DOUBTFUL, self._evidence >= _CERTAIN)
        if np.array_equal(standing, self._standing):
            return False
        self._standing = standing
        self.points = obstacles[standing[row, col]] if standing[row, col].any() else None
        self.version += 1
        return True
