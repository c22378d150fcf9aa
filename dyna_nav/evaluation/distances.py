"""Geodesic distances and shortest paths to the places of a task stream, each field computed once."""

from __future__ import annotations

import math

import numpy as np

from dyna_nav.site import Site
from dyna_nav.site.fields import distance_at, geodesic_distance

_NEIGHBOURS = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]


class Distances:
    """How far it is to each place for a disc of the radius [m], on the site's map."""

    def __init__(self, site: Site, places: np.ndarray, radius: float):
        """places [places, 3] (x, y, yaw; map frame)."""
        self._site, self._places, self._radius = site, places, radius
        self._fields: dict[int, np.ndarray] = {}

    def field(self, place: int) -> np.ndarray:
        """Distance [m], float32 [rows, cols], from every cell to a place; inf where no way leads."""
        if place not in self._fields:
            self._fields[place] = geodesic_distance(self._site, self._places[place, :2], self._radius)
        return self._fields[place]

    def length(self, xy: np.ndarray, place: int) -> float:
        """Length [m] of the shortest way from xy [2] (m, map frame) to a place; also where the disc touches a wall."""
        length = distance_at(self._site, self.field(place), xy)
        if math.isfinite(length):
            return length
        rows, cols = np.nonzero(np.isfinite(self.field(place)))
        away = np.hypot(*(self._site.map.position_of(rows, cols) - np.asarray(xy)).T)
        nearest = int(np.argmin(away))
        return float(self.field(place)[rows[nearest], cols[nearest]] + away[nearest])

    def path(self, start: int, goal: int) -> np.ndarray:
        """Points [k, 2] (m, map frame), a cell apart, on a shortest way from one place to another."""
        field, grid = self.field(goal), self._site.map
        row, col = (int(index) for index in grid.cell_of(self._places[start, :2]))
        points = [self._places[start, :2]]
        while True:
            best, step = field[row, col], None
            for up, across in _NEIGHBOURS:
                i, j = row + up, col + across
                if 0 <= i < field.shape[0] and 0 <= j < field.shape[1] and field[i, j] < best:
                    best, step = field[i, j], (i, j)
            if step is None:  # the goal's cell, or the start lies where no way leads
                return np.array([*points, self._places[goal, :2]])
            row, col = step
            points.append(grid.position_of(row, col))
