"""The occupancy grid of a site and how far every cell is from the nearest thing that is not free.

Arrays are [rows, cols] with row 0 at the lowest y; the centre of cell (row, col) lies at
``origin + (col + 0.5, row + 0.5) * resolution`` in the map frame (metres, x right, y up; REP-103).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from scipy import ndimage

FREE, OCCUPIED, UNKNOWN = 0, 100, -1  # as in nav_msgs/OccupancyGrid
SPECK = 0.02  # a free region is no floor when it is smaller than this share of the largest


class SiteError(ValueError):
    """A site that cannot be used; the message names the file, the field, its value and what to do."""


@dataclass(frozen=True, eq=False)
class OccupancyMap:
    """An axis-aligned occupancy grid in the map frame.

    cells: int8 [rows, cols], 0 free, 100 occupied, -1 unknown; row 0 has the lowest y.
    resolution: edge of a cell [m]. origin: (x, y) [m] of the lower left corner of cell (0, 0).
    """

    cells: np.ndarray
    resolution: float
    origin: tuple[float, float]

    def __post_init__(self):
        cells = np.ascontiguousarray(self.cells, dtype=np.int8)
        cells.flags.writeable = False
        object.__setattr__(self, "cells", cells)
        object.__setattr__(self, "resolution", float(self.resolution))
        object.__setattr__(self, "origin", (float(self.origin[0]), float(self.origin[1])))

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.cells.shape

    @property
    def size(self) -> tuple[float, float]:
        """Extent (x, y) [m]."""
        rows, cols = self.cells.shape
        return cols * self.resolution, rows * self.resolution

    @cached_property
    def free(self) -> np.ndarray:
        """bool [rows, cols]: known to be free. Unknown space is not."""
        free = self.cells == FREE
        free.flags.writeable = False
        return free

    def cell_of(self, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(row, col), int64 [...], of the cell that holds each point xy [..., 2] [m, map frame].

        Points off the map get indices off the grid (negative, or not below ``shape``); so do non-finite ones (-1, -1).
        """
        cell = np.floor((np.asarray(xy, dtype=float) - self.origin) / self.resolution)
        finite = np.isfinite(cell).all(axis=-1, keepdims=True)
        cell = np.where(finite, np.clip(cell, -(2.0**40), 2.0**40), -1.0).astype(np.int64)
        return cell[..., 1], cell[..., 0]

    def position_of(self, row: np.ndarray, col: np.ndarray) -> np.ndarray:
        """Centre xy [..., 2] [m, map frame] of each cell (row, col)."""
        centre = np.stack(np.broadcast_arrays(np.asarray(col, float), np.asarray(row, float)), axis=-1) + 0.5
        return centre * self.resolution + self.origin

    def contains(self, xy: np.ndarray) -> np.ndarray:
        """bool [...]: whether each point xy [..., 2] [m, map frame] lies on the grid."""
        row, col = self.cell_of(xy)
        return (row >= 0) & (row < self.cells.shape[0]) & (col >= 0) & (col < self.cells.shape[1])

    def without_margins(self, margin: float = 1.0) -> OccupancyMap:
        """The part of the map in which there is floor and a margin [m] around it, where that is less than half of it.

        Mapping tools save squares of 100 or 200 m a side of which a building fills a corner; everything that covers a
        site with bins or cells would spend them on nothing. Specks that are free, as a laser leaves them that looked
        out of a window, are no floor.
        """
        regions, _ = ndimage.label(self.free)
        sizes = np.bincount(regions.ravel())
        sizes[0] = 0  # what is not free
        if not sizes.any():
            return self
        floor = (sizes >= SPECK * sizes.max())[regions]
        rows, cols = (np.flatnonzero(floor.any(axis=axis)) for axis in (1, 0))
        reach = math.ceil(margin / self.resolution)
        low = [max(0, int(found[0]) - reach) for found in (rows, cols)]
        high = [int(found[-1]) + reach + 1 for found in (rows, cols)]
        part = self.cells[low[0] : high[0], low[1] : high[1]]
        if 2 * part.size >= self.cells.size:
            return self
        x, y = (self.origin[axis] + low[1 - axis] * self.resolution for axis in (0, 1))
        return OccupancyMap(part, self.resolution, (x, y))


