"""The stations of a site: where robots fetch, deliver and charge; read from a file or chosen from the map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dyna_nav.mdp import RobotModel
from dyna_nav.site.fields import distance_at, geodesic_distance
from dyna_nav.site.occupancy import SiteError
from dyna_nav.site.yaml_file import number, read_yaml

if TYPE_CHECKING:
    from dyna_nav.site.site import Site

KINDS = ("pick", "rack", "charger")
MOST = 20  # the value table has a bin for each
RADIUS, ROOM = RobotModel().radius, RobotModel().room


@dataclass(frozen=True)
class Station:
    """A named pose on the map: x, y [m], yaw [rad], map frame; kind is pick, rack or charger."""

    name: str
    x: float
    y: float
    yaw: float
    kind: str


def read_stations(path: Path, site: Site, radius: float = RADIUS) -> tuple[Station, ...]:
    """Read ``stations: [{name, x, y, yaw, kind}, ...]`` and check it against the site's map.

    Raises SiteError, one sentence, for a file that is not such a list, a field that is missing or of the wrong type,
    and what :func:`check_stations` refuses.
    """
    content = read_yaml(path)
    entries = content.get("stations") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise SiteError(f"{path}: field stations is missing or no list; give a list of name, x, y, yaw and kind")
    stations = tuple(_station(entry, path, f"stations[{i}]") for i, entry in enumerate(entries))
    check_stations(stations, site, radius, str(path))
    return stations


def _station(entry: Any, path: Path, where: str) -> Station:
    if not isinstance(entry, dict):
        raise SiteError(f"{path}: {where} is {entry!r}; give name, x, y, yaw and kind")
    for field in ("name", "x", "y", "yaw", "kind"):
        if entry.get(field) is None:
            raise SiteError(f"{path}: {where}.{field} is missing; give name, x, y, yaw and kind")
    name, kind = entry["name"], entry["kind"]
    if not isinstance(name, str) or not name.strip():
        raise SiteError(f"{path}: {where}.name is {name!r}; it must be a text that is not empty")
    if kind not in KINDS:
        raise SiteError(f"{path}: {where}.kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    x, y = (number(entry[axis], path, f"{where}.{axis}", "give metres in the map frame") for axis in ("x", "y"))
    yaw = number(entry["yaw"], path, f"{where}.yaw", "give radians, counter-clockwise from the map's x axis")
    return Station(name, x, y, yaw, kind)


def check_stations(stations: tuple[Station, ...], site: Site, radius: float, source: str) -> None:
    """Refuse stations that a fleet cannot serve.

    Raises SiteError, which begins with ``source``: more than 20, fewer than two that are not chargers, a name given
    twice, a station off the map, too near to something for a robot of the radius [m], or out of reach of the first.
    """
    if len(stations) > MOST:
        raise SiteError(f"{source}: stations has {len(stations)} entries; at most {MOST} are supported")
    if sum(station.kind != "charger" for station in stations) < 2:
        raise SiteError(f"{source}: stations has fewer than two of kind pick or rack; trips need two of them")
    seen = set()
    for station in stations:
        xy = (station.x, station.y)
        place = f"station {station.name!r} at ({station.x:g}, {station.y:g})"
        if station.name in seen:
            raise SiteError(f"{source}: the name {station.name!r} is given to two stations; every name must be unique")
        seen.add(station.name)
        if not site.map.contains(xy):
            low, high = np.asarray(site.map.origin), np.asarray(site.map.origin) + site.map.size
            raise SiteError(
                f"{source}: {place} lies outside the map; x must lie in [{low[0]:g}, {high[0]:g}] and "
                f"y in [{low[1]:g}, {high[1]:g}]"
            )
        if not site.standable(xy, radius):
            raise SiteError(
                f"{source}: {place} has a clearance of {float(site.clearance_at(xy)):.2f} m; a robot needs "
                f"{radius:g} m, move the station into free space"
            )
    first = stations[0]
    field = geodesic_distance(site, (first.x, first.y), radius)
    for station in stations[1:]:
        if not math.isfinite(distance_at(site, field, (station.x, station.y))):
            raise SiteError(
                f"{source}: station {station.name!r} cannot be reached from station {first.name!r} by a robot of "
                f"radius {radius:g} m; move it or correct the map"
            )
