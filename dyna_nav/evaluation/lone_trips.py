"""How much faster the trips of a lone robot could have been: as they were driven, beside their optimum, and where they
lost time to it. Every trip is solved as a whole (``minimum_time.py``) from the state in which it began, with the ways
of all controllers as first guesses.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dyna_nav.evaluation import benchmark
from dyna_nav.evaluation.minimum_time import MinimumTime, Motion
from dyna_nav.evaluation.plots import CARRIED
from dyna_nav.evaluation.results import EpisodeResult, Trip
from dyna_nav.evaluation.scenario import Scenario
from dyna_nav.mdp import STEP, GoalTolerance, RobotModel, wrap_angle
from dyna_nav.planning.admissible import BrakingConfig
from dyna_nav.simulation.drawing import draw_map
from dyna_nav.site import Site
from dyna_nav.whole_file import write_whole

END = 3.0  # of the way at either end of a trip that is told apart [m]
BESIDE = 1.5  # who is farther from the optimum's way has taken another one [m]
SHOWN = 6  # trips in the picture


@dataclass(frozen=True)
class Row:
    """What became of one trip; NaN where no optimum was found, or its way is too short or another one to tell parts."""

    controller: str
    seed: int
    trip: int
    ideal_s: float
    least_s: float
    optimum_s: float
    travel_s: float
    lost_first_s: float  # on the first metres of the way
    lost_middle_s: float
    lost_last_s: float


@dataclass(frozen=True, eq=False)
class Compared:
    """One trip as it was driven, and as it could have been (None: not found)."""

    row: Row
    driven: Motion
    optimum: Motion | None


@dataclass(frozen=True)
class Job:
    """The trips of one seed, driven by every controller."""

    scenario: Scenario
    results: tuple[EpisodeResult, ...]


def motion_of(result: EpisodeResult, trip: Trip, start: np.ndarray) -> Motion:
    """A trip as it was driven; start [3]: where the robot stood before its first step."""
    before = round(trip.assigned_s / STEP)  # steps
    last = before + round(trip.travel_s / STEP)
    pose = np.concatenate([start[None], result.pose[:, trip.robot]])[before : last + 1].astype(float)
    speed = np.append(0.0, result.speed[:, trip.robot])[before : last + 1].astype(float)
    earlier = result.pose[before - 2, trip.robot] if before > 1 else pose[0]
    if np.hypot(*(pose[0] - earlier)[:2]) > CARRIED:  # it was put here, after a trip that was given up
        earlier = pose[0]
    turned = wrap_angle(np.diff(pose[:, 2], prepend=earlier[2]))
    return Motion(trip.travel_s, pose, speed, turned / STEP)


def compare(job: Job, on_trip: Callable[[], None] = lambda: None) -> list[Compared]:
    """Solve every trip of a seed that was finished."""
    site = benchmark.site_of(job.scenario)
    course = benchmark.course_of(site, job.scenario, job.results[0].seed)
    solver, tasks = MinimumTime(site, RobotModel(), GoalTolerance(), BrakingConfig().margin), course.tasks
    compared = []
    start = tasks.places[tasks.starts[0]]
    for trips in zip(*(result.trips for result in job.results), strict=True):
        goal = tasks.places[tasks.goals[0][trips[0].trip]]
        motions = [motion_of(result, trip, start) for result, trip in zip(job.results, trips, strict=True)]
        for result, trip, motion in zip(job.results, trips, motions, strict=True):
            if trip.finished:
                others = [other for other in motions if other is not motion]
                optimum = solver.solve(goal, [motion, *others])
                compared.append(Compared(_row(result, trip, motion, optimum), motion, optimum))
        on_trip()
    return compared


def _row(result: EpisodeResult, trip: Trip, driven: Motion, optimum: Motion | None) -> Row:
    lost = (np.nan,) * 3
    if optimum is not None:
        lost = tuple(np.subtract(_parts(driven, optimum), _parts(optimum, optimum)))
    return Row(
        result.controller, result.seed, trip.trip, trip.ideal_s, trip.least_s,
        np.nan if optimum is None else optimum.time, trip.travel_s, *lost,
    )  # fmt: skip


def _parts(motion: Motion, along: Motion) -> tuple[float, float, float]:
    """Times [s] on the first metres of a way, between, and on the last ones, by the nearest places on it; or NaN."""
    way = along.pose[:, :2]
    to_go = np.append(np.cumsum(np.hypot(*np.diff(way, axis=0).T)[::-1])[::-1], 0.0)
    apart = np.hypot(*(motion.pose[:, None, :2] - way[None]).transpose(2, 0, 1))
    if to_go[0] < 3.0 * END or apart.min(axis=1).max() > BESIDE:
        return (np.nan,) * 3
    rest = to_go[apart.argmin(axis=1)]
    step = motion.time / (len(motion.pose) - 1)
    first, last = step * np.argmax(rest < to_go[0] - END), step * np.argmax(rest < END)
    return first, last - first, motion.time - last


def table(rows: list[Row]) -> str:
    """Markdown: what trips take, and what could be saved, on the trips of which every controller has an optimum."""
    labels = list(dict.fromkeys(row.controller for row in rows))
    solved = {(row.controller, row.seed, row.trip) for row in rows if np.isfinite(row.optimum_s)}
    kept = [row for row in rows if all((label, row.seed, row.trip) in solved for label in labels)]
    lines = [
        "| controller | trips | least / ideal | optimum / ideal | time / ideal | lost per trip | trips with parts "
        f"| lost on the first {END:g} m | between | on the last {END:g} m |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for label in labels if kept else ():
        figures = np.array([astuple(row)[3:] for row in kept if row.controller == label])
        ideal, least, optimum, travel = figures[:, :4].sum(axis=0)
        lost = figures[np.isfinite(figures[:, 4:]).all(axis=1), 4:]
        parts = [f"{part:.2f} s" for part in lost.mean(axis=0)] if len(lost) else ["-"] * 3
        lines.append(
            f"| {label} | {len(figures)} | {least / ideal:.3f} | {optimum / ideal:.3f} | {travel / ideal:.3f} "
            f"| {(travel - optimum) / len(figures):.2f} s | {len(lost)} | {' | '.join(parts)} |"
        )
    left = f"{len(rows) - len(kept)} of {len(rows)} trips are left out: not finished by all, or no optimum was found."
    return "\n".join([*lines, "", left])


def write(file: Path, compared: list[Compared]) -> None:
    """Write a row for each trip (csv). Raises OSError."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    for trip in compared:
        writer.writerow([f"{value:.4f}" if isinstance(value, float) else value for value in astuple(trip.row)])
    write_whole(file, text.getvalue())


