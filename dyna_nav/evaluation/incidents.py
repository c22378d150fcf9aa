"""What goes wrong in an episode short of a collision: near misses and stops, each counted once while it lasts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dyna_nav.parameters import parameter


@dataclass(frozen=True)
class IncidentConfig:
    """When something counts."""

    near: float = parameter(0.1, "a clearance under this is a near miss [m]", minimum=0, maximum=1)
    apart: float = parameter(0.15, "a clearance over this ends it [m]", minimum=0, maximum=2)
    docking: float = parameter(0.6, "walls do not count so near to the trip's start and goal [m]", minimum=0, maximum=5)
    still: float = parameter(0.05, "a robot slower than this stands [m/s]", minimum=0, maximum=1)
    shortest_stop: float = parameter(
        2.0, "a robot that stands so long with a goal has stopped [s]", minimum=0, maximum=60
    )


@dataclass(frozen=True)
class NearMiss:
    """A clearance under the limit, at its beginning; x, y [m] of the robot, map frame."""

    time: float  # [s]
    robot: int
    other: str  # "wall", "robot:J", "pallet:K" or "walker:L"
    x: float
    y: float


@dataclass(frozen=True)
class Stop:
    """A robot with a goal that stood for a while; time is its beginning [s]."""

    time: float
    robot: int
    seconds: float
    reason: str  # what the controller's report said, "" when it said nothing
    x: float
    y: float


class NearMissLog:
    """Turns clearances, seen once a step, into near misses with hysteresis."""

    def __init__(self, config: IncidentConfig):
        self.config = config
        self.near_misses: list[NearMiss] = []
        self._near: set[tuple[int, str]] = set()

    def see(
        self, time: float, pose: np.ndarray, kind: str, names: list[str], clearance: np.ndarray, counts: np.ndarray
    ) -> None:
        """Note clearances [n, others] (m) of robots at pose [n, 3] from all there is of a kind now, by names [others].

        counts [n, others] (bool): where a new near miss may begin; one that has begun ends only by distance.
        """
        near = {
            (int(robot), names[other]): bool(clearance[robot, other] < self.config.near and counts[robot, other])
            for robot, other in zip(*np.nonzero(clearance < self.config.apart), strict=True)
        }
        for (robot, other), begins in near.items():
            if begins and (robot, other) not in self._near:
                self._near.add((robot, other))
                self.near_misses.append(NearMiss(time, robot, other, float(pose[robot, 0]), float(pose[robot, 1])))
        self._near = {key for key in self._near if key in near or key[1].partition(":")[0] != kind}


@dataclass
class _Standing:
    """A robot that stands: since when [s], where it came to stand [m], and why, if it said so."""

    since: float
    x: float
    y: float
    reason: str = ""


class StopLog:
    """Turns standing robots into stops."""

    def __init__(self, robots: int, config: IncidentConfig):
        self.config = config
        self.stops: list[Stop] = []
        self._standing: list[_Standing | None] = [None] * robots

    def see(self, time: float, pose: np.ndarray, speed: np.ndarray, waiting: np.ndarray, reasons: list[str]) -> None:
        """Note speeds [n] (m/s) of robots at pose [n, 3]; waiting [n]: has a goal to drive to; reasons [n]."""
        for robot, stands in enumerate((np.abs(speed) < self.config.still) & waiting):
            if stands:
                standing = self._standing[robot] or _Standing(time, *map(float, pose[robot, :2]))
                standing.reason = standing.reason or reasons[robot]
                self._standing[robot] = standing
            else:
                self._end(robot, time)

    def close(self, time: float) -> None:
        """End the stops that still last."""
        for robot in range(len(self._standing)):
            self._end(robot, time)

    def _end(self, robot: int, time: float) -> None:
        standing, self._standing[robot] = self._standing[robot], None
        if standing and time - standing.since >= self.config.shortest_stop:
            lasted = time - standing.since
            self.stops.append(Stop(standing.since, robot, lasted, standing.reason, standing.x, standing.y))


def robot_clearance(pose: np.ndarray, radius: float) -> np.ndarray:
    """Clearance [n, n] (m) between the hulls of robots at pose [n, 3]; inf below and on the diagonal."""
    gaps = np.hypot(*(pose[:, None, :2] - pose[None, :, :2]).transpose(2, 0, 1)) - 2 * radius
    gaps[np.tril_indices(len(pose))] = np.inf
    return gaps


def box_clearance(pose: np.ndarray, boxes: np.ndarray, radius: float) -> np.ndarray:
    """Clearance [n, m] (m) between robots at pose [n, 3] and boxes [m, 5] (x, y, yaw, length, width)."""
    offset = pose[:, None, :2] - boxes[None, :, :2]
    cosine, sine = np.cos(boxes[:, 2]), np.sin(boxes[:, 2])
    along = np.abs(cosine * offset[..., 0] + sine * offset[..., 1]) - boxes[:, 3] / 2
    across = np.abs(cosine * offset[..., 1] - sine * offset[..., 0]) - boxes[:, 4] / 2
    return np.hypot(np.maximum(along, 0.0), np.maximum(across, 0.0)) - radius
