"""Many episodes: every controller on every seed of one scenario and site, side by side, and their summary."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from itertools import combinations

import numpy as np

from dyna_nav import __version__
from dyna_nav.evaluation.controllers import ControllerName, make_named
from dyna_nav.evaluation.corridor import corridor_site
from dyna_nav.evaluation.course import Course, draw_course
from dyna_nav.evaluation.driver import ControllerError, Driver
from dyna_nav.evaluation.episode import Episode
from dyna_nav.evaluation.results import EpisodeResult, Trip
from dyna_nav.evaluation.scenario import Scenario
from dyna_nav.evaluation.statistics import Interval, clusters_of, highest_coverage, mean_difference, ratio_of_sums
from dyna_nav.mdp import STEP, RobotModel
from dyna_nav.simulation import Collision
from dyna_nav.simulation.collisions import HIT_MOVING
from dyna_nav.site import Site, resolve_site
from dyna_nav.workers import run_jobs

STANDING_THINGS = ("wall", "pallet")
STOOD = 1.0  # a robot that was slower than HIT_MOVING for so long before a contact is a thing that stands still [s]
PACKAGES = ("numpy", "scipy", "numba", "mujoco", "onnxruntime", "onnxruntime-gpu")
OUTSIDERS = ("torch", "pytorch-mppi", "pyrvo")  # what controllers of others come with, where it is installed
DIFFERENCES = {  # per trip, a minus b
    "travel_time_s": lambda trip: trip.travel_s,
    "travel_time_vs_ideal": lambda trip: trip.ratio,
    "path_length_m": lambda trip: trip.path_length_m,
    "collisions": lambda trip: trip.collisions,
    "near_misses": lambda trip: trip.near_misses,
    "mean_abs_jerk": lambda trip: trip.mean_abs_jerk,
    "unfinished": lambda trip: not trip.finished,
}


@dataclass(frozen=True)
class Job:
    """One episode to run."""

    controller: ControllerName
    scenario: Scenario
    seed: int


def site_of(scenario: Scenario) -> Site:
    """The site that a scenario happens on. Raises SiteError."""
    return corridor_site(scenario.corridor) if scenario.corridor is not None else resolve_site(scenario.site)


def course_of(site: Site, scenario: Scenario, seed: int) -> Course:
    """The course of a seed. Raises ValueError naming the seed: the next one's places may be others."""
    try:
        return draw_course(site, scenario, seed, RobotModel())
    except ValueError as error:
        raise ValueError(f"seed {seed}: {error}") from None


def run_job(job: Job, on_trip: Callable[[], None] = lambda: None) -> EpisodeResult:
    """Run one episode in this process.

    Raises ValueError, one sentence, for what cannot be run or is no answer of a controller; RuntimeError for a mistake
    in a controller or in the evaluation itself.
    """
    course = course_of(site_of(job.scenario), job.scenario, job.seed)
    episode = Episode(course, make_named(job.controller), job.controller.label, on_trip=on_trip)
    try:
        return episode.run()
    except ControllerError:
        raise
    except (ValueError, OSError) as error:  # all that was given has been accepted: this is nobody's input
        raise RuntimeError(f"episode of {job.controller.label!r} on seed {job.seed} failed") from error


def check(scenario: Scenario, controllers: list[ControllerName], seeds: list[int]) -> Site:
    """The site of an evaluation of which everything can be made. Raises ValueError, one sentence, for what cannot."""
    site = site_of(scenario)
    course_of(site, scenario, seeds[0])
    for name in controllers:
        Driver(make_named(name), name.label, seeds[0], scenario.robots).close()
    return site


def run_benchmark(
    scenario: Scenario,
    controllers: list[ControllerName],
    seeds: list[int],
    processes: int,
    on_trip: Callable[[], None] = lambda: None,
    on_episode: Callable[[EpisodeResult], None] = lambda result: None,
) -> list[EpisodeResult]:
    """Every controller on every seed, seeds first; the order of the results does not depend on the processes."""
    jobs = [Job(controller, scenario, seed) for seed in seeds for controller in controllers]
    return run_jobs(run_job, jobs, processes, on_trip, on_episode)


def summarise(results: list[EpisodeResult]) -> dict:
    """Figures of each controller and of each pair, as the JSON file holds them.

    A trip that was not finished counts with its timeout as travel time, everywhere: giving up does not pay.
    """
    labels = list(dict.fromkeys(result.controller for result in results))
    by_label = {label: [result for result in results if result.controller == label] for label in labels}
    return {
        "controllers": {label: _figures(runs) for label, runs in by_label.items()},
        "comparisons": [_comparison(a, b, by_label[a], by_label[b]) for a, b in combinations(labels, 2)],
    }


