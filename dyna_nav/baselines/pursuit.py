"""Regulated pure pursuit (Macenski, Singh, Martin and Gines, Autonomous Robots 47, 2023), as Nav2 documents it.

A carrot runs along the path at a distance that grows with speed; the robot drives the arc that leads to it. Speed is
regulated by the arc's curvature, by the room around the robot and by the way to the goal; far off the path's direction
it turns on the spot. Beyond the paper: the carrot comes nearer until the arc to it is free, so that no corner is cut,
and bends ahead limit the speed before they are reached (see ``path.speed_profile``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from dyna_nav.baselines.zones import to_keep
from dyna_nav.parameters import parameter
from dyna_nav.planning.obstacles import clearance_at

_BEHIND, _AHEAD = 10, 40  # points of the path around the last nearest one in which the next is looked for
_SHORTEST = 0.35  # a carrot comes no nearer than this, even if the arc to it is not free [m]
_NEAREST = 0.15  # nor than this, if it is made for straight [m]
_WALL = 1e-9  # clearance under which a position is in a wall, or off the map [m]
_LAUNCH_SPEED = 1.0  # a faster robot follows its arc instead of turning as fast as it can [m/s]
_ALIGNED = 0.15  # nearer than this to the wanted direction there is nothing to turn [rad]
_CAREFUL = 0.2  # share of full speed of a step around a corner
_DIRECTIONS, _SECTOR = 9, 0.2  # that are tried on either side, so far apart [rad]
_END = 3.0  # from here on to the end of the path a turn must be tight enough to hit it [m]
_LAUNCH_ROOM = 0.1  # room to keep in addition while turning away, per speed: it has to brake straight on [m per m/s]
_LAUNCH_SHARES = (1.0, 0.7, 0.5, 0.35, 0.2)  # shares of full speed that are tried while turning away


@dataclass(frozen=True)
class PursuitConfig:
    """How the path is followed."""

    lookahead_time: float = parameter(0.8, "distance of the carrot per speed [s]", minimum=0.1, maximum=5)
    lookahead_min: float = parameter(0.9, "least distance of the carrot [m]", minimum=0.1, maximum=5)
    lookahead_max: float = parameter(1.4, "greatest distance of the carrot [m]", minimum=0.1, maximum=10)
    launch_angle: float = parameter(0.6, "farther off, a slow robot turns as fast as it can", minimum=0.1, maximum=1.57)
    rotate_angle: float = parameter(1.7, "farther off the carrot, turn on the spot [rad]", minimum=0.2, maximum=3.15)
    backward_speed: float = parameter(0.5, "while turning away from what is behind [m/s]", minimum=0, maximum=0.5)
    turn_share: float = parameter(0.95, "share of the turn rate that bends may take", minimum=0.1, maximum=1)
    deceleration: float = parameter(1.5, "braking that the speed profile plans with [m/s^2]", minimum=0.1, maximum=20)
    proximity_gap: float = parameter(0.25, "with less room around it the robot slows down [m]", minimum=0, maximum=2)
    proximity_speed: float = parameter(0.8, "share of full speed without any room", minimum=0.05, maximum=1)
    approach_speed: float = parameter(0.35, "speed on arrival [m/s]", minimum=0.05, maximum=2)
    room: float = parameter(0.08, "kept between robot and map by smoothing and by arcs [m]", minimum=0, maximum=1)
    tight_room: float = parameter(0.06, "the same, where nothing else leads on [m]", minimum=0, maximum=1)
    smoothing: int = parameter(80, "rounds of smoothing of a path", minimum=0, maximum=1000)


@njit(cache=True, nogil=True)
def nearest_index(path, index, x, y):
    """Index of the path's point [k, 2] nearest to x, y, looked for around the last one."""
    best, least = index, np.inf
    for k in range(max(0, index - _BEHIND), min(path.shape[0], index + _AHEAD)):
        distance = math.hypot(path[k, 0] - x, path[k, 1] - y)
        if distance < least:
            best, least = k, distance
    return best


@njit(cache=True, nogil=True)
def carrot(path, index, x, y, lookahead):
    """Index of the first point from ``index`` on that is at least ``lookahead`` [m] away; the last one at most."""
    for k in range(index, path.shape[0]):
        if math.hypot(path[k, 0] - x, path[k, 1] - y) >= lookahead:
            return k
    return path.shape[0] - 1


