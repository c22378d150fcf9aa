"""What an outsider is told of its surroundings: the same potential, live map and detours that Dyna-2 plans with."""

from __future__ import annotations

import numpy as np

from dyna_nav.controller import Observation
from dyna_nav.mdp import GoalTolerance, RobotModel, goal_reached
from dyna_nav.planning.config import Dyna2Config
from dyna_nav.planning.detours import Detours
from dyna_nav.planning.lattice import HEADINGS, Lattice, PotentialConfig
from dyna_nav.planning.obstacles import LiveMap
from dyna_nav.planning.potential_store import PotentialStore
from dyna_nav.planning.rollouts import NO_WAY, way_to_go
from dyna_nav.planning.straight_way import motion_of
from dyna_nav.site import Site


class Surroundings:
    """Goals, times to go and the live map of one run."""

    def __init__(self, site: Site, robots: int, model: RobotModel):
        config, tolerance = PotentialConfig(), GoalTolerance()
        self.site, self.robots, self.model, self.tolerance = site, robots, model, tolerance
        lattice = Lattice.of(site, model, config)
        self._store = PotentialStore(lattice, model, tolerance, config)
        self._detours = Detours(lattice, self._store, robots, model.radius, self._leads_on)
        self.live = LiveMap(site, model.radius)
        self.lattice = np.array([*lattice.origin, lattice.resolution])
        self.motion = motion_of(model, tolerance, Dyna2Config().missing_speed)  # time to go is as long as for Dyna-2
        self.fields = np.zeros((robots, *lattice.clearance.shape, HEADINGS), np.float32)  # time to go [s]
        self.goal = np.full((robots, 3), np.nan)
        self._arrived = np.zeros(robots, bool)

    def assign(self, robot: int, goal: np.ndarray | None) -> None:
        """Give a robot a goal pose [3] (map frame), or none. Raises ValueError where it cannot stand."""
        if not 0 <= robot < self.robots:
            raise ValueError(f"there is no robot {robot}; robots are numbered 0 to {self.robots - 1}")
        self._arrived[robot] = False
        if goal is None:
            self.goal[robot] = np.nan
            self._detours.forget(robot)
            return
        goal = np.asarray(goal, float)
        if goal.shape != (3,) or not np.isfinite(goal).all() or not self.site.standable(goal[:2], self.model.radius):
            raise ValueError(f"goal {goal.tolist()} of robot {robot} is not a pose on the map where a robot can stand")
        self.goal[robot] = goal
        self.fields[robot] = self._store.request(goal).result()
        self._detours.begin(robot, goal)

    def update(self, observation: Observation) -> np.ndarray:
        """Take in an observation; tells which robots [n] bool have somewhere to go and know where they are."""
        present = np.isfinite(observation.pose).all(axis=1) & np.isfinite(observation.twist).all(axis=1)
        self.live.update(observation, present)
        self._detours.take(self.fields, observation.pose, present)
        has_way = ~np.isnan(self.goal[:, 0]) & ~self._arrived
        goals, fields = self.goal, self.fields
        self._detours.look(
            self.live.obstacles, observation.time, observation.pose, goals, fields, has_way, has_way, waits=has_way
        )
        with np.errstate(invalid="ignore"):  # who was pushed away has to come again
            away = np.hypot(*(observation.pose - self.goal)[:, :2].T) > self.tolerance.position
        self._arrived &= ~away
        self._arrived |= present & goal_reached(observation.pose, observation.twist[:, 0], self.goal, self.tolerance)
        going = present & ~np.isnan(self.goal[:, 0]) & ~self._arrived
        for robot in np.flatnonzero(going):
            going[robot] = self._leads_on(self.fields[robot], observation.pose[robot])
        return going

    def wait(self) -> None:
        """Block until every detour that was asked for is there; for runs to be repeatable, before each cycle."""
        self._detours.wait()

    def close(self) -> None:
        """Stop the background thread."""
        self._store.close()

    def _leads_on(self, field: np.ndarray, pose: np.ndarray) -> bool:
        return way_to_go(field, self.lattice, *pose, self.motion[0]) < NO_WAY
