"""Making way: robots that stand in each other's way, where there is no way round.

Routes around what stands (standing.py) help where there is another way. In an aisle that holds one robot there is none:
one has to back out. Among robots that have not got anywhere for a while and stand close to each other, the one that has
the shortest way to a refuge drives there: a place that no way of the others touches. It waits until what is left of
their ways leads clear of its retreat. In a queue the last one is the first that finds a refuge, then the next.

Better than backing out is not to drive in: who is about to enter a stretch that holds one robot while another one comes
through it (one_lane.py) waits in a refuge before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

from dyna_nav.parameters import parameter
from dyna_nav.planning.lattice import Lattice
from dyna_nav.planning.one_lane import OneLane
from dyna_nav.planning.ways import way_of

_PROGRESS = 0.3  # a robot that has come no farther than this has not got anywhere [m]
_PERIOD = 0.5  # time between two looks at who is blocked [s]


@dataclass(frozen=True)
class MakingWayConfig:
    """When robots make way for each other, and for how long."""

    patience: float = parameter(
        4.0, "time without progress after which robots in each other's way act [s]", minimum=0.5, maximum=600
    )
    near: float = parameter(1.2, "robots with a smaller gap are in each other's way [m]", minimum=0.1, maximum=10)
    gap: float = parameter(
        0.2, "room between two that pass each other, or a refuge and a way [m]", minimum=0, maximum=5
    )
    longest: float = parameter(30.0, "longest time that a robot stays in a refuge [s]", minimum=1, maximum=3600)
    foresight: bool = parameter(
        True, "who would meet another in a stretch that holds one waits before it; otherwise one backs out of it"
    )


_NOWHERE = np.empty((0, 2), np.int64)


@dataclass
class _Retreat:
    """One robot making way."""

    since: float  # [s]
    waits_for: tuple[int, ...]
    touched: np.ndarray  # bool [rows, cols]: the robot waits until no way of those leads through here


@njit(cache=True, nogil=True)
def flood(passable, clear, row, col):
    """The nearest clear cell to a start, through passable cells (bool [rows, cols] both), eight neighbours each.

    Returns the way there as flat indices [k], from that cell back to the start, which need not be passable, and its
    length in cells; none, and inf, when no clear cell can be reached.
    """
    rows, cols = passable.shape
    distance = np.full((rows, cols), np.inf)
    before = np.full(rows * cols, -1, np.int64)
    queue = np.empty(rows * cols, np.int64)
    distance[row, col] = 0.0
    queue[0] = row * cols + col
    head, tail = 0, 1
    least, found = np.inf, -1
    while head < tail:
        cell = queue[head]
        head += 1
        r, c = cell // cols, cell % cols
        # No cell that is still queued was reached in fewer steps, and no step is longer than a diagonal.
        if distance[r, c] > math.sqrt(2.0) * least:
            break
        if clear[r, c] and distance[r, c] < least:
            least, found = distance[r, c], cell
        for k in range(8):  # straight neighbours first
            dr = (0, 0, 1, -1, 1, 1, -1, -1)[k]
            dc = (1, -1, 0, 0, 1, -1, 1, -1)[k]
            nr, nc = r + dr, c + dc
            if 0 <= nr < rows and 0 <= nc < cols and passable[nr, nc] and math.isinf(distance[nr, nc]):
                distance[nr, nc] = distance[r, c] + math.sqrt(dr * dr + dc * dc)
                before[nr * cols + nc] = cell
                queue[tail] = nr * cols + nc
                tail += 1
    way = np.empty(rows * cols, np.int64)
    length = 0
    while found >= 0:
        way[length] = found
        length += 1
        found = before[found]
    return way[:length].copy(), least


@njit(cache=True, nogil=True)
def mark(near, places, reach):
    """Mark the cells of near, bool [rows, cols], closer than reach to one of places [k, 2] (row, col); all in cells."""
    rows, cols = near.shape
    for k in range(places.shape[0]):
        row, col = places[k, 0], places[k, 1]
        for r in range(max(math.ceil(row - reach), 0), min(math.floor(row + reach) + 1, rows)):
            for c in range(max(math.ceil(col - reach), 0), min(math.floor(col + reach) + 1, cols)):
                if (r - row) ** 2 + (c - col) ** 2 < reach * reach:
                    near[r, c] = True


class MakingWay:
    """Who makes way, and where to: ``refuge`` [robots, 3] (map frame; NaN: drives to its goal)."""

    def __init__(self, lattice: Lattice, robots: int, radius: float, config: MakingWayConfig):
        self._lattice, self._radius, self._config = lattice, radius, config
        self._passable = lattice.clearance >= lattice.radius
        self._ahead = math.ceil((2 * radius + config.near) / lattice.resolution) + 1  # cells of a way
        self._anchor = np.full((robots, 2), np.nan)  # where each robot was when it last got somewhere
        self._since = np.full(robots, np.nan)  # and when [s]
        self._looked = -math.inf
        self._retreats: dict[int, _Retreat] = {}
        self._one_lane = OneLane(lattice, radius, config.gap)
        self._impatient: set[int] = set()  # waited for as long as anybody does: drive in until they have another goal
        self.refuge = np.full((robots, 3), np.nan)

    @property
    def making_way(self) -> np.ndarray:
        """bool [robots]."""
        return ~np.isnan(self.refuge[:, 0])

    def forget(self, robot: int) -> None:
        """A robot has a new goal: it makes way no more, and its patience begins anew."""
        self._impatient.discard(robot)
        self._end(robot)

    def _end(self, robot: int) -> None:
        self._retreats.pop(robot, None)
        self.refuge[robot] = self._anchor[robot] = np.nan

    def update(
        self,
        now: float,
        pose: np.ndarray,
        under_way: np.ndarray,
        comes: np.ndarray,
        fields: np.ndarray,
        clearance: Callable[[], np.ndarray],
    ) -> list[int]:
        """Look at who is blocked; returns the robots whose refuge has changed.

        now [s]; pose [robots, 3] (NaN: unknown); under_way bool [robots]: drives to goal or refuge; comes bool
        [robots]: does, or will when what holds it up is over; fields [robots, rows, cols, headings]: the potential that
        each of these follows; clearance: that of the lattice [rows, cols], with what stands and is not in the map.
        """
        moved = ~(np.hypot(*(pose[:, :2] - self._anchor).T) <= _PROGRESS)  # NaN: nothing is known yet
        begin = moved | ~under_way
        self._anchor[begin], self._since[begin] = pose[begin, :2], now
        if now - self._looked < _PERIOD:
            return []
        self._looked = now
        ways: dict[int, np.ndarray] = {}

        def way(robot: int) -> np.ndarray:
            if robot not in ways:
                ways[robot] = way_of(fields[robot], *self._lattice.cell_of(pose[robot]))
            return ways[robot]

        def room() -> np.ndarray:
            return clearance() >= self._lattice.radius

        changed = self._release(now, pose, under_way, comes, way)
        if self._config.foresight:
            changed += self._keep_out(now, pose, under_way, way, room)
        blocked = under_way & ~self.making_way & (now - self._since >= self._config.patience)
        for group in self._groups(pose, blocked, way):
            gone = self._send_one_away(now, group, group, pose, way, _NOWHERE, room())
            if not gone:  # better to where something stands that may go than nowhere
                gone = self._send_one_away(now, group, group, pose, way, _NOWHERE, self._passable)
            changed += gone
            self._since[group] = now  # the others wait and see; or nobody has anywhere to go yet
        return changed

    def _keep_out(self, now: float, pose: np.ndarray, under_way: np.ndarray, way, room) -> list[int]:
        """Let who would meet another robot in a stretch that holds one wait before it."""
        changed: list[int] = []
        drives = [int(robot) for robot in np.flatnonzero(under_way & ~self.making_way & ~np.isnan(pose[:, 0]))]
        for waits, goes, stretch in self._one_lane.meetings({robot: way(robot) for robot in drives}):
            if waits not in self._impatient and not self.making_way[[waits, goes]].any():
                gone = self._send_one_away(now, [waits], [waits, goes], pose, way, stretch, room())
                if gone:
                    self._since[[waits, goes]] = now  # the other drives through first
                changed += gone
        return changed

    def _release(
        self, now: float, pose: np.ndarray, under_way: np.ndarray, comes: np.ndarray, way: Callable[[int], np.ndarray]
    ) -> list[int]:
        """End the retreats that nobody needs any more, and those that have lasted too long."""

        def hinders(retreat: _Retreat, other: int) -> bool:
            if self.making_way[other] or not comes[other]:
                return False
            held_up = np.isnan(pose[other, 0]) or not under_way[other]  # it has still to come through
            return bool(held_up or retreat.touched[tuple(way(other).T)].any())

        over = []
        for robot, retreat in self._retreats.items():
            waited = now - retreat.since > self._config.longest
            if waited:
                self._impatient.add(robot)
            if waited or not any(hinders(retreat, other) for other in retreat.waits_for):
                over.append(robot)
        for robot in over:
            self._end(robot)
        return over

    def _groups(self, pose: np.ndarray, blocked: np.ndarray, way) -> list[list[int]]:
        """Blocked robots that stand close to each other and in each other's way, two at least."""
        left, groups = list(np.flatnonzero(blocked)), []

        def hinders(one: int, other: int) -> bool:
            places = self._lattice.centres(way(one)[: self._ahead])
            return bool((np.hypot(*(places - pose[other, :2]).T) < 2 * self._radius).any())

        while left:
            group = [left.pop()]
            for member in group:
                gaps = np.hypot(*(pose[left, :2] - pose[member, :2]).T) - 2 * self._radius
                near = [
                    robot
                    for robot, gap in zip(left, gaps, strict=True)
                    if gap < self._config.near and (hinders(robot, member) or hinders(member, robot))
                ]
                group += near
                left = [robot for robot in left if robot not in near]
            if len(group) > 1:
                groups.append(sorted(int(robot) for robot in group))
        return groups

    def _send_one_away(
        self,
        now: float,
        able: list[int],
        group: list[int],
        pose: np.ndarray,
        way: Callable[[int], np.ndarray],
        stretch: np.ndarray,
        room: np.ndarray,
    ) -> list[int]:
        """Of the able in a group, the one with the shortest way to a refuge gets it; nobody when there is none.

        It stays there until the others need neither its retreat nor the stretch, cells [k, 2]. room bool [rows, cols]:
        where a robot's centre may be if it is alone.
        """
        cols = room.shape[1]
        least, chosen = math.inf, None
        for robot in able:
            others = [other for other in group if other != robot]
            clear = ~self._beside(np.concatenate([way(other) for other in others]), self._refuges_but_of(robot))
            retreat, length = flood(self._free_of_robots(room, robot, pose), clear, *self._lattice.cell_of(pose[robot]))
            if length < least:
                least, chosen = length, (robot, others, np.stack(np.divmod(retreat, cols), axis=1))
        if chosen is None:
            return []
        robot, others, retreat = chosen
        ((x, y),) = self._lattice.centres(retreat[:1])
        self._retreats[robot] = _Retreat(now, tuple(others), self._beside(retreat, stretch))
        self.refuge[robot] = x, y, math.atan2(y - pose[robot, 1], x - pose[robot, 0])
        return [robot]

    def _beside(self, *cells: np.ndarray) -> np.ndarray:
        """bool [rows, cols]: nearer to any of the cells [k, 2] than two robots and the gap between them."""
        near = np.zeros(self._passable.shape, bool)
        mark(near, np.concatenate(cells).astype(float), self._cells(2 * self._radius + self._config.gap))
        return near

    def _refuges_but_of(self, robot: int) -> np.ndarray:
        """Cells [k, 2] to which all others that make way drive."""
        others = [other for other in self._retreats if other != robot]
        return np.array([self._lattice.cell_of(self.refuge[other]) for other in others], np.int64).reshape(-1, 2)

    def _free_of_robots(self, room: np.ndarray, robot: int, pose: np.ndarray) -> np.ndarray:
        """bool [rows, cols]: where there is room and a robot's centre does not touch any other robot."""
        others = np.delete(pose[:, :2], robot, axis=0)
        others = others[~np.isnan(others[:, 0])]
        taken = np.zeros(room.shape, bool)
        places = (others - self._lattice.origin)[:, ::-1] / self._lattice.resolution - 0.5
        mark(taken, np.ascontiguousarray(places), self._cells(2 * self._radius))
        return room & ~taken

    def _cells(self, length: float) -> float:
        return length / self._lattice.resolution