def versions() -> dict[str, str]:
    """What the figures depend on."""
    found = {"dyna_nav": __version__, "python": platform.python_version(), "machine": platform.machine()}
    for name in (*PACKAGES, *OUTSIDERS):  # what is not installed is not named: there are several onnxruntimes
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _figures(runs: list[EpisodeResult]) -> dict:
    trips = [trip for run in runs for trip in run.trips]
    finished = [trip for trip in trips if trip.finished]
    hits = [hit for run in runs for hit in run.collisions]
    walked_into = sum(hit.walked_into for hit in hits)
    people = sum(hit.with_person for hit in hits)
    collisions = len(hits) - walked_into
    plan = np.concatenate([run.plan_ms for run in runs])
    waits = np.concatenate([run.wait_ms for run in runs])
    simulated, wall = sum(run.simulated_s for run in runs), sum(run.wall_s for run in runs)
    travel, ideal = sum(trip.travel_s for trip in trips), sum(trip.ideal_s for trip in trips)
    reasons: dict[str, float] = {}
    for run in runs:
        for reason, seconds in run.stop_reasons.items():
            reasons[reason] = round(reasons.get(reason, 0.0) + seconds, 1)
    return {
        "trips": len(trips),
        "unfinished": len(trips) - len(finished),
        "unfinished_because": _tally(trip.note for trip in trips if not trip.finished),
        "void_trips": sum(run.void_trips for run in runs),
        "travel_time_mean_s": _rounded(_mean([trip.travel_s for trip in trips])),
        "travel_time_mean_finished_s": _rounded(_mean([trip.travel_s for trip in finished])),
        "travel_time_vs_ideal": _rounded(travel / ideal if ideal else None),
        "least_vs_ideal": _rounded(sum(trip.least_s for trip in trips) / ideal if ideal else None),
        "ratio_p50": _rounded(_quantile(trips, 0.5)),
        "ratio_p99": _rounded(_quantile(trips, 0.99)),
        "ratio_max": _rounded(_quantile(trips, 1.0)),
        "trips_within_3x": _rounded(_mean([float(trip.finished and trip.ratio <= 3.0) for trip in trips])),
        "collisions": collisions,
        "collisions_per_traversal": _rounded(collisions / len(trips) if trips else None, 6),
        "collisions_with": _count(hit.other for hit in hits if not hit.with_person),
        "collisions_with_still": sum(_with_still(hit, run) for run in runs for hit in run.collisions),
        "people_hit_moving": people - walked_into,
        "people_hit_standing": walked_into,
        "near_misses": sum(len(run.near_misses) for run in runs),
        "near_misses_with": _count(near.other for run in runs for near in run.near_misses),
        "stops": sum(len(run.stops) for run in runs),
        "stop_reasons_s": reasons,
        "path_length_mean_m": _rounded(_mean([trip.path_length_m for trip in trips if trip.driven])),
        "path_length_vs_geodesic": _rounded(
            sum(trip.path_length_m for trip in finished) / sum(trip.geodesic_m for trip in finished)
            if finished
            else None
        ),
        "mean_abs_jerk": _rounded(_mean([trip.mean_abs_jerk for trip in trips if trip.driven])),
        "plan_ms_p50": _rounded(float(np.percentile(plan, 50))),
        "plan_ms_p99": _rounded(float(np.percentile(plan, 99))),
        "wait_ms_p99": _rounded(float(np.percentile(waits, 99)) if len(waits) else None),
        "simulated_s": round(simulated, 1),
        "real_time_factor": _rounded(simulated / wall),
        "real_time_factor_cpu": _rounded(simulated / sum(run.cpu_s for run in runs)),
        "version": runs[0].version,
    }


def _with_still(hit: Collision, run: EpisodeResult) -> bool:
    """Whether a contact was with the hall, a pallet, or a robot that had stood for a while."""
    kind, _, other = hit.other.partition(":")
    if kind != "robot":
        return kind in STANDING_THINGS
    before = int(hit.time / STEP)
    speeds = np.abs(run.speed[max(0, before - round(STOOD / STEP)) : before])
    return bool(len(speeds)) and bool((speeds[:, [hit.robot, int(other)]] < HIT_MOVING).all(axis=0).any())


def _comparison(a: str, b: str, runs_a: list[EpisodeResult], runs_b: list[EpisodeResult]) -> dict:
    """Figures over the trips that both made: the same robot's same trip on the same seed.

    A single cluster has no interval: nothing in it tells how much another would differ.
    """
    trips_a, trips_b = _keyed(runs_a), _keyed(runs_b)
    keys = sorted(trips_a.keys() & trips_b.keys())
    if not keys:
        return {"a": a, "b": b, "travel_time_ratio": None, "ci95": [None, None], "trips": 0}
    clusters, unit = clusters_of(np.array([key[0] for key in keys]), np.array([key[1] for key in keys]))
    pairs = [(trips_a[key], trips_b[key]) for key in keys]
    ratio = ratio_of_sums([x.travel_s for x, _ in pairs], [y.travel_s for _, y in pairs], clusters)
    several = clusters.max() > 0
    return {
        "a": a,
        "b": b,
        "travel_time_ratio": _rounded(ratio.value),
        "ci95": _bounds(ratio, several),
        "coverage_at_most": highest_coverage(int(clusters.max()) + 1) if several else None,
        "trips": len(keys),
        "clusters": int(clusters.max()) + 1,
        "cluster": unit,
        "differences": {
            name: _difference(mean_difference([of(x) for x, _ in pairs], [of(y) for _, y in pairs], clusters), several)
            for name, of in DIFFERENCES.items()
        },
    }


def _keyed(runs: list[EpisodeResult]) -> dict[tuple[int, int, int], Trip]:
    return {(run.seed, trip.robot, trip.trip): trip for run in runs for trip in run.trips}


def _difference(interval: Interval, several: bool) -> dict:
    return {"mean": _rounded(interval.value), "ci95": _bounds(interval, several)}


def _bounds(interval: Interval, several: bool) -> list[float | None]:
    """The ends of an interval from several clusters."""
    return [_rounded(interval.low), _rounded(interval.high)] if several else [None, None]


def _count(others) -> dict[str, int]:
    """How often each kind of thing occurs: wall, robot, pallet, walker."""
    return _tally(other.partition(":")[0] for other in others)


def _tally(words: Iterable[str]) -> dict[str, int]:
    """How often each word occurs."""
    return dict(sorted(Counter(words).items()))


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _quantile(trips: list[Trip], share: float) -> float | None:
    return float(np.quantile([trip.ratio for trip in trips], share)) if trips else None


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), digits)
