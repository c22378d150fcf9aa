"""How fast a whole trip can be driven by a robot that has to turn, to gain speed and to brake, and knows everything.

The bound in ``least_time.py`` has nothing to turn for. Here a trip is a minimum-time problem: unicycle kinematics with
limited speeds and accelerations, the walls of the map, from the state in which the trip began to where it counts as
arrived. It is transcribed directly (Betts, 2010) and solved by the interior-point method IPOPT (Waechter and Biegler,
2006) through CasADi (Andersson et al., 2019), from ways that were driven. What comes out is the best way near one of
them, of a robot that drives forwards, without noise or delay, and takes any command at any time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import casadi
import numpy as np

from dyna_nav.mdp import STEP, GoalTolerance, RobotModel
from dyna_nav.site import Site

_CELL = 0.1  # of the smooth clearance [m]
_ENOUGH = 1.5  # clearance beyond which walls are far [m]
_FEWEST = 30  # intervals of a trip
_CHECKED = 10  # points in an interval at which a result is held against the map itself
_SMOOTHED = 0.03  # by how much the smooth clearance may be wrong at a corner [m]
_SOLVER = {"print_level": 0, "max_iter": 400, "sb": "yes", "tol": 1e-4}
_UNLIKELY = 1.5  # times as long as the guess is not looked for


@dataclass(frozen=True, eq=False)
class Motion:
    """States at equal intervals over ``time`` [s]: pose [k, 3] (map frame), speed [k] [m/s], turn_rate [k] [rad/s]."""

    time: float
    pose: np.ndarray
    speed: np.ndarray
    turn_rate: np.ndarray


class MinimumTime:
    """Solves trips on one site."""

    def __init__(self, site: Site, robot: RobotModel, tolerance: GoalTolerance, margin: float):
        """margin: distance kept from walls [m], where the guess keeps as much."""
        self._site, self._robot, self._tolerance, self._margin = site, robot, tolerance, margin
        self._clearance = _smooth(site)

    def solve(self, goal: np.ndarray, guesses: Sequence[Motion]) -> Motion | None:
        """The fastest motion to a goal [2 or 3] (map frame) from where the first of the guesses begins.

        None when no guess leads to a way that keeps clear of the walls.
        """
        found = [self._solve(goal, guesses[0], guess) for guess in guesses]
        return min((motion for motion in found if motion is not None), key=lambda motion: motion.time, default=None)

    def _solve(self, goal: np.ndarray, begin: Motion, guess: Motion) -> Motion | None:
        robot, need = self._robot, self._need(begin, guess)
        count = max(_FEWEST, round(guess.time / STEP))
        problem = casadi.Opti()
        x, y, yaw, speed, turn_rate = (problem.variable(count + 1) for _ in range(5))
        time = problem.variable()
        step = time / count
        problem.minimize(time)
        problem.subject_to(problem.bounded(0.1 * guess.time, time, _UNLIKELY * guess.time))
        way, turned = 0.5 * step * (speed[:-1] + speed[1:]), 0.5 * step * (turn_rate[:-1] + turn_rate[1:])
        middle = yaw[:-1] + 0.25 * step * (turn_rate[:-1] + turn_rate[1:])
        problem.subject_to(x[1:] - x[:-1] == way * casadi.cos(middle))
        problem.subject_to(y[1:] - y[:-1] == way * casadi.sin(middle))
        problem.subject_to(yaw[1:] - yaw[:-1] == turned)
        gained, twisted = speed[1:] - speed[:-1], turn_rate[1:] - turn_rate[:-1]
        problem.subject_to(gained <= robot.acceleration * step)
        problem.subject_to(-gained <= robot.deceleration * step)
        problem.subject_to(problem.bounded(0.0, speed, robot.max_speed))
        for sign in (-1.0, 1.0):
            problem.subject_to(sign * twisted <= robot.turn_acceleration * step)
        problem.subject_to(problem.bounded(-robot.max_turn_rate, turn_rate, robot.max_turn_rate))
        first = (*begin.pose[0], np.clip(begin.speed[0], 0.0, robot.max_speed))
        for variable, value in zip((x, y, yaw, speed), first, strict=True):
            problem.subject_to(variable[0] == value)
        problem.subject_to(turn_rate[0] == np.clip(begin.turn_rate[0], -robot.max_turn_rate, robot.max_turn_rate))
        problem.subject_to((x[-1] - goal[0]) ** 2 + (y[-1] - goal[1]) ** 2 <= self._tolerance.position**2)
        problem.subject_to(speed[-1] <= self._tolerance.speed)
        problem.subject_to(self._clearance(casadi.horzcat(x, y).T).T[1:] >= need)
        started = self._started(guess, begin.pose[0, 2], count)
        for variable, values in zip((x, y, yaw, speed, turn_rate, time), started, strict=True):
            problem.set_initial(variable, values)
        problem.solver("ipopt", {"print_time": False}, _SOLVER)
        try:
            solved = problem.solve()
        except RuntimeError:  # how CasADi tells that the solver has not found a solution
            return None
        x, y, yaw, speed, turn_rate = (np.asarray(solved.value(v)) for v in (x, y, yaw, speed, turn_rate))
        motion = Motion(float(solved.value(time)), np.stack([x, y, yaw], axis=1), speed, turn_rate)
        return motion if self._site.clearance_at(_finer(motion.pose[1:, :2])).min() >= need - _SMOOTHED else None

    def _need(self, begin: Motion, guess: Motion) -> float:
        """Clearance [m] that a way keeps: the radius and the margin, less where what was driven had less."""
        had = min(self._site.clearance_at(motion.pose[:, :2]).min() for motion in (begin, guess))
        return max(min(self._robot.radius + self._margin, float(had)), self._robot.radius - _SMOOTHED)

    def _started(self, guess: Motion, begin: float, count: int) -> tuple[np.ndarray | float, ...]:
        """What the solver starts from: x, y, yaw (beginning near ``begin``), speed, turn rate [count + 1]; the time."""
        at = np.linspace(0.0, len(guess.pose) - 1.0, count + 1)
        turns = 2.0 * math.pi * round((begin - guess.pose[0, 2]) / (2.0 * math.pi))  # or it would spin for that
        states = (*guess.pose[:, :2].T, np.unwrap(guess.pose[:, 2]) + turns, guess.speed, guess.turn_rate)
        x, y, yaw, speed, turn_rate = (np.interp(at, np.arange(len(guess.pose)), state) for state in states)
        most = self._robot.max_turn_rate
        return x, y, yaw, np.clip(speed, 0.0, self._robot.max_speed), np.clip(turn_rate, -most, most), guess.time


def _smooth(site: Site) -> casadi.Function:
    """The clearance [m] of points [2, k] as a cubic spline: the solver needs its derivatives."""
    block = max(1, math.floor(_CELL / site.map.resolution + 1e-9))
    rows, cols = (size - size % block for size in site.clearance.shape)
    clearance = site.clearance[:rows, :cols].reshape(rows // block, block, cols // block, block).mean(axis=(1, 3))
    spacing = block * site.map.resolution
    x = site.map.origin[0] + spacing * (np.arange(cols // block) + 0.5)
    y = site.map.origin[1] + spacing * (np.arange(rows // block) + 0.5)
    return casadi.interpolant("clearance", "bspline", [x, y], np.minimum(clearance, _ENOUGH).ravel())


def _finer(points: np.ndarray) -> np.ndarray:
    """Points [k, 2] with others between them."""
    at = np.linspace(0.0, len(points) - 1.0, _CHECKED * (len(points) - 1) + 1)
    return np.stack([np.interp(at, np.arange(len(points)), points[:, axis]) for axis in range(2)], axis=1)
