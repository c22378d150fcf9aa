"""Geodesic distances and shortest paths between the places of a list, each computed once."""

from __future__ import annotations

import math

import numpy as np

from dyna_nav.site.fields import distance_at, geodesic_distance
from dyna_nav.site.site import Site

_LEAP = 8  # cells from one point of a path to the next, at most


class Distances:
    """How far it is to each place for a disc of the radius [m], on the site's map."""

    def __init__(self, site: Site, places: np.ndarray, radius: float):
        """places [places, 3] (x, y, yaw; map frame)."""
        self._site, self._places, self._radius = site, places, radius
        self._fields: dict[int, np.ndarray] = {}
        self._paths: dict[tuple[int, int], np.ndarray] = {}

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
        """Points [k, 2] (m, map frame), at most eight cells apart, on a shortest way from one place to another."""
        if (start, goal) not in self._paths:
            self._paths[start, goal] = self._descend(start, goal)
        return self._paths[start, goal]

    def _descend(self, start: int, goal: int) -> np.ndarray:
        """The path down the field of distances."""
        field, grid = self.field(goal), self._site.map
        # No farther than from one side of a wall to the other, where both are free for the disc.
        leap = min(_LEAP, max(1, int(2.0 * self._radius / grid.resolution)))
        ring, ring_length = _ring(leap)
        cell = np.array(grid.cell_of(self._places[start, :2]))
        left = self.length(self._places[start, :2], goal)
        points = [self._places[start, :2]]
        while left > leap * grid.resolution:
            around = cell + ring
            inside = ((around >= 0) & (around < field.shape)).all(axis=1)
            around, way = around[inside], ring_length[inside] * grid.resolution
            # On a shortest way the distance falls by what is walked; everywhere else by less.
            best = int(np.argmin(field[around[:, 0], around[:, 1]] + way))
            cell, before = around[best], left
            left = float(field[cell[0], cell[1]])
            if not left < before:  # only from where no way leads
                break
            points.append(grid.position_of(*cell))
        path = np.array([*points, self._places[goal, :2]])
        path.flags.writeable = False
        return path


def _ring(leap: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells [k, 2] about so many cells away, and how far each is [k] [cells]."""
    span = np.arange(-leap, leap + 1)
    ring = np.argwhere(np.abs(np.hypot(span[:, None], span) - leap) < 0.5) - leap
    return ring, np.hypot(*ring.T)
