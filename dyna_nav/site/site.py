"""A site as everything else sees it, and the three ways to name one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dyna_nav.site.map_server import read_description, read_map
from dyna_nav.site.occupancy import OccupancyMap, SiteError, clearance_of
from dyna_nav.site.station_choice import choose_stations
from dyna_nav.site.stations import Station, read_stations


@dataclass(frozen=True, eq=False)
class Site:
    """A place where robots drive: its map, the room around every cell, and its stations.

    clearance: float32 [rows, cols], distance [m] from each cell's centre to the nearest cell that is not free or to
    the map's border, 0 in cells that are not free. stations: at most 20, in the order of the value table's bins.
    """

    name: str
    map: OccupancyMap
    clearance: np.ndarray
    stations: tuple[Station, ...]

    @classmethod
    def from_map(cls, name: str, grid: OccupancyMap, stations: tuple[Station, ...] = ()) -> Site:
        """A site of a map; computes the clearance."""
        return cls(name, grid, clearance_of(grid), tuple(stations))

    def clearance_at(self, xy: np.ndarray) -> np.ndarray:
        """Clearance [m], float [...], at points xy [..., 2] [m, map frame], interpolated between cell centres.

        0 off the map and for non-finite points.
        """
        xy = np.asarray(xy, dtype=float)
        inside = self.map.contains(xy)
        rows, cols = self.clearance.shape
        cell = (np.where(inside[..., None], xy, self.map.origin) - self.map.origin) / self.map.resolution - 0.5
        col = np.clip(cell[..., 0], 0.0, cols - 1.0)
        row = np.clip(cell[..., 1], 0.0, rows - 1.0)
        j, i = col.astype(np.int64), row.astype(np.int64)
        right, up = np.minimum(j + 1, cols - 1), np.minimum(i + 1, rows - 1)
        s, t = col - j, row - i
        low = (1.0 - s) * self.clearance[i, j] + s * self.clearance[i, right]
        high = (1.0 - s) * self.clearance[up, j] + s * self.clearance[up, right]
        return np.where(inside, (1.0 - t) * low + t * high, 0.0)

    def standable(self, xy: np.ndarray, radius: float) -> bool:
        """Whether a disc of the radius [m] fits at xy [2] [m, map frame] without touching anything that is not free."""
        return bool(np.all(self.clearance_at(xy) >= radius))


def load_site(path: str | Path, stations: str | Path | None = None) -> Site:
    """The site of a map_server map.

    path: the map's YAML file. stations: a stations file; without it ``<map>.stations.yaml`` beside the map when there
    is one, otherwise stations are chosen from the map. Raises SiteError, one sentence, for anything that is wrong.
    """
    path = Path(path)
    site = Site.from_map(path.stem, read_map(path).without_margins())
    beside = _stations_beside(path)
    if stations is not None:
        chosen = read_stations(Path(stations), site)
    elif beside.exists():
        chosen = read_stations(beside, site)
    else:
        chosen = choose_stations(site)
    return replace(site, stations=chosen)


def files_of(path: str | Path) -> list[Path]:
    """The files that the site of a map's YAML file is read from. Raises SiteError when it cannot be read itself."""
    path = Path(path)
    beside = _stations_beside(path)
    return [path, read_description(path).image, *([beside] if beside.exists() else [])]


def _stations_beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}.stations.yaml")


def resolve_site(name: str | Path) -> Site:
    """The site called ``default``, ``random:SEED`` or by the path of a map's YAML file. Raises SiteError."""
    from dyna_nav.site.warehouse import default_warehouse, random_warehouse

    text = str(name)
    if text == "default":
        return default_warehouse()
    if text.startswith("random:"):
        if not re.fullmatch(r"random:\d+", text):
            raise SiteError(f"site {text!r}: the seed must be a whole number, as in random:7")
        return random_warehouse(int(text.removeprefix("random:")))
    if not Path(text).exists():
        raise SiteError(f"site {text!r} does not exist; give default, random:SEED or the path of a map's YAML file")
    return load_site(text)
