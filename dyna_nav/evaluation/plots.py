"""Pictures of an evaluation: how long trips took, how fast and where robots drove, where they hit, grazed and stood.

Drawn on figures of their own, not with pyplot: no global state and no window system.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dyna_nav.evaluation.figures import PICTURES
from dyna_nav.evaluation.results import EpisodeResult
from dyna_nav.mdp import RobotModel
from dyna_nav.simulation.drawing import COLOURS, PALLET, draw_map
from dyna_nav.site import Site

CELL = 0.25  # of the speed map [m]
CARRIED = 0.5  # who is elsewhere a step later has not driven there [m]
LARGEST_RATIO = 4.0  # right edge of the distribution of travel times
WIDEST = 15.0  # of a figure [inch]
DPI = 110
QUIET = "#5b6470"
STOPS = {"color": "#1f6fb4", "alpha": 0.35, "linewidths": 0}
NEAR_MISSES = {"marker": "D", "color": "#e08a1e", "edgecolors": "white", "linewidths": 0.5}
COLLISIONS = {"marker": "*", "color": "#d1102b", "edgecolors": "white", "linewidths": 0.7}


def draw_all(
    folder: Path,
    site: Site,
    results: list[EpisodeResult],
    scenario: str,
    plots: Sequence[str] = tuple(PICTURES),
    dpi: int = DPI,
) -> list[Path]:
    """Write plots (keys of PICTURES) into a folder; returns the files. Raises OSError when one cannot be written."""
    by_label: dict[str, list[EpisodeResult]] = {}
    for result in results:
        by_label.setdefault(result.controller, []).append(result)
    title = f"{scenario} on {site.name}"
    drawing = {
        "travel_times": lambda: draw_travel_times(by_label, title),
        "speed_map": lambda: draw_speed_maps(site, by_label, title),
        "trajectories": lambda: draw_trajectories(site, by_label, title),
        "incidents": lambda: draw_incidents(site, by_label, title),
    }
    paths = []
    for name in plots:
        paths.append(folder / f"{name}.png")
        drawing[name]().savefig(paths[-1], dpi=dpi)
    return paths


def draw_travel_times(by_label: dict[str, list[EpisodeResult]], title: str) -> Figure:
    """Share of the trips that took at most so many times their ideal time; what was not finished never arrives."""
    figure = Figure(figsize=(8.0, 4.8), layout="constrained")
    axes = FigureCanvasAgg(figure).figure.add_subplot()
    ratios = {
        label: np.sort([trip.ratio if trip.finished else np.inf for run in runs for trip in run.trips])
        for label, runs in by_label.items()
    }
    finished = np.concatenate([values[np.isfinite(values)] for values in ratios.values()])
    right = min(LARGEST_RATIO, 1.05 * float(finished.max())) if len(finished) else LARGEST_RATIO
    for k, (label, values) in enumerate(ratios.items()):
        colour = COLOURS[k % len(COLOURS)]
        reached = values[values <= right]
        x = np.concatenate([[1.0], reached, [right]])
        y = np.concatenate([[0.0], np.arange(1, len(reached) + 1), [len(reached)]]) / max(1, len(values))
        middle = float(np.median([trip.ratio for run in by_label[label] for trip in run.trips] or [math.nan]))
        beyond = len(values) - len(reached)
        named = f"{label}: median {middle:.2f}" + (f", {beyond} of {len(values)} beyond" if beyond else "")
        width = 1.8 + 1.6 * (len(ratios) - 1 - k)  # the first are widest: equal curves stay to be seen below each other
        axes.step(x, 100 * y, where="post", color=colour, lw=width, label=named)
        if math.isfinite(middle) and middle <= right:
            axes.plot(middle, 50, "o", color=colour, ms=6, mec="white", mew=1.0, zorder=4)
    axes.set(
        xlim=(min([1.0, *(values[0] for values in ratios.values() if len(values))]), right), ylim=(0, 101),
        xlabel="travel time / ideal (shortest way at full speed)", ylabel="trips [%]", title=title,
    )  # fmt: skip
    axes.grid(color="#dfe3e8", lw=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=True, framealpha=0.9, edgecolor="none")
    return figure


def draw_speed_maps(site: Site, by_label: dict[str, list[EpisodeResult]], title: str) -> Figure:
    """Mean speed of robots under way in every cell of the site."""
    full = RobotModel().max_speed
    image = []

    def panel(axes: Axes, runs: list[EpisodeResult]) -> str:
        x0, y0 = site.map.origin
        width, depth = site.map.size
        shape = (math.ceil(width / CELL), math.ceil(depth / CELL))
        extent = [[x0, x0 + shape[0] * CELL], [y0, y0 + shape[1] * CELL]]
        at = np.concatenate([run.pose[run.driving][:, :2] for run in runs])
        speed = np.abs(np.concatenate([run.speed[run.driving] for run in runs]))
        visits, *_ = np.histogram2d(at[:, 0], at[:, 1], shape, extent)
        total, *_ = np.histogram2d(at[:, 0], at[:, 1], shape, extent, weights=speed)
        mean = np.divide(total, visits, out=np.full(shape, np.nan), where=visits > 0)
        image.append(
            axes.imshow(
                mean.T, origin="lower", extent=(*extent[0], *extent[1]), cmap="turbo_r", vmin=0, vmax=full,
                interpolation="nearest", zorder=2,
            )
        )  # fmt: skip
        return f"mean {speed.mean():.2f} m/s under way" if len(speed) else "nobody drove"

    figure = _panels(site, by_label, f"Mean speed: {title}", panel)
    figure.colorbar(image[0], ax=figure.axes, label="mean speed [m/s]", shrink=0.7, pad=0.01)
    return figure


def draw_trajectories(site: Site, by_label: dict[str, list[EpisodeResult]], title: str) -> Figure:
    """The ways driven on the first seed, a colour for each robot."""

    def panel(axes: Axes, runs: list[EpisodeResult]) -> str:
        run = runs[0]
        for robot in range(run.pose.shape[1]):
            way, colour = run.pose[:, robot, :2], COLOURS[robot % len(COLOURS)]
            carried = np.flatnonzero(np.hypot(*np.diff(way, axis=0).T) > CARRIED) + 1
            driven = np.insert(way, carried, np.nan, axis=0)
            axes.plot(driven[:, 0], driven[:, 1], color=colour, lw=1.1, alpha=0.75, zorder=3, label=f"r{robot + 1}")
            axes.plot(*way[0], "o", ms=5, mfc="white", mec=colour, mew=1.4, zorder=5)
            axes.plot(*way[-1], "o", ms=5, color=colour, mec="black", mew=0.6, zorder=5)
        for walker in range(run.walkers.shape[1]):
            way = run.walkers[:, walker]
            named = "people" if walker == 0 else None
            axes.plot(way[:, 0], way[:, 1], color="black", lw=0.7, ls=":", alpha=0.6, zorder=2, label=named)
        _draw_pallets(axes, run.pallets)
        return f"seed {run.seed}, {run.simulated_s:.0f} s"

    figure = _panels(site, by_label, f"Ways driven: {title}", panel)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=12, frameon=False)
    return figure


def draw_incidents(site: Site, by_label: dict[str, list[EpisodeResult]], title: str) -> Figure:
    """Where robots collided, came nearer than a near miss to something, and stood although they had a goal."""

    def panel(axes: Axes, runs: list[EpisodeResult]) -> str:
        hits = [hit for run in runs for hit in run.collisions if not hit.walked_into]
        near = [miss for run in runs for miss in run.near_misses]
        stops = [stop for run in runs for stop in run.stops]
        for run in runs:
            _draw_pallets(axes, run.pallets, alpha=0.35)
        areas = [12 + 4 * min(stop.seconds, 60) for stop in stops]
        axes.scatter([stop.x for stop in stops], [stop.y for stop in stops], s=areas, zorder=3, **STOPS)
        axes.scatter([miss.x for miss in near], [miss.y for miss in near], s=26, zorder=4, **NEAR_MISSES)
        axes.scatter([hit.x for hit in hits], [hit.y for hit in hits], s=150, zorder=5, **COLLISIONS)
        return f"{len(hits)} collisions, {len(near)} near misses, {len(stops)} stops"

    figure = _panels(site, by_label, f"Incidents: {title}", panel)
    axes = figure.axes[0]  # samples of their own: a controller may have had no stop at all
    samples = [axes.scatter([], [], s=90, **look) for look in (STOPS, NEAR_MISSES, COLLISIONS)]
    names = ["stop (area: its duration)", "near miss", "collision"]
    figure.legend(samples, names, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _panels(
    site: Site,
    by_label: dict[str, list[EpisodeResult]],
    title: str,
    panel: Callable[[Axes, list[EpisodeResult]], str],
) -> Figure:
    """A figure with the site's map once per controller; panel draws on it and returns what to say of it."""
    width, depth = site.map.size
    columns = 1 if len(by_label) == 1 or width > 3 * depth else 2
    rows = math.ceil(len(by_label) / columns)
    each = WIDEST / columns if columns > 1 else 11.0
    figure = Figure(figsize=(each * columns, rows * (0.92 * each * depth / width + 0.45) + 1.0), layout="constrained")
    grid = FigureCanvasAgg(figure).figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, (label, runs) in zip(grid, by_label.items(), strict=False):
        _draw_site(axes, site)
        axes.set_title(f"{label}: {panel(axes, runs)}", fontsize=10, loc="left")
    for axes in grid[len(by_label) :]:
        axes.remove()
    for k, axes in enumerate(grid[: len(by_label)]):
        axes.set_ylabel("y [m]" if k % columns == 0 else "")
        axes.set_xlabel("x [m]" if k + columns >= len(by_label) else "")
        axes.tick_params(labelbottom=k + columns >= len(by_label))
    figure.get_layout_engine().set(h_pad=0.12)
    figure.suptitle(title)
    return figure


def _draw_site(axes: Axes, site: Site) -> None:
    (x0, y0), (width, depth) = site.map.origin, site.map.size
    draw_map(axes, site)
    for station in site.stations:
        axes.plot(station.x, station.y, "s", ms=3.5, mfc="none", mec=QUIET, mew=0.9, zorder=2.5)
    axes.set(xlim=(x0, x0 + width), ylim=(y0, y0 + depth), aspect="equal")
    axes.tick_params(labelsize=8)


def _draw_pallets(axes: Axes, pallets: np.ndarray, alpha: float = 0.8) -> None:
    for x, y, yaw in pallets:
        corner = np.array([x, y]) - np.array(PALLET) / 2
        box = Rectangle(
            corner, *PALLET, angle=float(np.degrees(yaw)), rotation_point="center", fc="#c9a06a", ec="#6e4f22",
            alpha=alpha, zorder=2.2,
        )  # fmt: skip
        axes.add_patch(box)
