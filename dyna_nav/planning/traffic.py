"""Which way the others drive: their ways as a flow that it costs to drive against.

Robots that meet head-on in an aisle lose more than a way around costs them, and each looks only a second ahead. A
price on driving against the ways of the others, in the potential itself, has them choose another aisle before they meet
(contraflow cost: Chen, Harabor, Li and Stuckey, Traffic flow optimisation for lifelong multi-agent path finding, AAAI
2024).

Two that meet must not both dodge to the same side. Where an aisle holds two, everybody is therefore taken to drive in
its right half: who keeps clear of that drives in its own right half.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from dyna_nav.planning.lattice import Lattice
from dyna_nav.planning.potential import UNREACHABLE
from dyna_nav.planning.ways import stretches, way_of

_BESIDE = 1.1  # who passes another nearer than this many diameters, from middle to middle, hinders it
_MOST = 2.0  # robots that come towards one make driving there dearer, further ones no more: no gap is worth it
_SPAN = 0.8  # before and behind, from which the direction of a way is taken: single steps are coarse [m]
_GAP = 0.3  # between two that pass each other in an aisle, where it is wide enough for that [m]
_EDGE = 0.3  # over which driving grows dearer beside a lane: a sharp edge would fall on this cell or on that [m]
_VEER = 0.5  # of its way a robot moves aside at most: who stands on the left is not in the right half at once
_HALL = 8.0  # radii of room on a side from which on there is no aisle
_FORESIGHT = 12.0  # length of a robot's way on which it looks for others that it will meet [m]


class Traffic:
    """Where everybody is and drives to, as of this cycle; ways are followed only when somebody asks."""

    def __init__(self, lattice: Lattice, radius: float, gap: float):
        """radius of a robot; gap without which two do not pass each other, and an aisle is one lane [m]."""
        cells = 1.0 / lattice.resolution
        self._lattice, self._radius, self._foresight = lattice, radius * cells, round(_FORESIGHT * cells)
        self._holds_two = lattice.holds_two(radius, gap)
        self._gap, self._edge, self._span = max(gap, _GAP) * cells, _EDGE * cells, max(1, round(_SPAN * cells))
        shape = lattice.clearance.shape
        self._scratch = (
            np.full(shape, np.inf, np.float32),
            np.zeros(shape, np.int32),
            np.zeros(shape[0] * shape[1], int),
        )
        self._ways: dict[int, np.ndarray] = {}
        self._lanes: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._pose, self._fields = np.empty((0, 3)), np.empty(0)
        self._under_way: list[int] = []

    def update(self, pose: np.ndarray, fields: np.ndarray, under_way: np.ndarray) -> None:
        """Take in where the robots are: pose [robots, 3] (map frame; NaN: unknown).

        fields [robots, rows, cols, headings]: the potential that each follows; under_way bool [robots]: has one, has
        not arrived, and will drive.
        """
        self._ways.clear()
        self._lanes.clear()
        self._pose, self._fields = pose, fields
        self._under_way = np.flatnonzero(under_way & ~np.isnan(pose[:, 0])).tolist()

    def forget(self, robot: int) -> None:
        """A robot follows another potential than when the others last asked."""
        self._ways.pop(robot, None)
        self._lanes.pop(robot, None)

    def others(self, robot: int) -> set[int]:
        """Who else is under way: those whose ways are in the flow."""
        return {other for other in self._under_way if other != robot}

    def flow(self, robot: int) -> np.ndarray | None:
        """float32 [rows, cols, 2]: sum (x, y) of the others' unit vectors along their ways; None when nobody is there.

        No vector is longer than _MOST.
        """
        others = self.others(robot)
        if not others:
            return None
        flow = np.zeros((*self._lattice.clearance.shape, 2), np.float32)
        for other in others:
            _add(*self._lane(other), flow)
        for other in others:
            _bound(self._lane(other)[0], _MOST, flow)
        return flow

    def meets(self, robot: int) -> set[int]:
        """Whom a robot that is under way will meet head-on before long, if all are as fast as each other."""
        if robot not in self._under_way:
            return set()
        way = self._way(robot)[: self._foresight]
        return {other for other in self.others(robot) if self._comes_towards(way, self._way(other))}

    def _comes_towards(self, way: np.ndarray, theirs: np.ndarray) -> bool:
        """Whether another one, on its way, cells [m, 2], drives back along a way [k, 2] while the robot drives there.

        Of a stretch that both have before them the robot comes to its beginning sooner, the other one to its end.
        """
        beside = stretches(way, theirs[: self._foresight], 2.0 * _BESIDE * self._radius)
        return any(
            there[-1] < there[0] and here[0] <= there[0] and here[-1] >= there[-1]  # neither has passed the other
            for here, there in beside
        )

    def _way(self, robot: int) -> np.ndarray:
        if robot not in self._ways:
            self._ways[robot] = way_of(self._fields[robot], *self._lattice.cell_of(self._pose[robot]))
        return self._ways[robot]

    def _lane(self, robot: int) -> tuple[np.ndarray, np.ndarray]:
        """A robot's lane: its cells [m, 2] (row, col) and the vector (x, y) in each of them [m, 2]."""
        if robot not in self._lanes:
            way, field = self._way(robot), self._fields[robot]
            lane = _keep_right(way, field, self._holds_two, self._radius, self._gap, self._span)
            self._lanes[robot] = _lane_of(way, *lane, self._edge, self._span, *self._scratch)
        return self._lanes[robot]


