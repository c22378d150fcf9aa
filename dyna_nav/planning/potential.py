"""The potential under the values: time to go to one goal over position and heading, on the map as it is known.

Dijkstra backwards from the goal on a lattice in SE(2): square cells, 16 headings, three motions (straight on, an arc to
a neighbouring heading, a turn on the spot), each priced in seconds and dearer close to walls (state lattices:
Pivtoraiko, Knepper and Kelly, 2009). A plain distance plus a heading error has local minima behind every rack; this
has none.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit

from dyna_nav.mdp import GoalTolerance, RobotModel
from dyna_nav.parameters import parameter
from dyna_nav.planning.obstacles import SPREAD, spread
from dyna_nav.site import Site

HEADINGS = 16
_MOVES = np.array(  # cells (x, y) of one straight move for each heading
    (
        (1, 0),
        (2, 1),
        (1, 1),
        (1, 2),
        (0, 1),
        (-1, 2),
        (-1, 1),
        (-2, 1),
        (-1, 0),
        (-2, -1),
        (-1, -1),
        (-1, -2),
        (0, -1),
        (1, -2),
        (1, -1),
        (2, -1),
    )
)
HEADING_ANGLES = np.arctan2(_MOVES[:, 1], _MOVES[:, 0]) % (2 * math.pi)  # not equidistant: 0, 26.6, 45, 63.4, ... deg
UNREACHABLE = np.float32(1e6)  # time to go where there is none [s]
SLOWEST = 10.0  # times longer than at full speed is what a robot takes where it hardly fits
_TICK = 0.001  # resolution of the priority queue [s]
_BUCKET = 32  # ticks in a bucket; below the cheapest motion, so that a bucket is final when it is left


@dataclass(frozen=True)
class PotentialConfig:
    """Prices of the lattice's motions."""

    resolution: float = parameter(0.2, "size of a lattice cell [m]", minimum=0.05, maximum=1.0)
    nodes: int = parameter(
        2_000_000, "most lattice nodes; larger sites get larger cells", minimum=10_000, maximum=100_000_000
    )
    spin_factor: float = parameter(
        0.5, "share of a turn's duration that a turn on the spot costs", minimum=0.01, maximum=2
    )
    arc_factor: float = parameter(
        0.2, "share of a turn's duration that a turn on the way costs", minimum=0.01, maximum=2
    )
    wall_margin: float = parameter(
        0.4, "clearance beyond the radius below which driving grows dearer [m]", minimum=0, maximum=2
    )
    wall_factor: float = parameter(1.2, "extra price of driving along a wall, relative", minimum=0, maximum=20)
    full_speed_room: float = parameter(
        0.12, "clearance beyond the radius and its room that full speed takes; less has to be driven slower [m]",
        minimum=0, maximum=2,
    )  # fmt: skip


