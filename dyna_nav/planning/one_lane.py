"""Who waits before a stretch that holds one robot, while another one comes through it the other way."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dyna_nav.planning.lattice import Lattice
from dyna_nav.planning.ways import stretches

_FORESIGHT = 20.0  # length of a way that is looked at [m]
_BEFORE = 2.0  # so near to the stretch it is decided who waits; enough to stop [m]
_SHORT = 1.0  # what is shorter is passed in turn anyway [m]
_NOWHERE = np.empty(0, np.int64)


class OneLane:
    """Finds robots whose ways lead through the same narrow stretch in opposite directions."""

    def __init__(self, lattice: Lattice, radius: float, gap: float):
        """radius of a robot and gap between two that pass each other [m]."""
        self._resolution, self._radius = lattice.resolution, radius
        self._narrow = ~lattice.holds_two(radius, gap)

    def meetings(self, ways: dict[int, np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
        """Who would have to wait now, for whom, and the stretch, cells [k, 2]; ways: what each has before it, likewise.

        The one that is nearer to the stretch goes first, or the one that is in it. Two that are both in it are past
        waiting: one of them backs out.
        """
        ahead = {robot: way[: round(_FORESIGHT / self._resolution)] for robot, way in ways.items() if len(way)}
        for one, other in self._close(ahead):
            mine, theirs = self._shared(ahead[one], ahead[other])
            if len(mine) and max(mine[0], theirs[-1]) > 0:
                (_, goes), (left, waits) = sorted([(mine[0], one), (theirs[-1], other)])
                if left * self._resolution <= _BEFORE:
                    yield waits, goes, ahead[one][mine]

    def _close(self, ways: dict[int, np.ndarray]) -> Iterator[tuple[int, int]]:
        """Pairs whose ways [k, 2] may come within a radius of each other; of a large fleet these are few."""
        robots, reach = list(ways), self._radius / self._resolution
        lowest = np.array([way.min(axis=0) for way in ways.values()]).reshape(-1, 2) - reach
        highest = np.array([way.max(axis=0) for way in ways.values()]).reshape(-1, 2)
        below = (lowest[:, None] <= highest[None]).all(axis=2)
        for first, second in np.argwhere(np.triu(below & below.T, k=1)):
            yield robots[first], robots[second]

    def _shared(self, one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first narrow stretch in which two ways [k, 2] lead towards each other.

        Its places [m], m = 0 if there is none, as cells counted along the one and (falling) along the other.
        """
        narrow = self._narrow[tuple(one.T)]
        for mine, theirs in stretches(one, other, self._radius / self._resolution, narrow):
            if len(mine) * self._resolution >= _SHORT and theirs[-1] < theirs[0]:
                return mine, theirs
        return _NOWHERE, _NOWHERE