@njit(cache=True, nogil=True)
def arc_to(pose, x, y):
    """Curvature [1/m] of the arc that leaves pose [3] along its heading and meets x, y; bearing of x, y [rad]."""
    dx, dy = x - pose[0], y - pose[1]
    bearing = (math.atan2(dy, dx) - pose[2] + math.pi) % (2 * math.pi) - math.pi
    return 2.0 * math.sin(bearing) / max(math.hypot(dx, dy), 1e-3), bearing


@njit(cache=True, nogil=True)
def arc_is_free(pose, curvature, length, cost, geometry, field, resolution, room):
    """Whether an arc from pose keeps off lethal cells and keeps ``room`` [m] of the static map, or what it has."""
    origin_x, origin_y, cell = geometry
    x, y, yaw = pose
    keep = max(_WALL, to_keep(room, clearance_at(field, origin_x, origin_y, resolution, x, y)))
    inside = cost[int((y - origin_y) / cell), int((x - origin_x) / cell)] == np.inf  # then it leads out
    pieces = max(2, int(math.ceil(length / 0.1)))  # noqa: RUF046 (floats in numba)
    step = length / pieces
    for _ in range(pieces):
        x += step * math.cos(yaw + 0.5 * curvature * step)
        y += step * math.sin(yaw + 0.5 * curvature * step)
        yaw += curvature * step
        if clearance_at(field, origin_x, origin_y, resolution, x, y) < keep:
            return False
        row, col = int((y - origin_y) / cell), int((x - origin_x) / cell)
        if cost[row, col] == np.inf and not inside:
            return False
    return True


@njit(cache=True, nogil=True)
def chord_is_free(pose, target, cost, geometry, field, resolution, room):
    """Whether a robot at pose [3] that has turned to a target [2] reaches it straight. Others as in arc_is_free."""
    dx, dy = target[0] - pose[0], target[1] - pose[1]
    turned = np.array([pose[0], pose[1], math.atan2(dy, dx)])
    return arc_is_free(turned, 0.0, math.hypot(dx, dy), cost, geometry, field, resolution, room)


@njit(cache=True, nogil=True)
def launch_is_free(pose, speed, target, bearing, limits, cost, geometry, field, resolution, room):
    """Whether a robot may speed up to target [m/s] while it turns by a bearing [rad] at its highest rate.

    Looks a little beyond the turn. limits: max speed, max turn rate, acceleration, turn acceleration; room as in
    arc_is_free.
    """
    origin_x, origin_y, cell = geometry
    _, turn_rate, acceleration, _ = limits
    x, y, yaw = pose
    keep = max(_WALL, to_keep(room, clearance_at(field, origin_x, origin_y, resolution, x, y)))
    inside = cost[int((y - origin_y) / cell), int((x - origin_x) / cell)] == np.inf  # then it leads out
    turned, step = 0.0, 0.1
    duration = abs(bearing) / turn_rate + 0.5
    for _ in range(int(duration / step) + 1):
        speed = min(speed + acceleration * step, target) if speed < target else target
        turn = min(turn_rate * step, abs(bearing) - turned)
        turned += turn
        yaw += math.copysign(turn, bearing)
        x += speed * step * math.cos(yaw)
        y += speed * step * math.sin(yaw)
        if clearance_at(field, origin_x, origin_y, resolution, x, y) < keep + _LAUNCH_ROOM * abs(speed):
            return False
        if cost[int((y - origin_y) / cell), int((x - origin_x) / cell)] == np.inf and not inside:
            return False
    return True


@njit(cache=True, nogil=True)
def turn_to(bearing, limits):
    """Turn rate [rad/s] with which a robot turns on the spot to a bearing [rad] and can stop there."""
    return math.copysign(min(limits[1], math.sqrt(2.0 * 0.7 * limits[3] * abs(bearing))), bearing)


@njit(cache=True, nogil=True)
def launch_share(pose, speed, target, bearing, limits, cost, geometry, field, resolution, room):
    """Share of full speed that a robot may take up while it turns by a bearing [rad] to a carrot; 0: only turn.

    target [2]: end of the path, near which a wide turn would end in an orbit around it. Others as in launch_is_free.
    """
    max_speed, turn_rate, _, _ = limits
    rest = math.hypot(target[0] - pose[0], target[1] - pose[1])
    orbit = 0.5 * turn_rate * rest / max(abs(math.sin(bearing)), 1e-6) if rest < _END else np.inf
    for share in _LAUNCH_SHARES:
        wanted = share * max_speed
        if wanted <= orbit and launch_is_free(
            pose, speed, wanted, bearing, limits, cost, geometry, field, resolution, room
        ):
            return share
    return 0.0


