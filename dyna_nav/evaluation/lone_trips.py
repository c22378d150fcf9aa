"""``python -m dyna_nav.evaluation.lone_trips``: how much faster every trip of a lone robot could have been.

Controllers drive the scenario ``empty`` in the benchmark's own episodes. Then every trip is solved as a whole for its
least time (``minimum_time.py``), from the state in which it began, with the ways of all controllers as first guesses.
A line for each trip goes to a CSV file; the table says what is lost, and where along the way.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from dyna_nav.evaluation import benchmark
from dyna_nav.evaluation.command import count, parse_seeds, with_packages
from dyna_nav.evaluation.controllers import parse_controllers
from dyna_nav.evaluation.minimum_time import MinimumTime, Motion
from dyna_nav.evaluation.progress import EvaluationProgress
from dyna_nav.evaluation.results import EpisodeResult, Trip
from dyna_nav.evaluation.scenario import Scenario, load_scenario, overridden
from dyna_nav.mdp import STEP, GoalTolerance, RobotModel, wrap_angle
from dyna_nav.planning.admissible import BrakingConfig
from dyna_nav.simulation.drawing import draw_map
from dyna_nav.site import Site
from dyna_nav.whole_file import check_writable
from dyna_nav.workers import run_jobs

SCENARIO = "empty"
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
    earlier = result.pose[before - 2, trip.robot, 2] if before > 1 else pose[0, 2]
    turned = wrap_angle(np.diff(pose[:, 2], prepend=earlier))
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
    """Markdown: what trips take, and what could be saved."""
    lines = [
        "| controller | trips | least / ideal | optimum / ideal | time / ideal | lost per trip "
        f"| on the first {END:g} m | between | on the last {END:g} m |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for label in dict.fromkeys(row.controller for row in rows):
        mine = [row for row in rows if row.controller == label and np.isfinite(row.optimum_s)]
        if not mine:
            continue
        ideal, least, optimum, travel, *lost = np.array([astuple(row)[3:] for row in mine]).T
        parts = [f"{np.nanmean(part):.2f} s" if np.isfinite(part).any() else "-" for part in lost]
        lines.append(
            f"| {label} | {len(mine)} | {least.sum() / ideal.sum():.3f} | {optimum.sum() / ideal.sum():.3f} "
            f"| {travel.sum() / ideal.sum():.3f} | {np.mean(travel - optimum):.2f} s | {' | '.join(parts)} |"
        )
    unsolved = sum(not np.isfinite(row.optimum_s) for row in rows)
    return "\n".join([*lines, f"\n{unsolved} of {len(rows)} trips without an optimum are left out."])


def draw(file: Path, site: Site, compared: list[Compared]) -> None:
    """Write a picture of the trips that lost most: as driven, coloured by speed, and the optimum as a line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

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


def main() -> None:
    """Drive, solve, and print what could be saved."""
    parser = argparse.ArgumentParser(description=__doc__)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--map", default="", metavar="M", help="map_server yaml")
    where.add_argument("--site", default="default", metavar="S", help="default or random:SEED")
    parser.add_argument("--controllers", default="dyna2,astar-fleet", metavar="A,B")
    parser.add_argument("--seeds", default="101-112", metavar="A-B")
    parser.add_argument("--trips", type=count, metavar="N", help="trips per seed (default: the scenario's)")
    parser.add_argument("--jobs", type=count, default=2, metavar="N", help="processes")
    parser.add_argument("--out", type=Path, default=Path("runs/lone_trips.csv"), help="CSV file, a line per trip")
    parser.add_argument("--picture", type=Path, help="picture of the trips that lost most")
    arguments = parser.parse_args()
    try:
        sys.exit(with_packages(_run, arguments))
    except (ValueError, OSError) as error:
        parser.exit(2, f"lone_trips: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "lone_trips: interrupted\n")


def _run(arguments: argparse.Namespace) -> int:
    controllers, seeds = parse_controllers(arguments.controllers), parse_seeds(arguments.seeds)
    scenario = overridden(load_scenario(SCENARIO), 1, arguments.trips, arguments.map or arguments.site)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    for file in filter(None, (arguments.out, arguments.picture)):
        check_writable(file)
    site = benchmark.check(scenario, controllers, seeds)
    with EvaluationProgress(len(seeds) * len(controllers), scenario.trips) as progress:
        results = benchmark.run_benchmark(scenario, controllers, seeds, arguments.jobs, progress.trip, progress.episode)
    of_seed = [tuple(result for result in results if result.seed == seed) for seed in seeds]
    compared: list[Compared] = []

    def keep(trips: list[Compared]) -> None:
        compared.extend(trips)
        print(f"lone_trips: {len(compared)} trips solved", file=sys.stderr, flush=True)

    run_jobs(compare, [Job(scenario, together) for together in of_seed], arguments.jobs, lambda: None, keep)
    compared.sort(key=lambda trip: (trip.row.controller, trip.row.seed, trip.row.trip))
    with arguments.out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Row)])
        for trip in compared:
            writer.writerow([f"{value:.4f}" if isinstance(value, float) else value for value in astuple(trip.row)])
    print(table([trip.row for trip in compared]))
    if arguments.picture:
        draw(arguments.picture, site, compared)
    return 0


if __name__ == "__main__":
    main()
