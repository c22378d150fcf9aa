"""What the OOD detector sees of a robot: its motion, the room around it, what the world model got wrong, and how the
laser compares with the map.

The laser is compared beam by beam with a ray cast through the map. Being *shorter* than the map says is familiar:
pallets, people and other robots stand in halls. Looking *through* what the map says is solid is not: racks were
moved, the laser is turned, or the robot is not where it believes. Grazing beams and the localisation's noise are kept
out by comparing with the farthest and the nearest of the expected ranges of the beams around, more of them the nearer
the obstacle and while the robot turns: scans are up to a tenth of a second old.

What is novel is disagreement: of the laser with the map, of what happened with what the model predicted. The shape of a
room is context for the autoencoder and no more: speeds, clearances and ranges count only far outside of what training
saw (RESOLUTION), because a site that nobody has seen is not a reason to stop.

How hard the robot pulls is remembered for longer: a heavy load shows only while it gathers speed.

The battery is left out: its gauge tells whole percents once a second on many robots, and charging is not novel.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from dyna_nav.mdp import STEP, RobotModel
from dyna_nav.world_model.encoding import (
    BODY_POINTS,
    CLEARANCE_LIMIT,
    CLEARANCE_POINTS,
    MOTION_OUTPUTS,
    OUTPUT_NAMES,
    field_clearance,
)

SECTORS = 12  # of 30 degrees, counter-clockwise from the first beam
NEIGHBOURHOOD = math.radians(1.2)  # beams this near may stand for each other: localised headings are off [rad] ...
OFFSET = 0.05  # ... and so are positions [m], which near obstacles is more of an angle
WIDEST = math.radians(12.0)  # but no more than this [rad]
SLACK = 0.15  # difference between measured and expected range that means nothing [m]
AHEAD = 0.04  # scans are carried forward to the present by the twist, which is right to so much time [s] ...
USUAL_AGE = 0.12  # ... while they come ten times a second; what is older may have been driven and turned in any way [s]
WORST = math.radians(8.0)  # width of the narrowest thing that is judged for itself [rad]
DIFFERENCE_LIMIT = 3.0  # missing range counts up to this [m] ...
THROUGH_LIMIT = 1.5  # ... and range too much up to this
RANGE_LIMIT = 6.0  # ranges beyond this look the same [m]
RESIDUAL_LIMIT = 100.0  # residuals beyond this look the same [standard deviations]
SUMMARY = 3 * SECTORS + 2
PULL_WINDOW = 150  # cycles over which the pull is remembered: 15 s
PULLING = 0.04  # gain of speed in one step, three times in a row, that counts as pulling [m/s]
STRAIGHT = 0.1  # greatest change of turn rate meanwhile [rad/s]
PULLS = 3  # so many are needed before anything is said
FULL_PULL = RobotModel().acceleration * STEP  # gain of speed per step that the firmware allows [m/s]
FULL_SPEED, FULL_TURN = RobotModel().max_speed, RobotModel().max_turn_rate  # [m/s], [rad/s]
USUAL_PULL = 0.75  # share of it that any load seen in training leaves

FEATURE_NAMES = (
    "speed",
    "turn_rate",
    *(f"clearance_{point}" for point in range(CLEARANCE_POINTS)),
    *(f"residual_{name}" for name in OUTPUT_NAMES[:MOTION_OUTPUTS]),  # of the last step, standard deviations
    *(f"drift_{name}" for name in OUTPUT_NAMES[:MOTION_OUTPUTS]),  # sum / sqrt(count) over the window
    *(f"scatter_{name}" for name in OUTPUT_NAMES[:MOTION_OUTPUTS]),  # root mean square over the window
    "missing_pull",  # share of the acceleration that is missing from what any usual load leaves
    *(f"range_{sector}" for sector in range(SECTORS)),  # smallest range [m]
    *(f"through_{sector}" for sector in range(SECTORS)),  # mean range beyond what the map allows [m]
    "through_worst",  # the same, mean of the worst WORST of the circle [m]: a rack that moved far away is narrow
    *(f"short_{sector}" for sector in range(SECTORS)),  # mean range short of what the map promises [m]
    "invalid_beams",  # share of beams that are not numbers or not positive
)
OOD_FEATURES = len(FEATURE_NAMES)
_RESOLUTION = {  # an error of this size is never remarkable, however well a feature is rebuilt (units of the feature)
    "speed": 0.3,
    "turn": 0.3,
    "clearance": 1.0,
    "residual": 1.0,
    "drift": 1.0,
    "scatter": 0.5,
    "missing": 0.05,
    "range": 3.0,
    "through": 0.1,
    "short": 0.7,
    "invalid": 0.2,
}
RESOLUTION = np.array([_RESOLUTION[name.split("_")[0]] for name in FEATURE_NAMES], np.float32)
RESIDUALS = 2 + CLEARANCE_POINTS  # where the residual features begin
PULL = RESIDUALS + 3 * MOTION_OUTPUTS  # where the pull is
LASER = PULL + 1  # where the laser's begin
MOTION = "motion differs from the model"
GROUPS = (  # features that are judged together: what it means when they are novel, and where they begin
    ("state", 0),
    (MOTION, RESIDUALS),
    (MOTION, RESIDUALS + MOTION_OUTPUTS),
    (MOTION, RESIDUALS + 2 * MOTION_OUTPUTS),
    ("load or drive", PULL),
    ("laser", LASER),
    ("laser against map", LASER + SECTORS),
    ("laser against map", LASER + 2 * SECTORS),
    ("laser against map", LASER + 2 * SECTORS + 1),
    ("laser", LASER + 3 * SECTORS + 1),
)
_STARTS = np.array([first for _, first in GROUPS])
_COUNTS = np.diff([*_STARTS, OOD_FEATURES])


def group_errors(errors: np.ndarray) -> np.ndarray:
    """Mean error of each group [..., groups] of errors [..., OOD_FEATURES]; a state's score is the greatest of them.

    The greatest, not the mean: a robot that pulls weakly shows it in one feature and in no other.
    """
    return np.add.reduceat(errors, _STARTS, axis=-1) / _COUNTS


@njit(cache=True, nogil=True)
def expected_ranges(x, y, yaw, angles, reach, field, cells, origin_x, origin_y, resolution, out):
    """Ranges [beams] that the map promises from one pose: out [m], reach where open, NaN where unknown space begins.

    field float32 [rows, cols] is the clearance of each cell [m], cells int8 [rows, cols] the occupancy. The ray leaps
    by the clearance of the cell it is in, so a beam costs a dozen steps.
    """
    slack = 0.71 * resolution
    for beam in range(angles.shape[0]):
        cos, sin = math.cos(yaw + angles[beam]), math.sin(yaw + angles[beam])
        distance = 0.0
        found = reach
        while distance < reach:
            col = math.floor((x + distance * cos - origin_x) / resolution)
            row = math.floor((y + distance * sin - origin_y) / resolution)
            if row < 0 or col < 0 or row >= field.shape[0] or col >= field.shape[1]:
                found = np.nan
                break
            if cells[row, col] != 0:
                found = distance if cells[row, col] > 0 else np.nan
                break
            distance += max(field[row, col] - slack, 0.5 * resolution)
        out[beam] = found


@njit(cache=True, nogil=True)
def _without_single_beams(values):
    """Take out of a ring [beams] what fewer than three neighbours agree on, in place (a morphological opening)."""
    beams = values.shape[0]
    least = np.empty(beams)
    for k in range(beams):
        least[k] = min(values[k - 1], values[k], values[(k + 1) % beams])
    for k in range(beams):
        values[k] = max(least[k - 1], least[k], least[(k + 1) % beams])


@njit(cache=True, nogil=True)
def scan_summary(pose, twist, age, scan, angles, reach, field, cells, origin_x, origin_y, resolution, expected, out):
    """Compare scans with the map: write out float32 [n, SUMMARY]; a robot with a NaN pose gets zeros.

    The robots: pose [n, 3]; twist [n, 2]; age [n], for how long pose or scan, the older, was carried forward [s].
    Their lasers: scan [n, beams] [m]; angles [beams] [rad], which rise evenly; reach, the greatest range [m].
    The map: field, cells, origin_x, origin_y and resolution as in expected_ranges.
    Room to work in: expected [beams].
    """
    beams = angles.shape[0]
    spacing = abs(angles[1] - angles[0]) if beams > 1 else 1.0
    beyond = np.empty(beams)
    around = math.ceil(WIDEST / spacing)
    ring = np.empty(beams + 2 * around)  # expected, and at either end once more what lies across the seam
    for i in range(pose.shape[0]):
        for column in range(SUMMARY):
            out[i, column] = 0.0
        if math.isnan(pose[i, 0] + pose[i, 1] + pose[i, 2]):
            continue
        expected_ranges(
            pose[i, 0], pose[i, 1], pose[i, 2], angles, reach, field, cells, origin_x, origin_y, resolution, expected
        )
        for k in range(ring.shape[0]):
            ring[k] = expected[(k - around) % beams]
        unknown = max(age[i] - USUAL_AGE, 0.0)
        turned = NEIGHBOURHOOD + AHEAD * abs(twist[i, 1]) + unknown * FULL_TURN
        slack = SLACK + AHEAD * abs(twist[i, 0]) + unknown * FULL_SPEED
        invalid, worst = 0, max(1, round(WORST / spacing))
        for sector in range(SECTORS):
            first, last = sector * beams // SECTORS, (sector + 1) * beams // SECTORS
            nearest, short = RANGE_LIMIT, 0.0
            for beam in range(first, last):
                measured = scan[i, beam]
                beyond[beam] = 0.0
                if math.isnan(measured) or measured <= 0.0:
                    invalid += 1
                    continue
                measured = min(measured, reach)
                nearest = min(nearest, measured)
                promised = expected[beam]
                if math.isnan(promised):
                    continue
                near = math.ceil(min(turned + OFFSET / max(promised, OFFSET), WIDEST) / spacing - 1e-9)
                farthest, closest = 0.0, reach
                for value in ring[around + beam - near : around + beam + near + 1]:
                    if math.isnan(value):  # unknown space: the map promises nothing
                        farthest, closest = reach, 0.0
                        break
                    farthest, closest = max(farthest, value), min(closest, value)
                beyond[beam] = min(max(measured - farthest - slack, 0.0), THROUGH_LIMIT)
                short += min(max(closest - measured - slack, 0.0), DIFFERENCE_LIMIT)
            count = max(last - first, 1)
            out[i, sector] = nearest
            out[i, 2 * SECTORS + 1 + sector] = short / count
        _without_single_beams(beyond)
        for sector in range(SECTORS):
            first, last = sector * beams // SECTORS, (sector + 1) * beams // SECTORS
            out[i, SECTORS + sector] = beyond[first:last].sum() / max(last - first, 1)
        total = 0.0
        for beam in range(worst):
            total += beyond[beam]
        most = total
        for beam in range(beams):
            total += beyond[(beam + worst) % beams] - beyond[beam]
            most = max(most, total)
        out[i, 2 * SECTORS] = most / worst
        out[i, 3 * SECTORS + 1] = invalid / beams


@njit(cache=True, nogil=True)
def missing_pull(twist, recent, ring, place, out):
    """Write the share of acceleration [n] that is missing: 0 for a usual load, or while nothing can be said.

    twist [n, 2] is the newest; recent [n, 3, 2] holds the three before it, oldest first, and ring [n, PULL_WINDOW] the
    gains of speed in the middle of steady pulls (NaN: none); both move on here, the ring at place.
    """
    for i in range(twist.shape[0]):
        pulling = True
        for k in range(3):
            speed = twist[i, 0] if k == 2 else recent[i, k + 1, 0]
            turn = twist[i, 1] if k == 2 else recent[i, k + 1, 1]
            steady = abs(turn - recent[i, k, 1]) < STRAIGHT
            pulling = pulling and steady and speed - recent[i, k, 0] > PULLING
        ring[i, place] = recent[i, 2, 0] - recent[i, 1, 0] if pulling else np.nan
        for column in range(2):
            recent[i, 0, column], recent[i, 1, column] = recent[i, 1, column], recent[i, 2, column]
            recent[i, 2, column] = twist[i, column]
        gains = ring[i][~np.isnan(ring[i])]
        out[i] = 0.0
        if gains.size >= PULLS:
            gains.sort()
            usual = gains[int(0.8 * (gains.size - 1) + 0.5)]
            out[i] = max(0.0, USUAL_PULL - usual / FULL_PULL)


@njit(cache=True, nogil=True)
def _limited(value):
    return min(max(value, -RESIDUAL_LIMIT), RESIDUAL_LIMIT)


@njit(cache=True, nogil=True)
def assemble(pose, twist, history, newest, pull, summary, field, origin_x, origin_y, resolution, out):
    """Write the detector's input: out float32 [n, OOD_FEATURES], in the order of FEATURE_NAMES.

    pose [n, 3], twist [n, 2]; history [n, window, >= 5] is a ring of normalised residuals (NaN where there was none)
    and newest the place of the last; pull [n] as from missing_pull, summary [n, SUMMARY] as from scan_summary.
    """
    for i in range(pose.shape[0]):
        out[i, 0] = twist[i, 0]
        out[i, 1] = twist[i, 1]
        cos, sin = math.cos(pose[i, 2]), math.sin(pose[i, 2])
        for point in range(CLEARANCE_POINTS):
            x = pose[i, 0] + cos * BODY_POINTS[point, 0] - sin * BODY_POINTS[point, 1]
            y = pose[i, 1] + sin * BODY_POINTS[point, 0] + cos * BODY_POINTS[point, 1]
            value = field_clearance(x, y, field, origin_x, origin_y, resolution)
            out[i, 2 + point] = min(value, CLEARANCE_LIMIT)
        for dim in range(MOTION_OUTPUTS):
            total, squares, count = 0.0, 0.0, 0
            for place in range(history.shape[1]):
                value = history[i, place, dim]
                if not math.isnan(value):
                    total += value
                    squares += value * value
                    count += 1
            last = history[i, newest, dim]
            out[i, RESIDUALS + dim] = 0.0 if math.isnan(last) else _limited(last)
            out[i, RESIDUALS + MOTION_OUTPUTS + dim] = _limited(total / math.sqrt(count)) if count else 0.0
            out[i, RESIDUALS + 2 * MOTION_OUTPUTS + dim] = _limited(math.sqrt(squares / count)) if count else 0.0
        out[i, PULL] = pull[i]
        for column in range(SUMMARY):
            out[i, LASER + column] = summary[i, column]
