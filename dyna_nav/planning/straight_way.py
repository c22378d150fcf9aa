"""What limited acceleration costs on a straight way: the part of the potential that depends on speed."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from dyna_nav.mdp import GoalTolerance, RobotModel

_BEYOND = 1.6  # tolerances from the edge of the lattice's goal to the far edge of where a robot has arrived
_OVERSHOT = 3.0  # what every m/s costs that is too fast to stop at the goal, and so drives back to it [s]


def motion_of(robot: RobotModel, tolerance: GoalTolerance, missing_speed: float) -> np.ndarray:
    """What :func:`missing_time` has to know of a robot.

    Full speed [m/s], acceleration, deceleration [m/s^2], the share of the time to regain missing speed that counts, the
    highest speed on arrival [m/s], and how much farther than to where the lattice ends it may brake for that [m].
    """
    return np.array(
        [robot.max_speed, robot.acceleration, robot.deceleration, missing_speed, tolerance.speed,
         _BEYOND * tolerance.position]
    )  # fmt: skip


@njit(cache=True, nogil=True)
def straight_time(length, speed, last, full, gain, brake):
    """Least time [s] for ``length`` [m] from ``speed`` to at most ``last`` [m/s]: gain speed, hold it, brake.

    Time-optimal control of a double integrator whose speed is limited to ``full`` and whose accelerations are ``gain``
    and ``brake`` [m/s^2]; ``speed`` is at most full, and negative while rolling backwards. Who cannot stop within the
    length takes the time that stopping takes.
    """
    if speed > 0.0 and speed * speed >= last * last + 2.0 * brake * length:
        return max(0.0, speed - last) / brake
    unbraked = math.sqrt(speed * speed + 2.0 * gain * length)
    if unbraked <= min(last, full):
        return (unbraked - speed) / gain
    highest = math.sqrt((2.0 * gain * brake * length + brake * speed * speed + gain * last * last) / (gain + brake))
    peak = min(highest, full)
    driven = (peak * peak - speed * speed) / (2.0 * gain) + max(0.0, peak * peak - last * last) / (2.0 * brake)
    return (peak - speed) / gain + max(0.0, peak - last) / brake + max(0.0, length - driven) / peak


@njit(cache=True, nogil=True)
def missing_time(time, speed, motion):
    """Time [s] beyond ``time`` at full speed that a robot at ``speed`` [m/s] takes to the goal, and to stop there.

    motion: as :func:`motion_of` makes it. The length of the way is taken to be what full speed makes of the time; where
    the lattice's time is dearer than its way (beside walls, against the traffic) that is too long, and optimistic.
    """
    full, gain, brake, share, last, room = motion[0], motion[1], motion[2], motion[3], motion[4], motion[5]
    length, speed = max(time, 0.0) * full, min(speed, full)  # a measured or imagined speed may be a little higher
    late = straight_time(length, speed, last, full, gain, brake) - length / full
    if speed > 0.0 and speed * speed > last * last + 2.0 * brake * length:
        return late + _OVERSHOT * max(0.0, speed - math.sqrt(last * last + 2.0 * brake * (length + room)))
    braking = max(0.0, full - last) ** 2 / (2.0 * brake * full)  # is lost on every way
    return min(late, braking) + share * max(0.0, late - braking)
