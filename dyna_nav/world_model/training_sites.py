"""Sites to learn on that look like no warehouse of the generator: rooms, clutter, oblique racks, and maps as SLAM
leaves them.

A model and a detector that have seen one style of map only take every other one for novel. These sites have walls at
any angle, some of a single cell, ragged edges, specks, unknown regions, narrow and wide places, and resolutions from
0.03 to 0.1 m. The hall behind the map may differ from it by a ragged edge: a map is never the hall itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from dyna_nav.site import OccupancyMap, Site, resolve_site
from dyna_nav.site.occupancy import FREE, OCCUPIED, UNKNOWN
from dyna_nav.site.warehouse import Box, Layout, draw

PREFIX = "sketch:"  # of the names of these sites, followed by a seed
STANDING_ROOM = 0.45  # half the width of the narrowest way that counts as one [m]
DOOR = (1.1, 2.0)  # widths of doors and gaps [m]
LEAST_AREA = 40.0  # that a robot can reach, or another site is drawn [m^2]


@dataclass(frozen=True)
class Hall:
    """What a robot is told of a place, and the place itself."""

    site: Site
    hidden: Site | None  # None: the hall is as the map says


def training_hall(name: str) -> Hall:
    """The hall called ``sketch:SEED``, or a site that ``resolve_site`` knows, exactly mapped. Raises SiteError."""
    if not name.startswith(PREFIX):
        return Hall(resolve_site(name), None)
    return sketch(int(name.removeprefix(PREFIX)))


def sketch(seed: int) -> Hall:
    """The hall of a seed, the same for the same seed: 12 to 36 m by 10 to 24 m."""
    for attempt in range(100):
        rng = np.random.default_rng([seed, attempt])
        resolution = float(rng.choice([0.03, 0.05, 0.05, 0.05, 0.1]))
        layout = Layout(
            length=round(rng.uniform(12.0, 36.0), 1),
            breadth=round(rng.uniform(10.0, 24.0), 1),
            resolution=resolution,
            wall=resolution * int(rng.integers(1, 5)),
        )
        style = (rooms, clutter, oblique_racks)[int(rng.integers(3))]
        cells = style(layout, rng)
        if rng.random() < 0.5:
            cells = turned(cells, rng.uniform(-45.0, 45.0))
        if rng.random() < 0.6:
            cells = as_slam_leaves_it(cells, resolution, rng)
        cells = reachable_only(cells, resolution)
        if (cells == FREE).sum() * resolution**2 < LEAST_AREA:
            continue
        origin = (round(rng.uniform(-30.0, 30.0), 2), round(rng.uniform(-30.0, 30.0), 2))
        site = Site.from_map(f"{PREFIX}{seed}", OccupancyMap(cells, resolution, origin))
        if rng.random() < 0.7:
            return Hall(site, None)
        hidden = ragged(cells, rng.uniform(0.05, 0.3), rng)
        return Hall(site, Site.from_map(f"{PREFIX}{seed} (as it is)", OccupancyMap(hidden, resolution, origin)))
    raise ValueError(f"site {PREFIX}{seed} has no room in a hundred attempts")


def free_points(site: Site, count: int, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Random poses [count, 3] (map frame) at which a disc of this radius [m] stands clear; none where none does."""
    rows, cols = np.nonzero(site.clearance >= radius)
    if not len(rows):
        return np.empty((0, 3))
    chosen = rng.integers(len(rows), size=count)
    xy = np.array(site.map.position_of(rows[chosen], cols[chosen])).reshape(count, 2)
    return np.column_stack([xy, rng.uniform(-np.pi, np.pi, count)])


