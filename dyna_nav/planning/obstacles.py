"""The map as it is now: the site's clearance lowered by what the lasers see and neither map nor fleet explains.

All robots of one machine write into one layer, so a pallet seen by one is known to all. A cell is marked where a beam
ends in open space, cleared where a later beam passes through it, and forgotten when nobody has looked for a while. What
moves, or may move, leaves no mark: moving.py follows it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from dyna_nav.controller import Observation
from dyna_nav.parameters import parameter
from dyna_nav.planning.moving import MovingObstacles
from dyna_nav.planning.track import MovingConfig
from dyna_nav.site import Site

SPREAD = 1.2  # distance up to which an obstacle lowers the clearance around it [m]
_LATELY = 1.0  # who is where it was free since then has come there [s]
NEAR = 2.5  # laser returns within this of a robot are kept for its braking rule [m]


@dataclass(frozen=True)
class ObstacleConfig:
    """What counts as an obstacle that is not in the map."""

    cell: float = parameter(0.05, "size of a cell of the obstacle layer [m]", minimum=0.02, maximum=0.5)
    explained: float = parameter(0.2, "a hit this near to a mapped obstacle is the map's [m]", minimum=0.02, maximum=1)
    reach: float = parameter(6.0, "hits farther away than this are not entered [m]", minimum=1, maximum=100)
    memory: float = parameter(300.0, "time after which an unseen obstacle is forgotten [s]", minimum=0.1, maximum=3600)


@njit(cache=True, nogil=True)
def clearance_at(field, origin_x, origin_y, resolution, x, y):
    """Clearance [m] at a position, bilinear between cell centres; 0 outside the map."""
    u = (x - origin_x) / resolution - 0.5
    v = (y - origin_y) / resolution - 0.5
    col, row = int(math.floor(u)), int(math.floor(v))  # noqa: RUF046 (floats in numba)
    if row < 0 or col < 0 or row >= field.shape[0] - 1 or col >= field.shape[1] - 1:  # a huge row + 1 is negative
        return 0.0
    fu, fv = u - col, v - row
    low = field[row, col] * (1.0 - fu) + field[row, col + 1] * fu
    high = field[row + 1, col] * (1.0 - fu) + field[row + 1, col + 1] * fu
    return low * (1.0 - fv) + high * fv


@njit(cache=True, nogil=True)
def _unexplained(
    seen, time, origin_x, origin_y, cell, static, resolution, pose, others, scan, angles, scan_max, radius, limits,
    returns, entered, marked,
):  # fmt: skip
    """Write the returns of one scan that neither map nor fleet explains, returns [beams, 2] (map frame [m]); how many.

    pose [3] and others [k, 2 or 3] of the fleet in the map frame; limits: explained and reach of ObstacleConfig [m] and
    its memory [s].
    entered bool [beams]: the return lies where it was free a moment ago, and not merely where nobody could see.
    marked bool [beams]: it lies where something is known to stand, or beside it.
    """
    explained, reach, memory = limits[0], limits[1], limits[2]
    rows, cols = seen.shape
    count = 0
    for beam in range(angles.size):
        measured = scan[beam]
        if not 0.0 < measured <= min(scan_max, reach):
            continue
        x = pose[0] + measured * math.cos(pose[2] + angles[beam])
        y = pose[1] + measured * math.sin(pose[2] + angles[beam])
        known = clearance_at(static, origin_x, origin_y, resolution, x, y) < explained
        for other in range(others.shape[0]):
            known = known or math.hypot(x - others[other, 0], y - others[other, 1]) < radius + explained
        if not known:
            returns[count, 0], returns[count, 1] = x, y
            col, row = int((x - origin_x) / cell), int((y - origin_y) / cell)
            entered[count] = seen[row, col] < 0.0 and -seen[row, col] > time - _LATELY
            beside = seen[max(row - 1, 0) : min(row + 2, rows), max(col - 1, 0) : min(col + 2, cols)]
            marked[count] = beside.max() > max(time - memory, 0.0)
            count += 1
    return count


@njit(cache=True, nogil=True)
def _enter(seen, time, origin_x, origin_y, cell, pose, scan, angles, reach, radius, returns, cells):
    """Enter one scan: clear the cells along each beam, then mark those that hold returns [k, 2] (map frame [m]).

    seen [rows, cols]: the time > 0 [s] at which something was last seen in a cell, or minus the time at which it was
    seen free; -inf: nobody has looked. Flat indices of marked cells are written to cells [k]; returns how many.

    First all beams clear, then all mark: a beam that grazes an obstacle must not wipe out what its neighbour hit.
    """
    rows, cols = seen.shape
    for beam in range(angles.size):
        measured = scan[beam]
        if not measured > 0.0:  # NaN or not a range
            continue
        cos, sin = math.cos(pose[2] + angles[beam]), math.sin(pose[2] + angles[beam])
        free = min(measured, reach) - 1.5 * cell
        distance = radius
        while distance < free:
            col = int((pose[0] + distance * cos - origin_x) / cell)
            row = int((pose[1] + distance * sin - origin_y) / cell)
            if 0 <= row < rows and 0 <= col < cols:
                seen[row, col] = -time
            distance += cell
    count = 0
    for k in range(returns.shape[0]):
        col, row = int((returns[k, 0] - origin_x) / cell), int((returns[k, 1] - origin_y) / cell)
        if 0 <= row < rows and 0 <= col < cols:
            seen[row, col] = time
            cells[count] = row * cols + col
            count += 1
    return count


@njit(cache=True, nogil=True)
def spread(clearance, static, obstacles, origin_x, origin_y, resolution, reach, touched):
    """Lower the clearance around obstacle points [k, 2]; returns how many flat indices were written to touched [cells].

    On entry clearance equals static, so a cell is noted once, when it first falls below.
    """
    rows, cols = clearance.shape
    count = 0
    for k in range(obstacles.shape[0]):
        x, y = obstacles[k, 0], obstacles[k, 1]
        left = max(0, int((x - reach - origin_x) / resolution))
        right = min(cols, int((x + reach - origin_x) / resolution) + 1)
        low = max(0, int((y - reach - origin_y) / resolution))
        high = min(rows, int((y + reach - origin_y) / resolution) + 1)
        for row in range(low, high):
            dy = origin_y + (row + 0.5) * resolution - y
            for col in range(left, right):
                dx = origin_x + (col + 0.5) * resolution - x
                distance = math.sqrt(dx * dx + dy * dy)
                if distance < clearance[row, col]:
                    if clearance[row, col] == static[row, col]:
                        touched[count] = row * cols + col
                        count += 1
                    clearance[row, col] = distance
    return count


def _returns(observation: Observation, robot: int) -> np.ndarray:
    """Laser returns [k, 2] of one robot within NEAR of it, map frame [m]; none for a robot without a pose."""
    x, y, yaw = observation.pose[robot]
    ranges = observation.scan[robot]
    near = (ranges > 0.0) & (ranges < min(NEAR, observation.scan_max)) & np.isfinite(x)
    bearing = yaw + observation.scan_angles[near]
    return np.stack([x + ranges[near] * np.cos(bearing), y + ranges[near] * np.sin(bearing)], axis=1)


class LiveMap:
    """Clearance of the site with everything that was seen lately.

    ``clearance`` float32 [rows, cols] is the site's field, lowered near obstacles; ``obstacles`` [k, 2] are the centres
    of the cells they are in [m, map frame]; ``returns`` are each robot's own laser returns nearby, whatever they are
    of [k, 2] [m, map frame]. What may move is not among the obstacles, it is in ``moving``.
    """

    def __init__(
        self,
        site: Site,
        radius: float,
        config: ObstacleConfig = ObstacleConfig(),
        moving: MovingConfig | None = None,
    ):
        self._static = site.clearance
        self._radius, self._config = radius, config
        self.origin, self.resolution = site.map.origin, site.map.resolution
        self.cell = config.cell
        extent = np.array(site.clearance.shape) * self.resolution
        self._seen = np.full(np.ceil(extent / self.cell).astype(int), -np.inf, np.float32)
        self._cells = np.empty(0, np.int64)  # flat indices of the cells that may hold an obstacle
        self._touched = np.empty(site.clearance.size, np.int64)
        self._count = 0
        self._start: float | None = None
        self.clearance = site.clearance.astype(np.float32).copy()
        self.obstacles = np.empty((0, 2))
        self.returns: list[np.ndarray] = []
        self.moving = MovingObstacles(moving or MovingConfig())

    def update(self, observation: Observation, present: np.ndarray) -> None:
        """Enter the scans of the robots that are present (bool [n]) and lower the clearance around what remains."""
        if self._start is None:
            self._start = observation.time - 1.0
        time = observation.time - self._start  # float32 keeps milliseconds only when time starts near zero
        poses = observation.pose[present]
        limits = np.array([self._config.explained, self._config.reach, self._config.memory])
        angles, reach = observation.scan_angles, min(self._config.reach, observation.scan_max)
        scanned = np.broadcast_to(observation.time - observation.scan_age, len(present))
        candidates, cells = [self._cells], np.empty(len(angles), np.int64)
        found, (entered, marked) = np.empty((len(angles), 2)), np.empty((2, len(angles)), bool)
        for k, robot in enumerate(np.flatnonzero(present)):
            pose, scan = observation.pose[robot], observation.scan[robot]
            count = _unexplained(
                self._seen, time, *self.origin, self.cell, self._static, self.resolution, pose,
                np.delete(poses, k, axis=0), scan, angles, observation.scan_max, self._radius, limits, found, entered,
                marked,
            )  # fmt: skip
            restless = self.moving.see(
                int(robot), scanned[robot], pose[:2], found[:count], entered[:count], marked[:count]
            )
            stays = np.ascontiguousarray(found[:count][~restless])
            count = _enter(
                self._seen, time, *self.origin, self.cell, pose, scan, angles, reach, self._radius, stays, cells
            )
            candidates.append(cells[:count].copy())
        self.moving.forget(observation.time)
        cells = np.unique(np.concatenate(candidates))
        self._cells = cells[self._seen.reshape(-1)[cells] > max(time - self._config.memory, 0.0)]
        row, col = np.divmod(self._cells, self._seen.shape[1])
        self.obstacles = np.stack([col + 0.5, row + 0.5], axis=1) * self.cell + self.origin
        self.returns = [_returns(observation, robot) for robot in range(len(observation.pose))]
        self._restore()
        if len(poses):  # even without obstacles: the first one must not find the kernel uncompiled
            distance = np.hypot(*(self.obstacles[:, None] - poses[None, :, :2]).transpose(2, 0, 1)).min(axis=1)
            near = self.obstacles[distance < self._config.reach]
            self._count = spread(
                self.clearance, self._static, near, *self.origin, self.resolution, SPREAD, self._touched
            )

    def _restore(self) -> None:
        touched = self._touched[: self._count]
        self.clearance.reshape(-1)[touched] = self._static.reshape(-1)[touched]
        self._count = 0
