"""The site of two rooms joined by straight aisles, drawn from a scenario's ``corridor``."""

from __future__ import annotations

import math

import numpy as np

from dyna_nav.evaluation.scenario import Corridor
from dyna_nav.site import OccupancyMap, Site, Station
from dyna_nav.site.stations import RADIUS, check_stations

RESOLUTION = 0.05
WALL = 0.2  # thickness of the outer walls [m]
BETWEEN = 2.0  # between two aisles [m]
MARGIN = 1.0  # from the outermost aisle to the rooms' side walls, at least [m]
STAND_OFF = 0.8  # from a station to the wall behind it [m]
SPACING = 2.2  # of stations along a wall, at least [m]
MOUTH = 3.0  # stations keep this far from where the aisles open into the room [m]


def corridor_site(corridor: Corridor) -> Site:
    """Rooms in the west and the east, aisles along x between them, stations at the rooms' other three walls.

    Origin at the lower left corner, x to the east [m]. Raises SiteError when a room is too small for two stations.
    """
    across = corridor.aisles * corridor.width + (corridor.aisles - 1) * BETWEEN
    breadth = _whole(max(across + 2 * (MARGIN + WALL), 3 * SPACING + 2 * WALL))
    length = _whole(corridor.length + 2 * (corridor.room + WALL))
    cells = np.zeros((round(breadth / RESOLUTION), round(length / RESOLUTION)), np.int8)
    rim = round(WALL / RESOLUTION)
    cells[:rim] = cells[-rim:] = 100
    cells[:, :rim] = cells[:, -rim:] = 100
    west, east = WALL + corridor.room, length - WALL - corridor.room
    block = slice(round(west / RESOLUTION), round(east / RESOLUTION))
    cells[:, block] = 100
    lowest = 0.5 * (breadth - across)
    for aisle in range(corridor.aisles):
        south = lowest + aisle * (corridor.width + BETWEEN)
        cells[round(south / RESOLUTION) : round((south + corridor.width) / RESOLUTION), block] = 0
    stations = _stations(corridor, breadth, length)
    site = Site.from_map("corridor", OccupancyMap(cells, RESOLUTION, (0.0, 0.0)), stations)
    check_stations(stations, site, RADIUS, "site corridor")
    return site


def _stations(corridor: Corridor, breadth: float, length: float) -> tuple[Station, ...]:
    """West and east alternately, so that the two lists are mirror images; at most ten a room."""
    end = WALL + STAND_OFF
    places = [(end, y, math.pi) for y in _spread(end, breadth - end)]
    for x in _spread(end + SPACING, WALL + corridor.room - MOUTH):
        places += [(x, end, -math.pi / 2), (x, breadth - end, math.pi / 2)]
    stations = []
    for k, (x, y, yaw) in enumerate(places[:10]):
        stations.append(Station(f"west{k + 1}", round(x, 3), round(y, 3), yaw, "pick"))
        mirrored = math.atan2(math.sin(yaw), -math.cos(yaw))
        stations.append(Station(f"east{k + 1}", round(length - x, 3), round(y, 3), mirrored, "rack"))
    return tuple(stations)


def _spread(low: float, high: float) -> list[float]:
    """As many values from low to high as the spacing allows; none when high lies below low."""
    if high < low:
        return []
    count = int((high - low) / SPACING) + 1
    return [low + k * (high - low) / (count - 1) for k in range(count)] if count > 1 else [0.5 * (low + high)]


def _whole(metres: float) -> float:
    return math.ceil(metres / RESOLUTION - 1e-9) * RESOLUTION
