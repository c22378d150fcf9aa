"""Contacts as episodes: one collision each, however long or bouncy the touch."""

from __future__ import annotations

from dataclasses import dataclass


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