@dataclass(frozen=True)
class Lattice:
    """Geometry shared by all potentials of a site."""

    origin: tuple[float, float]  # [m] corner of cell (0, 0)
    resolution: float  # [m]
    clearance: np.ndarray  # [rows, cols] greatest clearance inside each cell [m]
    radius: float  # of the robot and the room that it needs [m]
    fine: np.ndarray  # [fine rows, fine cols] clearance of the site [m]
    block: int  # cells of the site on a side of a cell

    @staticmethod
    def of(site: Site, robot: RobotModel, config: PotentialConfig) -> Lattice:
        """Lattice over a site; its cell is free where the robot fits, with some room, somewhere inside it."""
        fine = site.map.resolution
        height, width = np.array(site.clearance.shape) * fine
        least = math.sqrt(height * width * HEADINGS / config.nodes)
        block = max(1, round(config.resolution / fine), math.ceil(least / fine - 1e-9))
        rows, cols = (-(-size // block) for size in site.clearance.shape)
        while rows * cols * HEADINGS > config.nodes:  # the last row and column may be cut cells
            block += 1
            rows, cols = (-(-size // block) for size in site.clearance.shape)
        best = _best_of_blocks(site.clearance, block)
        return Lattice(tuple(site.map.origin), block * fine, best, robot.radius + robot.room, site.clearance, block)

    def cell_of(self, pose: np.ndarray) -> tuple[int, int]:
        """The cell (row, col) of a pose [2 or 3] (map frame), or the one at the edge that is nearest to it."""
        col, row = np.floor((pose[:2] - self.origin) / self.resolution).astype(int)
        rows, cols = self.clearance.shape
        return min(max(int(row), 0), rows - 1), min(max(int(col), 0), cols - 1)

    def clearance_with(self, obstacles: np.ndarray) -> np.ndarray:
        """``clearance`` when obstacles [k, 2] (map frame [m]) stand there that are not in the map."""
        lowered, touched = self.fine.copy(), np.empty(self.fine.size, np.int64)
        spread(lowered, self.fine, obstacles, *self.origin, self.resolution / self.block, SPREAD, touched)
        return _best_of_blocks(lowered, self.block)


def _best_of_blocks(clearance: np.ndarray, block: int) -> np.ndarray:
    """The greatest clearance in each block of cells; the last row and column may be cut."""
    rows, cols = (-(-size // block) for size in clearance.shape)
    padded = np.zeros((rows * block, cols * block), np.float32)
    padded[: clearance.shape[0], : clearance.shape[1]] = clearance
    return padded.reshape(rows, block, cols, block).max(axis=(1, 3))


@njit(cache=True, nogil=True)
def _unlink(node, bucket, head, following, before):
    if before[node] >= 0:
        following[before[node]] = following[node]
    else:
        head[bucket] = following[node]
    if following[node] >= 0:
        before[following[node]] = before[node]


@njit(cache=True, nogil=True)
def _time_to_go(price, goals, moves, straight, spin, arc):
    """Dijkstra with buckets (Dial, 1969) from the goal nodes backwards; ticks [rows, cols, headings], -1 unreachable.

    price [rows, cols]: factor on driving, 0 where blocked; straight [headings] ticks of one move; spin, arc [headings]
    ticks of the turn from heading h to h + 1.
    """
    rows, cols = price.shape
    nodes = rows * cols * HEADINGS
    ticks = np.full(nodes, -1, np.int32)
    done = np.zeros(nodes, np.bool_)
    following = np.full(nodes, -1, np.int32)
    before = np.full(nodes, -1, np.int32)
    longest = 0
    for h in range(HEADINGS):
        longest = max(longest, straight[h] * int(price.max() + 1) + arc[h] + spin[h])
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

    Near walls it is a preference; where the braking rule admits no full speed it is what driving slower takes.
    """
    slack = clearance - lattice.radius
    nearness = np.clip(1.0 - slack / config.wall_margin, 0.0, 1.0) if config.wall_margin > 0 else np.zeros_like(slack)
    slowness = np.clip(config.full_speed_room / np.maximum(slack, 1e-6), 1.0, SLOWEST)
    return np.where(slack > 0.0, np.maximum(1.0 + config.wall_factor * nearness, slowness), 0.0).astype(np.float32)


def time_to_go(
    lattice: Lattice,
    goal: np.ndarray,
    robot: RobotModel,
    tolerance: GoalTolerance,
    config: PotentialConfig = PotentialConfig(),
    obstacles: np.ndarray | None = None,
) -> np.ndarray:
    """Time to go [s], float32 [rows, cols, headings], of a robot at full speed to a goal pose [3] (map frame).

    ``obstacles`` [k, 2] (map frame [m]) are not in the map. ``UNREACHABLE`` where no way leads.
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
    length = np.hypot(_MOVES[:, 0], _MOVES[:, 1]) * lattice.resolution
    gaps = np.diff(np.append(HEADING_ANGLES, 2 * math.pi))
    turn = gaps / robot.max_turn_rate / _TICK
    ticks = _time_to_go(
        price,
        goals.astype(np.int32),
        _MOVES,
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


class PotentialStore:
    """Potentials by goal, computed one after the other in a thread of their own and kept while they are young."""

    def __init__(
        self, lattice: Lattice, robot: RobotModel, tolerance: GoalTolerance, config: PotentialConfig, capacity: int = 6
    ):
        self.lattice = lattice
        self._robot, self._tolerance, self._config = robot, tolerance, config
        self._capacity = capacity
        self._fields: OrderedDict[tuple, Future] = OrderedDict()
        self._askers: weakref.WeakKeyDictionary[Future, int] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="potential")

    @property
    def reach(self) -> float:
        """Distance [m] from a robot's way beyond which nothing that stands makes that way dearer."""
        return self.lattice.radius + max(self._config.wall_margin, self._config.full_speed_room)

    def request(self, goal: np.ndarray, obstacles: np.ndarray | None = None, version: Hashable = 0) -> Future:
        """The potential of a goal pose [3] as a Future of float32 [rows, cols, headings].

        ``version`` tells apart potentials of the same goal with different ``obstacles``. Whoever wants it no longer
        may say so (``withdraw``).
        """
        key = (*np.round(np.asarray(goal, float), 3).tolist(), version)
        with self._lock:
            future = self._fields.get(key)
            if future is None or future.cancelled():
                future = self._worker.submit(
                    time_to_go, self.lattice, np.array(goal, float), self._robot, self._tolerance, self._config,
                    obstacles,
                )  # fmt: skip
                self._fields[key] = future
                while len(self._fields) > self._capacity:
                    self._fields.popitem(last=False)
            self._fields.move_to_end(key)
            self._askers[future] = self._askers.get(future, 0) + 1
            return future

    def withdraw(self, future: Future) -> None:
        """Take one request back: nobody computes it any more unless it was asked for by somebody else too."""
        with self._lock:
            self._askers[future] -= 1
            if not self._askers[future]:
                future.cancel()

    def close(self) -> None:
        """Stop the thread; a computation that has begun is finished first."""
        self._worker.shutdown(wait=True, cancel_futures=True)
