"""Ways around what stands in the way and is not in the map: asked for when that changes, taken where they lead on."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np

from dyna_nav.planning.potential import Lattice, PotentialStore
from dyna_nav.planning.standing import StandingObstacles

_REROUTE_PERIOD = 1.0  # shortest time between two changes of all routes [s]
_LONGEST_GAP = 1.0  # after a longer pause nobody knows whether something has stood there all the time [s]


class Detours:
    """The potentials that a fleet has asked for beside those of the map alone; at most one for each robot."""

    def __init__(
        self,
        lattice: Lattice,
        store: PotentialStore,
        robots: int,
        leads_on: Callable[[np.ndarray, np.ndarray], bool],
        delay: float | None = None,
    ):
        """leads_on(field [rows, cols, headings], pose [3]): a way leads from there.

        delay [s]: time from asking for a detour to taking it, which is waited for: a run that is to be repeatable must
        not depend on how long the computation takes. None: it is taken as soon as it is there.
        """
        self._store, self._standing = store, StandingObstacles(lattice)
        self._leads_on, self._delay = leads_on, delay
        self._asked: list[Future | None] = [None] * robots
        self._due = np.zeros(robots)  # when each is taken, with a delay [s]
        self._time = math.nan  # of the last look [s]
        self._rerouted = -math.inf  # when all were last asked for [s]
        self._version = 0  # of the standing obstacles that they lead around

    def begin(self, robot: int, goal: np.ndarray | None) -> None:
        """Begin a robot's way to a goal pose [3], or to none: with a detour if something stands in the way already."""
        self.forget(robot)
        if goal is not None and self._standing.points is not None:
            self._ask(robot, goal)

    def forget(self, robot: int) -> None:
        """The robot's detour is no longer wanted."""
        future, self._asked[robot] = self._asked[robot], None
        if future is not None:
            self._store.withdraw(future)

    def look(self, obstacles: np.ndarray, now: float, goals: np.ndarray, under_way: np.ndarray) -> None:
        """Ask for detours when what stands in the way has changed, and not all the time.

        obstacles [k, 2] (map frame [m]) as seen now [s]; goals [robots, 3]; under_way bool [robots]: wants a detour.
        """
        elapsed, self._time = now - self._time, now
        if not 0.0 < elapsed < _LONGEST_GAP:
            return
        self._standing.update(obstacles, elapsed)
        if self._standing.version == self._version or now - self._rerouted < _REROUTE_PERIOD:
            return
        self._rerouted, self._version = now, self._standing.version
        for robot in np.flatnonzero(under_way):
            self.forget(robot)
            self._ask(robot, goals[robot])

    def take(self, fields: np.ndarray, poses: np.ndarray, able: np.ndarray, now: float) -> None:
        """Write the detours that lead on into fields [robots, rows, cols, headings]; otherwise the old way stays.

        poses [robots, 3]; able bool [robots]: knows where it is and follows a way already; now [s].
        """
        for robot in np.flatnonzero(able):
            future = self._asked[robot]
            if future is None or not (future.done() if self._delay is None else now >= self._due[robot]):
                continue
            self._asked[robot] = None
            if future.exception() is None and self._leads_on(future.result(), poses[robot]):
                fields[robot] = future.result()

    def wait(self) -> None:
        """Block until every detour that was asked for is there."""
        for future in self._asked:
            if future is not None:
                future.result()

    def _ask(self, robot: int, goal: np.ndarray) -> None:
        self._asked[robot] = self._store.request(goal, self._standing.points, self._standing.version)
        self._due[robot] = self._time + (self._delay or 0.0)