def starts(site: Site, hall: Site, count: int, radius: float, pallets: list, rng: np.random.Generator) -> np.ndarray:
    """Random poses [<= count, 3], free in map and hall, apart from each other and from the pallets; at least one."""
    chosen: list[np.ndarray] = []
    blocked = [np.array(pallet[:2]) for pallet in pallets]
    for pose in free_points(site, 400, radius + 0.15, rng):
        apart = all(np.hypot(*(pose[:2] - other[:2])) > 3 * radius for other in chosen)
        apart = apart and hall.standable(pose[:2], radius + 0.1)
        if apart and all(np.hypot(*(pose[:2] - other)) > 1.2 for other in blocked):
            chosen.append(pose)
            if len(chosen) == count:
                break
    if not chosen:
        raise ValueError(f"site {site.name!r} has no room for a robot")
    return np.array(chosen)


# Styles: cells int8 [v, u] of a layout.


def rooms(layout: Layout, rng: np.random.Generator) -> np.ndarray:
    """Rooms and corridors: the hall divided again and again by walls with doors; some furniture."""
    walls: list[Box] = []
    thickness = layout.resolution * int(rng.integers(1, 5))

    def divide(u0: float, v0: float, u1: float, v1: float) -> None:
        along, across = u1 - u0, v1 - v0
        if max(along, across) < rng.uniform(4.0, 11.0) or max(along, across) < 4.5:
            return
        door = rng.uniform(*DOOR)
        lengthwise = along < across  # the wall runs along u
        low, high = (v0, v1) if lengthwise else (u0, u1)
        at = rng.uniform(low + 2.0, high - 2.0)
        start, end = (u0, u1) if lengthwise else (v0, v1)
        gap = rng.uniform(start + 0.3, max(end - door - 0.3, start + 0.31))
        for a, b in ((start, gap), (gap + door, end)):
            if b - a > 0.05:
                middle, length = 0.5 * (a + b), b - a
                walls.append(Box(middle, at, length, thickness) if lengthwise else Box(at, middle, thickness, length))
        if lengthwise:
            divide(u0, v0, u1, at)
            divide(u0, at, u1, v1)
        else:
            divide(u0, v0, at, v1)
            divide(at, v0, u1, v1)

    divide(0.0, 0.0, layout.length, layout.breadth)
    return draw(layout, walls + _things(layout, rng, rng.uniform(0.0, 0.04)))


def clutter(layout: Layout, rng: np.random.Generator) -> np.ndarray:
    """A hall full of things: machines, columns, stacks and oblique partitions."""
    partitions = [
        Box(
            rng.uniform(0.0, layout.length),
            rng.uniform(0.0, layout.breadth),
            rng.uniform(2.0, 7.0),
            layout.resolution * int(rng.integers(1, 4)) * 1.5,
            rng.uniform(0.0, math.pi),
        )
        for _ in range(int(rng.integers(0, 9)))
    ]
    return draw(layout, partitions + _things(layout, rng, rng.uniform(0.02, 0.12)))


def oblique_racks(layout: Layout, rng: np.random.Generator) -> np.ndarray:
    """Racks in rows of their own angle, close or far apart, hollow as a laser near the floor sees them, or solid."""
    angle = rng.choice([0.0, 0.5 * math.pi, rng.uniform(0.0, math.pi)])
    pitch, depth, length = rng.uniform(2.6, 7.0), rng.uniform(0.6, 2.4), rng.uniform(2.0, 12.0)
    legs_only, leg = rng.random() < 0.35, rng.uniform(0.08, 0.2)
    cos, sin = math.cos(angle), math.sin(angle)
    centre_u, centre_v = 0.5 * layout.length, 0.5 * layout.breadth
    reach = 0.5 * math.hypot(layout.length, layout.breadth)
    boxes: list[Box] = []
    for across in np.arange(-reach, reach, depth + pitch):
        for along in np.arange(-reach, reach, length + rng.uniform(1.8, 4.0)):
            if rng.random() < 0.15:
                continue
            u, v = centre_u + cos * along - sin * across, centre_v + sin * along + cos * across
            if not (1.0 < u < layout.length - 1.0 and 1.0 < v < layout.breadth - 1.0):
                continue
            if not legs_only:
                boxes.append(Box(u, v, length, depth, angle))
                continue
            for du in np.arange(-0.5 * length, 0.5 * length + 0.1, max(1.2, leg)):
                for dv in (-0.5 * depth, 0.5 * depth):
                    boxes.append(Box(u + cos * du - sin * dv, v + sin * du + cos * dv, leg, leg, angle))
    return draw(layout, boxes + _things(layout, rng, rng.uniform(0.0, 0.02)))


