"""One robot's trip: goal, route, when to plan, and how far a recovery has got."""

from __future__ import annotations

import math

import numpy as np

from dyna_nav.baselines.recovery import Recovery
from dyna_nav.baselines.route import Route


class Trip:
    """What is remembered of one robot on its way to a goal."""

    def __init__(self, recovery: Recovery, phase: float):
        self.goal: np.ndarray | None = None
        self.arrived = False
        self.route: Route | None = None
        self.refuge = False  # the route leads to a refuge, not to the goal
        self.yields_to: Trip | None = None  # for whom it retreats, if that is known
        self.planned = -math.inf  # when [s]
        self.next_plan = -math.inf  # [s]
        self.fresh = True  # no plan yet on this trip
        self.phase = phase  # spreads the plans of the robots over the cycles [s]
        self.recovery = recovery
        self.until = 0.0  # end of a recovery at the latest [s]
        self.begun: np.ndarray | None = None  # pose at the beginning of a recovery [3]
        self.extent = 0.0  # of a recovery: way [m] or angle [rad]

    def begin_trip(self, goal: np.ndarray | None) -> None:
        self.goal, self.route, self.refuge, self.arrived, self.yields_to = goal, None, False, False, None
        self.next_plan, self.fresh = -math.inf, True
        self.recovery.reset()

    def left(self) -> float:
        """Way to go [m]; inf without a route."""
        if self.route is None:
            return math.inf
        points = self.route.points[self.route.index :]
        return float(np.hypot(*np.diff(points, axis=0).T).sum()) if len(points) > 1 else 0.0

    def passes(self, position: np.ndarray, reach: float) -> bool:
        """Whether the way to its goal still leads past a position [2], no farther away than ``reach`` [m]."""
        if self.route is None or self.refuge or self.arrived:
            return False
        return bool((np.hypot(*(self.route.points[self.route.index :] - position).T) <= reach).any())

    def strayed(self, pose: np.ndarray) -> float:
        """Distance [m] of a robot at pose [3] from its place on the route."""
        return float(np.hypot(*(self.route.points[self.route.index] - pose[:2])))
