"""The task stream: which robot goes where, drawn from the seed alone before anything moves.

Every robot has places of its own that no other robot is ever sent to, and starts on one of them. So a robot's k-th goal
does not depend on how fast anybody drives, two robots are never sent to the same place, and a robot that has made all
its trips stands on a place that nobody else needs. A deal of the places is accepted only when every robot can reach all
of its places while all other robots stand on any of theirs: waiting robots cannot close the way by construction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from dyna_nav.evaluation.scenario import Tasks
from dyna_nav.site import Site
from dyna_nav.site.station_choice import leaves_a_way
from dyna_nav.site.stations import ROOM as WAY_ROOM  # on either side of a robot in a passage [m]

SPACINGS = (2.4, 2.0, 1.6, 1.2)  # of further places from all others, the first that gives enough [m]
ROOM = 0.3  # beside a robot on a further place [m]
LATTICE = 0.2  # spacing of the candidates for further places [m]
APART = 0.5  # stations nearer to each other than this are one place: a robot would arrive where it is [m]
PASSING = 0.1  # room between a robot that passes and one that waits [m]
DEALS = 200  # tries before a site is said to have no room


@dataclass(frozen=True, eq=False)
class TaskStream:
    """Row i of everything is robot i; a place is an index into ``places``."""

    places: np.ndarray  # [places, 3] x [m], y [m], yaw [rad], map frame
    names: tuple[str, ...]  # [places]
    own: tuple[tuple[int, ...], ...]  # places of each robot, disjoint
    starts: tuple[int, ...]  # place where it starts
    goals: tuple[tuple[int, ...], ...]  # places it is sent to, in turn
    delays: tuple[float, ...]  # time at which it gets its first goal [s]

    def stop_before(self, robot: int, trip: int) -> int:
        """The place from which a robot's trip leads."""
        return self.starts[robot] if trip == 0 else self.goals[robot][trip - 1]


def draw_tasks(site: Site, tasks: Tasks, robots: int, trips: int, rng: np.random.Generator, radius: float):
    """The task stream of so many trips in all, split evenly over the robots. Shuffled: see :class:`Tasks`.

    Raises ValueError when the site has no room for the robots' places.
    """
    places, names = places_of(site, 2 * robots, radius)
    for _ in range(DEALS):
        own = _deal(places, tasks.kind, robots, rng)
        if ways_stay_open(site, places, own, radius):
            break
    else:
        raise ValueError(
            f"site {site.name!r} has no places for {robots} robots that leave each other a way; use fewer robots"
        )
    starts, goals = [], []
    for robot, mine in enumerate(own):
        count = trips // robots + (robot < trips % robots)
        walk = (
            _alternate(mine, count + 1, robot % 2, rng) if tasks.kind == "crossing" else _wander(mine, count + 1, rng)
        )
        starts.append(walk[0])
        goals.append(tuple(walk[1:]))
    delays = rng.uniform(0.0, tasks.stagger, robots) if tasks.stagger > 0 else np.zeros(robots)
    flat = tuple(tuple(place for side in mine for place in side) for mine in own)
    return TaskStream(places, names, flat, tuple(starts), tuple(goals), tuple(float(delay) for delay in delays))


def places_of(site: Site, wanted: int, radius: float) -> tuple[np.ndarray, tuple[str, ...]]:
    """Places [at least wanted, 3] where robots can be sent, and their names: the stations, then others on the map.

    Left out are stations on which a robot would close a passage, that are too tight or cut off for robots that keep
    their distance, or as good as on another one. Deterministic. Raises ValueError when the map has no
    room for as many.
    """
    poses = np.array([(station.x, station.y, station.yaw) for station in site.stations]).reshape(-1, 3)
    rows, cols = site.map.cell_of(poses[:, :2])
    good = leaves_a_way(site, rows, cols, radius) & _home(site, poses, radius)[rows, cols] & _apart(poses)
    poses, names = poses[good], [station.name for station, kept in zip(site.stations, good, strict=True) if kept]
    for spacing in SPACINGS:
        more = _further_places(site, poses, wanted - len(poses), spacing, radius)
        if len(poses) + len(more) >= wanted:
            break
    else:
        raise ValueError(
            f"site {site.name!r} has room for {len(poses) + len(more)} places, {wanted} are needed; use fewer robots"
        )
    names += [f"place{k + 1}" for k in range(len(more))]
    return np.concatenate([poses, more]), tuple(names)


