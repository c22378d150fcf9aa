"""A planar laser: rays through the grid of the map, against discs (robots) and against boxes (pallets).

The grid is walked in leaps of the map's clearance where it is open and from cell edge to cell edge near walls, so a
range is exact for the same boxes that the physics collides with.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def cast(poses, angles, reach, solid, leap, resolution, x0, y0, radius, boxes, ranges):
    """Fill ranges [n, beams] (metres; inf beyond reach) as seen from the centres of n robots.

    poses [n, 3] (x, y, yaw), angles [beams] against the heading; solid [rows, cols] with leap [rows, cols] (metres that
    any point of the cell may move without touching a solid cell); radius of the other robots; boxes [m, 5] (x, y, yaw,
    half length, half width). A robot does not see itself.
    """
    rows, cols = solid.shape
    n, beams = ranges.shape
    nudge = 1e-6 * resolution
    for i in range(n):
        px, py, yaw = poses[i]
        for k in range(beams):
            ux, uy = math.cos(yaw + angles[k]), math.sin(yaw + angles[k])
            hit = reach
            for j in range(n):
                if j == i:
                    continue
                dx, dy = poses[j, 0] - px, poses[j, 1] - py
                along = dx * ux + dy * uy
                if along <= 0.0 or along - radius > hit:
                    continue
                inside = radius * radius - (dx * uy - dy * ux) ** 2
                if inside > 0.0:
                    hit = min(hit, max(0.0, along - math.sqrt(inside)))
            for j in range(boxes.shape[0]):
                hit = min(hit, _to_box(px, py, ux, uy, boxes[j]))
            distance = 0.0
            while distance < hit:
                gx = (px + distance * ux - x0) / resolution
                gy = (py + distance * uy - y0) / resolution
                col, row = math.floor(gx), math.floor(gy)
                if row < 0 or col < 0 or row >= rows or col >= cols or solid[row, col]:
                    break
                step = leap[row, col]
                if step < resolution:
                    step = 2.0 * resolution
                    if ux > 0.0:
                        step = min(step, (col + 1 - gx) * resolution / ux)
                    elif ux < 0.0:
                        step = min(step, (col - gx) * resolution / ux)
                    if uy > 0.0:
                        step = min(step, (row + 1 - gy) * resolution / uy)
                    elif uy < 0.0:
                        step = min(step, (row - gy) * resolution / uy)
                    step += nudge
                distance += step
            distance = min(distance, hit)
            ranges[i, k] = distance if distance < reach else np.inf


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
