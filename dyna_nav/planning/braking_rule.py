"""The braking rule at work: which actions each robot may take, given what those before it have chosen this cycle.

The rule itself, and what it promises, is told in admissible.py.
"""

from __future__ import annotations

import numpy as np

from dyna_nav.mdp import STEP, STOP, RobotModel
from dyna_nav.planning.admissible import PATH_STEP, BrakingConfig, admissible_actions, braking_path, path_length
from dyna_nav.planning.fleet_state import FleetState
from dyna_nav.planning.obstacles import LiveMap

_PER_SPEED = np.array([0.0, 1.0, 0.0, 1.0])  # which of the margins grow with speed


class BrakingRule:
    """Once per cycle ``begin``; then, for one robot after the other, ``admissible`` and ``commit``."""

    def __init__(self, robot: RobotModel, actions: np.ndarray, config: BrakingConfig):
        """actions [actions, 2] (m/s, rad/s)."""
        self._actions, self._radius = actions, robot.radius
        self._limits = np.array([robot.acceleration, robot.deceleration, robot.turn_acceleration])
        self._margins = np.array([config.margin, config.speed_margin, config.return_margin, config.return_speed_margin])
        self._timing = np.array([config.latency, STEP])
        self.points = path_length(robot, config)  # of a braking path

    def begin(self, state: FleetState, live: LiveMap, paths: np.ndarray) -> None:
        """A new cycle: everybody is taken to brake at once, until it has chosen.

        paths [robots, points, 2]: what the fleet is told of how each robot brakes; written here, and by ``commit``.
        Those of robots without a pose are left as they are.
        """
        self._state, self._live, self._paths = state, live, paths
        self._halts = paths.copy()  # a gate or a base may stop a robot at any time, without the latency of a command
        self._geometry = np.array([*live.origin, live.resolution])
        self._middles, self._reach = live.moving.possible(np.arange(self.points) * PATH_STEP)
        for robot in np.flatnonzero(~np.isnan(state.pose[:, 0])):
            self._brakes(robot, STOP, self._timing[0], 0.0, paths[robot])
            self._brakes(robot, STOP, 0.0, 0.0, self._halts[robot])

    def admissible(self, robot: int) -> np.ndarray:
        """The actions that a robot may take, bool [actions]."""
        state, live, allowed = self._state, self._live, np.zeros(len(self._actions), np.bool_)
        admissible_actions(
            robot, state.pose[robot], state.twist[robot], state.previous[robot], self._actions, self._paths,
            self._halts, live.returns[robot], self._middles, self._reach, self._limits, self._timing, self._radius,
            self._margins + state.lateness[robot] * _PER_SPEED, live.clearance, self._geometry, allowed,
        )  # fmt: skip
        return allowed

    def commit(self, robot: int, action: int) -> None:
        """A robot has chosen: those who choose after it know how it would brake."""
        self._brakes(robot, action, *self._timing, self._paths[robot])

    def _brakes(self, robot: int, action: int, latency: float, hold: float, path: np.ndarray) -> None:
        state = self._state
        braking_path(
            state.pose[robot], state.twist[robot], state.previous[robot], self._actions[action], self._limits, latency,
            hold, path,
        )  # fmt: skip
