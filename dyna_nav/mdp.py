"""The decision problem: state, nine actions, reward, value-table bins and the shaped objective, in one file.

State: x, y [m] and heading [rad] in the map frame, linear speed [m/s], battery [0..1], goal (index of the nearest
station for the value table). One step is 0.1 s. Reward: +1 on reaching the goal, -0.01 for each step, -10 for a
collision.

A discount of 0.99 per step makes a goal one minute away worth 0.002, so the objective is shaped by a potential
(Ng, Harada and Russell, 1999): the value of a state is Phi(s), the undiscounted value of driving there without delay,
plus the discounted sum of the *delays* that experience adds,

    V(s) = Phi(s) + E sum_k 0.99^k [ r_k + Phi(s_{k+1}) - Phi(s_k) ],        Phi(s) = 1 - 0.01 n(s),

with n(s) the steps to go on the static map. This is heuristic-guided reinforcement learning (Cheng, Kolobov and
Swaminathan, NeurIPS 2021, eq. 1) of the undiscounted shortest-path problem with guidance discount 0.99: the potential
carries the value across the warehouse and experience corrects it over the next ten seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dyna_nav.parameters import parameter

STEP = 0.1  # duration of one decision [s]
TURN_SIGNS = (1.0, 0.0, -1.0)  # left, none, right (REP-103: counter-clockwise is positive)
STOP = 1  # index of the action (speed 0, no turn)


@dataclass(frozen=True)
class RobotModel:
    """Size and limits of the robot's base; the firmware enforces the accelerations, the planner relies on them."""

    radius: float = parameter(
        0.35, "radius of the circle that holds the robot and its load [m]", minimum=0.05, maximum=2
    )
    room: float = parameter(
        0.05, "room that the robot needs on either side to drive through a passage [m]", minimum=0, maximum=1
    )
    max_speed: float = parameter(1.5, "highest forward speed [m/s]", minimum=0.05, maximum=5)
    max_turn_rate: float = parameter(1.2, "highest turn rate [rad/s]", minimum=0.05, maximum=10)
    acceleration: float = parameter(1.2, "highest forward acceleration [m/s^2]", minimum=0.05, maximum=20)
    deceleration: float = parameter(1.8, "highest braking deceleration [m/s^2]", minimum=0.05, maximum=20)
    turn_acceleration: float = parameter(4.0, "highest angular acceleration [rad/s^2]", minimum=0.05, maximum=50)


@dataclass(frozen=True)
class Reward:
    """Reward per step and the discount of the delays (see the module's objective)."""

    goal: float = parameter(1.0, "reward on reaching the goal", minimum=0, maximum=100)
    step: float = parameter(-0.01, "reward of every step", minimum=-1, maximum=0)
    collision: float = parameter(-10.0, "reward of a collision", minimum=-1000, maximum=0)
    discount: float = parameter(0.99, "discount of delays per step", minimum=0.0, maximum=1.0)


@dataclass(frozen=True)
class GoalTolerance:
    """When a goal counts as reached."""

    position: float = parameter(0.25, "distance to the goal [m]", minimum=0.05, maximum=2)
    heading: float = parameter(
        3.15, "difference to the goal's heading [rad]; 3.15 accepts any", minimum=0.15, maximum=3.15
    )
    speed: float = parameter(0.4, "speed on arrival [m/s]", minimum=0.05, maximum=5)


@dataclass(frozen=True)
class Bins:
    """Bins of the value table: 20 x 20 x 8 x 4 x 5 x 20 (x, y, heading, speed, battery, goal)."""

    x: int = parameter(20, "bins across the site, x", minimum=1, maximum=1000)
    y: int = parameter(20, "bins across the site, y", minimum=1, maximum=1000)
    heading: int = parameter(8, "bins of the heading", minimum=1, maximum=360)
    speed: int = parameter(4, "bins of the speed", minimum=1, maximum=100)
    battery: int = parameter(5, "bins of the battery", minimum=1, maximum=100)
    goal: int = parameter(20, "bins of the goal: stations at most", minimum=1, maximum=100)


def action_set(robot: RobotModel, speeds: tuple[float, ...] = (0.0, 0.5, 1.0)) -> np.ndarray:
    """Commands [actions, 2] (m/s, rad/s): every speed (fractions of full) with left, none and right.

    Action ``3 * speed + turn``; ``STOP`` is standing still. Raises ValueError when the first speed is not 0.
    """
    if not speeds or speeds[0] != 0.0:
        raise ValueError(f"parameter speeds is {speeds}; its first entry must be 0, so that stopping is an action")
    return np.array([(speed * robot.max_speed, sign * robot.max_turn_rate) for speed in speeds for sign in TURN_SIGNS])


def wrap_angle(angle):
    """Angle(s) [rad] brought into [-pi, pi)."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def goal_reached(pose: np.ndarray, speed: np.ndarray, goal: np.ndarray, tolerance: GoalTolerance) -> np.ndarray:
    """Which robots [n] stand at their goal: pose, goal [n, 3] map frame, speed [n]; a NaN goal is never reached."""
    distance = np.hypot(pose[:, 0] - goal[:, 0], pose[:, 1] - goal[:, 1])
    heading = np.abs(wrap_angle(pose[:, 2] - goal[:, 2]))
    slow = np.abs(speed) <= tolerance.speed
    return (distance <= tolerance.position) & (heading <= tolerance.heading) & slow
