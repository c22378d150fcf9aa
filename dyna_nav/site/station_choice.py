"""Choose stations on a map that has none: well spread, roomy, and where a standing robot leaves the others a way.

Farthest-point sampling (Gonzalez, 1985) by geodesic distance, in the largest region that a robot can drive.
"""

from __future__ import annotations

import math
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from dyna_nav.site.fields import march
from dyna_nav.site.occupancy import SiteError
from dyna_nav.site.stations import RADIUS, ROOM, Station

if TYPE_CHECKING:
    from dyna_nav.site.site import Site

LATTICE = 0.1  # spacing of the places considered [m]
LATTICE_CELLS = 1_000_000  # at most; on larger maps the lattice is coarser
MARGINS = (0.15, 0.10, ROOM)  # room beside a robot on its way [m]; the first that keeps the region whole
# What a place has to offer, dropped step by step until enough places are found:
# clearance beyond the radius [m], way around a standing robot, least distance between stations [m].
STANDARDS = (
    (0.45, True, 2.0),
    (0.30, True, 1.6),
    (0.20, True, 1.6),
    (0.20, False, 1.6),
    (0.10, False, 1.2),
    (ROOM, False, 1.2),
)


def wanted_count(area: float) -> int:
    """Number of stations for an area [m^2] that robots can drive: 6 in a small lab, 12 on 360 m^2, at most 16."""
    return min(6 + int(area / 60.0), 16)


def largest_region(room: np.ndarray) -> np.ndarray:
    """bool [rows, cols]: the connected part of ``room`` with the most cells."""
    labels, count = ndimage.label(room)
    if count == 0:
        return np.zeros_like(room)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == int(sizes.argmax())


def drivable_region(clearance: np.ndarray, radius: float) -> np.ndarray:
    """bool [rows, cols]: the largest region for a robot, through passages as wide as possible.

    A passage with room to spare is asked for as long as it costs less than a tenth of the roomy places.
    """
    region = largest_region(clearance >= radius + ROOM)
    roomy = np.count_nonzero(region & (clearance >= radius + 0.3))
    for margin in MARGINS:
        wide = largest_region(clearance >= radius + margin) & region
        if roomy and np.count_nonzero(wide & (clearance >= radius + 0.3)) >= 0.9 * roomy:
            return wide
    return region


def leaves_a_way(site: Site, rows: np.ndarray, cols: np.ndarray, radius: float) -> np.ndarray:
    """bool [n]: whether others get past a robot of the radius [m] that stands in cells rows [n], cols [n].

    On the circle on which another robot would pass it, the free points must form one arc: in a narrow passage they
    form two, and whoever stands between them closes it.
    """
    reach = (2.0 * radius + 0.2) / site.map.resolution
    margin = math.ceil(reach) + 1
    passable = np.pad(site.clearance >= radius + ROOM, margin)
    angles = np.linspace(0.0, 2.0 * np.pi, 64, endpoint=False)
    ups, acrosses = np.rint(reach * np.sin(angles)).astype(int), np.rint(reach * np.cos(angles)).astype(int)
    before = passable[rows + margin + ups[-1], cols + margin + acrosses[-1]]
    arcs = np.zeros(len(rows), int)
    for up, across in zip(ups, acrosses, strict=True):
        here = passable[rows + margin + up, cols + margin + across]
        arcs += here & ~before
        before = here
    return arcs <= 1


def spread_out(passable: np.ndarray, candidates: np.ndarray, count: int, spacing: float) -> list[tuple[int, int]]:
    """Up to ``count`` cells of ``candidates``, each the farthest by geodesic distance from those before it.

    passable, candidates: bool [rows, cols]; spacing: least distance [cells]. Deterministic.
    """
    if not candidates.any():
        return []
    origin = np.unravel_index(np.flatnonzero(candidates)[0], candidates.shape)
    start = march(passable, float(origin[0]), float(origin[1]))
    start = np.where(candidates & np.isfinite(start), start, -1.0)
    nearest = np.full(candidates.shape, np.inf, np.float32)
    chosen: list[tuple[int, int]] = []
    cell = np.unravel_index(int(start.argmax()), start.shape)
    while len(chosen) < count:
        chosen.append((int(cell[0]), int(cell[1])))
        np.minimum(nearest, march(passable, float(cell[0]), float(cell[1])), out=nearest)
        score = np.where(candidates & np.isfinite(nearest), nearest, -1.0)
        cell = np.unravel_index(int(score.argmax()), score.shape)
        if score[cell] < spacing:
            break
    return chosen


def choose_stations(site: Site, radius: float = RADIUS) -> tuple[Station, ...]:
    """Stations for a site from its map alone; the same for the same map.

    Two are chargers (the most enclosed), the others alternate between pick and rack; each looks at what is nearest.
    Raises SiteError when no two robots of the radius [m] have a place.
    """
    region = drivable_region(site.clearance, radius)
    stride = max(1, round(LATTICE / site.map.resolution), math.ceil(math.sqrt(region.size / LATTICE_CELLS)))
    offset = (stride - 1) // 2
    lattice = np.s_[offset::stride, offset::stride]
    passable = largest_region(region[lattice])
    step = stride * site.map.resolution
    count = wanted_count(np.count_nonzero(passable) * step**2)
    rows, cols = np.nonzero(passable)
    clearance = site.clearance[lattice][rows, cols]
    open_around = leaves_a_way(site, rows * stride + offset, cols * stride + offset, radius)

    best: list[tuple[int, int]] = []
    for spare, way, spacing in STANDARDS:
        candidates = np.zeros_like(passable)
        good = (clearance >= radius + spare) & (open_around | (not way))
        candidates[rows[good], cols[good]] = True
        found = spread_out(passable, candidates, count, spacing / step)
        if len(found) > len(best):
            best = found
        if len(best) >= 2 * count / 3:
            break
    if len(best) < 2:
        raise SiteError(
            f"site {site.name}: the map has no room for two robots of radius {radius:g} m that can reach each other; "
            "check its resolution and thresholds"
        )
    return _stations(site, [(row * stride + offset, col * stride + offset) for row, col in best])


def _stations(site: Site, cells: list[tuple[int, int]]) -> tuple[Station, ...]:
    """Name the places and turn them towards what is nearest; the most enclosed become chargers.

    Two of six or more, one of four or five: below that every place is needed to drive between.
    """
    reach = round(1.5 / site.map.resolution)
    enclosed = sorted(range(len(cells)), key=lambda k: (float(_around(site.clearance, cells[k], reach).mean()), k))
    chargers = set(enclosed[: min(2, max(0, len(cells) // 2 - 1))])
    kinds = cycle(("pick", "rack"))
    numbers = {"pick": 0, "rack": 0, "charger": 0}
    stations = []
    for k, cell in enumerate(cells):
        kind = "charger" if k in chargers else next(kinds)
        numbers[kind] += 1
        x, y = site.map.position_of(*cell)
        near = _around(site.clearance, cell, 3)
        yaw = math.atan2(near[0].mean() - near[-1].mean(), near[:, 0].mean() - near[:, -1].mean())
        stations.append(Station(f"{kind}{numbers[kind]}", round(float(x), 3), round(float(y), 3), round(yaw, 3), kind))
    return tuple(stations)


def _around(field: np.ndarray, cell: tuple[int, int], reach: int) -> np.ndarray:
    """The part of a field [rows, cols] within ``reach`` cells of a cell."""
    row, col = cell
    return field[max(row - reach, 0) : row + reach + 1, max(col - reach, 0) : col + reach + 1]
