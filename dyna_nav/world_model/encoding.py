"""What the world model sees of a state, and how its prediction moves the state: kernels used in every rollout.

The encoding does not know where the site's origin is or how it is turned: speeds, battery and commands as they are,
the goal in the body frame, and the clearance around the robot at nine points fixed to its body. One model therefore
drives on any map. Values keep their SI units; the normalisation is part of the exported network.

Rows are independent robots or rollouts. All kernels work in place on arrays of the caller, allocate nothing and
release the GIL.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

CLEARANCE_CIRCLE = 0.6  # radius of the circle of clearance points around the robot's centre [m]
CLEARANCE_LIMIT = 2.0  # clearances beyond this look the same to the model [m]
GOAL_LIMIT = 4.0  # goal distances beyond this look the same to the model [m]
GOAL_NEARNESS = 0.3  # the nearness of the goal decays by e over this distance [m]

BODY_POINTS = np.zeros((9, 2))  # clearance points in the body frame [m]: the centre, then from ahead counter-clockwise
BODY_POINTS[1:, 0] = CLEARANCE_CIRCLE * np.cos(np.arange(8) * math.pi / 4)
BODY_POINTS[1:, 1] = CLEARANCE_CIRCLE * np.sin(np.arange(8) * math.pi / 4)
CLEARANCE_POINTS = len(BODY_POINTS)

FEATURE_NAMES = (
    "speed",
    "turn_rate",
    "battery",
    "previous_speed",  # the command still on its way through the actuators
    "previous_turn_rate",
    "command_speed",
    "command_turn_rate",
    "goal_distance",
    "goal_cos",
    "goal_sin",
    "goal_nearness",
    *(f"clearance_{point}" for point in range(CLEARANCE_POINTS)),
)
FEATURES = len(FEATURE_NAMES)
FIRST_CLEARANCE = FEATURES - CLEARANCE_POINTS

STATE_OUTPUTS = 6
MOTION_OUTPUTS = 5  # without the battery, whose gauge on a real robot tells whole percents once a second
OUTPUT_NAMES = ("dx", "dy", "dyaw", "dspeed", "dturn_rate", "dbattery", "reward")
OUTPUTS = len(OUTPUT_NAMES)
REWARD = OUTPUTS - 1


@njit(cache=True, nogil=True)
def clearance_points(pose, out):
    """Write the map positions of one robot's clearance points: pose [3] map frame -> out [CLEARANCE_POINTS, 2] [m]."""
    cos, sin = math.cos(pose[2]), math.sin(pose[2])
    for point in range(CLEARANCE_POINTS):
        x, y = BODY_POINTS[point, 0], BODY_POINTS[point, 1]
        out[point, 0] = pose[0] + cos * x - sin * y
        out[point, 1] = pose[1] + sin * x + cos * y


@njit(cache=True, nogil=True)
def field_clearance(x, y, field, origin_x, origin_y, resolution):
    """Clearance [m] of the map at one position, nearest cell, 0 outside; field float32 [rows, cols] as in Site."""
    col = math.floor((x - origin_x) / resolution)
    row = math.floor((y - origin_y) / resolution)
    if row < 0 or col < 0 or row >= field.shape[0] or col >= field.shape[1]:
        return 0.0
    return float(field[row, col])


@njit(cache=True, nogil=True)
def map_clearances(pose, field, origin_x, origin_y, resolution, out):
    """Look the clearance points of pose [rows, 3] up in the map's field -> out [rows, CLEARANCE_POINTS] [m]."""
    for row in range(pose.shape[0]):
        cos, sin = math.cos(pose[row, 2]), math.sin(pose[row, 2])
        for point in range(CLEARANCE_POINTS):
            x = pose[row, 0] + cos * BODY_POINTS[point, 0] - sin * BODY_POINTS[point, 1]
            y = pose[row, 1] + sin * BODY_POINTS[point, 0] + cos * BODY_POINTS[point, 1]
            out[row, point] = field_clearance(x, y, field, origin_x, origin_y, resolution)


