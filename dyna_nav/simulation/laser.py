"""A planar laser: rays through the grid of the map, against discs (robots, people) and against boxes (pallets).

The grid is walked in leaps of the map's clearance where it is open and from cell edge to cell edge near walls, so a
range is exact for the same boxes that the physics collides with.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


def leap_grid(clearance: np.ndarray, resolution: float) -> np.ndarray:
    """How many cell edges [rows, cols] (uint8) any point of a cell may move safely, plus one; 0: a solid cell.

    clearance [rows, cols]: distance [m] from the cell's centre to the nearest solid cell, 0 in solid cells.
    """
    # A point may lie half a diagonal from its cell's centre, and clearance may be too large by a fifth of a cell.
    leap = np.clip(np.floor(clearance / resolution - 0.95), 0, 254) + 1
    return np.where(clearance > 0, leap, 0).astype(np.uint8)


@njit(cache=True, nogil=True)
def cast(poses, angles, reach, leaps, resolution, x0, y0, radius, boxes, discs, ranges):
    """Fill ranges [n, beams] (metres; inf beyond reach) as seen from the centres of n robots.

    poses [n, 3] (x, y, yaw), angles [beams] to the heading; leaps of leap_grid with its lower left corner at x0, y0;
    radius of the other robots; boxes [m, 5] (x, y, yaw, half length, half width); discs [k, 3] (x, y, radius). A robot
    does not see itself.
    """
    n, beams = ranges.shape
    for i in range(n):
        px, py, yaw = poses[i]
        for k in range(beams):
            ux, uy = math.cos(yaw + angles[k]), math.sin(yaw + angles[k])
            hit = reach
            for j in range(n):
                if j != i:
                    hit = _to_disc(poses[j, 0] - px, poses[j, 1] - py, radius, ux, uy, hit)
            for j in range(discs.shape[0]):
                hit = _to_disc(discs[j, 0] - px, discs[j, 1] - py, discs[j, 2], ux, uy, hit)
            for j in range(boxes.shape[0]):
                hit = min(hit, _to_box(px, py, ux, uy, boxes[j]))
            hit = resolution * _to_cell((px - x0) / resolution, (py - y0) / resolution, ux, uy, hit / resolution, leaps)
            ranges[i, k] = hit if hit < reach else np.inf


@njit(cache=True, nogil=True)
def _to_disc(dx, dy, radius, ux, uy, reach):
    """Distance along the ray to a disc at (dx, dy) from its beginning (0: inside), at most reach."""
    along = dx * ux + dy * uy
    if along <= 0.0 or along - radius > reach:
        return reach
    inside = radius * radius - (dx * uy - dy * ux) ** 2
    if inside <= 0.0:
        return reach
    return min(reach, max(0.0, along - math.sqrt(inside)))


@njit(cache=True, nogil=True)
def _to_cell(gx, gy, ux, uy, reach, leaps):
    """Distance along the ray to the first solid cell or the grid's border, at most reach; all in cell edges."""
    rows, cols = leaps.shape
    side_x = 1.0 / abs(ux) if abs(ux) > 1e-12 else 1e12  # from one cell edge to the next
    side_y = 1.0 / abs(uy) if abs(uy) > 1e-12 else 1e12
    col_step, row_step = (1 if ux > 0.0 else -1), (1 if uy > 0.0 else -1)
    distance = 0.0
    while distance < reach:
        x, y = gx + distance * ux, gy + distance * uy
        col, row = math.floor(x), math.floor(y)
        next_x = distance + (col + 1 - x if ux > 0.0 else x - col) * side_x
        next_y = distance + (row + 1 - y if uy > 0.0 else y - row) * side_y
        while distance < reach:  # from cell to cell, until there is room to leap
            if row < 0 or col < 0 or row >= rows or col >= cols:
                return distance
            leap = leaps[row, col]
            if leap == 0:
                return distance
            if leap > 4:
                distance += leap - 1
                break
            if next_x < next_y:
                distance, next_x, col = next_x, next_x + side_x, col + col_step
            else:
                distance, next_y, row = next_y, next_y + side_y, row + row_step
    return reach


@njit(cache=True, nogil=True)
def _to_box(px, py, ux, uy, box):
    """Distance along the ray to a turned box (inf: missed; 0: inside)."""
    c, s = math.cos(box[2]), math.sin(box[2])
    dx, dy = px - box[0], py - box[1]
    near, far = 0.0, np.inf
    for p, u, half in (
        (c * dx + s * dy, c * ux + s * uy, box[3]),
        (c * dy - s * dx, c * uy - s * ux, box[4]),
    ):
        if abs(u) < 1e-12:
            if abs(p) > half:
                return np.inf
        else:
            a, b = (-half - p) / u, (half - p) / u
            near, far = max(near, min(a, b)), min(far, max(a, b))
    return near if near <= far else np.inf