@njit(cache=True, nogil=True)
def free_direction(pose, path, index, reach, cost, geometry, field, resolution, rooms):
    """Whether there is a direction that is free for a first step, and the one to take, from the heading [rad].

    For a robot in a place so tight that no arc to its path is free: straight to the farthest point of the path
    [k, 2] within ``reach`` [m] that can be reached straight, with the first of ``rooms`` [m] (around the centre) that
    leads anywhere, or else in the free direction nearest to the path's. In the map frame it is the same whichever way
    the robot faces, so that turning to it ends.
    """
    around = 0.0
    for room in rooms:
        lookahead = reach
        while True:
            k = carrot(path, index, pose[0], pose[1], lookahead)
            _, around = arc_to(pose, path[k, 0], path[k, 1])
            if chord_is_free(pose, path[k], cost, geometry, field, resolution, room):
                return True, around
            if lookahead <= _NEAREST:
                break
            lookahead = max(_NEAREST, 0.8 * lookahead)
    for k in range(1, _DIRECTIONS):
        for side in (1.0, -1.0):
            aside = around + side * k * _SECTOR
            ahead = np.array([pose[0], pose[1], pose[2] + aside])
            if arc_is_free(ahead, 0.0, _SHORTEST, cost, geometry, field, resolution, rooms[0]):
                return True, (aside + math.pi) % (2 * math.pi) - math.pi
    return False, around


@njit(cache=True, nogil=True)
def pursue(pose, speed, path, speeds, index, cost, geometry, field, resolution, gap, limits, settings):
    """Forward speed [m/s], turn rate [rad/s], and whether it turns as fast as it can instead of following an arc.

    pose [3], speed [m/s]; path [k, 2] with highest speeds [k]; index: nearest point. gap: room around the robot [m].
    limits: max speed, max turn rate, acceleration, turn acceleration. settings: lookahead time, min, max; launch angle,
    rotate angle, backward speed, turn share, proximity gap, proximity speed, room to keep around the centre, and where
    it is tight [m].
    """
    max_speed, turn_rate, _, _ = limits
    time, least, most, launch_angle, rotate_angle, backward, turn_share, near, near_speed, room, tight = settings
    x, y = pose[0], pose[1]
    slow = abs(speed) < _LAUNCH_SPEED
    lookahead = min(max(time * abs(speed), least), most)
    k = carrot(path, index, x, y, lookahead)
    _, bearing = arc_to(pose, path[k, 0], path[k, 1])
    clear = chord_is_free(pose, path[k], cost, geometry, field, resolution, room)
    if slow and clear and abs(bearing) > rotate_angle:  # approached backwards while the robot turns round
        return min(0.0, backward * math.cos(bearing)), turn_to(bearing, limits), True
    while True:
        k = carrot(path, index, x, y, lookahead)
        curvature, bearing = arc_to(pose, path[k, 0], path[k, 1])
        if abs(bearing) > launch_angle:
            if not slow:
                break
            share = launch_share(pose, speed, path[-1], bearing, limits, cost, geometry, field, resolution, room)
            if share > 0.0 and abs(bearing) <= rotate_angle:
                return share * max_speed, turn_to(bearing, limits), True
        else:
            chord = math.hypot(path[k, 0] - x, path[k, 1] - y)
            length = chord * abs(bearing) / max(abs(math.sin(bearing)), 1e-6) if abs(bearing) > 1e-3 else chord
            if arc_is_free(pose, curvature, length, cost, geometry, field, resolution, room):
                break
        if lookahead <= _SHORTEST:
            if not slow:
                break
            found, around = free_direction(pose, path, index, least, cost, geometry, field, resolution, (room, tight))
            creep = _CAREFUL * max_speed if found and abs(around) <= _ALIGNED else 0.0
            return creep, turn_to(around, limits), True
        lookahead = max(_SHORTEST, 0.8 * lookahead)
    allowed = speeds[index]
    if near > 0.0:
        allowed = min(allowed, max_speed * (near_speed + (1.0 - near_speed) * min(max(gap / near, 0.0), 1.0)))
    allowed = min(allowed, turn_share * turn_rate / max(abs(curvature), 1e-6))
    return allowed, allowed * curvature, False
