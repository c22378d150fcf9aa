"""From cells to something to drive: shortcuts at any angle, smoothing, and the speed that each bend allows.

Shortcuts are the line-of-sight test of Theta* (Nash et al., AAAI 2007) on costs, applied after the search; smoothing is
the gradient descent of Thrun's path smoother, as in Nav2's smoother server, kept off obstacles; the speed profile is
the usual forward-looking one: no faster than the next bends and the braking distance to them allow.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from dyna_nav.planning.obstacles import clearance_at

SPACING = 0.1  # between two points of a path [m]
_ASIDE = 0.3  # share of the room that a point lacks by which it moves aside in each round of smoothing


@njit(cache=True, nogil=True)
def line_cost(cost, row_a, col_a, row_b, col_b):
    """Cost [cells] of the straight line between two cells (row, col; whole numbers are centres); inf across lethal."""
    length = math.hypot(row_b - row_a, col_b - col_a)
    pieces = max(1, int(math.ceil(2.0 * length)))  # noqa: RUF046 (floats in numba)
    total = 0.0
    for k in range(pieces + 1):
        share = k / pieces
        value = cost[int(row_a + share * (row_b - row_a) + 0.5), int(col_a + share * (col_b - col_a) + 0.5)]
        if value == np.inf:
            return np.inf
        total += value if 0 < k < pieces else 0.5 * value
    return total * length / pieces


@njit(cache=True, nogil=True)
def shortcut(cost, cells, reach):
    """Corners [m, 2] (row, col) of a path [k, 2] after replacing stretches by straight lines that cost no more.

    reach: cells that one line may replace at most.
    """
    count = cells.shape[0]
    along = np.zeros(count)
    for k in range(1, count):
        along[k] = along[k - 1] + line_cost(cost, cells[k - 1, 0], cells[k - 1, 1], cells[k, 0], cells[k, 1])
    corners = np.empty((count, 2), np.float64)
    corners[0, 0], corners[0, 1] = cells[0, 0], cells[0, 1]
    kept, k = 1, 0
    while k < count - 1:
        best = k + 1
        for other in range(min(count - 1, k + reach), k + 1, -1):
            straight = line_cost(cost, cells[k, 0], cells[k, 1], cells[other, 0], cells[other, 1])
            if straight <= along[other] - along[k] + 1e-6:
                best = other
                break
        k = best
        corners[kept, 0], corners[kept, 1] = cells[k, 0], cells[k, 1]
        kept += 1
    return corners[:kept]


def resample(corners: np.ndarray) -> np.ndarray:
    """Points [k, 2] about SPACING apart along a polyline [m, 2] [m]; ends included, k >= 2."""
    lengths = np.hypot(*np.diff(corners, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    steps = np.linspace(0.0, along[-1], max(2, math.ceil(along[-1] / SPACING) + 1))
    return np.stack([np.interp(steps, along, corners[:, 0]), np.interp(steps, along, corners[:, 1])], axis=1)


@njit(cache=True, nogil=True)
def uphill(field, origin_x, origin_y, resolution, x, y, step):
    """Unit vector at x, y towards more clearance, by differences over a step [m] to all sides; 0, 0 on a ridge."""
    dx = clearance_at(field, origin_x, origin_y, resolution, x + step, y)
    dx -= clearance_at(field, origin_x, origin_y, resolution, x - step, y)
    dy = clearance_at(field, origin_x, origin_y, resolution, x, y + step)
    dy -= clearance_at(field, origin_x, origin_y, resolution, x, y - step)
    steep = max(math.hypot(dx, dy), 1e-6)
    return dx / steep, dy / steep


@njit(cache=True, nogil=True)
def smooth(points, cost, geometry, field, resolution, room, rounds):
    """Round the corners of a path [k, 2] [m] and keep to the middle where it is tight, in place.

    A point moves only where it stays clear and not lethal. cost with geometry (origin x, y, cell): lethal cells are
    inf. field: clearance of the static map with its resolution [m]; a point keeps ``room`` [m] of it, or what it has.
    """
    origin_x, origin_y, cell = geometry
    count = points.shape[0]
    for _ in range(rounds):
        for k in range(1, count - 1):
            x = 0.5 * points[k, 0] + 0.25 * (points[k - 1, 0] + points[k + 1, 0])
            y = 0.5 * points[k, 1] + 0.25 * (points[k - 1, 1] + points[k + 1, 1])
            # Second differences of the second difference: bends spread, straights stay.
            if 2 <= k < count - 2:
                x -= 0.1 * (points[k - 2, 0] - 4 * points[k - 1, 0] + 6 * points[k, 0]
                            - 4 * points[k + 1, 0] + points[k + 2, 0])  # fmt: skip
                y -= 0.1 * (points[k - 2, 1] - 4 * points[k - 1, 1] + 6 * points[k, 1]
                            - 4 * points[k + 1, 1] + points[k + 2, 1])  # fmt: skip
            short = room - clearance_at(field, origin_x, origin_y, resolution, x, y)
            if short > 0.0:  # the cells of the search are too coarse to lead through the middle of a passage
                dx, dy = uphill(field, origin_x, origin_y, resolution, x, y, cell)
                x += _ASIDE * short * dx
                y += _ASIDE * short * dy
            if cost[int((y - origin_y) / cell), int((x - origin_x) / cell)] == np.inf:
                continue
            clear = clearance_at(field, origin_x, origin_y, resolution, x, y)
            if clear < room and clear < clearance_at(field, origin_x, origin_y, resolution, points[k, 0], points[k, 1]):
                continue
            points[k, 0], points[k, 1] = x, y


@njit(cache=True, nogil=True)
def speed_profile(points, max_speed, turn_rate, deceleration, end_speed, tolerance, span):
    """Highest speed [k] [m/s] at each point of a path [k, 2]: bends within turn_rate [rad/s], braking in time for all.

    end_speed [m/s] holds from ``tolerance`` [m] before the end on; a bend's radius is measured over 2 * span points.
    """
    count = points.shape[0]
    speeds = np.empty(count)
    for k in range(count):
        low, high = max(0, k - span), min(count - 1, k + span)
        speeds[k] = max_speed
        if low < k < high:
            before = math.atan2(points[k, 1] - points[low, 1], points[k, 0] - points[low, 0])
            after = math.atan2(points[high, 1] - points[k, 1], points[high, 0] - points[k, 0])
            bend = abs((after - before + math.pi) % (2 * math.pi) - math.pi)
            way = 0.5 * (
                math.hypot(points[k, 0] - points[low, 0], points[k, 1] - points[low, 1])
                + math.hypot(points[high, 0] - points[k, 0], points[high, 1] - points[k, 1])
            )
            speeds[k] = min(max_speed, turn_rate * way / max(bend, 1e-6))
    speeds[count - 1] = min(speeds[count - 1], end_speed)
    rest = 0.0
    for k in range(count - 2, -1, -1):
        way = math.hypot(points[k + 1, 0] - points[k, 0], points[k + 1, 1] - points[k, 1])
        braking = way - max(0.0, min(way, tolerance - rest))
        rest += way
        speeds[k] = min(speeds[k], math.sqrt(speeds[k + 1] ** 2 + 2.0 * deceleration * braking))
    return speeds


@njit(cache=True, nogil=True)
def path_cost(cost, points, index, geometry):
    """Cost [m] of a path [k, 2] [m] from index on; inf when it crosses a lethal cell."""
    origin_x, origin_y, cell = geometry
    total = 0.0
    for k in range(index + 1, points.shape[0]):
        value = cost[int((points[k, 1] - origin_y) / cell), int((points[k, 0] - origin_x) / cell)]
        if value == np.inf:
            return np.inf
        total += value * math.hypot(points[k, 0] - points[k - 1, 0], points[k, 1] - points[k - 1, 1])
    return total
