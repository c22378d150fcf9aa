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

_BLOCKED, _OPEN, _DONE = 0, 1, 2
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


@njit(cache=True, nogil=True)
def march(passable, goal_row, goal_col):  # pragma: no cover
    """Distance [cells], float32 [rows, cols], from each passable cell to a goal; inf where no way leads.

    passable: bool [rows, cols]. goal_row, goal_col: fractional, whole numbers are cell centres; the goal lies in or
    beside a passable cell.
    """
    rows, cols = passable.shape
    margin = 2  # a frame of blocked cells: the stencil reaches two cells far and needs no bounds checks
    stride = cols + 2 * margin
    plane = np.zeros((rows + 2 * margin, stride), np.uint8)
    plane[margin : rows + margin, margin : cols + margin] = passable
    state = plane.ravel()
    distance = np.full(state.size, np.inf, np.float32)
    goal_row, goal_col = goal_row + margin, goal_col + margin

    first_row, last_row = max(int(goal_row) - _EXACT, margin), min(int(goal_row) + _EXACT, rows + margin - 1)
    first_col, last_col = max(int(goal_col) - _EXACT, margin), min(int(goal_col) + _EXACT, cols + margin - 1)
    for i in range(first_row, last_row + 1):
        for j in range(first_col, last_col + 1):
            if plane[i, j] != _BLOCKED and _sees(plane, i, j, goal_row, goal_col):
                distance[i * stride + j] = math.hypot(i - goal_row, j - goal_col)
    for i in range(first_row, last_row + 1):
        for j in range(first_col, last_col + 1):
            if distance[i * stride + j] < np.inf:
                plane[i, j] = _DONE

    # Each bucket is a linked list of entries; a cell is entered anew when its distance falls, at most once for each
    # of its four neighbours, and its stale entries are passed over.
    head = np.full(_BUCKETS, -1, np.int32)
    entries = 4 * state.size
    entry_cell, entry_next = np.empty(entries, np.int32), np.empty(entries, np.int32)
    spare, used, waiting = -1, 0, 0
    steps = (-stride, -1, 1, stride)
    now = 0  # bucket in turn, not yet wrapped around the ring

    for i in range(first_row - 1, last_row + 2):
        for j in range(first_col - 1, last_col + 2):
            cell = i * stride + j
            if state[cell] != _OPEN:
                continue
            value = _solve(distance, state, cell, stride)
            if value < np.inf:
                distance[cell] = value
                slot = int(value * _FINE) % _BUCKETS
                entry_cell[used], entry_next[used] = cell, head[slot]
                head[slot] = used
                used += 1
                waiting += 1

    while waiting > 0:
        slot = now % _BUCKETS
        while head[slot] >= 0:
            entry = head[slot]
            head[slot] = entry_next[entry]
            entry_next[entry] = spare
            spare = entry
            waiting -= 1
            cell = entry_cell[entry]
            if state[cell] == _DONE:
                continue
            state[cell] = _DONE
            for step in steps:
                neighbour = cell + step
                if state[neighbour] != _OPEN:
                    continue
                value = _solve(distance, state, neighbour, stride)
                if value < distance[neighbour]:
                    distance[neighbour] = value
                    target = max(int(value * _FINE), now) % _BUCKETS
                    if spare >= 0:
                        entry, spare = spare, entry_next[spare]
                    else:
                        entry = used
                        used += 1
                    entry_cell[entry], entry_next[entry] = neighbour, head[target]
                    head[target] = entry
                    waiting += 1
        now += 1
    return distance.reshape(plane.shape)[margin : rows + margin, margin : cols + margin].copy()


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


def travel_time_ideal(site: Site, start_xy: np.ndarray, goal_xy: np.ndarray, radius: float, speed: float) -> float:
    """Time [s] from start to goal (each xy [2] [m, map frame]) at full speed [m/s] along the shortest way of a disc.

    inf when no way leads there. Raises SiteError for a goal where the disc of the radius [m] does not fit.
    """
    return distance_at(site, geodesic_distance(site, goal_xy, radius), start_xy) / speed
