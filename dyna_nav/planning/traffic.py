"""Which way the others drive: their ways as a flow that it costs to drive against.

Robots that meet head-on in an aisle lose more than a way around costs them, and each looks only a second ahead. A
price on driving against the ways of the others, in the potential itself, has them choose another aisle, or another side
of a wide one, before they meet, and lanes form by themselves (contraflow cost: Chen, Harabor, Li and Stuckey, Traffic
flow optimisation for lifelong multi-agent path finding, AAAI 2024).

Two that meet must not both dodge to the same side. Where an aisle holds two, everybody is therefore taken to drive in
its right half, wherever in it the way leads: who keeps clear of that drives in its own right half.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from dyna_nav.planning.lattice import Lattice
from dyna_nav.planning.ways import nearest, way_of

_BESIDE = 1.1  # who passes another nearer than this many diameters, from middle to middle, hinders it
_MOST = 2.0  # robots that come towards one make driving there dearer, further ones no more: no gap is worth it
_SPAN = 4  # cells before and behind from which the direction of a way is taken: single steps are coarse
_GAP = 0.3  # between two that pass each other in an aisle, where it is wide enough for that [m]
_EDGE = 0.3  # over which driving grows dearer beside a lane: a sharp edge would fall on this cell or on that [m]
_FORESIGHT = 12.0  # length of a robot's way on which it looks for others that it will meet [m]


class Traffic:
    """Where everybody is and drives to, as of this cycle; ways are followed only when somebody asks."""

    def __init__(self, lattice: Lattice, radius: float):
        """radius of a robot [m]."""
        self._lattice, self._radius = lattice, radius / lattice.resolution
        self._gap, self._edge = _GAP / lattice.resolution, _EDGE / lattice.resolution
        self._foresight = round(_FORESIGHT / lattice.resolution)
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

    def others(self, robot: int) -> set[int]:
        """Who else is under way: those whose ways are in the flow."""
        return set(self._under_way[self._under_way != robot].tolist())

    def flow(self, robot: int) -> np.ndarray | None:
        """float32 [rows, cols, 2]: sum of the others' unit vectors along their ways; None when nobody else drives.

        No vector is longer than _MOST.
        """
        others = self.others(robot)
        if not others:
            return None
        flow = np.zeros((*self._lattice.clearance.shape, 2), np.float32)
        for other in others:
            way = self._way(other)
            lane = _lane(way, self._lattice.clearance, self._lattice.radius, self._radius, self._gap)
            _add(way, *lane, self._edge, flow)
        flow /= np.maximum(np.hypot(flow[..., :1], flow[..., 1:]) / _MOST, 1.0)
        return flow

    def meets(self, robot: int) -> set[int]:
        """Whom a robot that is under way will meet head-on before long, if all are as fast as each other."""
        if robot not in self._under_way:
            return set()
        way = self._way(robot)[: self._foresight]
        return {other for other in self.others(robot) if self._comes_towards(way, self._way(other))}

    def _comes_towards(self, way: np.ndarray, theirs: np.ndarray) -> bool:
        """Whether the other one is still there, on its way [m, 2] back along a way [k, 2], when the robot comes."""
        gap, there = nearest(way, theirs[: self._foresight])
        here = np.flatnonzero(gap <= 2.0 * _BESIDE * self._radius)
        if not here.size or there[here[-1]] >= there[here[0]]:
            return False  # apart, across, or in the same direction
        return here[0] <= there[here[0]] and here[-1] >= there[here[-1]]

    def _way(self, robot: int) -> np.ndarray:
        if robot not in self._ways:
            self._ways[robot] = way_of(self._fields[robot], *self._lattice.cell_of(self._pose[robot]))
        return self._ways[robot]


@njit(cache=True, nogil=True)
def _lane(way, clearance, least, radius, gap):
    """The lane of a way, cells [k, 2] (row, col): its middle [k, 2] and its reach to either side [k], in cells.

    Where two robots of a radius fit beside each other, with a gap where there is room for one (both in cells), that is
    the way, moved to the right as far as the right one of two; elsewhere the way itself. clearance [rows, cols] of the
    lattice; a robot's middle needs at least so much of it (both [m]).
    """
    rows, cols = clearance.shape
    middle, reach = way.astype(np.float64), np.full(way.shape[0], 2.0 * _BESIDE * radius)
    room = np.empty(2)
    for k in range(way.shape[0]):
        dy, dx = _direction(way, k)
        for side in range(2):  # to the right, to the left
            y, x = (-dx, dy) if side == 0 else (dx, -dy)
            room[side] = 0.0
            while room[side] < 4.0 * radius:
                out = room[side] + 0.5
                r, c = math.floor(way[k, 0] + out * y + 0.5), math.floor(way[k, 1] + out * x + 0.5)
                if r < 0 or c < 0 or r >= rows or c >= cols or clearance[r, c] < least:
                    break
                room[side] = out
        width = room[0] + room[1]  # that a robot's middle can have
        if width >= 2.0 * radius:
            # what two leave free is shared by the gap between them and those to the walls
            beside = min(radius + (width - 2.0 * radius) / 6.0, radius + 0.5 * gap)  # from the middle of the aisle
            right = max(0.5 * (room[0] - room[1]) + beside, 0.0)
            middle[k, 0] -= right * dx
            middle[k, 1] += right * dy
            reach[k] = 2.0 * beside
    return middle, reach


@njit(cache=True, nogil=True)
def _add(way, middle, reach, edge, flow):
    """Add the direction of a way, cells [k, 2] (row, col), to the flow [rows, cols, 2] within its lane.

    middle [k, 2] and reach [k] of the lane, and the width of its edge, in cells. Each cell gets the direction of the
    nearest part, once, and on the edge a share of it.
    """
    rows, cols = flow.shape[0], flow.shape[1]
    nearest = np.full((rows, cols), np.inf, np.float32)
    step = np.full((rows, cols), -1, np.int32)
    for k in range(way.shape[0]):
        row, col = middle[k, 0], middle[k, 1]
        for r in range(max(math.ceil(row - reach[k]), 0), min(math.floor(row + reach[k]) + 1, rows)):
            for c in range(max(math.ceil(col - reach[k]), 0), min(math.floor(col + reach[k]) + 1, cols)):
                distance = math.hypot(r - row, c - col)
                if distance < reach[k] and distance < nearest[r, c]:
                    nearest[r, c], step[r, c] = distance, k
    for r in range(rows):
        for c in range(cols):
            if step[r, c] >= 0:
                dy, dx = _direction(way, step[r, c])
                share = min((reach[step[r, c]] - nearest[r, c]) / edge, 1.0)
                flow[r, c, 0] += share * dx
                flow[r, c, 1] += share * dy


@njit(cache=True, nogil=True)
def _direction(way, k):
    """Unit vector (rows, cols) along a way, cells [k, 2], at its k-th; zero where it does not move."""
    behind, ahead = max(k - _SPAN, 0), min(k + _SPAN, way.shape[0] - 1)
    dy, dx = way[ahead, 0] - way[behind, 0], way[ahead, 1] - way[behind, 1]
    length = math.hypot(dx, dy)
    return (dy / length, dx / length) if length > 0.0 else (0.0, 0.0)
