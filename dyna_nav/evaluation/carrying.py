"""Carries robots that did not finish a trip to where it was to end, as somebody would have to do.

So every trip begins where it was planned to, for every controller, and who is stuck does not stay in the others' way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dyna_nav.evaluation.course import PLACE_ROOM
from dyna_nav.evaluation.happenings import Happenings
from dyna_nav.evaluation.incidents import box_clearance
from dyna_nav.simulation import Simulation

PATIENCE = 60.0  # nobody waits longer for somebody to leave the place where a robot is to be set down [s]


@dataclass(frozen=True, eq=False)
class _Stranded:
    """A robot to be carried: to which pose [3], and since when [s]."""

    place: np.ndarray
    since: float


class Carrying:
    """The stranded robots of one simulation; ``robot in carrying`` tells whether one waits to be carried."""

    def __init__(self, simulation: Simulation, happenings: Happenings):
        self._simulation, self._happenings = simulation, happenings
        self._stranded: dict[int, _Stranded] = {}

    def __contains__(self, robot: int) -> bool:
        return robot in self._stranded

    def strand(self, robot: int, place: np.ndarray) -> None:
        """From now on a robot waits to be carried to a pose [3] (map frame)."""
        self._stranded[robot] = _Stranded(place, self._simulation.time)

    def step(self) -> tuple[list[int], list[int]]:
        """Carry whom there is room for: the robots carried, and those that have waited in vain and stay."""
        carried = self._with_room()
        if carried:
            self._simulation.carry({robot: self._stranded.pop(robot).place for robot in carried})
        late = self._simulation.time - PATIENCE + 1e-9
        left = [robot for robot, stranded in self._stranded.items() if stranded.since <= late]
        for robot in left:
            del self._stranded[robot]
        return carried, left

    def _with_room(self) -> list[int]:
        """Those whose places are free, or become so when all of these are carried at once."""
        moved = {robot: stranded.place for robot, stranded in self._stranded.items()}
        radius, boxes = self._simulation.robot_model.radius, self._happenings.boxes()
        pose = self._simulation.true_pose
        while moved:
            staying = np.delete(pose, list(moved), axis=0)
            blocked = [
                robot
                for robot, place in moved.items()
                if np.hypot(*(staying[:, :2] - place[:2]).T).min(initial=np.inf) < 2 * radius + PLACE_ROOM
                or box_clearance(place[None], boxes, radius).min(initial=np.inf) < PLACE_ROOM
            ]
            if not blocked:
                break
            for robot in blocked:
                del moved[robot]
        return list(moved)
