"""Ways as cells of the lattice: down a potential, and where two of them come close to each other."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numba import njit

from dyna_nav.planning.potential import UNREACHABLE


@njit(cache=True, nogil=True)
def way_of(field, row, col):
    """Cells [k, 2] (row, col) down a potential [rows, cols, headings] from a cell to where it is lowest."""
    rows, cols, headings = field.shape
    cells = np.empty((rows * cols, 2), np.int64)
    count = 0
    here = np.inf
    while count < rows * cols:
        cells[count] = row, col
        count += 1
        best, best_row, best_col = here, -1, -1
        for dr in range(-1, 2):
            for dc in range(-1, 2):
                r, c = row + dr, col + dc
                if r < 0 or c < 0 or r >= rows or c >= cols or (dr == 0 and dc == 0):
                    continue
                least = np.inf
                for h in range(headings):
                    least = min(least, field[r, c, h])
                if least < best:
                    best, best_row, best_col = least, r, c
        if best_row < 0 or best >= UNREACHABLE:
            break
        row, col, here = best_row, best_col, best
    return cells[:count]


def stretches(
    one: np.ndarray, other: np.ndarray, within: float, only: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Where a way [k, 2] runs within some cells of another [m, 2]: its places, in order, and the nearest of the other.

    Both count cells along their way; only bool [k]: the places that are asked for.
    """
    places = np.arange(len(one)) if only is None else np.flatnonzero(only)
    gap, there = _nearest(one[places], other)
    mine, theirs = places[gap <= within], there[gap <= within]
    for part in np.split(np.arange(len(mine)), np.flatnonzero(np.diff(mine) > 1) + 1):
        if len(part):
            yield mine[part], theirs[part]


@njit(cache=True, nogil=True)
def _nearest(cells, others):
    """For each of some cells [k, 2] the nearest of others [m, 2]: its distance [k] in cells, and which it is [k]."""
    gap, which = np.empty(len(cells)), np.zeros(len(cells), np.int64)
    for i in range(len(cells)):
        least = math.inf
        for j in range(len(others)):
            rows, cols = float(cells[i, 0] - others[j, 0]), float(cells[i, 1] - others[j, 1])
            apart = rows * rows + cols * cols  # its root takes longer than all else
            if apart < least:
                least, which[i] = apart, j
        gap[i] = math.sqrt(least)
    return gap, which
