"""What stands in the way for so long that the routes should lead around it: a pallet left in an aisle, a parked robot.

The live map answers for the next second; the potential leads over the next minute and knows only the map. What lies in
a lattice cell that held an obstacle for more than a second counts as standing until the cell has been seen free for
some seconds, and the potentials are computed anew around it. The cells say how long it has stood there, the laser's
returns in them where exactly: whether a robot fits through beside a pallet is a matter of centimetres.
"""

from __future__ import annotations

import numpy as np

from dyna_nav.mdp import RobotModel
from dyna_nav.planning.lattice import Lattice

_CERTAIN = 1.2  # net time of being seen before an obstacle counts as standing: a walker is past by then [s]
_DOUBTFUL = 1.0  # net time below which it does no longer [s]
_PARKED = 3.0  # a robot that has stood still for so long, and is not waiting for others, is led around [s]
_STILL = 0.3  # a robot that has come no farther has stood still [m]
_TOLD = 2.0  # a robot that was told to move for so long, and has not, has broken down [s]
_ANSWER = 0.05  # share of full speed or turn rate that a base which moves exceeds, and the noise of odometry does not
_LONGEST_STEP = 0.2  # of a cycle that came late no more is counted [s]
_OUTLINE = 24  # points on the circle of a parked robot
_MOST = 6.0  # evidence is not counted beyond this, so that what has gone is forgotten in time [s]


class StandingObstacles:
    """What stands and is not in the map.

    ``points`` [k, 2] (map frame [m]), or None while nothing stands anywhere; ``version`` changes with it.
    """

    def __init__(self, lattice: Lattice):
        self._lattice = lattice
        self._evidence = np.zeros(lattice.clearance.shape, np.float32)  # [s]
        self._standing = np.zeros(lattice.clearance.shape, bool)
        self._clearance: np.ndarray | None = None  # of the lattice with the points; None: not computed yet
        self.points: np.ndarray | None = None
        self.version = 0

    def clearance(self) -> np.ndarray:
        """That of the lattice [rows, cols], with what stands in it [m]."""
        if self._clearance is None:
            lattice = self._lattice
            self._clearance = lattice.clearance if self.points is None else lattice.clearance_with(self.points)
        return self._clearance

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
        self._clearance = None
        self.version += 1
        return True


class ParkedRobots:
    """Robots that stand and will not leave by themselves soon: without a task, stopped, broken down.

    Who waits for others is none of them: if two that face each other were led around each other, both would turn back.
    """

    def __init__(self, robots: int, radius: float):
        self._place = np.full((robots, 2), np.nan)  # where each stood still last [m, map frame]
        self._since = np.full(robots, np.nan)  # and since when [s]
        angle = np.arange(_OUTLINE) * (2 * np.pi / _OUTLINE)
        self._circle = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        self.parked = np.zeros(robots, bool)
        self.version = 0  # changes with ``parked``

    def update(self, now: float, pose: np.ndarray, waits: np.ndarray) -> None:
        """Note where everybody is now [s]: pose [robots, 3] (NaN: stands where it was last seen).

        waits bool [robots]: stands by its own choice, to drive on when the others let it.
        """
        unknown = np.isnan(self._place[:, 0])
        with np.errstate(invalid="ignore"):
            moved = np.hypot(*(pose[:, :2] - self._place).T) > _STILL
        begin = (unknown | moved | waits) & ~np.isnan(pose[:, 0])
        self._place[begin], self._since[begin] = pose[begin, :2], now
        parked = now - self._since >= _PARKED  # NaN: never seen
        if not np.array_equal(parked, self.parked):
            self.parked = parked
            self.version += 1

    def outlines(self, robot: int) -> np.ndarray:
        """Points [k, 2] (map frame [m]) on the circles of all parked robots but this one."""
        others = self.parked.copy()
        others[robot] = False
        return (self._place[others, None] + self._circle).reshape(-1, 2)


class BrokenDown:
    """Robots that were told to move and do not (``robots``): they wait for nobody, and nobody should for them.

    Whoever stands looks as if it waited while its planner sees no way on, and that of a robot that has broken down sees
    none whenever another is passing. What tells the two apart is a command: a base that is alive answers at once.
    """

    def __init__(self, robots: int, model: RobotModel):
        self._answer = _ANSWER * np.array([model.max_speed, model.max_turn_rate])
        self._told = np.zeros(robots)  # time of commands since the base last answered one [s]
        self.robots = np.zeros(robots, bool)

    def update(self, twist: np.ndarray, told: np.ndarray, elapsed: float) -> None:
        """Note who answers: twist [robots, 2] as measured (m/s, rad/s).

        told bool [robots]: a command to move was acting in the ``elapsed`` seconds before. Who moves is well again.
        """
        self._told[told] += max(0.0, min(elapsed, _LONGEST_STEP))
        self._told[(np.abs(twist) > self._answer).any(axis=1)] = 0.0
        self.robots = self._told >= _TOLD - 1e-9
