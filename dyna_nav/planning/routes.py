"""Which potential each robot follows: of its goal, of its goal around what stands or comes towards it, of its refuge.

Potentials are computed in a thread of their own; a robot stands until the first one of its goal is there, and follows
it until a better one is.
"""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np

from dyna_nav.mdp import GoalTolerance, RobotModel
from dyna_nav.planning.detours import Detours
from dyna_nav.planning.dyna2 import Dyna2
from dyna_nav.planning.lattice import Lattice, PotentialConfig
from dyna_nav.planning.making_way import MakingWay, MakingWayConfig
from dyna_nav.planning.potential_store import PotentialStore
from dyna_nav.planning.traffic import Traffic


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
        self._traffic = Traffic(lattice, model.radius, making_way.gap) if potential.contraflow > 0.0 else None
        self._detours = Detours(lattice, self._store, robots, model.radius, dyna2.leads_on, traffic=self._traffic)
        self._making_way = MakingWay(lattice, robots, model.radius, making_way)
        self.goal = np.full((robots, 3), np.nan)
        self.ready, self.reachable = np.zeros(robots, bool), np.zeros(robots, bool)
        self._potential: list[Future | None] = [None] * robots

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
        self._detours.begin(robot, goal)

    def wait(self) -> None:
        """Block until everything that was asked for is there."""
        for future in self._potential:
            if future is not None:
                future.result()
        self._detours.wait()

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
                self._detours.drives_elsewhere(robot)
        self._detours.take(self._dyna2.fields, pose, self.ready & present)  # first the way on the map alone
        for robot in np.flatnonzero(self.ready & present):
            self.reachable[robot] = self._dyna2.reachable(robot, pose[robot])

    def make_way(self, now: float, pose: np.ndarray, able: np.ndarray, under_way: np.ndarray) -> None:
        """Send robots that block each other to refuges, and on to their goals when that has helped.

        now [s]; pose [robots, 3]; able bool [robots]: drives to its goal or refuge; under_way bool [robots]: has not
        arrived and has not broken down.
        """
        comes = under_way & ~np.isnan(self.goal[:, 0]) & ~self._detours.parked
        fields, clearance = self._dyna2.fields, self._detours.clearance
        for robot in self._making_way.update(now, pose, able, comes, fields, clearance):
            self._ask(robot)
            if self.makes_way[robot]:
                self._detours.retreat(robot, self.target[robot])
            else:
                self._detours.go_on(robot, self.goal[robot])

    def lead_around(
        self,
        obstacles: np.ndarray,
        now: float,
        pose: np.ndarray,
        under_way: np.ndarray,
        tries: np.ndarray,
        waits: np.ndarray,
    ) -> None:
        """Ask for detours around what stands in the way: obstacles [k, 2] (map frame [m]) as seen now [s].

        pose [robots, 3]; under_way bool [robots]: has not arrived and has not broken down; tries bool [robots]: drives,
        and nobody holds it; waits bool [robots]: stands by its own choice, to drive on when the others let it. Who
        makes way goes to its refuge as it was chosen.
        """
        if self._traffic is not None:
            self._traffic.update(pose, self._dyna2.fields, self.ready & under_way & ~self._detours.parked)
        under_way = self.ready & under_way & ~self.makes_way
        self._detours.look(obstacles, now, pose, self.goal, self._dyna2.fields, under_way, tries, waits)

    def close(self) -> None:
        """Stop the thread."""
        self._store.close()

    def _ask(self, robot: int) -> None:
        """Begin a new way: what the robot imagined on the old one is forgotten."""
        self.ready[robot] = False
        self._dyna2.forget(robot)
        self._detours.forget(robot)
        before, self._potential[robot] = self._potential[robot], None
        if before is not None:
            self._store.withdraw(before)
        target = self.target[robot]
        if not np.isnan(target[0]):
            self._potential[robot] = self._store.request(target)