def draw(file: Path, site: Site, compared: list[Compared]) -> None:
    """Write a picture of the trips that lost most: as driven, coloured by speed, and the optimum as a line."""
    solved = [trip for trip in compared if trip.optimum is not None]
    most = sorted(solved, key=lambda trip: trip.optimum.time - trip.driven.time)[:SHOWN]
    figure = Figure(figsize=(15.0, 9.0), layout="constrained")
    grid = FigureCanvasAgg(figure).figure.subplots(2, SHOWN // 2).ravel()
    for axes, trip in zip(grid, most, strict=False):
        row, way, best = trip.row, trip.driven.pose, trip.optimum.pose
        draw_map(axes, site)
        dots = axes.scatter(way[:, 0], way[:, 1], c=trip.driven.speed, s=9, cmap="viridis", vmin=0, vmax=1.5, zorder=3)
        axes.plot(best[:, 0], best[:, 1], color="#d1102b", lw=1.0, zorder=4)
        axes.plot(*way[0, :2], "o", ms=7, mfc="white", mec="black", zorder=5)
        both = np.concatenate([way, best])[:, :2]
        low, high = both.min(axis=0) - 2.0, both.max(axis=0) + 2.0
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        axes.set_title(
            f"{row.controller}, seed {row.seed}, trip {row.trip}: {row.travel_s:.1f} s, optimum {row.optimum_s:.1f} s",
            fontsize=10,
        )
    for axes in grid[len(most) :]:
        axes.remove()
    if most:
        figure.colorbar(dots, ax=figure.axes, label="speed driven [m/s]", shrink=0.6)
    figure.suptitle(f"The trips that lost most on {site.name}; red: the optimum from the same start")
    figure.savefig(file, dpi=90)
