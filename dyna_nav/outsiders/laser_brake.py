"""The collision monitor that users put behind such planners: slow enough to stop for what the laser sees ahead."""

from __future__ import annotations

import numpy as np

from dyna_nav.controller import Observation
from dyna_nav.mdp import STEP, RobotModel

_LANE = 0.02  # room beside the robot that belongs to its lane [m]
_DELAY = 2 * STEP  # until braking begins: one step of planning, one of the actuators [s]


def speed_for_laser(observation: Observation, model: RobotModel, margin: float) -> np.ndarray:
    """Speeds [n] (m/s) from which each robot stops ``margin`` [m] before the nearest return straight ahead."""
    scan = np.where(np.isfinite(observation.scan), observation.scan, observation.scan_max)
    ahead, aside = scan * np.cos(observation.scan_angles), np.abs(scan * np.sin(observation.scan_angles))
    rim = np.sqrt(np.maximum(model.radius**2 - aside**2, 0.0))  # the robot's front is round
    in_lane = (aside < model.radius + _LANE) & (ahead > 0)
    gap = np.where(in_lane, ahead - rim, observation.scan_max).min(axis=1) - margin
    lost = model.deceleration * _DELAY
    return np.sqrt(lost**2 + 2 * model.deceleration * np.maximum(gap, 0.0)) - lost