@njit(cache=True, nogil=True)
def _keep_right(way, field, holds_two, radius, gap, span):
    """The middle of the lane of a way, cells [k, 2] (row, col), at each of them [k, 2] and its reach to the sides [k].

    That is the way itself, or where two robots of a radius fit beside each other, with a gap between them where there
    is room for one, the right half of what they have. All in cells. field [rows, cols, headings]: the potential whose
    way it is, it knows where a robot fits; holds_two bool [rows, cols]: the map has room for two around there.
    """
    rows, cols, headings = field.shape
    count = way.shape[0]
    middle, reach = way.astype(np.float64), np.full(count, 2.0 * _BESIDE * radius)
    room = np.empty(2)  # to the right and to the left
    for k in range(count):
        dy, dx = _direction(way, k, span)
        two = holds_two[way[k, 0], way[k, 1]]
        for side in range(2):
            y, x = (-dx, dy) if side == 0 else (dx, -dy)
            out = 0
            while out < _HALL * radius:
                r, c = math.floor(way[k, 0] + (out + 1) * y + 0.5), math.floor(way[k, 1] + (out + 1) * x + 0.5)
                if r < 0 or c < 0 or r >= rows or c >= cols:
                    break
                least = np.inf
                for h in range(headings):
                    least = min(least, field[r, c, h])
                if least >= UNREACHABLE:
                    break
                out += 1
                two = two or holds_two[r, c]
            room[side] = out
        width = room[0] + room[1]  # that the middle of a robot has
        if not two or width < 2.0 * radius:
            continue
        # What two leave free is shared by the gap between them and those to the walls.
        beside = min(radius + (width - 2.0 * radius) / 6.0, radius + 0.5 * gap)  # from the middle of the aisle
        to_middle = 0.5 * (room[0] - room[1]) if max(room[0], room[1]) < _HALL * radius else 0.0
        right = min(max(to_middle + beside, 0.0), room[0], 1.5 * beside, _VEER * k, _VEER * (count - 1 - k))
        middle[k, 0] -= right * dx
        middle[k, 1] += right * dy
        reach[k] = 2.0 * beside
    return middle, reach


@njit(cache=True, nogil=True)
def _lane_of(way, middle, reach, edge, span, apart, part, touched):
    """Cells [m, 2] (row, col) of a lane and the direction (x, y) of its way in each of them [m, 2], float32.

    way [k, 2]; middle [k, 2] and reach [k] of the lane (:func:`_keep_right`) and the width of its edge, in cells. A
    cell has the direction of the nearest part; towards the edge of the lane the vectors grow shorter. apart, part
    and touched, of as many elements as the lattice has cells, are room to work in; apart is all inf, and left so.
    """
    rows, cols = apart.shape
    count = 0
    for k in range(way.shape[0]):
        row, col = middle[k, 0], middle[k, 1]
        for r in range(max(math.ceil(row - reach[k]), 0), min(math.floor(row + reach[k]) + 1, rows)):
            for c in range(max(math.ceil(col - reach[k]), 0), min(math.floor(col + reach[k]) + 1, cols)):
                distance = math.hypot(r - row, c - col)
                if distance < reach[k] and distance < apart[r, c]:
                    if apart[r, c] == np.inf:
                        touched[count] = r * cols + c
                        count += 1
                    apart[r, c], part[r, c] = distance, k
    cells, vectors = np.empty((count, 2), np.int64), np.empty((count, 2), np.float32)
    for i in range(count):
        r, c = touched[i] // cols, touched[i] % cols
        k = part[r, c]
        dy, dx = _direction(way, k, span)
        share = min((reach[k] - apart[r, c]) / min(edge, 0.5 * reach[k]), 1.0)
        cells[i, 0], cells[i, 1] = r, c
        vectors[i, 0], vectors[i, 1] = share * dx, share * dy
        apart[r, c] = np.inf
    return cells, vectors


@njit(cache=True, nogil=True)
def _add(cells, vectors, flow):
    """Add vectors [m, 2] to the flow [rows, cols, 2] in some of its cells [m, 2] (row, col)."""
    for i in range(cells.shape[0]):
        flow[cells[i, 0], cells[i, 1], 0] += vectors[i, 0]
        flow[cells[i, 0], cells[i, 1], 1] += vectors[i, 1]


@njit(cache=True, nogil=True)
def _bound(cells, longest, flow):
    """Shorten the vectors of a flow [rows, cols, 2] in some cells [m, 2] (row, col) that are longer than that."""
    for i in range(cells.shape[0]):
        vector = flow[cells[i, 0], cells[i, 1]]
        length = math.hypot(vector[0], vector[1])
        if length > longest:
            vector *= np.float32(longest / length)


@njit(cache=True, nogil=True)
def _direction(way, k, span):
    """Unit vector (rows, cols) along a way, cells [k, 2], over a span of cells around its k-th; zero for one cell."""
    behind, ahead = max(k - span, 0), min(k + span, way.shape[0] - 1)
    dy, dx = way[ahead, 0] - way[behind, 0], way[ahead, 1] - way[behind, 1]
    length = math.hypot(dx, dy)
    return (dy / length, dx / length) if length > 0.0 else (0.0, 0.0)
