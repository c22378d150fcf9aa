"""Where the others are and will be, what that costs a path, and who gives way to whom.

With knowledge of the fleet, its robots are where they report to be, and they drive on along their paths. Who else moves
(a person, and without that knowledge a robot, too) is what the tracker makes of the scan, and goes straight on. Costs
of moving things are laid where they will be when the robot can be there (a costmap's poor man's version of planning in
space and time), for oncoming ones shifted to the left, so that both pass on the right, as the rule of the road has it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dyna_nav.baselines.monitor import MonitorConfig
from dyna_nav.baselines.prediction import extrapolate, follow
from dyna_nav.baselines.route import Route
from dyna_nav.baselines.tracking import Tracker
from dyna_nav.controller import Observation
from dyna_nav.mdp import RobotModel
from dyna_nav.parameters import parameter
from dyna_nav.planning.admissible import PATH_STEP

STANDING = 0.15  # slower things stand [m/s]
_STAMP = 0.4  # time between two stamps of a moving thing on the costmap [s]
_SLACK = 1.2  # a stamp counts when the robot can be there within this time of it [s]
_ONCOMING = -0.7  # cosine between the headings
_BESIDE = 2.0  # so near, a robot may be what closes the way [m]
_FAR = 8.0  # who is farther away needs no way given [m]
_STRANGER = -1


@dataclass(frozen=True)
class TrafficConfig:
    """How others enter the costmap, and when their paths are in conflict with one's own."""

    predict_time: float = parameter(3.0, "others are predicted for so long [s]", minimum=0.1, maximum=10)
    predict_cost: float = parameter(12.0, "cost where another will be, as extra way [m per m]", minimum=0, maximum=100)
    keep_right: float = parameter(
        0.5, "oncoming traffic whose way is not known is passed so far to the right [m]", minimum=0, maximum=2
    )
    conflict_time: float = parameter(2.0, "a conflict so near in time asks for a new plan [s]", minimum=0, maximum=10)
    conflict_gap: float = parameter(0.15, "a smaller gap is a conflict [m]", minimum=0, maximum=2)


