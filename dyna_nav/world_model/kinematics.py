"""The ideal robot as a world model: unicycle kinematics with limited accelerations, no noise, no doubt.

The reference that a learned model has to beat, and a stand-in for tests; same interface as
:class:`dyna_nav.world_model.runtime.WorldModel`.
"""

from __future__ import annotations

import numpy as np

from dyna_nav.mdp import STEP, Reward, RobotModel
from dyna_nav.world_model.encoding import FEATURE_NAMES, OUTPUTS, REWARD

_SPEED, _TURN, _COMMAND_SPEED, _COMMAND_TURN = (
    FEATURE_NAMES.index(name) for name in ("speed", "turn_rate", "command_speed", "command_turn_rate")
)


class KinematicModel:
    """Predicts what the robot model's limits allow, the same for every member."""

    version = "kinematics"
    provider = "numpy"
    warnings: tuple[str, ...] = ()

    def __init__(self, robot: RobotModel, members: int = 5):
        self.members = members
        self._robot = robot

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """features [members, rows, FEATURES] -> mean, variance [members, rows, OUTPUTS]; the variance is zero."""
        robot = self._robot
        v, w = features[..., _SPEED], features[..., _TURN]
        gain = features[..., _COMMAND_SPEED] - v
        limit = np.where(gain * np.where(v < 0, -1, 1) >= 0, robot.acceleration, robot.deceleration) * STEP
        dv = np.clip(gain, -limit, limit)
        dw = np.clip(features[..., _COMMAND_TURN] - w, -robot.turn_acceleration * STEP, robot.turn_acceleration * STEP)
        distance, turned = (v + 0.5 * dv) * STEP, (w + 0.5 * dw) * STEP
        mean = np.zeros((*features.shape[:-1], OUTPUTS), np.float32)
        mean[..., 0], mean[..., 1] = distance * np.cos(0.5 * turned), distance * np.sin(0.5 * turned)
        mean[..., 2], mean[..., 3], mean[..., 4] = turned, dv, dw
        mean[..., REWARD] = Reward().step
        return mean, np.zeros_like(mean)

    def disagreement(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """features [rows, FEATURES] -> epistemic, aleatoric [rows]: none."""
        return np.zeros(len(features), np.float32), np.zeros(len(features), np.float32)