def _things(layout: Layout, rng: np.random.Generator, density: float) -> list[Box]:
    """So many things per square metre, from a table leg to a machine."""
    count = int(density * layout.length * layout.breadth)
    sizes = np.exp(rng.uniform(math.log(0.06), math.log(2.0), (count, 2)))
    return [
        Box(rng.uniform(0, layout.length), rng.uniform(0, layout.breadth), along, across, rng.uniform(0, math.pi))
        for along, across in sizes
    ]


# What becomes of a drawing: cells int8 [rows, cols] in, another array of cells out.


def turned(cells: np.ndarray, degrees: float) -> np.ndarray:
    """Turned by an angle on a larger grid; around it lies what nobody has seen."""
    return np.ascontiguousarray(ndimage.rotate(cells, degrees, order=0, cval=UNKNOWN))


def ragged(cells: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A share of the cells along the edges of obstacles changed: grown by a cell, or, where they stay thick, lost."""
    solid = cells == OCCUPIED
    beside = ndimage.binary_dilation(solid) & (cells == FREE)
    surface = solid & ndimage.binary_dilation(cells == FREE)
    thick = ndimage.binary_dilation(ndimage.binary_erosion(solid, np.ones((3, 3))), np.ones((3, 3)))
    result = cells.copy()
    result[beside & (rng.random(cells.shape) < 0.5 * share)] = OCCUPIED
    result[surface & thick & (rng.random(cells.shape) < share)] = FREE
    return result


def as_slam_leaves_it(cells: np.ndarray, resolution: float, rng: np.random.Generator) -> np.ndarray:
    """Ragged edges, hollow obstacles, holes in thin walls, specks, and shadows that the mapping robot never saw."""
    result = ragged(cells, rng.uniform(0.05, 0.5), rng)
    solid = result == OCCUPIED
    shell = int(rng.integers(1, 4))
    inside = ndimage.binary_erosion(solid, np.ones((3, 3)), iterations=shell, border_value=1)
    result[inside] = rng.choice([UNKNOWN, OCCUPIED])
    holes = solid & ~inside & (rng.random(cells.shape) < rng.choice([0.0, 0.02, 0.1]))
    result[holes] = rng.choice([UNKNOWN, FREE])
    result[(result == FREE) & (rng.random(cells.shape) < rng.choice([0.0, 1e-4, 5e-4]))] = OCCUPIED
    for _ in range(int(rng.integers(0, 6))):
        row, col = rng.integers(cells.shape[0]), rng.integers(cells.shape[1])
        spread = rng.uniform(0.3, 2.0) / resolution
        rows, cols = np.ogrid[: cells.shape[0], : cells.shape[1]]
        shadow = ((rows - row) * rng.uniform(0.3, 3.0)) ** 2 + (cols - col) ** 2 < spread**2
        result[shadow & (result == FREE) & (rng.random(cells.shape) < rng.choice([0.5, 1.0]))] = UNKNOWN
    return result


def reachable_only(cells: np.ndarray, resolution: float) -> np.ndarray:
    """Whatever does not belong to the largest region in which a robot can drive about becomes unknown."""
    free = cells == FREE
    room = ndimage.distance_transform_edt(np.pad(free, 1))[1:-1, 1:-1] * resolution >= STANDING_ROOM
    labels, count = ndimage.label(room)
    if count == 0:
        return np.full_like(cells, UNKNOWN)
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    regions, _ = ndimage.label(free)
    kept = np.isin(regions, np.unique(regions[largest]))
    away = room & ~largest
    near = ndimage.binary_dilation(away, iterations=round(STANDING_ROOM / resolution)) if away.any() else away
    result = cells.copy()
    result[free & (~kept | near)] = UNKNOWN
    return result
