"""A layered costmap: the static map, what lasers saw lately, marked places and other robots, inflated around all.

The layers and the exponential decay beyond the inscribed radius are those of Nav2's costmap_2d (Lu, Hershberger and
Smart, "Layered costmaps for context-sensitive navigation", IROS 2014; documentation of the static, obstacle and
inflation layers). Costs are per metre of way: 1 in the open, 1 + weight just beside the lethal band, inf inside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from dyna_nav.parameters import parameter
from dyna_nav.planning.obstacles import clearance_at
from dyna_nav.site import Site


@dataclass(frozen=True)
class CostmapConfig:
    """Grid, inflation and memory of the costmap."""

    cell: float = parameter(0.1, "size of a cell, at least that of the map [m]", minimum=0.02, maximum=0.5)
    inflation_radius: float = parameter(0.6, "how far beyond the robot's radius costs reach [m]", minimum=0, maximum=3)
    cost_scaling: float = parameter(3.0, "decay of the cost with distance [1/m]", minimum=0.1, maximum=50)
    cost_weight: float = parameter(1.5, "cost beside the lethal band, as extra way [m per m]", minimum=0, maximum=100)
    lethal_slack: float = parameter(
        0.03, "cells too tight by this are passable: their centres err by as much [m]", minimum=0, maximum=0.2
    )
    tight: float = parameter(0.1, "with less room at its sides a robot can only creep [m]", minimum=0, maximum=1)
    tight_cost: float = parameter(15.0, "cost of such places, as extra way [m per m]", minimum=0, maximum=1000)
    explained: float = parameter(0.2, "a hit this near to a mapped obstacle is the map's [m]", minimum=0.02, maximum=1)
    seen_size: float = parameter(
        0.08, "marked cells are discs of this radius: half a cell and a margin [m]", minimum=0, maximum=0.5
    )
    reach: float = parameter(8.0, "hits farther away than this are not marked [m]", minimum=1, maximum=100)
    memory: float = parameter(15.0, "time after which an unseen obstacle is forgotten [s]", minimum=0.1, maximum=3600)


@njit(cache=True, nogil=True)
def _observe(seen, time, geometry, static, static_resolution, pose, ignored, scan, angles, scan_max, limits):
    """Enter one scan: clear the cells along each beam, then mark the ends that neither the map nor a disc explains.

    seen [rows, cols]: time of the last hit. geometry: origin x, y and cell [m]. ignored [k, 3]: discs x, y, radius.
    limits: start of the beams, explained, reach [m].
    """
    origin_x, origin_y, cell = geometry
    start, explained, reach = limits
    rows, cols = seen.shape
    for beam in range(angles.size):
        measured = scan[beam]
        if not measured > 0.0:  # NaN: not measured
            continue
        cos, sin = math.cos(pose[2] + angles[beam]), math.sin(pose[2] + angles[beam])
        free = min(measured, scan_max, reach) - cell
        distance = start
        while distance < free:
            col = int((pose[0] + distance * cos - origin_x) / cell)
            row = int((pose[1] + distance * sin - origin_y) / cell)
            if 0 <= row < rows and 0 <= col < cols:
                seen[row, col] = -np.inf
            distance += 0.7 * cell
    for beam in range(angles.size):
        measured = scan[beam]
        if not 0.0 < measured <= min(scan_max, reach):
            continue
        x = pose[0] + measured * math.cos(pose[2] + angles[beam])
        y = pose[1] + measured * math.sin(pose[2] + angles[beam])
        if clearance_at(static, origin_x, origin_y, static_resolution, x, y) < explained:
            continue
        known = False
        for k in range(ignored.shape[0]):
            if math.hypot(x - ignored[k, 0], y - ignored[k, 1]) < ignored[k, 2]:
                known = True
        col, row = int((x - origin_x) / cell), int((y - origin_y) / cell)
        if not known and 0 <= row < rows and 0 <= col < cols:
            seen[row, col] = time


@njit(cache=True, nogil=True)
def _inflate(cost, x, y, size, radius, inflation, scaling, weight, geometry):
    """Raise the costs around an obstacle: a disc of a size [m] about x, y (0: a point)."""
    origin_x, origin_y, cell = geometry
    rows, cols = cost.shape
    reach = size + radius + inflation
    for row in range(max(0, int((y - reach - origin_y) / cell)), min(rows, int((y + reach - origin_y) / cell) + 1)):
        dy = origin_y + (row + 0.5) * cell - y
        for col in range(max(0, int((x - reach - origin_x) / cell)), min(cols, int((x + reach - origin_x) / cell) + 1)):
            dx = origin_x + (col + 0.5) * cell - x
            gap = math.sqrt(dx * dx + dy * dy) - size - radius
            if gap < 0.0:
                cost[row, col] = np.inf
            elif gap < inflation:
                cost[row, col] = max(cost[row, col], 1.0 + weight * math.exp(-scaling * gap))


@njit(cache=True, nogil=True)
def _inflate_seen(cost, seen, oldest, size, radius, inflation, scaling, weight, geometry):
    """Raise the costs around every cell that was hit after ``oldest``, each taken for a disc of a size [m]."""
    origin_x, origin_y, cell = geometry
    for row in range(seen.shape[0]):
        for col in range(seen.shape[1]):
            if seen[row, col] > oldest:
                x, y = origin_x + (col + 0.5) * cell, origin_y + (row + 0.5) * cell
                _inflate(cost, x, y, size, radius, inflation, scaling, weight, geometry)


@njit(cache=True, nogil=True)
def _add_soft(cost, x, y, reach, extra, geometry):
    """Add up to ``extra`` to the costs around x, y, falling to nothing at ``reach`` [m]."""
    origin_x, origin_y, cell = geometry
    rows, cols = cost.shape
    for row in range(max(0, int((y - reach - origin_y) / cell)), min(rows, int((y + reach - origin_y) / cell) + 1)):
        dy = origin_y + (row + 0.5) * cell - y
        for col in range(max(0, int((x - reach - origin_x) / cell)), min(cols, int((x + reach - origin_x) / cell) + 1)):
            dx = origin_x + (col + 0.5) * cell - x
            distance = math.sqrt(dx * dx + dy * dy)
            if distance < reach:
                cost[row, col] += extra * (1.0 - distance / reach)


class Costmap:
    """The costmaps of all robots of a site: one static layer, and an obstacle layer per robot or one for the fleet."""

    def __init__(self, site: Site, radius: float, layers: int, config: CostmapConfig):
        """``layers`` obstacle layers; radius: of the robot [m]."""
        self.config, self.radius = config, radius
        self.cell = max(config.cell, site.map.resolution)
        self._static_clearance, self._static_resolution = site.clearance, site.map.resolution
        self.origin = np.asarray(site.map.origin, float)
        self.geometry = (float(self.origin[0]), float(self.origin[1]), float(self.cell))
        shape = np.ceil(np.array(site.clearance.shape) * site.map.resolution / self.cell - 1e-9).astype(int)
        row, col = np.indices(shape)
        centres = np.stack([col + 0.5, row + 0.5], axis=-1) * self.cell + self.origin
        self.clearance = site.clearance_at(centres).astype(np.float32)  # [rows, cols] of the static map alone
        gap = self.clearance - radius
        with np.errstate(over="ignore"):
            cost = 1.0 + config.cost_weight * np.exp(-config.cost_scaling * np.maximum(gap, 0.0))
        cost[gap >= config.inflation_radius] = 1.0
        cost[gap < config.tight] += config.tight_cost
        cost[gap < -config.lethal_slack] = np.inf
        cost[[0, -1], :] = cost[:, [0, -1]] = np.inf  # the searches need no bounds checks
        self.static_cost = cost.astype(np.float32)
        self._seen = np.full((layers, *shape), -np.inf, np.float32)
        self._places: list[list[tuple[float, float, float, float]]] = [[] for _ in range(layers)]

    def cell_of(self, xy: np.ndarray) -> tuple[int, int]:
        """Row and column of the cell at xy [2] (map frame), or of the nearest one inside the grid's lethal border."""
        col, row = (np.asarray(xy, float)[:2] - self.origin) / self.cell
        rows, cols = self.static_cost.shape
        return int(min(max(row, 1), rows - 2)), int(min(max(col, 1), cols - 2))

    def positions(self, cells: np.ndarray) -> np.ndarray:
        """Centres [..., 2] (map frame) of cells [..., 2] (row, col)."""
        return (cells[..., ::-1] + 0.5) * self.cell + self.origin

    def observe(self, layer, time, pose, ignored, scan, angles, scan_max) -> None:
        """Enter a scan taken at pose [3]; hits on the discs ignored [k, 3] (x, y, radius) are not marked. time [s]."""
        limits = (self.radius, self.config.explained, self.config.reach)
        _observe(
            self._seen[layer], time, self.geometry, self._static_clearance, self._static_resolution, pose, ignored,
            scan, angles, scan_max, limits,
        )  # fmt: skip

    def forget(self, layer: int) -> None:
        """Forget everything that lasers saw."""
        self._seen[layer] = -np.inf

    def block(self, layer: int, xy: np.ndarray, size: float, until: float) -> None:
        """Make a disc of a size [m] around xy [2] lethal until a time [s]."""
        self._places[layer].append((float(xy[0]), float(xy[1]), size, until))

    def unblock(self, layer: int) -> None:
        """Open all places that were made lethal."""
        self._places[layer].clear()

    def costs(self, layer: int, time: float, discs: np.ndarray, soft: np.ndarray) -> np.ndarray:
        """Costs now, float32 [rows, cols]; inf is lethal.

        discs [k, 3]: lethal discs x, y, size [m]; soft [k, 4]: x, y, reach [m] and extra cost in the middle.
        """
        config, cost = self.config, self.static_cost.copy()
        shape = (self.radius, config.inflation_radius, config.cost_scaling, config.cost_weight, self.geometry)
        _inflate_seen(cost, self._seen[layer], time - config.memory, config.seen_size, *shape)
        self._places[layer] = [place for place in self._places[layer] if place[3] > time]
        for x, y, size, _ in self._places[layer]:
            _inflate(cost, x, y, size - self.radius, *shape)
        for x, y, size in discs:
            _inflate(cost, x, y, size, *shape)
        for x, y, reach, extra in soft:
            _add_soft(cost, x, y, reach, extra, self.geometry)
        return cost
