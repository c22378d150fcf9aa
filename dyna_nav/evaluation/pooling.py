"""Figures over several runs taken together: the same sums as of one run, over all their trips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dyna_nav.evaluation.campaign_results import Result
from dyna_nav.evaluation.statistics import Interval, clusters_of, ratio_of_sums

WITHIN = 3.0  # times ideal
COLUMNS = ("travel_s", "ideal_s", "least_s", "mean_abs_jerk", "finished", "driven")
SUMS = ("unfinished", "collisions", "collisions_with_still", "people_hit_moving", "people_hit_standing", "near_misses")
OF_TRIPS = (  # without a trip there are none
    "travel_time_vs_ideal", "least_vs_ideal", "ratio_p99", "trips_within_3x", "collisions_per_traversal",
    "mean_abs_jerk", "plan_ms_p99", "wait_ms_p99", "real_time_factor",
)  # fmt: skip


@dataclass(frozen=True)
class PooledRatio:
    """Travel time of one controller over another's, on the trips that both made."""

    interval: Interval
    clusters: int
    unit: str  # what the clusters are


def pooled_figures(results: list[Result], label: str) -> dict:
    """A controller's figures over all runs in which it drove, by the keys of a summary; None for what is unknown.

    Ratios are sums over sums, quantiles those of all trips; planning and waiting times are those of the slowest run.
    """
    runs = [result for result in results if label in result.trips]
    figures = [result.summary["controllers"][label] for result in runs]
    columns = {name: np.concatenate([run.trips[label][name] for run in runs] or [[]]) for name in COLUMNS}
    totals = {key: sum(f[key] for f in figures) for key in SUMS} | {
        "trips": len(columns["travel_s"]),
        "episodes": sum(len(run.summary["seeds"]) for run in runs),
    }
    if not totals["trips"]:
        return dict.fromkeys(OF_TRIPS) | totals
    ratio, driven = columns["travel_s"] / columns["ideal_s"], columns["driven"].astype(bool)
    simulated = sum(f["simulated_s"] for f in figures)
    spent = sum(
        f["simulated_s"] / f["real_time_factor"] / run.made["processes"] for f, run in zip(figures, runs, strict=True)
    )
    return totals | {
        "travel_time_vs_ideal": float(columns["travel_s"].sum() / columns["ideal_s"].sum()),
        "least_vs_ideal": float(columns["least_s"].sum() / columns["ideal_s"].sum()),
        "ratio_p99": float(np.quantile(ratio, 0.99)),
        "trips_within_3x": float(np.mean(columns["finished"].astype(bool) & (ratio <= WITHIN))),
        "collisions_per_traversal": totals["collisions"] / totals["trips"],
        "mean_abs_jerk": float(columns["mean_abs_jerk"][driven].mean()) if driven.any() else None,
        "plan_ms_p99": max(f["plan_ms_p99"] for f in figures),
        "wait_ms_p99": max((f["wait_ms_p99"] for f in figures if f["wait_ms_p99"] is not None), default=None),
        "real_time_factor": simulated / spent,
    }


def pooled_ratio(results: list[Result], a: str, b: str) -> PooledRatio | None:
    """Travel time of a over that of b, paired by run, seed, robot and trip; None when no trip was made by both.

    The bootstrap draws whole seeds of sites, or, when there are too few, the robots of each.
    """
    ours, theirs, episodes, robots = [], [], [], []
    for number, result in enumerate(results):
        if a not in result.trips or b not in result.trips:
            continue
        trips_a, trips_b = _keyed(result.trips[a]), _keyed(result.trips[b])
        for key in sorted(trips_a.keys() & trips_b.keys()):
            ours.append(trips_a[key])
            theirs.append(trips_b[key])
            episodes.append((number, key[0]))
            robots.append(key[1])
    if not ours:
        return None
    numbers = {episode: k for k, episode in enumerate(dict.fromkeys(episodes))}
    clusters, unit = clusters_of(np.array([numbers[episode] for episode in episodes]), np.array(robots))
    return PooledRatio(ratio_of_sums(ours, theirs, clusters), int(clusters.max()) + 1, unit)


def _keyed(trips: dict[str, np.ndarray]) -> dict[tuple[int, int, int], float]:
    keys = zip(*(trips[name].astype(int).tolist() for name in ("seed", "robot", "trip")), strict=True)
    return dict(zip(keys, trips["travel_s"].tolist(), strict=True))