def ways_stay_open(site: Site, places: np.ndarray, own: list, radius: float) -> bool:
    """Whether each robot reaches all its places while every other robot may stand on any of its own."""
    ground = site.clearance >= radius + WAY_ROOM
    ys, xs = (np.arange(size) for size in ground.shape)
    reach = 2 * radius + PASSING
    for robot in range(len(own)):
        open_ground = ground.copy()
        for other, sides in enumerate(own):
            for place in (place for side in sides for place in side) if other != robot else ():
                col, row = (places[place, :2] - site.map.origin) / site.map.resolution - 0.5
                extent = reach / site.map.resolution
                rows = slice(max(0, math.floor(row - extent)), math.ceil(row + extent) + 1)
                cols = slice(max(0, math.floor(col - extent)), math.ceil(col + extent) + 1)
                near = (ys[rows, None] - row) ** 2 + (xs[None, cols] - col) ** 2 < extent**2
                open_ground[rows, cols] &= ~near
        labels, _ = ndimage.label(open_ground)
        mine = labels[site.map.cell_of(places[[place for side in own[robot] for place in side], :2])]
        if mine.min() == 0 or mine.min() != mine.max():
            return False
    return True


def _further_places(site: Site, poses: np.ndarray, count: int, spacing: float, radius: float) -> np.ndarray:
    """Up to count poses [k, 3] in free space, each the farthest from all before it, where others get past."""
    if count <= 0:
        return np.empty((0, 3))
    stride = max(1, round(LATTICE / site.map.resolution))
    rows, cols = np.nonzero((site.clearance >= radius + ROOM) & _home(site, poses, radius))
    on_lattice = (rows % stride == 0) & (cols % stride == 0)
    rows, cols = rows[on_lattice], cols[on_lattice]
    good = leaves_a_way(site, rows, cols, radius)
    spots = site.map.position_of(rows[good], cols[good])
    nearest = np.full(len(spots), 1e9)
    for pose in poses:
        nearest = np.minimum(nearest, np.hypot(*(spots - pose[:2]).T))
    found = []
    while len(found) < count and len(spots) and nearest.max() >= spacing:
        spot = spots[int(np.argmax(nearest))]
        found.append((*spot, 0.0))
        nearest = np.minimum(nearest, np.hypot(*(spots - spot).T))
    return np.array(found).reshape(-1, 3)


def _home(site: Site, poses: np.ndarray, radius: float) -> np.ndarray:
    """The region, bool [rows, cols], in which robots that keep their distance reach most of some poses [n, 3]."""
    labels, _ = ndimage.label(site.clearance >= radius + WAY_ROOM)
    lived_in = labels[site.map.cell_of(poses[:, :2])] if len(poses) else labels
    return labels == 1 + int(np.argmax(np.bincount(lived_in.ravel(), minlength=2)[1:]))


def _apart(poses: np.ndarray) -> np.ndarray:
    """Which of some poses [n, 3] keep their distance from those before them that do, bool [n]."""
    kept: list[int] = []
    for k, pose in enumerate(poses):
        if not kept or np.hypot(*(poses[kept, :2] - pose[:2]).T).min() >= APART:
            kept.append(k)
    return np.isin(np.arange(len(poses)), kept)


def _deal(places: np.ndarray, kind: str, robots: int, rng: np.random.Generator) -> list[tuple[tuple[int, ...], ...]]:
    """Places of each robot: one tuple of at least two (shuffled), or two tuples of at least one, an end each."""
    if kind == "shuffled":
        order = rng.permutation(len(places))
        return [(tuple(int(place) for place in order[robot::robots]),) for robot in range(robots)]
    axis = int(np.ptp(places[:, 1]) > np.ptp(places[:, 0]))
    along = np.argsort(places[:, axis], kind="stable")
    ends = [rng.permutation(half) for half in np.array_split(along, 2)]
    return [tuple(tuple(int(place) for place in end[robot::robots]) for end in ends) for robot in range(robots)]


def _wander(mine: tuple, length: int, rng: np.random.Generator) -> list[int]:
    """So many places of a robot's own at random, never the same twice in a row."""
    (own,) = mine
    walk = [int(rng.choice(own))]
    while len(walk) < length:
        walk.append(int(rng.choice([place for place in own if place != walk[-1]])))
    return walk


def _alternate(mine: tuple, length: int, first: int, rng: np.random.Generator) -> list[int]:
    """So many places of a robot's own, from one end and the other in turn."""
    return [int(rng.choice(mine[(first + k) % 2])) for k in range(length)]
