"""Where robots start: at the stations, chargers first; then anywhere they can stand."""

from __future__ import annotations

import numpy as np

from dyna_nav.site import Site

SEPARATION = 3.0  # of two starting robots' centres, in robot radii
MARGIN = 0.1  # to the walls [m]


def spawn_poses(
    site: Site, robots: int, radius: float, rng: np.random.Generator, taken: np.ndarray | None = None
) -> np.ndarray:
    """Poses [robots, 3] (x, y, yaw; map frame), clear of walls, of each other and of taken [m, 2] (x, y).

    Raises ValueError when the site has no room for that many robots.
    """
    stations = sorted(
        (site.stations[k] for k in rng.permutation(len(site.stations))), key=lambda station: station.kind != "charger"
    )
    chosen: list[tuple[float, float, float]] = []
    occupied = [] if taken is None else [tuple(xy) for xy in taken]

    def offer(x: float, y: float, yaw: float) -> None:
        apart = all(np.hypot(x - ox, y - oy) >= SEPARATION * radius for ox, oy in occupied)
        if apart and len(chosen) < robots and site.standable(np.array([x, y]), radius + MARGIN):
            chosen.append((x, y, yaw))
            occupied.append((x, y))

    for station in stations:
        offer(station.x, station.y, station.yaw)
    if len(chosen) < robots:
        rows, cols = np.nonzero(site.clearance >= radius + MARGIN)
        order = rng.permutation(len(rows))
        for x, y in site.map.position_of(rows[order], cols[order]) if len(rows) else ():
            if len(chosen) == robots:
                break
            offer(float(x), float(y), float(rng.uniform(-np.pi, np.pi)))
    if len(chosen) < robots:
        raise ValueError(
            f"site {site.name!r} has room for {len(chosen)} of {robots} robots of radius {radius} m; use fewer robots"
        )
    return np.array(chosen).reshape(robots, 3)
