"""The goals that robots are given: which can be served, which station they are nearest to, who stands at its own."""

from __future__ import annotations

import math

import numpy as np

from dyna_nav.mdp import GoalTolerance, RobotModel, goal_reached
from dyna_nav.site import Site


class Goals:
    """``arrived`` bool [robots]: stands at its goal; ``index`` [robots]: the station nearest to its newest goal."""

    def __init__(self, site: Site, robots: int, model: RobotModel, tolerance: GoalTolerance):
        self._site, self._model, self._tolerance = site, model, tolerance
        self.index, self.arrived = np.zeros(robots, np.int64), np.zeros(robots, bool)

    def assign(self, robot: int, goal: np.ndarray | None) -> np.ndarray | None:
        """Take a goal pose [3] (map frame), or none, for a robot; the answer is the goal as an array.

        Raises ValueError, and leaves everything as it is, for a robot that is not there and for a goal that is not
        finite, outside the map, or where the robot cannot stand.
        """
        robots, stations = len(self.index), self._site.stations
        if not 0 <= robot < robots:
            raise ValueError(f"there is no robot {robot}; robots are numbered 0 to {robots - 1}")
        if goal is not None:
            goal = np.asarray(goal, float)
            self._check(robot, goal)
            if stations:
                self.index[robot] = min(
                    range(len(stations)), key=lambda k: math.hypot(stations[k].x - goal[0], stations[k].y - goal[1])
                )
        self.arrived[robot] = False
        return goal

    def look(self, pose: np.ndarray, speed: np.ndarray, goal: np.ndarray) -> None:
        """Note who has arrived: pose [n, 3] (NaN: unknown), speed [n], goal [n, 3] (NaN: none).

        Who has arrived stays so, wherever it turns; who was pushed away has to come again.
        """
        with np.errstate(invalid="ignore"):
            self.arrived &= ~(np.hypot(*(pose - goal)[:, :2].T) > self._tolerance.position)
        self.arrived |= self.reached(pose, speed, goal)

    def reached(self, pose: np.ndarray, speed: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """Who stands where it should, bool [n]: pose, goal [n, 3] (NaN: never), speed [n]."""
        return goal_reached(pose, speed, goal, self._tolerance)

    def _check(self, robot: int, goal: np.ndarray) -> None:
        if goal.shape != (3,) or not np.isfinite(goal).all():
            raise ValueError(f"goal {goal.tolist()} of robot {robot} is not a finite pose (x, y, yaw)")
        if not self._site.map.contains(goal[:2]):
            raise ValueError(f"goal ({goal[0]:.2f}, {goal[1]:.2f}) of robot {robot} lies outside the map")
        if not self._site.standable(goal[:2], self._model.radius):
            clearance = float(self._site.clearance_at(goal[:2]))
            raise ValueError(
                f"goal ({goal[0]:.2f}, {goal[1]:.2f}) of robot {robot} has {clearance:.2f} m of room;"
                f" the robot needs {self._model.radius:.2f} m"
            )
