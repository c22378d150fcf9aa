"""A picture of a run from above: the site, its stations, the paths driven, and where something was hit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dyna_nav.simulation.collisions import Collision
from dyna_nav.site import Site

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WALL, UNKNOWN, FLOOR = (0.22, 0.24, 0.28), (0.80, 0.81, 0.83), (0.985, 0.985, 0.98)
STATIONS = {"pick": ("s", "#2a7f62"), "rack": ("D", "#8a5a2b"), "charger": ("P", "#c08a00")}
COLOURS = ("#1f6fb4", "#d1495b", "#3a9d4f", "#8f5fbf", "#e08a1e", "#12a0a8", "#c2479b", "#6b705c")
PALLET = (1.2, 0.8)  # length, width [m]
HITS = {  # name, look of a hit; by whether it was with a person, and whether that person walked into a robot that stood
    (False, False): ("collisions", {"marker": "*", "ms": 13, "mfc": "red", "mec": "white"}),
    (True, False): ("people hit by moving robots", {"marker": "X", "ms": 11, "mfc": "#b5179e", "mec": "white"}),
    (True, True): ("standing robots walked into", {"marker": "o", "ms": 9, "mfc": "none", "mec": "#b5179e"}),
}
LARGEST = 16.0  # longer edge of the picture [inch]


def draw_map(axes: Axes, site: Site) -> None:
    """The site's map as the ground of a picture, in metres of the map frame."""
    (x0, y0), (width, depth) = site.map.origin, site.map.size
    picture = np.empty((*site.map.cells.shape, 3))
    picture[:] = FLOOR
    picture[site.map.cells < 0] = UNKNOWN
    picture[site.map.cells > 0] = WALL
    axes.imshow(picture, origin="lower", extent=(x0, x0 + width, y0, y0 + depth), interpolation="nearest")


def draw_paths(
    site: Site,
    paths: Sequence[np.ndarray],
    file: str | Path,
    *,
    names: Sequence[str] | None = None,
    collisions: Sequence[Collision] = (),
    pallets: Sequence[np.ndarray] = (),
    radius: float = 0.35,
    title: str = "",
) -> None:
    """Write a PNG of paths, one [steps, 2 or more] (x, y, ...; map frame, metres) per robot, over the site's map.

    A ring of the robot's radius marks where a path begins, a disc where it ends, a red star each collision, a cross
    where a moving robot hit a walker, a small ring where a walker walked into a standing one; pallets are poses [3].
    Rows that are not finite leave a gap. names label the robots (default: r1, r2, ...).
    Raises OSError when the file cannot be written.
    """
    # Drawn on a figure of its own, not with pyplot: no global state, no window system, usable from any thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle, Rectangle
    from matplotlib.patheffects import withStroke

    width, depth = site.map.size
    x0, y0 = site.map.origin
    scale = LARGEST / max(width, depth)
    figure = Figure(figsize=(max(6.0, width * scale + 0.6), max(3.0, depth * scale + 1.1)), layout="constrained")
    axes = FigureCanvasAgg(figure).figure.add_subplot()

    draw_map(axes, site)
    for pallet in pallets:
        corner, turn = pallet[:2] - np.array(PALLET) / 2, np.degrees(pallet[2])
        axes.add_patch(Rectangle(corner, *PALLET, angle=turn, rotation_point="center", fc="#c9a06a", ec="#6e4f22"))
    for station in site.stations:
        marker, colour = STATIONS.get(station.kind, ("o", "black"))
        axes.plot(station.x, station.y, marker, ms=6, mfc="white", mec=colour, mew=1.5, zorder=3)
        above = {"xytext": (0, 6), "textcoords": "offset points", "ha": "center", "fontsize": 7, "color": colour}
        halo = [withStroke(linewidth=2.5, foreground="white")]
        axes.annotate(station.name, (station.x, station.y), path_effects=halo, zorder=7, **above)
    for i, path in enumerate(paths):
        path, colour = np.asarray(path, float), COLOURS[i % len(COLOURS)]
        name = names[i] if names is not None else f"r{i + 1}"
        axes.plot(path[:, 0], path[:, 1], color=colour, lw=1.3, alpha=0.8, label=name, zorder=4)
        known = path[np.isfinite(path[:, :2]).all(axis=1)]
        if len(known):
            axes.add_patch(Circle(known[0, :2], radius, fill=False, ec=colour, lw=1.5, zorder=5))
            axes.add_patch(Circle(known[-1, :2], radius, fc=colour, ec="black", lw=0.8, alpha=0.9, zorder=5))
    for (of_people, standing), (what, look) in HITS.items():
        hits = [hit for hit in collisions if (hit.with_person, hit.walked_into) == (of_people, standing)]
        if hits:
            look = {"ls": "none", "mew": 1.2, "zorder": 6, "label": f"{what} ({len(hits)})", **look}
            axes.plot([hit.x for hit in hits], [hit.y for hit in hits], **look)
    axes.set(xlabel="x [m]", ylabel="y [m]", title=title, aspect="equal")
    axes.set_xlim(x0, x0 + width)
    axes.set_ylim(y0, y0 + depth)
    if len(paths) or collisions:
        figure.legend(loc="outside lower center", ncols=10, fontsize=8, frameon=False)
    figure.savefig(file, dpi=110, format="png")
