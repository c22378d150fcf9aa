"""Warehouses drawn from parameters: the default one, and random ones from a seed.

A warehouse is drawn in a frame of its own, u along the rack rows and v across them, with the pick area at low u; it is
then mirrored or transposed into the map frame. Picks stand at the wall of the pick area, rack stations at one edge of
the aisles so that others can pass, chargers at the two walls that close the pick area.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dyna_nav.site.occupancy import FREE, OCCUPIED, OccupancyMap, clearance_of
from dyna_nav.site.site import Site
from dyna_nav.site.stations import RADIUS, Station, check_stations


@dataclass(frozen=True)
class Layout:
    """Parameters of a warehouse; lengths in metres, u along the rack rows, v across them."""

    length: float = 50.0  # of the building, u
    breadth: float = 30.0  # of the building, v
    resolution: float = 0.05
    wall: float = 0.2  # thickness
    pick_area: float = 8.0  # from the outside at low u to the racks
    lane: float = 3.0  # between the racks and the other three walls
    rack_depth: float = 2.2  # of a rack row: two racks back to back
    rack_length: float = 10.0  # of a rack between two cross aisles, at most
    aisle: float = 3.0  # between rack rows, at least
    cross_aisle: float = 3.0
    picks: int = 6
    racks: int = 10
    chargers: int = 4
    stand_off: float = 0.6  # from a station's centre to the rack or wall it serves


@dataclass(frozen=True)
class Box:
    """An upright box: centre (u, v), size (along, across) [m], turned by angle [rad]."""

    u: float
    v: float
    along: float
    across: float
    angle: float = 0.0


def racks_of(layout: Layout) -> list[list[Box]]:
    """The racks, row by row across the hall and along each row; as many rows as fit, spare room goes to the aisles."""
    room = layout.breadth - 2.0 * (layout.wall + layout.lane)
    rows = max(1, int((room + layout.aisle) / (layout.rack_depth + layout.aisle) + 1e-9))
    pitch = (room - layout.rack_depth) / (rows - 1) if rows > 1 else 0.0
    first = 0.5 * layout.breadth if rows == 1 else layout.wall + layout.lane + 0.5 * layout.rack_depth

    run = layout.length - layout.wall - layout.lane - layout.pick_area
    blocks = max(1, math.ceil((run + layout.cross_aisle) / (layout.rack_length + layout.cross_aisle) - 1e-9))
    length = (run + layout.cross_aisle) / blocks - layout.cross_aisle
    middles = [layout.pick_area + j * (length + layout.cross_aisle) + 0.5 * length for j in range(blocks)]
    return [[Box(u, first + i * pitch, length, layout.rack_depth) for u in middles] for i in range(rows)]


def draw(layout: Layout, boxes: list[Box]) -> np.ndarray:
    """Cells int8 [v, u] of the walls and of everything in the hall."""
    shape = round(layout.breadth / layout.resolution), round(layout.length / layout.resolution)
    cells = np.full(shape, FREE, np.int8)
    edge = round(layout.wall / layout.resolution)
    cells[:edge] = cells[-edge:] = OCCUPIED
    cells[:, :edge] = cells[:, -edge:] = OCCUPIED
    for box in boxes:
        reach = 0.5 * math.hypot(box.along, box.across) + layout.resolution
        low_v, low_u = (max(0, math.floor((centre - reach) / layout.resolution)) for centre in (box.v, box.u))
        high_v, high_u = (math.ceil((centre + reach) / layout.resolution) for centre in (box.v, box.u))
        window = cells[low_v:high_v, low_u:high_u]
        v, u = (np.indices(window.shape) + 0.5) * layout.resolution
        u, v = u + low_u * layout.resolution - box.u, v + low_v * layout.resolution - box.v
        cosine, sine = math.cos(box.angle), math.sin(box.angle)
        along, across = np.abs(cosine * u + sine * v), np.abs(cosine * v - sine * u)
        window[(along <= 0.5 * box.along) & (across <= 0.5 * box.across)] = OCCUPIED
    return cells


def spread(count: int, low: float, high: float) -> list[float]:
    """``count`` values in the middles of equal pieces of [low, high]."""
    return [low + (i + 0.5) * (high - low) / count for i in range(count)]


def stations_of(layout: Layout, racks: list[list[Box]], standing: set[Box]) -> list[Station]:
    """Stations in the warehouse's own frame (x is u, y is v); rack stations only at racks that are ``standing``."""
    at_wall = layout.wall + layout.stand_off
    stations = [
        Station(f"pick{i + 1}", at_wall, v, math.pi, "pick")
        for i, v in enumerate(spread(layout.picks, layout.wall + 3.0, layout.breadth - layout.wall - 3.0))
    ]
    # Every rack is served from the same side, so that no two stations face each other across an aisle and close it;
    # a chequerboard keeps neighbours apart as long as it has enough racks.
    places = [(i + j, rack) for i, row in enumerate(racks) for j, rack in enumerate(row) if rack in standing]
    chequered = [rack for order, rack in places if order % 2 == 0]
    served = chequered if len(chequered) >= layout.racks else [rack for _, rack in places]
    count = min(layout.racks, len(served))
    for i, k in enumerate(spread(count, 0.0, len(served)) if count else ()):
        rack = served[int(k)]
        v = rack.v - 0.5 * rack.across - layout.stand_off
        stations.append(Station(f"rack{i + 1}", rack.u, v, 0.5 * math.pi, "rack"))
    for i in range(layout.chargers):
        u = layout.wall + 2.2 + 1.8 * (i // 2)
        v, yaw = (at_wall, -0.5 * math.pi) if i % 2 == 0 else (layout.breadth - at_wall, 0.5 * math.pi)
        stations.append(Station(f"charger{i + 1}", u, v, yaw, "charger"))
    return stations


def oriented(
    name: str,
    layout: Layout,
    cells: np.ndarray,
    stations: list[Station],
    *,
    mirror_u: bool = False,
    mirror_v: bool = False,
    transpose: bool = False,
    origin: tuple[float, float] = (0.0, 0.0),
) -> Site:
    """The site of a warehouse, mirrored, transposed and shifted from its own frame into the map frame."""
    if mirror_u:
        cells = cells[:, ::-1]
    if mirror_v:
        cells = cells[::-1]
    if transpose:
        cells = cells.T
    turned = []
    for station in stations:
        u, v, toward_u, toward_v = station.x, station.y, math.cos(station.yaw), math.sin(station.yaw)
        if mirror_u:
            u, toward_u = layout.length - u, -toward_u
        if mirror_v:
            v, toward_v = layout.breadth - v, -toward_v
        if transpose:
            u, v, toward_u, toward_v = v, u, toward_v, toward_u
        yaw = round(math.atan2(toward_v, toward_u), 6)
        turned.append(replace(station, x=round(u + origin[0], 3), y=round(v + origin[1], 3), yaw=yaw))
    site = Site.from_map(name, OccupancyMap(cells, layout.resolution, origin), tuple(turned))
    check_stations(site.stations, site, RADIUS, f"site {name}")
    return site


def default_warehouse() -> Site:
    """The default site: 50 x 30 m, five rack rows of four racks, aisles of 3 m, picks at the west wall."""
    layout = Layout()
    racks = racks_of(layout)
    boxes = [rack for row in racks for rack in row]
    return oriented("default", layout, draw(layout, boxes), stations_of(layout, racks, set(boxes)))


def random_layout(rng: np.random.Generator) -> tuple[Layout, bool]:
    """A layout for a hall of 20 to 60 m by 15 to 40 m, and whether its racks run along the map's y axis."""
    along_x, along_y = round(rng.uniform(20.0, 60.0), 1), round(rng.uniform(15.0, 40.0), 1)
    transpose = bool(rng.random() < 0.4)
    length, breadth = (along_y, along_x) if transpose else (along_x, along_y)
    layout = Layout(
        length=length,
        breadth=breadth,
        pick_area=round(rng.uniform(0.14, 0.22) * length + 2.5, 1),
        lane=round(rng.uniform(2.6, 3.6), 1),
        rack_depth=round(rng.uniform(1.0, 2.6), 1),
        rack_length=round(rng.uniform(4.0, 14.0), 1),
        aisle=round(rng.uniform(2.6, 3.8), 1),
        cross_aisle=round(rng.uniform(2.6, 4.0), 1),
        picks=min(int(rng.integers(3, 7)), int((breadth - 6.4) / 2.4)),
        racks=int(rng.integers(4, 11)),
        chargers=int(rng.integers(2, 5)),
    )
    return layout, transpose


def columns(layout: Layout, rng: np.random.Generator) -> list[Box]:
    """Square columns of the building on a regular grid; a hall has them or not."""
    if rng.random() < 0.4:
        return []
    size = round(rng.uniform(0.25, 0.5), 2)
    across, along = (max(1, round(extent / rng.uniform(7.0, 11.0))) for extent in (layout.breadth, layout.length))
    return [
        Box(u, v, size, size) for u in spread(along, 0.0, layout.length) for v in spread(across, 0.0, layout.breadth)
    ]


def odd_obstacles(layout: Layout, rng: np.random.Generator, count: int) -> list[Box]:
    """Benches, pallets and machines: boxes anywhere, at any angle."""
    return [
        Box(
            rng.uniform(0.0, layout.length),
            rng.uniform(0.0, layout.breadth),
            rng.uniform(0.3, 1.8),
            rng.uniform(0.3, 1.2),
            rng.choice([0.0, rng.uniform(0.0, math.pi)]),
        )
        for _ in range(count)
    ]


def out_of_the_way(layout: Layout, boxes: list[Box], cells: np.ndarray, stations: list[Station]) -> list[Box]:
    """Those boxes that leave a robot a way of at least 1.2 m on every side.

    So no box can cut off a part of the hall; stations keep 1.8 m around them free.
    """
    passage, around_station = 1.2, 1.8
    hall = OccupancyMap(cells, layout.resolution, (0.0, 0.0))
    clearance = clearance_of(hall)
    kept: list[Box] = []
    for box in boxes:
        reach = 0.5 * math.hypot(box.along, box.across)
        row, col = hall.cell_of((box.u, box.v))
        room = float(clearance[row, col])
        others = min(
            (math.hypot(box.u - k.u, box.v - k.v) - 0.5 * math.hypot(k.along, k.across) for k in kept),
            default=math.inf,
        )
        station = min(math.hypot(box.u - s.x, box.v - s.y) for s in stations)
        if min(room, others) >= reach + passage and station >= reach + around_station:
            kept.append(box)
    return kept


def random_warehouse(seed: int) -> Site:
    """A warehouse drawn from a seed, the same for the same seed: 20 to 60 m by 15 to 40 m.

    Rack rows along x or y, racks and aisles of any proportion, some racks missing, columns, odd obstacles, the map's
    origin anywhere. Every station can be reached from every other.
    """
    rng = np.random.default_rng(seed)
    layout, transpose = random_layout(rng)
    racks = racks_of(layout)
    missing = rng.uniform(0.0, 0.2)
    standing = [rack for row in racks for rack in row if rng.random() >= missing]
    if len(standing) < 2:
        standing = [rack for row in racks for rack in row]
    cells = draw(layout, standing)
    stations = stations_of(layout, racks, set(standing))
    things = [*columns(layout, rng), *odd_obstacles(layout, rng, int(rng.integers(10, 40)))]
    cells = draw(layout, standing + out_of_the_way(layout, things, cells, stations))
    return oriented(
        f"random:{seed}",
        layout,
        cells,
        stations,
        mirror_u=bool(rng.random() < 0.5),
        mirror_v=bool(rng.random() < 0.5),
        transpose=transpose,
        origin=(round(rng.uniform(-30.0, 30.0), 2), round(rng.uniform(-30.0, 30.0), 2)),
    )
