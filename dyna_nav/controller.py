"""The contract between a world (simulator or ROS) and whoever drives the robots: Dyna-2, the baselines, outsiders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dyna_nav.mdp import RobotModel

if TYPE_CHECKING:
    from dyna_nav.site import Site


@dataclass(frozen=True)
class Observation:
    """What is known of all robots at one instant; poses and goals in the map frame, row i is robot i.

    A robot whose inputs are bad has a NaN pose and must stand; a robot without a task has a NaN goal.
    """

    time: float  # [s]
    pose: np.ndarray  # [n, 3] x [m], y [m], yaw [rad]
    twist: np.ndarray  # [n, 2] forward speed [m/s], turn rate [rad/s]
    battery: np.ndarray  # [n] 0..1
    goal: np.ndarray  # [n, 3] x [m], y [m], yaw [rad]
    scan: np.ndarray  # [n, beams] ranges [m]; beam k at yaw + scan_angles[k]; inf: nothing in range; NaN: not measured
    scan_angles: np.ndarray  # [beams] angle of each beam against the robot's heading [rad]
    scan_max: float  # greatest range of the laser [m]
    pose_age: np.ndarray | float = 0.0  # [n] pose and twist were measured so long ago; the pose is carried forward [s]
    scan_age: np.ndarray | float = 0.0  # [n] the same of the scan [s]
    command_delay: np.ndarray | float = 0.0  # [n] commands lately took so long to the velocity gate, at most [s]


class Controller(Protocol):
    """Drives a fleet: one command per robot and step of 0.1 s."""

    def reset(self, site: Site, robots: int, rng: np.random.Generator, model: RobotModel) -> None:
        """Begin a run on a site with a number of robots; forget everything of the last run."""

    def assign(self, robot: int, goal: np.ndarray | None) -> None:
        """Give robot a goal pose [3] (x, y, yaw; map frame), or none. Raises ValueError for a goal it cannot serve."""

    def act(self, observation: Observation) -> np.ndarray:
        """Commands [robots, 2]: forward speed [m/s] and turn rate [rad/s]."""
