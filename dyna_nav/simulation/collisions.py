"""Contacts as episodes: one collision each, however long or bouncy the touch."""

from __future__ import annotations

from dataclasses import dataclass

HIT_MOVING = 0.05  # a robot that is not faster was hit by whoever walked into it, and hit nobody [m/s]


@dataclass(frozen=True)
class Collision:
    """One contact episode of a robot, at its beginning; x, y [m] in the map frame.

    Two robots that hit each other make one collision, told by the robot of lower index.
    """

    time: float  # [s]
    robot: int
    other: str  # "wall", "robot:J", "pallet:K" or "walker:L"
    x: float
    y: float
    speed: float = 0.0  # of the robot's body when it began [m/s]

    @property
    def with_person(self) -> bool:
        """Whether the robot touched a walker."""
        return is_person(self.other)

    @property
    def walked_into(self) -> bool:
        """Whether a walker walked into a robot that stood, which is no collision of the robot's."""
        return walked_into(self.other, self.speed)


def is_person(other: str) -> bool:
    """Whether what was touched, as a Collision names it, is a walker."""
    return other.startswith("walker:")


def walked_into(other: str, speed: float) -> bool:
    """Whether a contact with other at a speed of the robot [m/s] is a walker's who walked into a robot that stood."""
    return is_person(other) and speed <= HIT_MOVING


class CollisionLog:
    """Turns touches of single physics steps into collisions: a pair must part for a while before it counts again."""

    def __init__(self, separation: float):
        """separation: how long [s] a pair must have been apart for its next touch to be a new collision."""
        self.separation = separation
        self.collisions: list[Collision] = []
        self._last: dict[tuple[int, str], float] = {}

    def touch(self, time: float, robot: int, other: str, x: float, y: float, speed: float = 0.0) -> None:
        """Note that robot touches other at this time while it moves at a speed [m/s], in the order of time."""
        last = self._last.get((robot, other))
        if last is None or time - last >= self.separation:
            self.collisions.append(Collision(time, robot, other, x, y, speed))
        self._last[robot, other] = time

    def forget(self, other: str) -> None:
        """Drop the touches of something that was taken away."""
        self._last = {pair: time for pair, time in self._last.items() if pair[1] != other}
