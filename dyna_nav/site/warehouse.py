"""Warehouses drawn from parameters: the default one, and random ones from a seed.

A warehouse is drawn in a frame of its own, u along the rack rows and v across them, with the pick area at low u;
it is then turned or mirrored into the map frame. Picks stand at the wall of the pick area, rack stations at the
edge of the aisles so that others can pass, chargers at the walls that close the pick area.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dyna_nav.site.occupancy import FREE, OCCUPIED, OccupancyMap
from dyna_nav.site.site import Site
from dyna_nav.site.stations import Station


@dataclass(frozen=True)
class Layout:
    """Parameters of a warehouse; lengths in metres, u along the rack rows, v across them."""

    length: float = 50.0  # outside, u
    breadth: float = 30.0  # outside, v
    resolution: float = 0.05
    wall: float = 0.2
    pick_area: float = 8.0  # from the wall at low u to the racks
    lane: float = 3.0  # between the racks and the other three walls
    rack_depth: float = 2.2  # two racks back to back
    rack_length: float = 10.0  # of one rack between two cross aisles, at most
    aisle: float = 3.0  # between rack rows
    cross_aisle: float = 3.0
    picks: int = 6
    racks: int = 10
    chargers: int = 4
    stand_off: float = 0.6  # from a station's centre to the rack or wall it serves


def intervals(start: float, end: float, most: float, gap: float) -> list[tuple[float, float]]:
    """Split [start, end] into the fewest equal pieces no longer than ``most`` with ``gap`` between them."""
    count = max(1, math.ceil((end - start + gap) / (most + gap)))
    piece = (end - start + gap) / count - gap
    return [(start + i * (piece + gap), start + i * (piece + gap) + piece) for i in range(count)]


def rows_across(layout: Layout) -> list[tuple[float, float]]:
    """Intervals in v of the rack rows: as many as fit, the spare room shared among the aisles."""
    room = layout.breadth - 2.0 * (layout.wall + layout.lane)
    count = max(1, int((room + layout.aisle) / (layout.rack_depth + layout.aisle) + 1e-9))
    aisle = (room - count * layout.rack_depth) / (count - 1) if count > 1 else 0.0
    start = layout.wall + layout.lane + (0.0 if count > 1 else 0.5 * (room - layout.rack_depth))
    return [
        (start + i * (layout.rack_depth + aisle), start + i * (layout.rack_depth + aisle) + layout.rack_depth)
        for i in range(count)
    ]


def blocks_along(layout: Layout) -> list[tuple[float, float]]:
    """Intervals in u of the racks of a row."""
    end = layout.length - layout.wall - layout.lane
    return intervals(layout.pick_area, end, layout.rack_length, layout.cross_aisle)


def draw(layout: Layout) -> np.ndarray:
    """Cells int8 [v, u] of the empty building with its racks."""
    shape = round(layout.breadth / layout.resolution), round(layout.length / layout.resolution)
    cells = np.full(shape, FREE, np.int8)
    edge = round(layout.wall / layout.resolution)
    cells[:edge] = cells[-edge:] = OCCUPIED
    cells[:, :edge] = cells[:, -edge:] = OCCUPIED
    for low, high in rows_across(layout):
        for start, end in blocks_along(layout):
            cells[
                round(low / layout.resolution) : round(high / layout.resolution),
                round(start / layout.resolution) : round(end / layout.resolution),
            ] = OCCUPIED
    return cells


def spread(count: int, low: float, high: float) -> np.ndarray:
    """``count`` values in the middles of equal pieces of [low, high]."""
    return low + (np.arange(count) + 0.5) * (high - low) / count


def place_stations(layout: Layout) -> list[Station]:
    """Stations in the warehouse's own frame (x is u, y is v)."""
    stations = []
    at_wall = layout.wall + layout.stand_off
    for i, v in enumerate(spread(layout.picks, layout.wall + 3.0, layout.breadth - layout.wall - 3.0)):
        stations.append(Station(f"pick{i + 1}", at_wall, float(v), math.pi, "pick"))

    # Faces of the racks that look into an aisle, each with the middle of every rack; every face in turn gets one.
    faces = []
    rows, blocks = rows_across(layout), blocks_along(layout)
    for i, (low, high) in enumerate(rows):
        for j, (start, end) in enumerate(blocks):
            middle = 0.5 * (start + end)
            if (i + j) % 2 == 0:
                faces.append((middle, low - layout.stand_off, 0.5 * math.pi))
            else:
                faces.append((middle, high + layout.stand_off, -0.5 * math.pi))
    chosen = np.unique(np.round(spread(layout.racks, 0.0, len(faces)) - 0.5).astype(int).clip(0, len(faces) - 1))
    for i, k in enumerate(chosen):
        u, v, yaw = faces[k]
        stations.append(Station(f"rack{i + 1}", float(u), float(v), yaw, "rack"))

    for i in range(layout.chargers):
        column = i // 2
        u = layout.wall + 2.2 + 1.8 * column
        low = i % 2 == 0
        v = at_wall if low else layout.breadth - at_wall
        stations.append(Station(f"charger{i + 1}", u, v, -0.5 * math.pi if low else 0.5 * math.pi, "charger"))
    return stations


def default_warehouse() -> Site:
    """The default site: about 50 x 30 m, five double rack rows, two cross aisles, picks at the west wall."""
    layout = Layout()
    grid = OccupancyMap(draw(layout), layout.resolution, (0.0, 0.0))
    return Site.from_map("default", grid, tuple(place_stations(layout)))


def random_warehouse(seed: int) -> Site:
    """A warehouse drawn from a seed: 20 to 60 m by 15 to 40 m; the same for the same seed."""
    rng = np.random.default_rng(seed)
    layout = replace(
        Layout(),
        length=round(rng.uniform(20.0, 60.0), 1),
        breadth=round(rng.uniform(15.0, 40.0), 1),
        rack_depth=round(rng.uniform(1.2, 2.6), 1),
        rack_length=round(rng.uniform(5.0, 14.0), 1),
        aisle=round(rng.uniform(2.4, 3.6), 1),
    )
    grid = OccupancyMap(draw(layout), layout.resolution, (0.0, 0.0))
    return Site.from_map(f"random:{seed}", grid, tuple(place_stations(layout)))