@njit(cache=True, nogil=True)
def lower_to_scan(scan, angles, clearances):
    """Lower map clearances by what the laser sees: the distance from each point to the nearest beam's end.

    scan [rows, beams] [m] and angles [beams] [rad] are in the body frame of a laser at the robot's centre; beams that
    are not finite or not positive end nowhere. clearances [rows, CLEARANCE_POINTS] [m], in place.
    """
    reach = CLEARANCE_CIRCLE + CLEARANCE_LIMIT
    for beam in range(angles.shape[0]):
        cos, sin = math.cos(angles[beam]), math.sin(angles[beam])
        for row in range(scan.shape[0]):
            measured = scan[row, beam]
            if not (0.0 < measured < reach):
                continue
            for point in range(CLEARANCE_POINTS):
                distance = math.hypot(measured * cos - BODY_POINTS[point, 0], measured * sin - BODY_POINTS[point, 1])
                if distance < clearances[row, point]:
                    clearances[row, point] = distance


@njit(cache=True, nogil=True)
def encode_rows(pose, twist, battery, goal, previous, command, clearances, out):
    """Write the features of states and commands: out float32 [rows, FEATURES], in the order of FEATURE_NAMES.

    pose, goal [rows, 3] (x, y [m], yaw [rad]; map frame; a NaN goal is no goal and becomes zeros), twist [rows, 2]
    (m/s, rad/s), battery [rows] 0..1, previous and command [rows, 2] the last command sent and the one to judge
    (m/s, rad/s), clearances [rows, CLEARANCE_POINTS] [m], clipped here to [0, CLEARANCE_LIMIT].
    """
    for row in range(pose.shape[0]):
        out[row, 0] = twist[row, 0]
        out[row, 1] = twist[row, 1]
        out[row, 2] = battery[row]
        out[row, 3] = previous[row, 0]
        out[row, 4] = previous[row, 1]
        out[row, 5] = command[row, 0]
        out[row, 6] = command[row, 1]
        x, y = goal[row, 0] - pose[row, 0], goal[row, 1] - pose[row, 1]
        distance = math.sqrt(x * x + y * y)
        if math.isnan(distance):
            out[row, 7] = 0.0
            out[row, 8] = 0.0
            out[row, 9] = 0.0
            out[row, 10] = 0.0
        else:
            cos, sin = math.cos(pose[row, 2]), math.sin(pose[row, 2])
            scale = 1.0 / max(distance, 1e-6)
            out[row, 7] = min(distance, GOAL_LIMIT)
            out[row, 8] = (cos * x + sin * y) * scale
            out[row, 9] = (cos * y - sin * x) * scale
            out[row, 10] = math.exp(-distance / GOAL_NEARNESS)
        for point in range(CLEARANCE_POINTS):
            out[row, FIRST_CLEARANCE + point] = min(max(clearances[row, point], 0.0), CLEARANCE_LIMIT)


@njit(cache=True, nogil=True)
def apply_delta(pose, twist, battery, delta):
    """Move states by predicted changes, in place.

    pose [rows, 3] map frame, twist [rows, 2] (m/s, rad/s), battery [rows] 0..1; delta [rows, >= 6] in the order of
    OUTPUT_NAMES: displacement in the body frame at the start of the step [m], then changes of yaw, speeds and battery.
    """
    for row in range(pose.shape[0]):
        cos, sin = math.cos(pose[row, 2]), math.sin(pose[row, 2])
        pose[row, 0] += cos * delta[row, 0] - sin * delta[row, 1]
        pose[row, 1] += sin * delta[row, 0] + cos * delta[row, 1]
        pose[row, 2] = (pose[row, 2] + delta[row, 2] + math.pi) % (2 * math.pi) - math.pi
        twist[row, 0] += delta[row, 3]
        twist[row, 1] += delta[row, 4]
        battery[row] = min(max(battery[row] + delta[row, 5], 0.0), 1.0)


@njit(cache=True, nogil=True)
def measure_delta(pose, twist, battery, next_pose, next_twist, next_battery, out):
    """Write the change between two states -> out [rows, >= 6]: the inverse of apply_delta (same frames and units)."""
    for row in range(pose.shape[0]):
        cos, sin = math.cos(pose[row, 2]), math.sin(pose[row, 2])
        x, y = next_pose[row, 0] - pose[row, 0], next_pose[row, 1] - pose[row, 1]
        out[row, 0] = cos * x + sin * y
        out[row, 1] = cos * y - sin * x
        out[row, 2] = (next_pose[row, 2] - pose[row, 2] + math.pi) % (2 * math.pi) - math.pi
        out[row, 3] = next_twist[row, 0] - twist[row, 0]
        out[row, 4] = next_twist[row, 1] - twist[row, 1]
        out[row, 5] = next_battery[row] - battery[row]
