"""Ways around what is not in the map: asked for when what stands in the way changes, taken where they lead on.

What a fleet sees of a few pallets changes all the time: their edges come and go, other sides come into view, what
nobody has looked at for long is forgotten. A robot asks at once when something has come or gone beside its own way;
what is far from it, or smaller than the cells that it is seen in, it takes up now and then. Whenever it asks, its new
way also keeps out of the oncoming traffic of that moment; who is about to meet somebody that its way knows nothing of
asks for that reason alone, one robot after the other: two that asked at once would dodge each other's old ways.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
from scipy.spatial import KDTree

from dyna_nav.planning.impasse import Impasses
from dyna_nav.planning.lattice import Lattice
from dyna_nav.planning.potential_store import PotentialStore
from dyna_nav.planning.standing import ParkedRobots, StandingObstacles
from dyna_nav.planning.traffic import Traffic
from dyna_nav.planning.ways import way_of

_REROUTE_PERIOD = 1.0  # shortest time between two looks at what has changed [s]
_LATER = 5.0  # after which a robot asks for what has changed elsewhere, or by little [s]
_LITTLE = 0.08  # something that stands no farther from where something stood before has not come: a cell's diagonal [m]
_LONGEST_GAP = 1.0  # after a longer pause nobody knows whether something has stood there all the time [s]
_NOTHING = np.empty((0, 2))


class Detours:
    """The potentials that a fleet has asked for beside those of the map alone; at most one for each robot."""

    def __init__(
        self,
        lattice: Lattice,
        store: PotentialStore,
        robots: int,
        radius: float,
        leads_on: Callable[[np.ndarray, np.ndarray], bool],
        traffic: Traffic | None = None,
    ):
        """radius of a robot [m]; leads_on(field [rows, cols, headings], pose [3]): a way leads from there.

        traffic: where the others drive; None: nobody keeps out of their way. A detour is taken as soon as it is there;
        a run that is to be repeatable waits for them.
        """
        self._store, self._standing = store, StandingObstacles(lattice)
        self._parked, self._impasses = ParkedRobots(robots, radius), Impasses(lattice, robots)
        self._lattice, self._leads_on, self._traffic = lattice, leads_on, traffic
        self._asked: list[Future | None] = [None] * robots
        self._time = math.nan  # of the last look [s]
        self._looked = -math.inf  # for changes, last [s]
        self._version: tuple | None = (0, 0, 0)  # of the standing obstacles, the parked robots and the impasses, then
        self._around = [_NOTHING] * robots  # points [k, 2] that each one's last detour leads around [m, map frame]
        self._when = np.full(robots, -math.inf)  # it was asked for [s]
        self._postponed = np.zeros(robots, bool)  # something has changed since
        self._aware: list[set[int]] = [set() for _ in range(robots)]  # whose ways it keeps out of
        self._next = 0  # whose turn it is to look whom it meets
        self._meeting: int | None = None  # who has asked for that reason, and waits for its way

    @property
    def parked(self) -> np.ndarray:
        """bool [robots]: stands, and not because it waits for others."""
        return self._parked.parked

    def clearance(self) -> np.ndarray:
        """That of the lattice [rows, cols], with what stands and is not in the map [m]."""
        return self._standing.clearance()

    def begin(self, robot: int, goal: np.ndarray | None) -> None:
        """Begin a robot's way to a goal pose [3], or to none: around what stands in the way, and traffic."""
        self._impasses.forget(robot)
        if goal is None:
            self.forget(robot)
        else:
            self.go_on(robot, goal)

    def go_on(self, robot: int, goal: np.ndarray) -> None:
        """Begin a robot's way to the goal pose [3] that it had before it made way: where it got stuck stays closed."""
        self.forget(robot)
        self._ask(robot, goal, self._in_the_way_of(robot))

    def retreat(self, robot: int, refuge: np.ndarray) -> None:
        """Begin a robot's way to a refuge [3], around what stands in the way; the traffic is what it flees from."""
        self.forget(robot)
        obstacles = self._in_the_way_of(robot)
        if len(obstacles):
            self._ask(robot, refuge, obstacles, keeps_out=False)

    def forget(self, robot: int) -> None:
        """The robot's detour is no longer wanted."""
        if self._meeting == robot:
            self._meeting = None
        self._around[robot], self._postponed[robot] = _NOTHING, False
        future, self._asked[robot] = self._asked[robot], None
        if future is not None:
            self._store.withdraw(future)

    def look(
        self,
        obstacles: np.ndarray,
        now: float,
        poses: np.ndarray,
        goals: np.ndarray,
        fields: np.ndarray,
        under_way: np.ndarray,
        tries: np.ndarray,
        waits: np.ndarray,
    ) -> None:
        """Ask for detours when what stands in the way has changed, and not all the time.

        obstacles [k, 2] (map frame [m]) as seen now [s]; poses, goals [robots, 3]; fields [robots, rows, cols,
        headings]: what each robot follows; under_way bool [robots]: wants a detour; tries bool [robots]: drives, and
        nobody holds it; waits bool [robots]: stands by its own choice, to drive on when the others let it.
        """
        self._parked.update(now, poses, waits)
        elapsed, self._time = now - self._time, now
        if not 0.0 < elapsed < _LONGEST_GAP:
            return
        self._standing.update(obstacles, elapsed)
        self._impasses.update(elapsed, poses, under_way, tries, fields)
        version = self._standing.version, self._parked.version, self._impasses.version
        due = under_way & self._postponed & (now - self._when >= _LATER)
        if now - self._looked >= _REROUTE_PERIOD and (version != self._version or due.any()):
            self._looked, self._version = now, version
            self._postponed |= ~under_way  # who has no way yet looks when it has one
            for robot in map(int, np.flatnonzero(under_way)):
                self._look_around(robot, poses[robot], goals[robot], fields[robot])
        self._look_ahead(goals, under_way & ~np.isnan(poses[:, 0]))

    def _look_around(self, robot: int, pose: np.ndarray, goal: np.ndarray, field: np.ndarray) -> None:
        """Ask for a robot's detour if what stands in its way has changed; goal [3], else as in ``look``."""
        obstacles = self._in_the_way_of(robot)
        self._postponed[robot] = not np.array_equal(obstacles, self._around[robot])
        if not self._postponed[robot]:
            return
        asked = self._asked[robot]
        if asked is not None and not asked.done() and robot != self._meeting:
            self._version = None  # look again: what is asked for comes first, or nothing would come while things change
            return
        later = self._time - self._when[robot] >= _LATER
        if later or self._beside_its_way(robot, obstacles, pose, field):
            self.forget(robot)
            self._ask(robot, goal, obstacles)

    def _look_ahead(self, goals: np.ndarray, under_way: np.ndarray) -> None:
        """Ask for the detour of the next robot that will meet somebody whose way its own does not know, if any.

        under_way bool [robots]: knows where it is and wants a detour.
        """
        if self._traffic is None or (self._meeting is not None and under_way[self._meeting]):
            return
        robot, self._next = self._next, (self._next + 1) % len(under_way)
        asks = under_way[robot] and self._asked[robot] is None
        if asks and not self._traffic.meets(robot) <= self._aware[robot]:
            self._ask(robot, goals[robot], self._in_the_way_of(robot))
            self._meeting = robot

    def take(self, fields: np.ndarray, poses: np.ndarray, able: np.ndarray) -> None:
        """Write the detours that lead on into fields [robots, rows, cols, headings]; otherwise the old way stays.

        poses [robots, 3]; able bool [robots]: knows where it is and follows a way already.
        """
        for robot in map(int, np.flatnonzero(able)):
            future = self._asked[robot]
            if future is None or not future.done():
                continue
            met, self._asked[robot] = robot == self._meeting, None
            if met:
                self._meeting = None
            if future.exception() is None and self._leads_on(future.result(), poses[robot]):
                fields[robot] = future.result()
                self.drives_elsewhere(robot, known=met)

    def drives_elsewhere(self, robot: int, known: bool = False) -> None:
        """A robot follows another potential; known: because it met somebody, and for the others that is no other way.

        Otherwise nobody's own way keeps out of its new one yet.
        """
        if self._traffic is not None:
            self._traffic.forget(robot)
        if not known:
            for aware in self._aware:
                aware.discard(robot)

    def wait(self) -> None:
        """Block until every detour that was asked for is there."""
        for future in self._asked:
            if future is not None:
                future.result()

    def _ask(self, robot: int, goal: np.ndarray, obstacles: np.ndarray, keeps_out: bool = True) -> None:
        """Ask for a robot's way to a goal [3] around obstacles [k, 2], which keeps out of the traffic or does not."""
        traffic = self._traffic if keeps_out else None
        kept = robot if self._parked.parked[robot] else None  # who is parked is not in its own way
        closed = tuple(self._impasses.points(robot).ravel())
        standing = (self._standing.version, self._parked.version, kept, closed) if len(obstacles) else ()
        flow = None if traffic is None else traffic.flow(robot)
        self._asked[robot] = self._store.request(goal, obstacles if len(obstacles) else None, flow, standing)
        self._around[robot], self._postponed[robot] = obstacles, False
        self._aware[robot] = set() if traffic is None else traffic.others(robot)
        self._when[robot] = -math.inf if math.isnan(self._time) else self._time  # before the first look

    def _beside_its_way(self, robot: int, obstacles: np.ndarray, pose: np.ndarray, field: np.ndarray) -> bool:
        """Whether something has come or gone, since its last detour, where it costs a robot something.

        pose [3] (NaN: who knows where it drives?), field [rows, cols, headings] that it follows.
        """
        before, lattice = self._around[robot], self._lattice
        changed = np.concatenate([_far_from(before, obstacles), _far_from(obstacles, before)])
        if not len(changed) or np.isnan(pose[0]):
            return False
        way = lattice.centres(way_of(field, *lattice.cell_of(pose)))
        return bool((KDTree(way).query(changed)[0] <= self._store.reach + lattice.resolution).any())

    def _in_the_way_of(self, robot: int) -> np.ndarray:
        """Points [k, 2] (map frame [m]) of all that stands and is not in the map, and of where it got stuck."""
        standing = _NOTHING if self._standing.points is None else self._standing.points
        return np.concatenate([standing, self._parked.outlines(robot), self._impasses.points(robot)])


def _far_from(known: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Those of points [k, 2] that lie beside none of the known ones [m, 2]."""
    return points[KDTree(known).query(points)[0] > _LITTLE] if len(known) and len(points) else points