class Traffic:
    """The others around each robot: ``now[robot]`` [k, 4] (x, y [m], velocity [m/s]) and ``flows[robot]``.

    Flows [k, points, 2] are predicted positions, PATH_STEP apart in time; all in the map frame. Robots whose poses are
    known come first, then strangers: those that the robot's own laser sees moving.
    """

    def __init__(
        self, trackers: list[Tracker], knows_fleet: bool, model: RobotModel, config: TrafficConfig, zone: MonitorConfig
    ):
        """One tracker per robot; with knowledge of the fleet they leave the returns of its robots out."""
        self._trackers, self._knows_fleet, self._model = trackers, knows_fleet, model
        self._config, self._zone = config, zone
        self._points = 2 + math.ceil(max(config.predict_time, config.conflict_time, zone.yield_time) / PATH_STEP)
        self.now: list[np.ndarray] = [np.empty((0, 4)) for _ in trackers]
        self.flows: list[np.ndarray] = [np.empty((0, self._points, 2)) for _ in trackers]
        self._number: list[np.ndarray] = [np.empty(0, int) for _ in trackers]  # who they are; _STRANGER: not known

    def update(self, observation: Observation, present: np.ndarray, routes: list[Route | None]) -> None:
        """Enter an observation; present bool [n]; routes of those that are driving."""
        pose, twist = observation.pose, observation.twist
        if self._knows_fleet:
            velocity = twist[:, :1] * np.stack([np.cos(pose[:, 2]), np.sin(pose[:, 2])], axis=1)
            flows = np.empty((len(pose), self._points, 2))
            for robot in np.flatnonzero(present):
                route, speed = routes[robot], abs(twist[robot, 0])
                if route is not None and speed > STANDING:
                    follow(route.points, route.index, pose[robot, 0], pose[robot, 1], speed, flows[robot])
                else:
                    extrapolate(pose[robot], twist[robot] * (speed > STANDING), flows[robot])
        for robot in np.flatnonzero(present):
            known = (
                np.flatnonzero(present & (np.arange(len(present)) != robot)) if self._knows_fleet else np.empty(0, int)
            )
            strangers = self._trackers[robot].update(
                observation.time, pose[robot], observation.scan[robot], observation.scan_angles, pose[known, :2]
            )
            self.now[robot], self.flows[robot] = strangers, _straight_on(strangers, self._points)
            self._number[robot] = np.concatenate([known, np.full(len(strangers), _STRANGER)])
            if len(known):
                fleet = np.concatenate([pose[known, :2], velocity[known]], axis=1)
                self.now[robot] = np.concatenate([fleet, strangers])
                self.flows[robot] = np.concatenate([flows[known], self.flows[robot]])

    def fleet(self, robot: int) -> np.ndarray:
        """Positions [k, 2] of the others around a robot whose poses are known."""
        return self.now[robot][self._number[robot] != _STRANGER, :2]

    def strangers(self, robot: int) -> np.ndarray:
        """Positions and velocities [k, 4] of those that a robot's own laser sees moving, known robots left out."""
        return self.now[robot][self._number[robot] == _STRANGER]

    def strangers_ahead(self, robot: int, points: int) -> np.ndarray:
        """Positions [k, points, 2] of the strangers around a robot if they keep their velocity."""
        return _straight_on(self.strangers(robot), points)

    def costs(self, robot: int, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lethal discs [k, 3] (x, y, size) of those that stand, soft discs [m, 4] (x, y, reach, cost) of the moving."""
        config, size = self._config, self._model.radius + self._zone.robot_margin
        now = self.now[robot]
        moves = np.hypot(now[:, 2], now[:, 3]) > STANDING
        soft = []
        unknown = self._number[robot] == _STRANGER
        for (_, _, vx, vy), flow, stranger in zip(now[moves], self.flows[robot][moves], unknown[moves], strict=True):
            oncoming = stranger and vx * math.cos(pose[2]) + vy * math.sin(pose[2]) < _ONCOMING * math.hypot(vx, vy)
            for k in range(0, int(config.predict_time / PATH_STEP), round(_STAMP / PATH_STEP)):
                there, way = flow[k], flow[k + 1] - flow[k]
                arrival = math.hypot(*(there - pose[:2])) / self._model.max_speed
                if abs(arrival - k * PATH_STEP) > _SLACK:
                    continue
                if oncoming and way.any():
                    there = there + config.keep_right * np.array([way[1], -way[0]]) / np.hypot(*way)
                soft.append((*there, 2.0 * size + 0.3, config.predict_cost))
        standing = now[~moves, :2]
        lethal = np.column_stack([standing, np.full(len(standing), size)])
        return lethal, np.array(soft).reshape(-1, 4)

    def standing(self, robot: int) -> np.ndarray:
        """Positions [k, 2] of those around a robot that stand."""
        now = self.now[robot]
        return now[np.hypot(now[:, 2], now[:, 3]) <= STANDING, :2]

    def in_conflict(self, robot: int, pose: np.ndarray, speed: float, route: Route) -> bool:
        """Whether somebody who moves will come too near when the robot drives on along its route."""
        now = self.now[robot]
        moves = np.hypot(now[:, 2], now[:, 3]) > STANDING
        if not moves.any():
            return False
        own = np.empty((1 + math.ceil(self._config.conflict_time / PATH_STEP), 2))
        follow(route.points, route.index, pose[0], pose[1], max(speed, 0.5 * self._model.max_speed), own)
        gaps = np.hypot(*(self.flows[robot][moves][:, : len(own)] - own).transpose(2, 0, 1))
        return bool((gaps < 2 * self._model.radius + self._config.conflict_gap).any())

    def prior(self, robot: int, before: list[int], pose: np.ndarray) -> np.ndarray:
        """Flows [k, points, 2] of those that move near a robot and are among ``before``: they go first."""
        now = self.now[robot]
        matters = np.isin(self._number[robot], before) & (np.hypot(now[:, 2], now[:, 3]) > STANDING)
        matters &= np.hypot(*(now[:, :2] - pose[:2]).T) < _FAR
        return self.flows[robot][matters]

    def beside(self, robot: int, pose: np.ndarray) -> list[int]:
        """The numbers of those of a known fleet that are within a few metres of a robot, the nearest first."""
        gaps = np.hypot(*(self.fleet(robot) - pose[:2]).T)
        numbers = self._number[robot][self._number[robot] != _STRANGER]
        return [int(numbers[k]) for k in np.argsort(gaps, kind="stable") if gaps[k] <= _BESIDE]

    def meets_stranger(self, robot: int, pose: np.ndarray) -> bool:
        """Whether a stranger is so near to a robot that it may be what closes the way."""
        return bool((np.hypot(*(self.strangers(robot)[:, :2] - pose[:2]).T) <= _BESIDE).any())


def _straight_on(now: np.ndarray, points: int) -> np.ndarray:
    """Positions [k, points, 2], PATH_STEP apart, of things now [k, 4] (x, y, velocity) that keep their velocity."""
    time = np.arange(points) * PATH_STEP
    return now[:, None, :2] + now[:, None, 2:] * time[None, :, None]
