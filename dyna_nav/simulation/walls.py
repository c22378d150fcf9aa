"""Solid cells of a map as few boxes: what the physics collides with and the laser's grid sees is the same shape.

MuJoCo visits every box in every step, however far from the robots it lies, so their number is what a noisy SLAM map
costs.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.ndimage import distance_transform_edt

from dyna_nav.site import Site

REACH = 0.15  # how much farther than its radius a robot may reach by pressing into a wall [m]


def touchable_cells(site: Site, radius: float) -> np.ndarray:
    """Solid cells [rows, cols] (bool) that a disc of this radius [m] can touch from somewhere where it fits.

    Unknown cells are solid.
    """
    cells = site.map.cells
    fits = site.clearance >= radius - REACH
    if not fits.any():
        return np.zeros(cells.shape, bool)
    return (cells != 0) & (distance_transform_edt(~fits) * site.map.resolution <= radius + REACH)


def wall_boxes(site: Site, radius: float) -> np.ndarray:
    """Boxes [boxes, 4] (centre x, y, half width, half depth; metres, map frame) of all that a robot can touch.

    They hold every touchable cell beside free space and no free cell. They may overlap, and what lies inside walls
    or in corners too narrow for the robot's radius [m] is left out: both keep their number small. Four more boxes bound
    the map itself.
    """
    occupancy = site.map
    resolution = occupancy.resolution
    solid = np.ascontiguousarray(occupancy.cells != 0)
    spans = _cover(solid, touchable_cells(site, radius)).astype(float)  # first row, first col, row after, col after
    low = np.stack([spans[:, 1], spans[:, 0]], axis=1) * resolution + occupancy.origin
    high = np.stack([spans[:, 3], spans[:, 2]], axis=1) * resolution + occupancy.origin
    rows, cols = occupancy.cells.shape
    x0, y0 = occupancy.origin
    width, depth, thick = cols * resolution, rows * resolution, 0.5
    border = np.array(
        [
            [x0 - thick, y0 - thick, x0, y0 + depth + thick],
            [x0 + width, y0 - thick, x0 + width + thick, y0 + depth + thick],
            [x0, y0 - thick, x0 + width, y0],
            [x0, y0 + depth, x0 + width, y0 + depth + thick],
        ]
    )
    corners = np.concatenate([np.concatenate([low, high], axis=1), border])
    return np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, (corners[:, 2:] - corners[:, :2]) / 2], axis=1)


@njit(cache=True)
def _cover(solid, wanted):
    """Rectangles [n, 4] of solid cells that together hold every wanted cell beside a free one (greedy)."""
    rows, cols = solid.shape
    todo = np.zeros(solid.shape, np.bool_)
    for row in range(rows):
        for col in range(cols):
            if wanted[row, col]:
                for dr in range(-1, 2):
                    for dc in range(-1, 2):
                        r, c = row + dr, col + dc
                        if 0 <= r < rows and 0 <= c < cols and not solid[r, c]:
                            todo[row, col] = True
    found = []
    for row in range(rows):
        for col in range(cols):
            if not todo[row, col]:
                continue
            best = (row, col, row + 1, col + 1)
            for wide_first in (True, False):
                top, right = row + 1, col + 1
                for pass_ in range(2):
                    if wide_first == (pass_ == 0):
                        while right < cols and solid[row:top, right].all():
                            right += 1
                    else:
                        while top < rows and solid[top, col:right].all():
                            top += 1
                if (top - row) * (right - col) > (best[2] - row) * (best[3] - col):
                    best = (row, col, top, right)
            todo[row : best[2], col : best[3]] = False
            found.append(best)
    spans = np.empty((len(found), 4), np.int64)
    for k in range(len(found)):
        spans[k] = found[k]
    return spans
