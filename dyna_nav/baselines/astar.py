"""A* on an eight-connected grid of cell costs (Hart, Nilsson and Raphael, 1968), guided by the static map's cost to go.

What lasers add to a map only makes cells dearer, so the true cost to go on the static map, computed once per goal by
Dijkstra, is an admissible and consistent heuristic (a true-distance heuristic; Sturtevant et al., IJCAI 2009). Where
nothing new was seen the search expands little more than the path itself; it spends effort only at what is in the way.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_SQRT2 = math.sqrt(2.0)


@njit(cache=True, nogil=True)
def _push(keys, cells, size, key, cell):
    """Enter into a binary heap of ``size`` entries; the caller counts."""
    k = size
    while k > 0:
        parent = (k - 1) >> 1
        if keys[parent] <= key:
            break
        keys[k], cells[k] = keys[parent], cells[parent]
        k = parent
    keys[k], cells[k] = key, cell


@njit(cache=True, nogil=True)
def _pop(keys, cells, size):
    """Take the entry of least key out of a binary heap of ``size`` entries: its key and cell; the caller counts."""
    key, cell = keys[0], cells[0]
    last_key, last_cell = keys[size - 1], cells[size - 1]
    k, count = 0, size - 1
    while True:
        child = 2 * k + 1
        if child >= count:
            break
        if child + 1 < count and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= last_key:
            break
        keys[k], cells[k] = keys[child], cells[child]
        k = child
    keys[k], cells[k] = last_key, last_cell
    return key, cell


@njit(cache=True, nogil=True)
def _edge(cost, cols, cell, row_step, col_step):
    """Cost of a move to a neighbour; inf when it enters a lethal cell or squeezes past the corner of one."""
    flat = cost.reshape(-1)
    there = flat[cell + row_step * cols + col_step]
    if row_step != 0 and col_step != 0:
        beside = max(flat[cell + row_step * cols], flat[cell + col_step])
        return np.inf if beside == np.inf else _SQRT2 * 0.5 * (flat[cell] + there)
    return 0.5 * (flat[cell] + there)


@njit(cache=True, nogil=True)
def cost_to_go(cost, goal_row, goal_col):
    """Least cost, float32 [rows, cols], from every cell to the goal by Dijkstra (1959); inf where no way leads.

    cost [rows, cols]: per cell of way, at least 1; inf is lethal. The border must be lethal. The goal's cell must not.
    """
    rows, cols = cost.shape
    value = np.full(rows * cols, np.inf, np.float32)
    done = np.zeros(rows * cols, np.bool_)
    keys, cells = np.empty(8 * rows * cols + 8), np.empty(8 * rows * cols + 8, np.int32)
    goal = goal_row * cols + goal_col
    value[goal] = 0.0
    _push(keys, cells, 0, 0.0, goal)
    size = 1
    while size > 0:
        key, cell = _pop(keys, cells, size)
        size -= 1
        if done[cell]:
            continue
        done[cell] = True
        for row_step in range(-1, 2):
            for col_step in range(-1, 2):
                if row_step == 0 and col_step == 0:
                    continue
                neighbour = cell + row_step * cols + col_step
                if done[neighbour]:
                    continue
                through = np.float32(key + _edge(cost, cols, cell, row_step, col_step))
                if through < value[neighbour]:
                    value[neighbour] = through
                    _push(keys, cells, size, through, neighbour)
                    size += 1
    return value.reshape(rows, cols)


@njit(cache=True, nogil=True)
def _trace(parent, cell, cols):
    """Cells [k, 2] (row, col) from the root of the search to a cell."""
    count, c = 1, cell
    while parent[c] >= 0:
        c = parent[c]
        count += 1
    path = np.empty((count, 2), np.int32)
    for k in range(count - 1, -1, -1):
        path[k, 0], path[k, 1] = cell // cols, cell % cols
        cell = parent[cell]
    return path


@njit(cache=True, nogil=True)
def search(cost, heuristic, start_row, start_col, goal_row, goal_col, most):
    """The cheapest path, cells [k, 2] (row, col) from start to goal; k = 0 when there is none.

    cost [rows, cols] as in :func:`cost_to_go`; heuristic [rows, cols]: admissible and consistent cost to the goal, inf
    where no way leads. Gives up, as if there were none, after expanding ``most`` cells.
    """
    wanted = np.zeros(cost.shape, np.bool_)
    wanted[goal_row, goal_col] = True
    return _search(cost, heuristic, start_row, start_col, wanted, most)


@njit(cache=True, nogil=True)
def search_nearest(cost, start_row, start_col, wanted, most):
    """The cheapest path, cells [k, 2] (row, col), to any wanted cell (bool [rows, cols]); k = 0 when there is none.

    Dijkstra from the start; gives up after expanding ``most`` cells.
    """
    return _search(cost, np.zeros(cost.shape), start_row, start_col, wanted, most)


@njit(cache=True, nogil=True)
def _search(cost, heuristic, start_row, start_col, wanted, most):
    """A* from a cell to any wanted one: what the two searches above share."""
    rows, cols = cost.shape
    value = np.full(rows * cols, np.inf)
    parent = np.full(rows * cols, -1, np.int32)
    done = np.zeros(rows * cols, np.bool_)
    # A cell is entered at most once per expanded neighbour.
    keys, cells = np.empty(8 * min(most, rows * cols) + 8), np.empty(8 * min(most, rows * cols) + 8, np.int32)
    guess, target = heuristic.reshape(-1), wanted.reshape(-1)
    start = start_row * cols + start_col
    size, expanded = 0, 0
    if guess[start] < np.inf:
        value[start] = 0.0
        _push(keys, cells, 0, guess[start], start)
        size = 1
    while size > 0 and expanded < most:
        _, cell = _pop(keys, cells, size)
        size -= 1
        if done[cell]:
            continue
        done[cell] = True
        expanded += 1
        if target[cell]:
            return _trace(parent, cell, cols)
        for row_step in range(-1, 2):
            for col_step in range(-1, 2):
                if row_step == 0 and col_step == 0:
                    continue
                neighbour = cell + row_step * cols + col_step
                if done[neighbour] or guess[neighbour] == np.inf:
                    continue
                through = value[cell] + _edge(cost, cols, cell, row_step, col_step)
                if through < value[neighbour]:
                    value[neighbour] = through
                    parent[neighbour] = cell
                    _push(keys, cells, size, through + guess[neighbour], neighbour)
                    size += 1
    return np.empty((0, 2), np.int32)
