"""Where robots start (stations, chargers first; then anywhere they can stand), and what cannot stand where."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dyna_nav.simulation.config import Pallet
from dyna_nav.site import Site

SPAWN_STREAM = 0  # of the seed
SEPARATION = 3.0  # of two starting robots' centres, in robot radii
MARGIN = 0.1  # to the walls [m]
OVERLAP = 0.03  # that a given pose may reach into a wall [m]: less than a cell, the clearance is no finer


def spawn_poses(site: Site, robots: int, radius: float, seed: int, pallets: Iterable[Pallet] = ()) -> np.ndarray:
    """Poses [robots, 3] (x, y, yaw; map frame), clear of walls, of each other and of pallets, drawn from a seed.

    Raises ValueError when the site has no room for that many robots.
    """
    rng = np.random.default_rng([seed, SPAWN_STREAM])
    stations = sorted(
        (site.stations[k] for k in rng.permutation(len(site.stations))), key=lambda station: station.kind != "charger"
    )
    chosen: list[tuple[float, float, float]] = []
    pallets = list(pallets)

    def offer(x: float, y: float, yaw: float) -> None:
        spot = np.array([x, y])
        apart = all(np.hypot(x - ox, y - oy) >= SEPARATION * radius for ox, oy, _ in chosen)
        apart = apart and all(_gap(pallet, spot) >= radius + MARGIN for pallet in pallets)
        if apart and len(chosen) < robots and site.standable(spot, radius + MARGIN):
            chosen.append((x, y, yaw))

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


def check_walls(site: Site, poses: np.ndarray, radius: float, robots: Iterable[int] | None = None) -> None:
    """Refuse poses [robots, 3] in a wall, of some of the robots or of all.

    Raises ValueError naming the robot and where it was to stand.
    """
    for i in range(len(poses)) if robots is None else robots:
        x, y, _ = poses[i]
        if not site.standable(poses[i, :2], radius - OVERLAP):
            raise ValueError(
                f"robot {i} cannot start at ({x:.2f}, {y:.2f}) in site {site.name!r}: the clearance there is "
                f"{float(site.clearance_at(poses[i, :2])):.2f} m and its radius {radius} m; choose free space"
            )


def check_poses(site: Site, poses: np.ndarray, radius: float, robots: Iterable[int] | None = None) -> None:
    """Refuse to set robots down in a wall or in each other: physics would hurl them apart.

    poses [robots, 3] of all; robots: those that are set down (default: all). The others are where physics has brought
    them, and may touch. Raises ValueError naming the robots and where they were to stand.
    """
    placed = list(range(len(poses)) if robots is None else robots)
    check_walls(site, poses, radius, placed)
    for i in placed:
        gaps = np.hypot(*(poses[:, :2] - poses[i, :2]).T)
        gaps[i] = np.inf
        if gaps.min() < 2 * radius:
            one, other = sorted((i, int(np.argmin(gaps))))
            raise ValueError(f"robots {one} and {other} start {gaps.min():.2f} m apart; they overlap")


def check_pallet(site: Site, pallet: Pallet, robots: np.ndarray, radius: float) -> None:
    """Refuse a pallet that would stand in a wall or on a robot at robots [n, 2 or more] (x, y, ...).

    Raises ValueError naming where it was to stand.
    """
    along = np.linspace(-0.5, 0.5, max(2, int(pallet.length / site.map.resolution) + 1)) * pallet.length
    across = np.linspace(-0.5, 0.5, max(2, int(pallet.width / site.map.resolution) + 1)) * pallet.width
    u, v = np.meshgrid(along, across)
    c, s = np.cos(pallet.yaw), np.sin(pallet.yaw)
    ground = np.stack([pallet.x + c * u - s * v, pallet.y + s * u + c * v], axis=-1)
    inside = site.map.contains(ground)
    if not inside.all() or not site.map.free[site.map.cell_of(ground)].all():
        raise ValueError(f"a pallet at ({pallet.x:.2f}, {pallet.y:.2f}) would stand in a wall of site {site.name!r}")
    gap = _gap(pallet, robots)
    if (gap < radius).any():
        raise ValueError(f"a pallet at ({pallet.x:.2f}, {pallet.y:.2f}) would stand on robot {int(np.argmin(gap))}")


def _gap(pallet: Pallet, points: np.ndarray) -> np.ndarray:
    """Distance [...] (m) of points [..., 2 or more] (x, y, ...) to a pallet; 0 on it."""
    c, s = np.cos(pallet.yaw), np.sin(pallet.yaw)
    dx, dy = points[..., 0] - pallet.x, points[..., 1] - pallet.y
    beyond_length = np.maximum(np.abs(c * dx + s * dy) - pallet.length / 2, 0)
    beyond_width = np.maximum(np.abs(c * dy - s * dx) - pallet.width / 2, 0)
    return np.hypot(beyond_length, beyond_width)
