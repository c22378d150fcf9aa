"""A course: everything that a scenario's seed decides before the first step, the same for every controller."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from dyna_nav.evaluation.incidents import box_clearance
from dyna_nav.evaluation.scenario import Event, Scenario
from dyna_nav.evaluation.tasks import TaskStream, draw_tasks
from dyna_nav.mdp import RobotModel
from dyna_nav.simulation import Pallet, Walker
from dyna_nav.simulation.rounds import WALKER_STREAM, draw_walkers
from dyna_nav.simulation.spawn import check_pallet
from dyna_nav.simulation.walkers import RADIUS as WALKER_RADIUS
from dyna_nav.site import OccupancyMap, Site
from dyna_nav.site.distances import Distances
from dyna_nav.site.occupancy import clearance_of
from dyna_nav.site.station_choice import MARGINS

TASK_STREAM, EVENT_STREAM = 21, 23  # of the seed
EXPECTED_RATIO = 1.25  # travel time over ideal that events are timed for
TRIES = 300  # places tried for one event
FROM_PLACES = 2.0  # events keep this far from every place of the task stream [m]
PLACE_ROOM = 0.2  # around a robot that stands on a place of its own, or is set down there [m]
RACK_AREA = 0.2  # what is smaller is no rack, but a speck of a map that a robot has made [m^2]
PALLETS_APART = 1.6  # middles of two pallets, at least: more than a diagonal [m]
AISLE = 4.5  # between two walls opposite each other and nearer than this, a point lies in an aisle [m]


@dataclass(frozen=True)
class PalletDrop:
    """A pallet that is put down at a time [s] and taken away at another."""

    at: float
    until: float
    pallet: Pallet


@dataclass(frozen=True, eq=False)
class HallChange:
    """A hall that is different from a time [s] on: a rack has moved."""

    at: float
    hall: Site


@dataclass(frozen=True)
class Breakdown:
    """A robot that stalls when it comes to a point [m, map frame] after a time [s]; lasts [s], inf: for good."""

    at: float
    robot: int
    x: float
    y: float
    lasts: float


@dataclass(frozen=True, eq=False)
class Course:
    """What every controller of one seed meets."""

    site: Site
    seed: int
    tasks: TaskStream
    distances: Distances
    walkers: tuple[Walker, ...]
    timeline: tuple[PalletDrop | HallChange | Breakdown, ...]  # in the order of time
    least_room: float  # clearance [m] that robots need on the ways that events leave open
    walker_radius: float = WALKER_RADIUS

    def leaves_ways(self, hall: Site, xy: np.ndarray, radius: float) -> bool:
        """Whether all places stay connected in a hall when a robot of a radius [m] stands at xy [2] for good."""
        ground = (hall.clearance >= self.least_room) & _clear_of_robot(hall.map, xy, radius, self.least_room)
        return connects(hall.map, ground, self.tasks.places)


def draw_course(site: Site, scenario: Scenario, seed: int, model: RobotModel) -> Course:
    """Draw tasks, walkers and events of a scenario on a site.

    Raises ValueError, one sentence, when the site has no room for what the scenario asks for.
    """
    rng = np.random.default_rng([seed, TASK_STREAM])
    tasks = draw_tasks(site, scenario.tasks, scenario.robots, scenario.trips, rng, model.radius)
    distances = Distances(site, tasks.places, model.radius)
    starts = tasks.places[list(tasks.starts), :2]
    rng = np.random.default_rng([seed, WALKER_STREAM])
    walkers = draw_walkers(site, scenario.walkers, starts, rng, model.radius)
    events = _Events(site, tasks, distances, model, np.random.default_rng([seed, EVENT_STREAM]))
    timeline = [entry for event in scenario.events for entry in events.draw(event, scenario.name)]
    timeline.sort(key=lambda entry: entry.at)
    return Course(site, seed, tasks, distances, walkers, tuple(timeline), events.least)


class _Events:
    """Draws where and when things happen; a way from every place to every other stays open."""

    def __init__(
        self, site: Site, tasks: TaskStream, distances: Distances, model: RobotModel, rng: np.random.Generator
    ):
        self._site, self._tasks, self._distances, self._model, self._rng = site, tasks, distances, model, rng
        self._drops: list[PalletDrop] = []
        self._stalls: list[Breakdown] = []
        self._hall = site
        self._expected = [self._expected_starts(robot) for robot in range(len(tasks.starts))]
        # Clearance [m] that events leave to robots on their way: as much as the hall itself does.
        rooms = (model.radius + room for room in MARGINS)
        self.least = next((room for room in rooms if self._connected(site.clearance >= room)), model.radius)

    def draw(self, event: Event, scenario: str) -> list:
        """Everything that comes of one event. Raises ValueError when there is no place for it."""
        end = max(times[-1] for times in self._expected)
        times = [event.at]
        while event.every is not None and len(times) < event.times and times[-1] + event.every < end:
            times.append(times[-1] + event.every)
        drawn = []
        for at in times:
            if event.pallet is not None:
                entry = self._pallet(event, at, scenario)
            elif event.rack is not None:
                entry = self._rack(event, at)
            else:
                entry = self._stall(event, at, scenario)
            if entry is None and not drawn:
                what = "pallet" if event.pallet else "rack" if event.rack else "stall"
                raise ValueError(
                    f"scenario {scenario!r}: site {self._site.name!r} has no place for event {what} at {event.at:g} s "
                    "that leaves the robots a way; use another site, more trips or fewer robots"
                )
            if entry is not None:
                drawn.append(entry)
        return drawn

    def _expected_starts(self, robot: int) -> list[float]:
        """When each of a robot's trips should begin, and the last should end [s]."""
        times = [self._tasks.delays[robot]]
        for trip, goal in enumerate(self._tasks.goals[robot]):
            start = self._tasks.places[self._tasks.stop_before(robot, trip), :2]
            ideal = self._distances.length(start, goal) / self._model.max_speed
            times.append(times[-1] + EXPECTED_RATIO * ideal)
        return times

    def _way_at(self, robot: int, at: float) -> np.ndarray | None:
        """The shortest way [k, 2] of the trip that a robot is expected to make at a time, or next."""
        trip = max(0, bisect.bisect_right(self._expected[robot], at) - 1)
        if trip >= len(self._tasks.goals[robot]):
            return None
        return self._distances.path(self._tasks.stop_before(robot, trip), self._tasks.goals[robot][trip])

    def _point_on_way(self, robot: int, at: float) -> np.ndarray | None:
        """A random point [2] ahead on that way, away from all places."""
        way = self._way_at(robot, at)
        if way is None:
            return None
        point = way[self._rng.integers(len(way))]
        return point if self._away_from_places(point) else None

    def _away_from_places(self, point: np.ndarray) -> bool:
        return bool(np.hypot(*(self._tasks.places[:, :2] - point).T).min() >= FROM_PLACES)

    def _in_aisle(self, point: np.ndarray) -> bool:
        return width_at(self._site, point) <= AISLE

    def _pallet(self, event: Event, at: float, scenario: str) -> PalletDrop | None:
        wanted, until = event.pallet, at + event.pallet.stays
        if not wanted.in_way:
            drop = PalletDrop(at, until, Pallet(wanted.x, wanted.y, wanted.yaw))
            self._check_fixed(drop, scenario)
            self._drops.append(drop)
            return drop
        for attempt in range(TRIES):
            point = self._point_on_way(int(self._rng.integers(len(self._expected))), at)
            yaw, aside = self._rng.uniform(-math.pi, math.pi), self._rng.uniform(-0.4, 0.4, 2)
            if point is None or (attempt < TRIES // 2 and not self._in_aisle(point)):
                continue  # aisles first; a hall may have none
            drop = PalletDrop(at, until, Pallet(*(float(value) for value in point + aside), float(yaw)))
            if self._fits(drop) and self._connected(self._ground(self._hall, at, until, drop)):
                self._drops.append(drop)
                return drop
        return None

    def _check_fixed(self, drop: PalletDrop, scenario: str) -> None:
        """Refuse a pallet whose place the scenario fixes in a wall, or where a robot starts or is sent to."""
        pallet, tasks = drop.pallet, self._tasks
        try:
            check_pallet(self._site, pallet, np.empty((0, 2)), self._model.radius)
        except ValueError as error:
            raise ValueError(f"scenario {scenario!r}: {error}; give its event pallet another place") from None
        box = np.array([[pallet.x, pallet.y, pallet.yaw, pallet.length, pallet.width]])
        room = box_clearance(tasks.places, box, self._model.radius)[:, 0]
        for robot, own in enumerate(tasks.own):
            nearest = min(own, key=lambda place: room[place])
            if room[nearest] < PLACE_ROOM:
                x, y = tasks.places[nearest, :2]
                verb = "starts" if nearest == tasks.starts[robot] else "is sent"
                raise ValueError(
                    f"scenario {scenario!r}: event pallet at {drop.at:g} s, at ({pallet.x:.2f}, {pallet.y:.2f}), is "
                    f"on or beside {tasks.names[nearest]!r} at ({x:.2f}, {y:.2f}), where robot {robot} {verb}; give it "
                    "another place"
                )

    def _fits(self, drop: PalletDrop) -> bool:
        for other in self._meanwhile(drop):
            if math.hypot(other.pallet.x - drop.pallet.x, other.pallet.y - drop.pallet.y) < PALLETS_APART:
                return False
        try:
            check_pallet(self._hall, drop.pallet, np.empty((0, 2)), self._model.radius)
        except ValueError:  # it would stand in a wall: not this place
            return False
        return True

    def _meanwhile(self, drop: PalletDrop) -> list[PalletDrop]:
        """The pallets that stand while this one does."""
        return [other for other in self._drops if other.at < drop.until and drop.at < other.until]

    def _ground(self, hall: Site, at: float, until: float, new: PalletDrop | Breakdown | None = None) -> np.ndarray:
        """Where robots can be on their way [rows, cols] in a hall, whatever stands between two times [s] or is new."""
        ground = hall.clearance >= self.least
        drops = [drop for drop in self._drops if drop.at < until and at < drop.until]
        for drop in (*drops, new) if isinstance(new, PalletDrop) else drops:
            around, room = _room_beside(hall.map, drop.pallet, self.least)
            ground[around] &= room >= self.least
        stalls = [stall for stall in self._stalls if stall.at < until and at < stall.at + stall.lasts]
        for stall in (*stalls, new) if isinstance(new, Breakdown) else stalls:
            ground &= _clear_of_robot(hall.map, np.array([stall.x, stall.y]), self._model.radius, self.least)
        return ground

    def _connected(self, ground: np.ndarray) -> bool:
        return connects(self._site.map, ground, self._tasks.places)

    def _rack(self, event: Event, at: float) -> HallChange | None:
        """Shift an island of the map along an axis, as it lies after earlier changes."""
        grid = self._hall.map
        solid = grid.cells == 100
        labels, count = ndimage.label(solid, structure=np.ones((3, 3)))
        rim = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        areas = np.bincount(labels.ravel()) * grid.resolution**2
        islands = [k for k in range(1, count + 1) if k not in rim and areas[k] >= RACK_AREA]
        cells_moved = max(1, round(event.rack.shift / grid.resolution))
        for _ in range(TRIES if islands else 0):
            island = labels == islands[self._rng.integers(len(islands))]
            up, across = ((0, 1), (0, -1), (1, 0), (-1, 0))[self._rng.integers(4)]
            rows, cols = np.nonzero(island)
            to = np.stack([rows + up * cells_moved, cols + across * cells_moved])
            if to.min() < 0 or to[0].max() >= grid.shape[0] or to[1].max() >= grid.shape[1]:
                continue
            moved = np.zeros_like(island)
            moved[tuple(to)] = True
            if not grid.free[moved & ~island].all():
                continue
            cells = np.array(grid.cells)
            cells[island], cells[moved] = 0, 100
            hall = _hall_with(self._hall, cells)
            if self._connected(self._ground(hall, at, math.inf)):
                self._hall = hall
                return HallChange(at, hall)
        return None

    def _stall(self, event: Event, at: float, scenario: str) -> Breakdown | None:
        robots = len(self._expected)
        if event.stall.robot is not None and event.stall.robot >= robots:
            raise ValueError(
                f"scenario {scenario!r}: event stall names robot {event.stall.robot}; there are 0 to {robots - 1}"
            )
        for _ in range(TRIES):
            robot = event.stall.robot if event.stall.robot is not None else int(self._rng.integers(robots))
            point = self._point_on_way(robot, at)
            if point is None or not self._in_aisle(point):
                continue
            lasts = math.inf if event.stall.lasts is None else event.stall.lasts
            stall = Breakdown(at, robot, float(point[0]), float(point[1]), lasts)
            if self._connected(self._ground(self._hall, at, at + lasts, stall)):
                self._stalls.append(stall)
                return stall
        return None


def width_at(site: Site, point: np.ndarray) -> float:
    """Least distance [m] between two walls that lie opposite each other as seen from a point [2] (m, map frame)."""
    away = np.arange(0.0, AISLE + site.map.resolution, site.map.resolution)
    angles = np.linspace(0.0, 2 * np.pi, 32, endpoint=False)
    rays = point + away[None, :, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)[:, None]
    row, col = site.map.cell_of(rays)
    rows, cols = site.map.shape
    inside = site.map.contains(rays)
    free = inside & site.map.free[np.clip(row, 0, rows - 1), np.clip(col, 0, cols - 1)]
    reach = np.where(free.all(axis=1), np.inf, away[np.argmin(free, axis=1)])
    return float((reach[:16] + reach[16:]).min())


def connects(grid: OccupancyMap, ground: np.ndarray, places: np.ndarray) -> bool:
    """Whether places [k, 2 or 3] (map frame) belong to one region of the ground, bool [rows, cols]."""
    labels, _ = ndimage.label(ground)
    found = labels[grid.cell_of(places[:, :2])]
    return bool(found.min() > 0 and found.min() == found.max())


def _clear_of_robot(grid: OccupancyMap, xy: np.ndarray, radius: float, least: float) -> np.ndarray:
    """Where, bool [rows, cols], there is a clearance of ``least`` [m] from a robot of a radius [m] at xy [2]."""
    away = np.hypot(*(grid.position_of(*np.indices(grid.shape)) - xy).transpose(2, 0, 1))
    return away - radius >= least


def _footprint(grid: OccupancyMap, pallet: Pallet) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the cells whose centre a pallet covers."""
    reach = 0.5 * math.hypot(pallet.length, pallet.width)
    low, high = (np.array(grid.cell_of(np.array([pallet.x, pallet.y]) + side)) for side in (-reach, reach))
    low, high = np.maximum(low, 0), np.minimum(high, np.array(grid.shape) - 1)
    rows, cols = np.mgrid[low[0] : high[0] + 1, low[1] : high[1] + 1].reshape(2, -1)
    aside = grid.position_of(rows, cols) - (pallet.x, pallet.y)
    cosine, sine = math.cos(pallet.yaw), math.sin(pallet.yaw)
    along = np.abs(cosine * aside[:, 0] + sine * aside[:, 1])
    across = np.abs(cosine * aside[:, 1] - sine * aside[:, 0])
    covered = (along <= pallet.length / 2) & (across <= pallet.width / 2)
    return rows[covered], cols[covered]


def _room_beside(grid: OccupancyMap, pallet: Pallet, reach: float) -> tuple[tuple[slice, slice], np.ndarray]:
    """Rows and columns of the cells within ``reach`` [m] of a pallet, and their clearance [m] from it.

    Beyond ``reach`` it is at least that. The border of the map counts as well, as in every clearance.
    """
    half = 0.5 * math.hypot(pallet.length, pallet.width) + grid.resolution

    def window(side: float) -> tuple[slice, slice]:
        low, high = (grid.cell_of(np.array([pallet.x, pallet.y]) + sign * (half + side)) for sign in (-1, 1))
        return tuple(slice(max(0, int(a)), max(0, int(b) + 1)) for a, b in zip(low, high, strict=True))

    inner, outer = window(reach), window(2 * reach + grid.resolution)  # whose own border lies beyond reach
    cells = np.zeros(grid.shape, np.int8)
    cells[_footprint(grid, pallet)] = 100
    clearance = clearance_of(OccupancyMap(cells[outer], grid.resolution, grid.origin))
    within = tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
    return inner, clearance[within]


def _hall_with(site: Site, cells: np.ndarray) -> Site:
    grid = OccupancyMap(cells, site.map.resolution, site.map.origin)
    return Site(site.name, grid, clearance_of(grid), site.stations)
