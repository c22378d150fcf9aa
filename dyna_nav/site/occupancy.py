"""The occupancy grid of a site and how far every cell is from the nearest thing that is not free.

Arrays are [rows, cols] with row 0 at the lowest y; the centre of cell (row, col) lies at
``origin + (col + 0.5, row + 0.5) * resolution`` in the map frame (metres, x right, y up; REP-103).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_edt

FREE, OCCUPIED, UNKNOWN = 0, 100, -1  # as in nav_msgs/OccupancyGrid


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


def clearance_of(grid: OccupancyMap) -> np.ndarray:
    """Distance [m] from each cell's centre to the edge of the nearest cell that is not free or of the map's border.

    float32 [rows, cols]; 0 where the cell itself is not free. The nearest cell is found by its centre, the
    distance is to its square, so that a disc of radius r fits where the clearance is at least r.
    """
    padded = np.pad(grid.free, 1, constant_values=False)
    nearest = distance_transform_edt(padded, return_distances=False, return_indices=True)
    rows, cols = padded.shape
    gap = nearest[0].astype(np.float32) - np.arange(rows, dtype=np.float32)[:, None]
    squared = np.maximum(np.abs(gap) - 0.5, 0.0) ** 2
    gap = nearest[1].astype(np.float32) - np.arange(cols, dtype=np.float32)
    squared += np.maximum(np.abs(gap) - 0.5, 0.0) ** 2
    clearance = np.sqrt(squared[1:-1, 1:-1]) * np.float32(grid.resolution)
    clearance.flags.writeable = False
    return clearance
