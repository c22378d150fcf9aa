"""The potential under the values: time to go to one goal over position and heading, on the map as it is known.

Dijkstra backwards from the goal on the lattice, with three motions (straight on, an arc to a neighbouring heading, a
turn on the spot), each priced in seconds, dearer close to walls and against the ways of other robots. A plain distance
plus a heading error has local minima behind every rack; this has none.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from dyna_nav.mdp import GoalTolerance, RobotModel
from dyna_nav.planning.lattice import HEADING_ANGLES, HEADINGS, MOVES, Lattice, PotentialConfig

UNREACHABLE = np.float32(1e6)  # time to go where there is none [s]
SLOWEST = 40.0  # times longer than at full speed is what a robot takes where it hardly fits
_TICK = 0.001  # resolution of the priority queue [s]
_BUCKET = 32  # ticks in a bucket; below the cheapest motion, so that a bucket is final when it is left


@njit(cache=True, nogil=True)
def _unlink(node, bucket, head, following, before):
    if before[node] >= 0:
        following[before[node]] = following[node]
    else:
        head[bucket] = following[node]
    if following[node] >= 0:
        before[following[node]] = before[node]


@njit(cache=True, nogil=True)
def _time_to_go(price, oncoming, goals, moves, straight, spin, arc):
    """Dijkstra with buckets (Dial, 1969) from the goal nodes backwards; ticks [rows, cols, headings], -1 unreachable.

    price [rows, cols]: factor on driving, 0 where blocked; oncoming [rows, cols, 2]: what driving against that vector
    adds to the factor; straight [headings] ticks of one move; spin, arc [headings] ticks of the turn from heading h to
    h + 1.
    """
    rows, cols = price.shape
    nodes = rows * cols * HEADINGS
    ticks = np.full(nodes, -1, np.int32)
    done = np.zeros(nodes, np.bool_)
    following = np.full(nodes, -1, np.int32)
    before = np.full(nodes, -1, np.int32)
    longest = 0
    strongest = math.sqrt((oncoming**2).sum(axis=2).max())
    for h in range(HEADINGS):
        longest = max(longest, int(straight[h] * (price.max() + strongest)) + 1 + arc[h] + spin[h])
    buckets = longest // _BUCKET + 3
    head = np.full(buckets, -1, np.int32)
    for goal in goals:
        ticks[goal] = 0
        following[goal] = head[0]
        if head[0] >= 0:
            before[head[0]] = goal
        head[0] = goal
    waiting = goals.size
    current = 0
    while waiting > 0:
        slot = current % buckets
        while head[slot] >= 0:
            node = head[slot]
            _unlink(node, slot, head, following, before)
            waiting -= 1
            done[node] = True
            heading = node % HEADINGS
            cell = node // HEADINGS
            row, col = cell // cols, cell % cols
            for turn in range(-1, 2):
                other = (heading + turn) % HEADINGS  # heading before the motion
                lower = heading if turn == 1 else other  # the turn between h and h + 1 is priced at h
                for driving in range(2):
                    if driving == 0:
                        if turn == 0:
                            continue
                        r, c = row, col
                        cost = spin[lower]
                    else:
                        r, c = row - moves[other, 1], col - moves[other, 0]
                        if r < 0 or c < 0 or r >= rows or c >= cols or price[r, c] == 0.0:
                            continue
                        factor = max(price[r, c], price[row, col])
                        if abs(moves[other, 0]) == 2 or abs(moves[other, 1]) == 2:
                            # a knight's move passes between two cells: the motion needs both
                            r1 = r + moves[other, 1] // 2 if abs(moves[other, 1]) == 2 else r
                            c1 = c + moves[other, 0] // 2 if abs(moves[other, 0]) == 2 else c
                            r2, c2 = row - (r1 - r), col - (c1 - c)
                            if price[r1, c1] == 0.0 or price[r2, c2] == 0.0:
                                continue
                            factor = max(factor, max(price[r1, c1], price[r2, c2]))
                        elif moves[other, 0] * moves[other, 1] != 0 and price[r, col] * price[row, c] == 0.0:
                            continue
                        with_it = oncoming[row, col, 0] * moves[other, 0] + oncoming[row, col, 1] * moves[other, 1]
                        factor += max(0.0, -with_it / math.hypot(moves[other, 0], moves[other, 1]))
                        cost = int(straight[other] * factor) + (arc[lower] if turn != 0 else 0)
                    previous = (r * cols + c) * HEADINGS + other
                    arrival = ticks[node] + cost
                    if done[previous] or (ticks[previous] >= 0 and ticks[previous] <= arrival):
                        continue
                    if ticks[previous] >= 0:
                        _unlink(previous, (ticks[previous] // _BUCKET) % buckets, head, following, before)
                        waiting -= 1
                    ticks[previous] = arrival
                    target = (arrival // _BUCKET) % buckets
                    following[previous] = head[target]
                    before[previous] = -1
                    if head[target] >= 0:
                        before[head[target]] = previous
                    head[target] = previous
                    waiting += 1
        current += 1
    return ticks.reshape(rows, cols, HEADINGS)


def _price(lattice: Lattice, config: PotentialConfig, clearance: np.ndarray) -> np.ndarray:
    """Factor on driving [rows, cols] for a clearance [rows, cols] [m]; 0 where the robot does not fit.

    Near walls it is a preference; where the braking rule admits no full speed it is what driving slower takes, and that
    grows with the square of what is missing: a robot that hardly fits turns and waits more than it drives.
    """
    slack = clearance - lattice.radius
    nearness = np.clip(1.0 - slack / config.wall_margin, 0.0, 1.0) if config.wall_margin > 0 else np.zeros_like(slack)
    slowness = np.clip((config.full_speed_room / np.maximum(slack, 1e-6)) ** 2, 1.0, SLOWEST)
    return np.where(slack > 0.0, np.maximum(1.0 + config.wall_factor * nearness, slowness), 0.0).astype(np.float32)


def time_to_go(
    lattice: Lattice,
    goal: np.ndarray,
    robot: RobotModel,
    tolerance: GoalTolerance,
    config: PotentialConfig,
    obstacles: np.ndarray | None = None,
    flow: np.ndarray | None = None,
) -> np.ndarray:
    """Time to go [s], float32 [rows, cols, headings], of a robot at full speed to a goal pose [3] (map frame).

    ``obstacles`` [k, 2] (map frame [m]) are not in the map; ``flow`` [rows, cols, 2]: which way others drive, the sum
    of their unit vectors (:class:`dyna_nav.planning.traffic.Traffic`). ``UNREACHABLE`` where no way leads.
    """
    price = _price(lattice, config, lattice.clearance if obstacles is None else lattice.clearance_with(obstacles))
    rows, cols = price.shape
    centre = (np.asarray(goal[:2]) - lattice.origin) / lattice.resolution
    reach = math.ceil(tolerance.position / lattice.resolution)
    r, c = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    r, c = r + int(centre[1]), c + int(centre[0])
    offset = np.hypot(c + 0.5 - centre[0], r + 0.5 - centre[1])
    near = (
        (offset <= max(0.71, 0.7 * tolerance.position / lattice.resolution))
        & (r >= 0)
        & (c >= 0)
        & (r < rows)
        & (c < cols)
    )
    r, c = r[near], c[near]
    price[r, c] = np.maximum(price[r, c], 1.0)
    heading_error = np.abs((HEADING_ANGLES - goal[2] + math.pi) % (2 * math.pi) - math.pi)
    headings = np.flatnonzero(heading_error <= max(tolerance.heading, heading_error.min() + 1e-9))
    goals = ((r * cols + c)[:, None] * HEADINGS + headings).ravel()
    length = np.hypot(MOVES[:, 0], MOVES[:, 1]) * lattice.resolution
    gaps = np.diff(np.append(HEADING_ANGLES, 2 * math.pi))
    turn = gaps / robot.max_turn_rate / _TICK
    ticks = _time_to_go(
        price,
        np.zeros((rows, cols, 2), np.float32) if flow is None else np.float32(config.contraflow) * flow,
        goals.astype(np.int32),
        MOVES,
        np.maximum(length / robot.max_speed / _TICK, _BUCKET + 1).astype(np.int32),
        np.maximum(turn * config.spin_factor, _BUCKET + 1).astype(np.int32),
        np.maximum(turn * config.arc_factor, 1).astype(np.int32),
    )
    return np.where(ticks < 0, UNREACHABLE, ticks * np.float32(_TICK)).astype(np.float32)


@njit(cache=True, nogil=True)
def heading_position(yaw):
    """Where a heading [rad] lies among the lattice's (unevenly spaced) ones: lower index, share of the next."""
    angle = yaw % (2 * math.pi)
    quarter = int(angle / (math.pi / 2))
    rest = angle - quarter * (math.pi / 2)
    lean = math.atan(0.5)
    if rest < lean:
        return 4 * quarter % HEADINGS, rest / lean
    if rest < math.pi / 4:
        return (4 * quarter + 1) % HEADINGS, (rest - lean) / (math.pi / 4 - lean)
    if rest < math.pi / 2 - lean:
        return (4 * quarter + 2) % HEADINGS, (rest - math.pi / 4) / (math.pi / 4 - lean)
    return (4 * quarter + 3) % HEADINGS, (rest - math.pi / 2 + lean) / lean


@njit(cache=True, nogil=True)
def interpolate(field, origin_x, origin_y, resolution, x, y, yaw):
    """Time to go [s] at a pose, linear in x, y and heading over the reachable corners; UNREACHABLE where none is."""
    rows, cols = field.shape[0], field.shape[1]
    u = (x - origin_x) / resolution - 0.5
    v = (y - origin_y) / resolution - 0.5
    c0, r0 = math.floor(u), math.floor(v)
    fc, fr = u - c0, v - r0
    h0, fh = heading_position(yaw)
    h1 = (h0 + 1) % HEADINGS
    total, weight = 0.0, 0.0
    for dr in range(2):
        for dc in range(2):
            r, c = r0 + dr, c0 + dc
            if r < 0 or c < 0 or r >= rows or c >= cols:
                continue
            w = (fr if dr else 1.0 - fr) * (fc if dc else 1.0 - fc)
            near, far = field[r, c, h0], field[r, c, h1]
            if near >= UNREACHABLE or far >= UNREACHABLE:
                continue
            total += w * (near + fh * (far - near))
            weight += w
    if weight < 1e-6:
        return UNREACHABLE
    return total / weight
