"""Places where a robot got stuck with nobody in its way: closed to it, so that its route looks for another.

On the lattice a robot fits wherever its radius and some room do. Whether it can be steered through a gap of that width,
with the noise of its sensors and the margins of the braking rule, shows only when it tries. Who has tried for long
enough takes the place ahead for closed until it gets another goal; if there is no other way it goes on trying.
"""

from __future__ import annotations

import numpy as np

from dyna_nav.planning.lattice import Lattice
from dyna_nav.planning.ways import way_of

_PATIENCE = 8.0  # time of trying without getting anywhere after which the place ahead is closed [s]
_PROGRESS = 0.7  # a robot that is no farther from where it was has got nowhere, however much it turned [m]
_AHEAD = 0.6  # distance along its way at which the place is closed [m]: beyond its own hull
_SAME = 0.3  # places that are no farther from each other are one [m]
_NEAR = 1.5  # another robot so near to that place may be what it waits for [m]


class Impasses:
    """Closed places of each robot; ``version`` changes with them."""

    def __init__(self, lattice: Lattice, robots: int):
        self._lattice = lattice
        self._anchor = np.full((robots, 2), np.nan)  # where each robot got somewhere last [m, map frame]
        self._tried = np.zeros(robots)  # and for how long it has tried in vain since [s]
        self._closed: list[list[np.ndarray]] = [[] for _ in range(robots)]
        self.version = 0

    def forget(self, robot: int) -> None:
        """Begin a new way: everything is open."""
        self._anchor[robot] = np.nan
        self._closed[robot].clear()

    def points(self, robot: int) -> np.ndarray:
        """Places [k, 2] (map frame [m]) that are closed to a robot."""
        return np.array(self._closed[robot]).reshape(-1, 2)

    def update(
        self, elapsed: float, poses: np.ndarray, under_way: np.ndarray, tries: np.ndarray, fields: np.ndarray
    ) -> None:
        """Close the places ahead of those that have tried in vain for long.

        elapsed [s] since the last time; poses [robots, 3] (NaN: unknown); under_way bool [robots]: has a way to drive;
        tries bool [robots]: drives it, and nobody holds it; fields [robots, rows, cols, headings]: the potential that
        each follows.
        """
        moved = ~(np.hypot(*(poses[:, :2] - self._anchor).T) <= _PROGRESS)  # NaN: nothing is known yet
        begin = moved | ~under_way
        self._anchor[begin], self._tried[begin] = poses[begin, :2], 0.0
        self._tried[tries] += elapsed
        for robot in np.flatnonzero(under_way & (self._tried >= _PATIENCE)):
            self._tried[robot] = 0.0
            place = self._ahead(poses[robot], fields[robot])
            others = np.delete(poses[:, :2], robot, axis=0)
            if place is None or _beside(others, place, _NEAR) or _beside(self.points(robot), place, _SAME):
                continue
            self._closed[robot].append(place)
            self.version += 1

    def _ahead(self, pose: np.ndarray, field: np.ndarray) -> np.ndarray | None:
        """The place [2] on the way from a pose [3] down a potential that is to be closed (map frame [m]).

        None when the goal is nearer: that cannot be driven around.
        """
        way = self._lattice.centres(way_of(field, *self._lattice.cell_of(pose)))
        beyond = np.hypot(*(way - pose[:2]).T) >= _AHEAD
        return way[np.argmax(beyond)] if beyond.any() else None


def _beside(points: np.ndarray, place: np.ndarray, distance: float) -> bool:
    """Whether any of points [k, 2] (NaN: unknown) is nearer to a place [2] than a distance [m]."""
    return bool((np.hypot(*(points - place).T) < distance).any())
