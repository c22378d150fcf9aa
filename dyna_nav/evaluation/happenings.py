"""Carries a course's timeline out in a simulation.

A pallet or a rack waits until no robot is so near that it could not stop for it: what appears is to be avoided, not to
be survived. It comes then, at the same place for every controller.
"""

from __future__ import annotations

import math

import numpy as np

from dyna_nav.evaluation.course import FROM_PLACES, Breakdown, Course, HallChange, PalletDrop
from dyna_nav.simulation import Simulation
from dyna_nav.site import Site

KEEP_AWAY = 2.5  # of robots from where something appears [m]
RACK_AWAY = 0.5  # of robots' hulls from where a rack will stand [m]
PALLET_ROOM = 0.75  # from a pallet's middle to its corners, and a little more [m]
STALL_NEAR = 0.75  # of the point at which a robot is to stall [m]
STALL_PATIENCE = 60.0  # after which it stalls wherever it drives and others get past [s]


class Happenings:
    """What happens to one simulation. ``stalled`` [n]: obeys nothing now; ``gone`` [n]: and never will again."""

    def __init__(self, course: Course, simulation: Simulation):
        self._simulation, self._course, self._places = simulation, course, course.tasks.places[:, :2]
        self._due = list(course.timeline)
        self._standing: list[tuple[float, int]] = []  # when a pallet goes, its number
        self._resuming: list[tuple[float, int]] = []  # when a robot resumes, its number
        self._placed: list[np.ndarray] = []
        robots = len(course.tasks.starts)
        self.stalled = np.zeros(robots, bool)
        self.gone = np.zeros(robots, bool)
        self._sizes: dict[int, tuple[float, float]] = {}

    def step(self) -> None:
        """Let everything happen that is due now."""
        now, simulation = self._simulation.time + 1e-9, self._simulation
        for entry in [entry for entry in self._due if entry.at <= now]:
            if self._happens(entry, now):
                self._due.remove(entry)
        for until, number in [standing for standing in self._standing if standing[0] <= now]:
            simulation.remove_pallet(number)
            self._standing.remove((until, number))
        for until, robot in [resuming for resuming in self._resuming if resuming[0] <= now]:
            simulation.stall(robot, False)
            self.stalled[robot] = False
            self._resuming.remove((until, robot))

    def names(self) -> list[str]:
        """Names of the pallets that stand, in the order of :meth:`boxes`."""
        return [f"pallet:{number}" for number in self._simulation.pallets]

    def boxes(self) -> np.ndarray:
        """Pallets as they stand [m, 5]: x, y [m], yaw [rad] (map frame), length, width [m]; in the order of numbers."""
        rows = [(*pose, *self._sizes[number]) for number, pose in self._simulation.pallets.items()]
        return np.array(rows).reshape(-1, 5)

    def placed(self) -> np.ndarray:
        """Poses [k, 3] of all pallets that were put down."""
        return np.array(self._placed).reshape(-1, 3)

    def _happens(self, entry: PalletDrop | HallChange | Breakdown, now: float) -> bool:
        """Carry an entry out; False when it has to wait."""
        if isinstance(entry, PalletDrop):
            return self._put_down(entry, now)
        if isinstance(entry, HallChange):
            return self._change_hall(entry)
        return self._break_down(entry, now)

    def _change_hall(self, entry: HallChange) -> bool:
        """Racks move in their order: a later hall holds what an earlier one does, and waits for whom that waits for."""
        hall, simulation = entry.hall, self._simulation
        appears = _appearing(simulation.hall, hall)
        robots = _gaps(appears, simulation.true_pose) - simulation.robot_model.radius
        if robots.min() < RACK_AWAY or _gaps(appears, self.boxes()).min(initial=np.inf) < PALLET_ROOM:
            return False
        simulation.change_hall(hall)
        return True

    def _put_down(self, entry: PalletDrop, now: float) -> bool:
        if now >= entry.until:  # somebody stood there all the while
            return True
        pallet = entry.pallet
        place, simulation = np.array([pallet.x, pallet.y]), self._simulation
        robots = np.hypot(*(simulation.true_pose[:, :2] - place).T).min()
        pallets = np.hypot(*(self.boxes()[:, :2] - place).T).min(initial=np.inf)
        if robots < KEEP_AWAY or pallets < 2 * PALLET_ROOM:
            return False
        try:
            number = simulation.add_pallet(pallet.x, pallet.y, pallet.yaw)
        except ValueError:  # a rack has moved there since the course was drawn
            return False
        self._sizes[number] = (pallet.length, pallet.width)
        self._standing.append((entry.until, number))
        self._placed.append(np.array([pallet.x, pallet.y, pallet.yaw]))
        return True

    def _break_down(self, entry: Breakdown, now: float) -> bool:
        pose = self._simulation.true_pose[entry.robot]
        driving = np.isfinite(self._simulation.goals[entry.robot, 0])
        there = math.hypot(pose[0] - entry.x, pose[1] - entry.y) <= STALL_NEAR
        away = np.hypot(*(self._places - pose[:2]).T).min() >= FROM_PLACES  # nobody's goal becomes a grave
        late = away and now >= entry.at + STALL_PATIENCE
        if not driving or not (there or (late and self._others_get_past(pose[:2]))):
            return False
        self._simulation.stall(entry.robot)
        self.stalled[entry.robot] = True
        if math.isinf(entry.lasts):
            self.gone[entry.robot] = True
        else:
            self._resuming.append((now + entry.lasts, entry.robot))
        return True

    def _others_get_past(self, xy: np.ndarray) -> bool:
        """Whether a robot that stands at xy [2] for good leaves a way between all places."""
        return self._course.leaves_ways(self._simulation.hall, xy, self._simulation.robot_model.radius)


def _appearing(before: Site, after: Site) -> np.ndarray:
    """Centres [k, 2] (m, map frame) of the cells that are free in one hall and not in another."""
    return after.map.position_of(*np.nonzero(before.map.free & ~after.map.free))


def _gaps(cells: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Distance [n] from poses [n, 2 or more] (map frame) to the nearest of cells [k, 2]; inf where there are none."""
    apart = np.hypot(*(poses[:, None, :2] - cells[None]).transpose(2, 0, 1))
    return apart.min(axis=1, initial=np.inf)
