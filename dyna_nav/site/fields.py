"""Geodesic distance on a site's map: how far a round robot drives to a goal, around everything that is not free.

Fast marching (Sethian, 1996) solves the eikonal equation |grad d| = 1 over the cells in which the robot's disc fits,
second order upwind where the neighbours allow it (Sethian, 1999), with the untidy queue of Yatziv, Bartesaghi and
Sapiro (2006): buckets instead of a heap, so that the time is linear in the number of cells.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from dyna_nav.site.occupancy import SiteError

if TYPE_CHECKING:
    from dyna_nav.site.site import Site

_BLOCKED, _OPEN, _GIVEN, _DONE = 0, 1, 2, 3  # given: a distance that is not to be improved
_EXACT = 16  # cells around the goal that take their distance from the line of sight: the field is singular there
_FINE = 32  # buckets per cell of distance; the order within a bucket is left to chance
_BUCKETS = 1024  # a ring; its span of 32 cells exceeds every difference between two cells in the queue


@njit(cache=True, nogil=True)
def _sees(state, row, col, goal_row, goal_col):  # pragma: no cover
    """Whether the line from the centre of a cell to the goal (cells, fractional) stays off blocked cells."""
    steps = math.ceil(2.0 * max(abs(goal_row - row), abs(goal_col - col))) + 1
    for k in range(1, steps):
        share = k / steps
        i = math.floor(row + share * (goal_row - row) + 0.5)
        j = math.floor(col + share * (goal_col - col) + 0.5)
        # The goal may lie on the rim of the passable cells: the last cell before it is not held against the line.
        if state[i, j] == _BLOCKED and max(abs(i - goal_row), abs(j - goal_col)) > 1.0:
            return False
    return True


@njit(cache=True, nogil=True)
def _upwind(distance, state, cell, stride):  # pragma: no cover
    """The finished neighbour of lower distance on one axis: its distance, and level a, weight w of w (d - a)^2."""
    low = np.inf
    level = np.inf
    weight = 1.0
    for step in (-stride, stride):
        if state[cell + step] == _DONE and distance[cell + step] < low:
            low = distance[cell + step]
            level, weight = low, 1.0
            behind = cell + 2 * step
            if state[behind] == _DONE and distance[behind] <= low:
                level, weight = (4.0 * low - distance[behind]) / 3.0, 2.25
    return low, level, weight


@njit(cache=True, nogil=True)
def _solve(distance, state, cell, stride):  # pragma: no cover
    """Distance of a cell [cells] from its finished neighbours: the larger root of w_x (d-x)^2 + w_y (d-y)^2 = 1."""
    low_y, y, weight_y = _upwind(distance, state, cell, stride)
    low_x, x, weight_x = _upwind(distance, state, cell, 1)
    if low_x < np.inf and low_y < np.inf:
        weight = weight_x + weight_y
        discriminant = weight - weight_x * weight_y * (x - y) ** 2
        if discriminant >= 0.0:
            root = (weight_x * x + weight_y * y + math.sqrt(discriminant)) / weight
            if root >= low_x and root >= low_y:
                return root
    return min(x + 1.0 / math.sqrt(weight_x), y + 1.0 / math.sqrt(weight_y))


def march(passable: np.ndarray, goal_row: float, goal_col: float) -> np.ndarray:
    """Distance [cells], float32 [rows, cols], from each passable cell to a goal; inf where no way leads.

    passable: bool [rows, cols]. goal_row, goal_col: fractional, whole numbers are cell centres; the goal lies in or
    beside a passable cell.
    """
    # A frame of two blocked cells: the stencil reaches two cells far and needs no bounds checks.
    state = np.pad(np.asarray(passable, dtype=np.uint8), 2)
    distance = np.full(state.shape, np.inf, np.float32)
    _around_goal(state, distance, goal_row + 2.0, goal_col + 2.0)
    # A cell has at most one entry for each of its neighbours, and one to begin with.
    entries = np.empty((5 * state.size, 2), np.int32)
    _march(state.reshape(-1), distance.reshape(-1), state.shape[1], np.full(_BUCKETS, -1, np.int32), entries)
    return distance[2:-2, 2:-2].copy()


@njit(cache=True, nogil=True)
def _around_goal(state, distance, goal_row, goal_col):  # pragma: no cover
    """Give the passable cells near the goal that see it their straight distance."""
    rows, cols = state.shape
    for i in range(max(int(goal_row) - _EXACT, 0), min(int(goal_row) + _EXACT, rows - 1) + 1):
        for j in range(max(int(goal_col) - _EXACT, 0), min(int(goal_col) + _EXACT, cols - 1) + 1):
            if state[i, j] == _OPEN and _sees(state, i, j, goal_row, goal_col):
                distance[i, j] = math.hypot(i - goal_row, j - goal_col)
                state[i, j] = _GIVEN


@njit(cache=True, nogil=True)
def _march(state, distance, stride, head, entries):  # pragma: no cover
    """Carry the finite distances on to all cells that are connected to them, nearest first.

    state, distance: flat, rows of ``stride`` cells. head [_BUCKETS]: first entry of each bucket, -1 when it is empty.
    entries [n, 2]: cell and next entry of the bucket; a cell is entered anew whenever its distance falls, and its
    older entries are passed over.
    """
    spare, used, waiting = -1, 0, 0
    for cell in range(state.size):
        if distance[cell] < np.inf:
            bucket = int(distance[cell] * _FINE) % _BUCKETS
            entries[used, 0], entries[used, 1] = cell, head[bucket]
            head[bucket] = used
            used += 1
            waiting += 1

    now = 0  # bucket in turn, not yet wrapped around the ring
    while waiting > 0:
        entry = head[now % _BUCKETS]
        if entry < 0:
            now += 1
            continue
        cell = entries[entry, 0]
        head[now % _BUCKETS] = entries[entry, 1]
        entries[entry, 1] = spare
        spare = entry
        waiting -= 1
        if state[cell] == _DONE:
            continue
        state[cell] = _DONE
        for neighbour in (cell - stride, cell - 1, cell + 1, cell + stride):
            if state[neighbour] != _OPEN:
                continue
            value = _solve(distance, state, neighbour, stride)
            if value < distance[neighbour]:
                distance[neighbour] = value
                if spare >= 0:
                    entry, spare = spare, entries[spare, 1]
                else:
                    entry = used
                    used += 1
                bucket = max(int(value * _FINE), now) % _BUCKETS
                entries[entry, 0], entries[entry, 1] = neighbour, head[bucket]
                head[bucket] = entry
                waiting += 1


def geodesic_distance(site: Site, goal_xy: np.ndarray, radius: float) -> np.ndarray:
    """Length [m] of the shortest way to a goal for a disc, from every cell's centre; float32 [rows, cols].

    goal_xy: [2] [m, map frame]. radius: of the disc [m]. inf in cells where the disc does not fit or from which no way
    leads to the goal. Raises SiteError for a goal off the map, not finite, or where the disc does not fit.
    """
    goal = np.asarray(goal_xy, dtype=float)
    if not site.standable(goal, radius):
        raise SiteError(
            f"site {site.name}: the goal ({goal[0]:.2f}, {goal[1]:.2f}) leaves no room for a robot of radius "
            f"{radius:g} m (clearance {float(site.clearance_at(goal)):.2f} m); choose a goal in free space"
        )
    col, row = (goal - site.map.origin) / site.map.resolution - 0.5
    field = march(site.clearance >= radius, row, col)
    field *= np.float32(site.map.resolution)
    return field


def distance_at(site: Site, field: np.ndarray, xy: np.ndarray) -> float:
    """Value [m] of a distance field at xy [2] [m, map frame]: of the nearest cells that have one, plus the way to them.

    inf where none of the four cells around xy has a finite distance.
    """
    if not bool(site.map.contains(xy)):
        return math.inf
    rows, cols = field.shape
    col, row = (np.asarray(xy, dtype=float) - site.map.origin) / site.map.resolution - 0.5
    best, weights, total = math.inf, 0.0, 0.0
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(col), math.floor(col) + 1):
            if 0 <= i < rows and 0 <= j < cols and math.isfinite(field[i, j]):
                weight = (1.0 - abs(row - i)) * (1.0 - abs(col - j))
                total += weight * float(field[i, j])
                weights += weight
                best = min(best, float(field[i, j]) + math.hypot(row - i, col - j) * site.map.resolution)
    return total if weights > 1.0 - 1e-9 else best
