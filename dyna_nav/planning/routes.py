"""Which potential each robot follows: that of its goal, of its goal around what stands in the way, or of its refuge.

Potentials are computed in a thread of their own; a robot stands until the first one of its goal is there, and follows
it until a better one is.
"""

from __future__ import annotations

import math
from concurrent.futures import Future

import numpy as np

from dyna_nav.mdp import GoalTolerance, RobotModel
from dyna_nav.planning.dyna2 import Dyna2
from dyna_nav.planning.making_way import MakingWay, MakingWayConfig
from dyna_nav.planning.potential import Lattice, PotentialConfig, PotentialStore
from dyna_nav.planning.standing import StandingObstacles

_REROUTE_PERIOD = 2.0  # shortest time between two changes of all routes [s]


class Routes:
    """Row i of every array is robot i.

    goal [robots, 3] (map frame; NaN: none); ready bool [robots]: a potential is there; reachable bool [robots]: it
    leads on from where the robot is.
    """

    def __init__(
        self,
        lattice: Lattice,
        robots: int,
        model: RobotModel,
        dyna2: Dyna2,
        tolerance: GoalTolerance,
        potential: PotentialConfig,
        making_way: MakingWayConfig,
    ):
        """``dyna2`` is handed the potentials (its ``fields``)."""
        self._dyna2 = dyna2
        self._store = PotentialStore(lattice, model, tolerance, potential)
        self._standing = StandingObstacles(lattice)
        self._making_way = MakingWay(lattice, robots, model.radius, making_way)
        self.goal = np.full((robots, 3), np.nan)
        self.ready, self.reachable = np.zeros(robots, bool), np.zeros(robots, bool)
        self._potential: list[Future | None] = [None] * robots
        self._detour: list[Future | None] = [None] * robots  # the same around what stands in the way
        self._rerouted = -math.inf  # when the detours were last asked for [s]
        self._version = 0  # of the standing obstacles that they lead around

    @property
    def makes_way(self) -> np.ndarray:
        """bool [robots]: drives to a refuge, or waits there."""
        return self._making_way.making_way

    @property
    def target(self) -> np.ndarray:
        """[robots, 3] where each robot drives to: its refuge, or else its goal."""
        return np.where(self.makes_way[:, None], self._making_way.refuge, self.goal)

    def assign(self, robot: int, goal: np.ndarray | None) -> None:
        """Give a robot a goal pose [3], or none."""
        self.goal[robot] = np.nan if goal is None else goal
        self._making_way.forget(robot)
        self._ask(robot)
        if goal is not None and self._standing.blocked is not None:
            self._ask_detour(robot)

    def wait(self) -> None:
        """Block until everything that was asked for is there."""
        for future in (*self._potential, *self._detour):
            if future is not None:
                future.result()

    def waiting_for(self, robot: int) -> str | None:
        """Why a robot will get no potential; None while one is being computed."""
        failure = self._potential[robot].exception() if self._potential[robot].done() else None
        return None if failure is None else f"no route: {failure}"

    def take(self, pose: np.ndarray) -> None:
        """Follow what has been computed by now; pose [robots, 3], NaN: unknown."""
        present = ~np.isnan(pose[:, 0])
        for robot, future in enumerate(self._potential):
            if future is not None and not self.ready[robot] and future.done() and future.exception() is None:
                self._dyna2.fields[robot] = future.result()
                self.ready[robot] = True
        for robot, future in enumerate(self._detour):
            if future is None or not future.done() or not self.ready[robot]:  # first the way on the map alone
                continue
            self._detour[robot] = None
            leads_on = present[robot] and future.exception() is None
            if leads_on and self._dyna2.leads_on(future.result(), pose[robot]):
                self._dyna2.fields[robot] = future.result()  # otherwise the old way, up to what blocks it
        for robot in np.flatnonzero(self.ready & present):
            self.reachable[robot] = self._dyna2.reachable(robot, pose[robot])

    def make_way(self, now: float, pose: np.ndarray, under_way: np.ndarray) -> None:
        """Send robots that block each other to refuges, and on to their goals when that has helped.

        now [s]; pose [robots, 3]; under_way bool [robots]: drives to its goal or refuge.
        """
        for robot in self._making_way.update(now, pose, under_way, self._dyna2.fields):
            self._ask(robot)

    def lead_around(self, obstacles: np.ndarray, now: float, elapsed: float, under_way: np.ndarray) -> None:
        """Ask for detours when what stands in the way has changed, and not all the time.

        obstacles [k, 2] (map frame [m]) as seen now [s], ``elapsed`` [s] after the last ones; under_way bool [robots].
        """
        if not 0.0 < elapsed < 1.0:
            return
        self._standing.update(obstacles, elapsed)
        if self._standing.version == self._version or now - self._rerouted < _REROUTE_PERIOD:
            return
        self._rerouted, self._version = now, self._standing.version
        for robot in np.flatnonzero(self.ready & under_way & ~self.makes_way):
            self._ask_detour(robot)

    def close(self) -> None:
        """Stop the thread."""
        self._store.close()

    def _ask(self, robot: int) -> None:
        """Begin a new way: what the robot imagined on the old one is forgotten."""
        self.ready[robot] = False
        self._dyna2.forget(robot)
        self._drop(self._potential, robot)
        self._drop(self._detour, robot)
        target = self.target[robot]
        if not np.isnan(target[0]):
            self._potential[robot] = self._store.request(target)

    def _ask_detour(self, robot: int) -> None:
        self._drop(self._detour, robot)
        self._detour[robot] = self._store.request(self.goal[robot], self._standing.blocked, self._standing.version)

    def _drop(self, futures: list[Future | None], robot: int) -> None:
        """Forget what was asked for a robot; nobody computes it any more unless another robot waits for it too."""
        future, futures[robot] = futures[robot], None
        if future is not None and future not in (*self._potential, *self._detour):
            future.cancel()
