"""Plans one robot's way: costs as they are now, A*, shortcuts, smoothing, speed profile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from dyna_nav.baselines import path as paths
from dyna_nav.baselines.astar import cost_to_go, search, search_nearest
from dyna_nav.baselines.costmap import Costmap
from dyna_nav.baselines.pursuit import PursuitConfig
from dyna_nav.mdp import RobotModel
from dyna_nav.site import Site

_DETOUR = 60.0  # way that is worth not crossing one metre of what is lethal but may move away [m]
_CLOSED = 5.0  # cost of crossing it there, for each cell from its rim [m per m]
_START = 0.6  # around itself a robot may cross what is lethal: it has to get out [m]
_MOST = 60_000  # cells that one search expands at most
_SHORTCUT = 80  # cells that one straight line may replace
_KEPT = 64  # costs to go that are kept


@dataclass
class Route:
    """A path and how fast it may be driven; ``index`` is the robot's place on it."""

    points: np.ndarray  # [k, 2] x, y [m], map frame
    speeds: np.ndarray  # [k] highest speed at each point [m/s]
    cost: np.ndarray  # [rows, cols] of the costmap that it was planned on
    passable: bool  # it crosses nothing lethal
    index: int = 0


class RoutePlanner:
    """Finds routes on the costmaps of a site."""

    def __init__(self, site: Site, costmap: Costmap, robot: RobotModel, config: PursuitConfig, arrival: float):
        """arrival: distance to the goal at which the robot must have its approach speed [m]."""
        self._site, self._costmap, self._robot, self._config = site, costmap, robot, config
        self._arrival = arrival
        self._to_go: dict[tuple[int, int], np.ndarray] = {}

    def prepare(self, goal: np.ndarray) -> np.ndarray:
        """Cost to go to a goal [2 or 3] on the static map, float32 [rows, cols]; the last ones are kept."""
        cell = self._costmap.cell_of(goal)
        if cell not in self._to_go:
            while len(self._to_go) >= _KEPT:
                del self._to_go[next(iter(self._to_go))]
            cost = self._costmap.static_cost
            if np.isinf(cost[cell]):  # the robot fits at the goal, though not at the centre of its cell
                cost = cost.copy()
                cost[cell] = 1.0 + self._costmap.config.cost_weight
            self._to_go[cell] = cost_to_go(cost, *cell)
        return self._to_go[cell]

    def _open(self, cost: np.ndarray, cell: tuple[int, int]) -> tuple[int, int]:
        """Make the surroundings of the robot passable where the map is; the passable cell nearest to it."""
        reach = int(_START / self._costmap.cell)
        rows = slice(max(0, cell[0] - reach), cell[0] + reach + 1)
        cols = slice(max(0, cell[1] - reach), cell[1] + reach + 1)
        window, static = cost[rows, cols], self._costmap.static_cost[rows, cols]
        closed = np.isinf(window) & np.isfinite(static)
        # The deeper inside, the dearer: the way out is the shortest one, not the one across.
        depth = distance_transform_edt(np.isinf(window))
        window[closed] = static[closed] + _CLOSED * (1.0 + depth[closed])
        if np.isfinite(cost[cell]):
            return cell
        row, col = np.nonzero(np.isfinite(window))
        if not len(row):
            return cell
        k = int(np.argmin((row + rows.start - cell[0]) ** 2 + (col + cols.start - cell[1]) ** 2))
        return int(row[k] + rows.start), int(col[k] + cols.start)

    def route(self, start: np.ndarray, goal: np.ndarray, cost: np.ndarray) -> Route | None:
        """The way from start to goal [2] (map frame) at costs [rows, cols], which are changed; None: there is no way.

        When everything is closed by things that may move away, the way leads through them and is not ``passable``.
        """
        to_go = self.prepare(goal)
        target = self._costmap.cell_of(goal)
        blocked = bool(np.isinf(cost[target]) and np.isfinite(self._costmap.static_cost[target]))
        if np.isinf(cost[target]) and not blocked:
            cost[target] = 1.0 + self._costmap.config.cost_weight
        lethal = cost.copy()
        origin = self._open(cost, self._costmap.cell_of(start))
        cells = np.empty((0, 2), np.int32)
        if not blocked:
            cells = search(cost, to_go, *origin, *target, _MOST)
        passable = len(cells) > 0
        if not passable:
            closed = np.isinf(cost) & np.isfinite(self._costmap.static_cost)
            cost[closed] = _DETOUR
            cells = search(cost, to_go, *origin, *target, cost.size)
            if not len(cells):
                return None
            passable = not closed[cells[:, 0], cells[:, 1]].any()  # on a large site the first search gives up early
        return self._drivable(start, goal[:2], cells, cost, lethal, passable)

    def refuge(self, start: np.ndarray, wanted: np.ndarray, cost: np.ndarray) -> Route | None:
        """The way to the nearest of the wanted cells (bool [rows, cols]); None when none can be reached."""
        lethal = cost.copy()
        origin = self._open(cost, self._costmap.cell_of(start))
        cells = search_nearest(cost, *origin, wanted & np.isfinite(cost), _MOST)
        if not len(cells):
            return None
        return self._drivable(start, self._costmap.positions(cells[-1:])[0], cells, cost, lethal, True)

    def _drivable(self, start, goal, cells, cost, lethal, passable) -> Route:
        config, costmap, robot = self._config, self._costmap, self._robot
        corners = costmap.positions(paths.shortcut(cost, cells, _SHORTCUT))
        inner = corners[1:-1] if len(corners) > 2 else corners[:0]
        points = paths.resample(np.concatenate([[start[:2]], inner, [goal]]))
        paths.smooth(
            points, cost, costmap.geometry, self._site.clearance, self._site.map.resolution,
            robot.radius + config.room, config.smoothing,
        )  # fmt: skip
        speeds = paths.speed_profile(
            points, robot.max_speed, config.turn_share * robot.max_turn_rate, config.deceleration,
            config.approach_speed, self._arrival, 3,
        )  # fmt: skip
        return Route(points, speeds, lethal, passable)
