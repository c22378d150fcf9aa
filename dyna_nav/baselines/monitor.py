"""The last word on a command: slow-down zone, time to collision and stop zone, like Nav2's collision monitor.

The stop zone is the sweep of the robot's disc while it brakes (the paper's *velocity polygons*, exact for a disc); the
approach mode keeps a time before collision along the arc; the slow-down zone is a lane ahead, as long as the robot
drives in a set time. Scan returns and the map stand still, and other robots move as their predicted paths say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dyna_nav.baselines import zones
from dyna_nav.mdp import STEP, RobotModel
from dyna_nav.parameters import parameter
from dyna_nav.planning.admissible import PATH_STEP, braking_path


@dataclass(frozen=True)
class MonitorConfig:
    """Zones and margins of the collision monitor."""

    latency: float = parameter(0.1, "time until a command moves the wheels [s]", minimum=0, maximum=STEP)
    margin: float = parameter(0.05, "kept from anything while braking [m]", minimum=0, maximum=1)
    speed_margin: float = parameter(0.02, "in addition, per speed [m per m/s]", minimum=0, maximum=1)
    robot_margin: float = parameter(0.1, "kept from other robots while braking [m]", minimum=0, maximum=1)
    time_to_collision: float = parameter(0.3, "collisions this far ahead slow the robot [s]", minimum=0.1, maximum=3)
    approach_speed: float = parameter(0.3, "not slower because of time to collision [m/s]", minimum=0, maximum=2)
    slow_time: float = parameter(0.6, "length of the slow-down zone [s of driving]", minimum=0, maximum=5)
    slow_margin: float = parameter(0.1, "width of the zone beyond the robot on each side [m]", minimum=0, maximum=2)
    slow_share: float = parameter(0.6, "share of full speed in the slow-down zone", minimum=0.05, maximum=1)
    slow_points: int = parameter(4, "returns in the zone that make it count", minimum=1, maximum=1000)
    yield_time: float = parameter(1.0, "a robot that must yield looks so far ahead [s]", minimum=0.1, maximum=5)
    yield_gap: float = parameter(0.15, "gap that it leaves to who has the right of way [m]", minimum=0, maximum=2)


def horizon_points(robot: RobotModel, config: MonitorConfig) -> int:
    """Points of a predicted path: the longest look ahead and a stop from full speed after it."""
    ahead = max(config.time_to_collision, config.yield_time) + config.latency
    return 3 + math.ceil((ahead + robot.max_speed / robot.deceleration) / PATH_STEP)


@dataclass(frozen=True)
class Wish:
    """What pursuit or a recovery asks for."""

    command: np.ndarray  # [2] m/s, rad/s
    way: float = math.inf  # left to the goal [m]
    keeps_turn: bool = False  # slower means a tighter turn, not the same arc


class Monitor:
    """Limits the commands of robots on one site."""

    def __init__(self, field: np.ndarray, geometry: tuple, model: RobotModel, config: MonitorConfig):
        """field with geometry (origin x, y, resolution): clearance of the static map."""
        self._field, self._geometry, self._model, self._config = field, geometry, model, config
        self._limits = (model.acceleration, model.deceleration, model.turn_acceleration)
        self.horizon = horizon_points(model, config)  # points of braking paths

    def braking_path(self, pose, twist, sent, command, path) -> None:
        """Write where a robot goes, path [horizon, 2], that gets a command [2] for one step and then brakes."""
        braking_path(pose, twist, sent, command, self._limits, self._config.latency, STEP, path)

    def yielding(self, pose, twist, sent, command, flows: np.ndarray) -> float:
        """Share of a command [2] that leaves the way to predicted positions flows [n, points, 2]."""
        config = self._config
        count = 1 + math.ceil(config.yield_time / PATH_STEP)
        return zones.yielding_share(
            pose, twist, sent, command, config.yield_time, count, zones.SCALES, self._limits, config.latency, flows,
            2 * self._model.radius + config.yield_gap,
        )  # fmt: skip

    def limit(
        self, wish: Wish, pose: np.ndarray, twist: np.ndarray, sent: np.ndarray, points: np.ndarray,
        others: np.ndarray, strangers: np.ndarray, flows: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """The command [2] as far as the zones allow it.

        sent [2]: last command; points [m, 2]: returns; others [n, horizon, 2]: braking paths that the others have
        published (NaN: absent); strangers [s, horizon, 2]: predictions for those that may drive on; flows [k, points,
        2] of those who have the right of way.
        """
        model, config = self._model, self._config
        margin = config.margin + config.speed_margin * abs(twist[0])
        everybody = np.concatenate([others, strangers])
        apart = np.full(len(everybody), 2 * model.radius + config.robot_margin + config.speed_margin * abs(twist[0]))
        keep = (self._field, self._geometry, model.radius + margin, model.radius + margin)

        def share(command, hold, count, others) -> float:
            return zones.free_share(
                pose, twist, sent, command, wish.keeps_turn, hold, count, zones.SCALES, self._limits, config.latency,
                points, others, apart[: len(others)], *keep,
            )  # fmt: skip

        full = command = wish.command
        if full[0] > 0.0:
            shares = [1.0]
            length, half_width = model.radius + config.slow_time * twist[0], model.radius + config.slow_margin
            if zones.in_slow_zone(pose, points, length, half_width) >= config.slow_points:
                shares.append(config.slow_share * model.max_speed / full[0])
            hold = min(config.time_to_collision, wish.way / full[0])
            shares.append(max(share(full, hold, self.horizon, everybody[:0]), config.approach_speed / full[0]))
            if len(flows):
                shares.append(self.yielding(pose, twist, sent, full, flows))
            command = _scaled(full, min(shares), wish.keeps_turn)
        # Who stands is safe from those that brake as well; of others it matters only that it was not the one to hit.
        stop = config.latency + STEP + max(abs(twist[0]), abs(command[0])) / model.deceleration
        brief = min(self.horizon, 3 + math.ceil(stop / PATH_STEP))
        everybody[len(others) :, brief:] = np.nan
        count = self.horizon if len(others) else brief
        free = share(command, STEP, count, everybody) if command.any() else 0.0
        backing_turn = wish.keeps_turn and command[0] < 0.0
        if free == 1.0 or (free > 0.0 and not backing_turn):
            return _scaled(command, free, wish.keeps_turn)
        turn = np.array([0.0, full[1]])
        return turn if turn[1] and share(turn, STEP, count, everybody) == 1.0 else np.zeros(2)


def _scaled(command: np.ndarray, share: float, keeps_turn: bool) -> np.ndarray:
    """A command [2] at a share of its speed, on the same arc or with the same turn rate."""
    return command * ((share, 1.0) if keeps_turn else share)
