"""What one episode leaves behind: a row per trip, what went wrong, and what the plots need."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dyna_nav.evaluation.incidents import NearMiss, Stop
from dyna_nav.simulation import Collision

TIMED_OUT = "timed out"


@dataclass(frozen=True)
class Trip:
    """One trip of one robot; when it timed out or was refused, its travel time is its timeout."""

    robot: int
    trip: int  # number among the robot's trips, from 0
    start: str  # place at which it was to begin
    goal: str
    assigned_s: float  # simulated time at which the goal was given
    ideal_s: float  # geodesic over full speed
    least_s: float  # the same with acceleration and braking: less is impossible
    travel_s: float
    geodesic_m: float
    path_length_m: float
    collisions: int  # a collision of two robots stands in the rows of both
    near_misses: int  # likewise
    mean_abs_jerk: float  # [m/s^3]
    plan_ms_p99: float = field(compare=False)  # of act() while the robot was under way; that of all robots together
    finished: bool
    note: str  # why it was not finished, "" when it was

    @property
    def driven(self) -> bool:
        """Whether the robot was on its way at all: its goal was not refused, nor its start taken."""
        return self.finished or self.note == TIMED_OUT

    @property
    def ratio(self) -> float:
        """Travel time relative to ideal."""
        return self.travel_s / self.ideal_s


@dataclass(frozen=True, eq=False)
class EpisodeResult:
    """One controller on one seed."""

    controller: str
    seed: int
    trips: list[Trip]
    void_trips: int  # of robots that were made to stall: not the controller's to finish
    collisions: list[Collision]
    near_misses: list[NearMiss]
    stops: list[Stop]
    stop_reasons: dict[str, float]  # robot-seconds by what the controller's report said
    plan_ms: np.ndarray  # [steps] time of act()
    wait_ms: np.ndarray  # [steps] time of wait_for_potentials(): work that a real run does beside its cycles
    pose: np.ndarray  # [steps, n, 3] true poses, float32
    speed: np.ndarray  # [steps, n] true forward speeds, float32
    driving: np.ndarray  # [steps, n] bool: had a goal
    pallets: np.ndarray  # [k, 3] poses of every pallet that was put down
    walkers: np.ndarray  # [steps, walkers, 2] float32
    simulated_s: float
    wall_s: float
    cpu_s: float  # of the process: what it costs however busy the machine is
    version: str  # of the controller's model, "" when it has none
