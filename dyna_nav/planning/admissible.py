"""The braking rule: an action is admissible only if braking to a standstill after it touches nothing.

Each robot publishes the path it would take: its last command until the new one arrives, the new one for one step, then
full braking. An action is admissible when that path keeps its distance from the map as it is now and, at every instant,
from the published paths of all others; robots choose in turn, and who has not chosen yet is taken to brake at once. If
the rule holds at one step, braking keeps it at the next, so by induction nobody collides. The margin covers what the
kinematics here leave out: localisation, tracking and timing errors.

From what moves on its own, people first of all, nobody can keep a distance: it may walk into any robot. A robot stands
before they touch (passive safety), so the rule asks of its path to keep clear of wherever they can be until then.

The velocity gate knows neither map nor fleet and takes whatever the laser sees for standing still. What it would refuse
is not admissible either, with a little more room than it asks for: a robot that plans with its gate is rarely held.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from dyna_nav.mdp import STEP, RobotModel
from dyna_nav.parameters import parameter
from dyna_nav.planning.obstacles import NEAR, SPREAD, clearance_at
from dyna_nav.safety.braking import CONTACT

PATH_STEP = 0.05  # time between two points of a braking path [s]
# Who is nearer to something than the margin may come nearer by so much, down to a floor.
_NOISE = 0.015  # of localisation: a wall of the map seems to be a little nearer than it was, and would lock it in [m]
_INSIDE = 1e-6  # clearance under which a robot's centre is in something that the map shows [m]
_CLOSER = 0.005  # to other robots [m]
_SLACK = 0.0005  # to laser returns [m]; the gate allows twice as much, and more would be refused by it


@dataclass(frozen=True)
class BrakingConfig:
    """Margins of the braking rule."""

    margin: float = parameter(0.03, "distance kept from anything while braking [m]", minimum=0, maximum=1)
    speed_margin: float = parameter(0.05, "additional distance per speed [m per m/s]", minimum=0, maximum=1)
    return_margin: float = parameter(
        0.035, "distance kept from what the laser sees while braking; more than the gate's [m]", minimum=0, maximum=1
    )
    return_speed_margin: float = parameter(
        0.065, "additional distance from what the laser sees per speed [m per m/s]", minimum=0, maximum=1
    )
    # Only one command can be on its way: with a longer latency the last but one would still be acting for a while.
    latency: float = parameter(0.1, "time until a new command moves the wheels [s]", minimum=0, maximum=STEP)
    base_latency: float = parameter(0.05, "share of it after the velocity gate [s]", minimum=0, maximum=STEP)

    def lateness(self, command_delay: np.ndarray | float) -> np.ndarray | float:
        """By how much [s] commands may miss ``latency`` when they take so long [s] to the velocity gate.

        A robot drives on for that time: its margins grow by as much per speed.
        """
        return np.maximum(command_delay + self.base_latency - self.latency, 0.0)

    def check_reach(self, robot: RobotModel) -> None:
        """Refuse a robot that is too large or too fast for how far the live map looks. Raises ValueError."""
        speed = robot.max_speed
        needs = robot.radius + self.margin + self.speed_margin * speed
        if needs > SPREAD:
            raise ValueError(
                f"robot.radius {robot.radius:g} m and its margins need {needs:.2f} m around the robot's centre; the "
                f"planner sees to at most {SPREAD:g} m"
            )
        stop = robot.radius + self.return_margin + speed * (self.return_speed_margin + self.latency + STEP)
        stop += speed**2 / (2.0 * robot.deceleration)
        if stop > NEAR:
            raise ValueError(
                f"robot.max_speed {speed:g} m/s with robot.deceleration {robot.deceleration:g} m/s^2 needs {stop:.2f} "
                f"m to stop for what the laser sees; the planner looks {NEAR:g} m far, use a lower speed"
            )


def path_length(robot: RobotModel, config: BrakingConfig) -> int:
    """Points of a braking path that reaches standstill from full speed."""
    stop = max(robot.max_speed / robot.deceleration, robot.max_turn_rate / robot.turn_acceleration)
    return (
        2 + math.ceil((config.latency + STEP) / PATH_STEP) + math.ceil(stop / PATH_STEP)
    )  # each part begins on a point


@njit(cache=True, nogil=True)
def approach(value, target, up, down):
    """A speed after one time step towards its target; up, down: the largest changes away from and towards zero."""
    if target > value:
        return min(target, value + (up if value >= 0.0 else down))
    return max(target, value - (up if value <= 0.0 else down))


@njit(cache=True, nogil=True)
def braking_path(pose, twist, previous, command, limits, latency, hold, out):
    """Write the positions [points, 2] [m] of a robot that gets a command for ``hold`` seconds and then brakes.

    pose [3] map frame; twist [2] (m/s, rad/s); previous, command [2]; limits: acceleration, deceleration [m/s^2] and
    turn acceleration [rad/s^2].
    """
    x, y, yaw, v, w = pose[0], pose[1], pose[2], twist[0], twist[1]
    out[0, 0], out[0, 1] = x, y
    for k in range(1, out.shape[0]):
        time = (k - 1) * PATH_STEP + 1e-9
        if time < latency:
            target_v, target_w = previous[0], previous[1]
        elif time < latency + hold:
            target_v, target_w = command[0], command[1]
        else:
            target_v, target_w = 0.0, 0.0
        v_next = approach(v, target_v, limits[0] * PATH_STEP, limits[1] * PATH_STEP)
        w_next = approach(w, target_w, limits[2] * PATH_STEP, limits[2] * PATH_STEP)
        middle = yaw + 0.25 * (w + w_next) * PATH_STEP
        x += 0.5 * (v + v_next) * PATH_STEP * math.cos(middle)
        y += 0.5 * (v + v_next) * PATH_STEP * math.sin(middle)
        yaw += 0.5 * (w + w_next) * PATH_STEP
        v, w = v_next, w_next
        out[k, 0], out[k, 1] = x, y


@njit(cache=True, nogil=True)
def peak_speed(path):
    """Greatest speed [m/s] along a braking path [points, 2]; margins grow with it: tight places are passed slowly."""
    most = 0.0
    for k in range(1, path.shape[0]):
        most = max(most, math.hypot(path[k, 0] - path[k - 1, 0], path[k, 1] - path[k - 1, 1]))
    return most / PATH_STEP


@njit(cache=True, nogil=True)
def _distance_to_keep(full, floor, now, noise):
    """Distance [m] that a path must keep: full, or less for who is nearer already.

    Above the floor the noise is let go; below it nothing is, or a robot could use the whole margin up bit by bit, one
    step after the other.
    """
    return min(full, max(now - noise, min(now, floor)))


@njit(cache=True, nogil=True)
def path_is_safe(path, speed, paths, halts, robot, radius, margins, field, origin_x, origin_y, resolution):
    """Whether one robot's path keeps its distance from the map and from the paths [robots, points, 2] of the others.

    paths: what the others do if they do as they say; halts: if a layer below stops them at once. Where they are in any
    other case lies between the two. A robot that already stands nearer than the margin may move as long as it comes no
    nearer; one whose centre is inside of something may not. NaN paths are absent.
    """
    margin = margins[0] + margins[1] * abs(speed)
    now = clearance_at(field, origin_x, origin_y, resolution, path[0, 0], path[0, 1])
    need = _distance_to_keep(radius + margin, radius + 0.5 * margins[0], now, _NOISE)
    need = max(need, _INSIDE)  # who is inside of something is not where it thinks it is
    for k in range(1, path.shape[0]):
        if clearance_at(field, origin_x, origin_y, resolution, path[k, 0], path[k, 1]) < need:
            return False
    for other in range(paths.shape[0]):
        if other == robot or math.isnan(paths[other, 0, 0]):
            continue
        start = math.hypot(path[0, 0] - paths[other, 0, 0], path[0, 1] - paths[other, 0, 1])
        gap = _distance_to_keep(2.0 * radius + 2.0 * margin, 2.0 * radius + margins[0], start, _CLOSER)
        for k in range(1, path.shape[0]):
            if math.hypot(path[k, 0] - paths[other, k, 0], path[k, 1] - paths[other, k, 1]) < gap:
                return False
            if math.hypot(path[k, 0] - halts[other, k, 0], path[k, 1] - halts[other, k, 1]) < gap:
                return False
    return True


@njit(cache=True, nogil=True)
def clear_of_returns(path, speed, returns, radius, margins):
    """Whether a path [points, 2] keeps its distance from laser returns [k, 2], map frame, as the velocity gate asks.

    The rule is that of :func:`dyna_nav.safety.braking.obstacle_in_path`: a robot that stands nearer to something than
    the margin keeps the clearance that it has. How it gets away from there, escape.py knows.
    """
    if returns.shape[0] == 0:
        return True
    nearest = np.inf
    for k in range(returns.shape[0]):
        nearest = min(nearest, math.hypot(returns[k, 0] - path[0, 0], returns[k, 1] - path[0, 1]))
    margin = margins[2] + margins[3] * abs(speed)
    need = radius + min(max(nearest - _SLACK - radius, CONTACT), margin)
    farthest = 0.0
    for point in range(1, path.shape[0]):
        farthest = max(farthest, math.hypot(path[point, 0] - path[0, 0], path[point, 1] - path[0, 1]))
    for k in range(returns.shape[0]):
        away = math.hypot(returns[k, 0] - path[0, 0], returns[k, 1] - path[0, 1])
        if away - farthest >= need:  # the path does not lead so far
            continue
        keep = min(need, away - _SLACK)
        for point in range(1, path.shape[0]):
            if math.hypot(returns[k, 0] - path[point, 0], returns[k, 1] - path[point, 1]) < keep:
                return False
    return True


@njit(cache=True, nogil=True)
def stands_before_contact(path, speed, middles, reach, radius, margins):
    """Whether a robot on a path [points, 2] keeps its distance from what moves until it stands (passive safety).

    middles [things, points, 2] and reach [things, points]: where each thing is expected when the robot is at a point of
    its path, and how far from there something of it may be [m]. Whoever walks into a robot that stands is not touched
    by it (Macek, Vasquez Govea, Fraichard and Siegwart, 2009).
    """
    last = path.shape[0] - 1
    while last > 0 and path[last, 0] == path[last - 1, 0] and path[last, 1] == path[last - 1, 1]:
        last -= 1
    margin = margins[0] + margins[1] * abs(speed)
    for k in range(middles.shape[0]):
        for point in range(1, last + 1):
            distance = math.hypot(path[point, 0] - middles[k, point, 0], path[point, 1] - middles[k, point, 1])
            if distance < radius + margin + reach[k, point]:
                return False
    return True


@njit(cache=True, nogil=True)
def admissible_actions(
    robot, pose, twist, previous, actions, paths, halts, returns, middles, reach, limits, timing, radius, margins,
    field, geometry, out,
):  # fmt: skip
    """Mark the admissible actions of one robot in out bool [actions].

    timing: latency and hold [s]; paths and halts [robots, points, 2] as in path_is_safe; returns [k, 2] of its own
    laser, map frame [m]; middles and reach of what moves as in stands_before_contact; geometry: origin x, y and
    resolution of the field [m].
    """
    path = np.empty((paths.shape[1], 2))
    for action in range(actions.shape[0]):
        braking_path(pose, twist, previous, actions[action], limits, timing[0], timing[1], path)
        speed = peak_speed(path)
        out[action] = (
            path_is_safe(
                path, speed, paths, halts, robot, radius, margins, field, geometry[0], geometry[1], geometry[2]
            )
            and clear_of_returns(path, speed, returns, radius, margins)
            and stands_before_contact(path, speed, middles, reach, radius, margins)
        )