@njit(cache=True, nogil=True)
def _takes_over(i, level_i, u, level_u):  # pragma: no cover
    """First column from which the blocked cell of column u > i is nearer than that of column i, in one row of cells.

    The squared distance from column x to a column's blocked cell is gap(x)^2 + level, where gap is the distance
    from x to the square of the column; its three branches (left of both, between, right of both) are parabolas.
    """
    apart = u - i
    if level_u > (apart - 0.5) ** 2 + level_i:  # even at u the other is nearer
        return max(u + 1, math.ceil((apart * (u + i + 1.0) + level_u - level_i) / (2.0 * apart)))
    if (apart - 0.5) ** 2 + level_u <= level_i:  # nearer already at i
        return min(i, math.ceil((apart * (u + i - 1.0) + level_u - level_i) / (2.0 * apart)))
    if apart == 1:
        return u
    between = ((u - 0.5) ** 2 - (i + 0.5) ** 2 + level_u - level_i) / (2.0 * (apart - 1))
    return min(max(math.ceil(between), i + 1), u)


@njit(cache=True, nogil=True)
def _distance_to_blocked(free):  # pragma: no cover
    """Distance [cells], float32 [rows, cols], from each cell's centre to the nearest square that is not free.

    Exact, in time linear in the number of cells: first along columns, then the lower envelope along rows (Meijster,
    Roerdink and Hesselink, 2000). What lies outside the grid is not free.
    """
    rows, cols = free.shape
    steps = np.empty((rows, cols), np.int32)  # cells to the nearest blocked one of the column
    for col in range(cols):
        steps[0, col] = 1 if free[0, col] else 0
    for row in range(1, rows):
        for col in range(cols):
            steps[row, col] = steps[row - 1, col] + 1 if free[row, col] else 0
    for col in range(cols):
        steps[rows - 1, col] = min(steps[rows - 1, col], 1)
    for row in range(rows - 2, -1, -1):
        for col in range(cols):
            steps[row, col] = min(steps[row, col], steps[row + 1, col] + 1)

    distance = np.empty((rows, cols), np.float32)
    column = np.empty(cols + 2, np.int64)  # columns on the lower envelope, their levels and where each begins
    level = np.empty(cols + 2)
    begin = np.empty(cols + 2, np.int64)
    for row in range(rows):
        column[0], level[0], begin[0] = -1, 0.0, -1
        top = 0
        for u in range(cols + 1):
            level_u = max(steps[row, u] - 0.5, 0.0) ** 2 if u < cols else 0.0
            start = _takes_over(column[top], level[top], u, level_u)
            while top > 0 and start <= begin[top]:
                top -= 1
                start = _takes_over(column[top], level[top], u, level_u)
            if start <= cols:
                top += 1
                column[top], level[top], begin[top] = u, level_u, start
        for col in range(cols - 1, -1, -1):
            while begin[top] > col:
                top -= 1
            gap = max(abs(col - column[top]) - 0.5, 0.0)
            distance[row, col] = math.sqrt(gap * gap + level[top])
    return distance


def clearance_of(grid: OccupancyMap) -> np.ndarray:
    """Distance [m] from each cell's centre to the edge of the nearest cell that is not free or of the map's border.

    float32 [rows, cols]; 0 where the cell itself is not free. It is the distance to the cell's square, not to its
    centre: a disc of radius r fits exactly where the clearance is at least r.
    """
    clearance = _distance_to_blocked(grid.free)
    clearance *= np.float32(grid.resolution)
    clearance.flags.writeable = False
    return clearance
