"""Which way the others drive: their ways as a flow that it costs to drive against.

Robots that meet head-on in an aisle lose more than a way around costs them, and each looks only a second ahead. A
price on driving against the ways of the others, in the potential itself, has them choose another aisle, or another side
of a wide one, before they meet, and lanes form by themselves (contraflow cost: Chen, Harabor, Li and Stuckey, Traffic
flow optimisation for lifelong multi-agent path finding, AAAI 2024).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from dyna_nav.planning.lattice import Lattice
from dyna_nav.planning.potential import way_of

_BESIDE = 1.1  # who passes another nearer than this many diameters, from middle to middle, hinders it
_MOST = 2.0  # robots that come towards one make driving there dearer, further ones no more: no gap is worth it
_SPAN = 4  # cells before and behind from which the direction of a way is taken: single steps are coarse


class Traffic:
    """Where everybody is and drives to, as of this cycle; ways are followed only when somebody asks."""

    def __init__(self, lattice: Lattice, radius: float):
        """radius of a robot [m]."""
        self._lattice, self._reach = lattice, 2.0 * _BESIDE * radius / lattice.resolution
        self._ways: dict[int, np.ndarray] = {}
        self._pose, self._fields = np.empty((0, 3)), np.empty(0)
        self._under_way = np.empty(0, np.int64)

    def update(self, pose: np.ndarray, fields: np.ndarray, under_way: np.ndarray) -> None:
        """Take in where the robots are: pose [robots, 3] (map frame; NaN: unknown).

        fields [robots, rows, cols, headings]: the potential that each follows; under_way bool [robots]: has far to go.
        """
        self._ways.clear()
        self._pose, self._fields = pose, fields
        self._under_way = np.flatnonzero(under_way & ~np.isnan(pose[:, 0]))

    def flow(self, robot: int) -> np.ndarray | None:
        """float32 [rows, cols, 2]: sum of the others' unit vectors along their ways; None when nobody else drives.

        No vector is longer than _MOST.
        """
        others = self._under_way[self._under_way != robot]
        if not others.size:
            return None
        flow = np.zeros((*self._lattice.clearance.shape, 2), np.float32)
        for other in others:
            _add(self._way(other), self._reach, flow)
        flow /= np.maximum(np.hypot(flow[..., :1], flow[..., 1:]) / _MOST, 1.0)
        return flow

    def _way(self, robot: int) -> np.ndarray:
        if robot not in self._ways:
            self._ways[robot] = way_of(self._fields[robot], *self._lattice.cell_of(self._pose[robot]))
        return self._ways[robot]


@njit(cache=True, nogil=True)
def _add(way, reach, flow):
    """Add the direction of a way, cells [k, 2] (row, col), to the flow [rows, cols, 2] within reach [cells] of it.

    Each cell gets the direction of the nearest cell of the way, once.
    """
    rows, cols = flow.shape[0], flow.shape[1]
    nearest = np.full((rows, cols), np.inf, np.float32)
    step = np.full((rows, cols), -1, np.int32)
    margin = math.ceil(reach)
    for k in range(way.shape[0]):
        row, col = way[k, 0], way[k, 1]
        for r in range(max(row - margin, 0), min(row + margin + 1, rows)):
            for c in range(max(col - margin, 0), min(col + margin + 1, cols)):
                distance = math.hypot(r - row, c - col)
                if distance <= reach and distance < nearest[r, c]:
                    nearest[r, c], step[r, c] = distance, k
    for r in range(rows):
        for c in range(cols):
            if step[r, c] < 0:
                continue
            behind, ahead = max(step[r, c] - _SPAN, 0), min(step[r, c] + _SPAN, way.shape[0] - 1)
            dy, dx = way[ahead, 0] - way[behind, 0], way[ahead, 1] - way[behind, 1]
            length = math.hypot(dx, dy)
            if length > 0.0:
                flow[r, c, 0] += dx / length
                flow[r, c, 1] += dy / length
