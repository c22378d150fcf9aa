"""The work of the fleet: a stream of trips between stations, with reservations, dwelling, time-outs and charging.

A trip takes one robot from where it is to a station: a pick station, then a rack, then a pick station again. No two
robots are sent to one station. Nothing here knows of ROS or of the wall clock; the caller says what time it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from dyna_nav.mdp import GoalTolerance, RobotModel, goal_reached
from dyna_nav.parameters import parameter
from dyna_nav.site import Site, Station
from dyna_nav.site.fields import distance_at, geodesic_distance

HOLDING = 1.0  # a robot this near to a station keeps others from being sent there [m]


@dataclass(frozen=True)
class TripConfig:
    """How trips are made."""

    trips: int = parameter(0, "trips to make, 0: without end", minimum=0, maximum=1_000_000)
    seed: int = parameter(0, "seed of the stream of trips", minimum=0, maximum=2**31 - 1)
    dwell: float = parameter(1.0, "time at a station before the next trip [s]", minimum=0, maximum=600)
    trip_timeout: float = parameter(180.0, "a trip that takes longer has failed [s]", minimum=1, maximum=3600)
    battery_low: float = parameter(0.2, "charge below which a robot goes to a charger", minimum=0, maximum=1)
    battery_full: float = parameter(0.8, "charge at which it goes back to work", minimum=0, maximum=1)


@dataclass(frozen=True)
class Trip:
    """One drive of one robot to one station."""

    number: int  # counts trips from 1; 0: a drive to a charger, which is no trip
    station: Station
    started: float  # [s]
    ideal: float  # length of the shortest way over full speed [s]

    @property
    def goal(self) -> np.ndarray:
        """[3] x [m], y [m], yaw [rad], map frame."""
        return np.array([self.station.x, self.station.y, self.station.yaw])


@dataclass(frozen=True)
class FailedTrip:
    """A trip that was given up, and why."""

    number: int
    robot: int
    station: str
    reason: str


@dataclass
class _Worker:
    """What one robot is doing: idle (no trip), driving (trip, not arrived), dwelling or charging (arrived)."""

    trip: Trip | None = None
    arrived: float | None = None  # when it reached the trip's station [s]
    next_kind: str = "pick"
    avoid: str = ""  # the station that it failed to reach last, until it has reached another


@dataclass
class TripStream:
    """Gives trips to robots and notes how they end; call :meth:`step` several times a second."""

    site: Site
    robots: int
    config: TripConfig
    robot_model: RobotModel = field(default_factory=RobotModel)
    tolerance: GoalTolerance = field(default_factory=GoalTolerance)

    def __post_init__(self) -> None:
        """Raises ValueError when the site has too few stations to keep robots apart, or no charge is ever enough."""
        if self.config.battery_low > self.config.battery_full:
            raise ValueError(
                f"parameter battery_low is {self.config.battery_low}; it must not exceed battery_full, "
                f"{self.config.battery_full}"
            )
        self.rng = np.random.default_rng(self.config.seed)
        self.workers = [_Worker() for _ in range(self.robots)]
        self.travel_times: list[float] = []  # [s] of the completed trips
        self.ideal_times: list[float] = []  # [s] of the same trips
        self.failed: list[FailedTrip] = []
        self.begun = 0
        self._distances = {  # way to each station from every cell [m]; now, because later it would disturb who drives
            station.name: geodesic_distance(self.site, np.array([station.x, station.y]), self.robot_model.radius)
            for station in self.site.stations
        }
        self.chargers = [station for station in self.site.stations if station.kind == "charger"]
        workplaces = [station for station in self.site.stations if station.kind != "charger"]
        if (places := _places(workplaces)) < self.robots + 1:
            near = f", too near to each other to count for more than {places} (they must lie {HOLDING:g} m apart)"
            raise ValueError(
                f"site {self.site.name} has {len(workplaces)} pick and rack stations"
                f"{near if places < len(workplaces) else ''}; "
                f"{self.robots} robots need at least {self.robots + 1}: add stations or take fewer robots"
            )

    @property
    def completed(self) -> int:
        """Trips that reached their station."""
        return len(self.travel_times)

    @property
    def done(self) -> bool:
        """Whether every trip asked for has ended."""
        return 0 < self.config.trips <= self.completed + len(self.failed)

    def goals(self) -> np.ndarray:
        """[robots, 3] the pose each robot is to drive to, map frame; NaN where there is none."""
        return np.array([np.full(3, np.nan) if w.trip is None else w.trip.goal for w in self.workers])

    def states(self) -> list[str]:
        """What each robot does, in one word: idle, driving, dwelling, to charger, charging."""
        return [self._state(worker) for worker in self.workers]

    @staticmethod
    def _state(worker: _Worker) -> str:
        if worker.trip is None:
            return "idle"
        is_charge = worker.trip.number == 0
        if worker.arrived is None:
            return "to charger" if is_charge else "driving"
        return "charging" if is_charge else "dwelling"

    def step(self, now: float, poses: np.ndarray, speeds: np.ndarray, batteries: np.ndarray) -> None:
        """Note arrivals and time-outs, then give work to the idle.

        now [s]; poses [robots, 3] map frame, speeds [robots] m/s, batteries [robots] 0..1; NaN: not known yet.
        """
        arrived = goal_reached(poses, speeds, self.goals(), self.tolerance)
        for robot, worker in enumerate(self.workers):
            if worker.trip is not None and worker.arrived is None:
                self._drive(robot, worker, now, bool(arrived[robot]))
            if worker.trip is not None and worker.arrived is not None:
                self._stay(worker, now, batteries[robot])
            if worker.trip is None and np.isfinite(poses[robot]).all():
                self._begin(robot, worker, now, poses, batteries[robot])

    def refuse(self, robot: int, reason: str) -> None:
        """The planner will not drive to the robot's goal: the trip has failed and another one follows."""
        worker = self.workers[robot]
        if worker.trip is not None and worker.arrived is None:
            self._fail(robot, worker, f"refused: {reason}")

    def _drive(self, robot: int, worker: _Worker, now: float, arrived: bool) -> None:
        if arrived:
            worker.arrived, worker.avoid = now, ""
            if worker.trip.number:
                self.travel_times.append(now - worker.trip.started)
                self.ideal_times.append(worker.trip.ideal)
                worker.next_kind = "rack" if worker.trip.station.kind == "pick" else "pick"
        elif now - worker.trip.started > self.config.trip_timeout:
            self._fail(robot, worker, f"not there after {self.config.trip_timeout:g} s")

    def _stay(self, worker: _Worker, now: float, battery: float) -> None:
        charging = worker.trip.number == 0
        if (charging and battery >= self.config.battery_full) or (
            not charging and now - worker.arrived >= self.config.dwell
        ):
            worker.trip = worker.arrived = None

    def _fail(self, robot: int, worker: _Worker, reason: str) -> None:
        station = worker.trip.station.name
        if worker.trip.number:
            self.failed.append(FailedTrip(worker.trip.number, robot, station, reason))
        worker.trip, worker.arrived, worker.avoid = None, None, station

    def _begin(self, robot: int, worker: _Worker, now: float, poses: np.ndarray, battery: float) -> None:
        if battery < self.config.battery_low:
            ways = self._ways(robot, poses, self.chargers)
            if ways:
                station, length = min(ways, key=lambda way: way[1])
                worker.trip = Trip(0, station, now, length / self.robot_model.max_speed)
                return
        if 0 < self.config.trips <= self.begun:
            return
        for kind in (worker.next_kind, "rack" if worker.next_kind == "pick" else "pick"):
            ways = self._ways(robot, poses, [station for station in self.site.stations if station.kind == kind])
            if ways:
                station, length = ways[self.rng.integers(len(ways))]
                self.begun += 1
                worker.trip = Trip(self.begun, station, now, length / self.robot_model.max_speed)
                return
        worker.avoid = ""  # nothing else is free: what it failed to reach is tried again, not waited for for ever

    def _ways(self, robot: int, poses: np.ndarray, stations: list[Station]) -> list[tuple[Station, float]]:
        """The stations that are free for this robot and reachable, each with the length of the way [m].

        A station where a robot stands is not free, not even for that robot: a trip leads somewhere else.
        """
        reserved = {worker.trip.station.name for worker in self.workers if worker.trip is not None}
        reserved.add(self.workers[robot].avoid)
        ways = []
        for station in stations:
            away = np.hypot(poses[:, 0] - station.x, poses[:, 1] - station.y)
            if station.name not in reserved and not (away < HOLDING).any():
                length = self._length(poses[robot], station)
                if np.isfinite(length):
                    ways.append((station, length))
        return ways

    def _length(self, pose: np.ndarray, station: Station) -> float:
        """Length [m] of the shortest way from a pose to a station; inf when there is none."""
        return distance_at(self.site, self._distances[station.name], pose[:2])


def _places(stations: list[Station]) -> int:
    """How many of the stations, taken in their order, can have a robot each without keeping others from the rest."""
    kept: list[Station] = []
    for station in stations:
        if all(math.hypot(station.x - other.x, station.y - other.y) >= HOLDING for other in kept):
            kept.append(station)
    return len(kept)
