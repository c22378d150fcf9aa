"""The bound that no robot can beat: how long a way takes at least."""

from __future__ import annotations

import math

from dyna_nav.mdp import GoalTolerance, RobotModel


def least_time(length: float, robot: RobotModel, tolerance: GoalTolerance) -> float:
    """Time [s] below which no robot drives a way of so many metres: straight, without a turn, nobody in the way.

    Full acceleration, full speed, full braking; from the greatest speed that counts as arrived at the last goal to the
    same at the edge of the next one's tolerance.
    """
    length = max(length - tolerance.position, 0.0)
    slow = min(tolerance.speed, robot.max_speed)
    ramps = 0.5 / robot.acceleration + 0.5 / robot.deceleration  # metres per (m/s)^2 for gaining speed and losing it
    peak = min(math.sqrt(length / ramps + slow**2), robot.max_speed)
    cruise = length - ramps * (peak**2 - slow**2)
    return 2.0 * ramps * (peak - slow) + max(cruise, 0.0) / robot.max_speed
