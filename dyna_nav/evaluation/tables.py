"""Results as text, as JSON and as one row per trip."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path

from dyna_nav.evaluation.benchmark import versions
from dyna_nav.evaluation.machine import machine
from dyna_nav.evaluation.results import EpisodeResult, Trip
from dyna_nav.evaluation.scenario import Scenario
from dyna_nav.site import Site
from dyna_nav.whole_file import write_whole

COLUMNS = (  # heading, key, format
    ("trips", "trips", "d"),
    ("unfinished", "unfinished", "d"),
    ("time [s]", "travel_time_mean_s", ".1f"),
    ("/ ideal", "travel_time_vs_ideal", ".3f"),
    ("p99", "ratio_p99", ".2f"),
    ("collisions", "collisions", "d"),
    ("near", "near_misses", "d"),
    ("stops", "stops", "d"),
    ("path/geod.", "path_length_vs_geodesic", ".3f"),
    ("jerk", "mean_abs_jerk", ".2f"),
    ("plan p50", "plan_ms_p50", ".1f"),
    ("p99 [ms]", "plan_ms_p99", ".1f"),
    ("x real", "real_time_factor", ".1f"),
)


def text(summary: dict) -> str:
    """The summary for people: a row per controller, a line per pair."""
    rows = [["controller", *(heading for heading, *_ in COLUMNS)]]
    for label, figures in summary["controllers"].items():
        cells = ["-" if figures[key] is None else format(figures[key], form) for _, key, form in COLUMNS]
        rows.append([label, *cells])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    for label, figures in summary["controllers"].items():
        lines += [f"{label}: {count} not finished: {why}" for why, count in figures["unfinished_because"].items()]
    for pair in summary["comparisons"]:
        if pair["travel_time_ratio"] is not None:
            low, high = pair["ci95"]
            interval = (
                "no interval"
                if low is None
                else f"{100 * pair['coverage_at_most']:.0f} % interval {low:.3f} to {high:.3f}"
            )
            lines.append(
                f"travel time of {pair['a']} over {pair['b']}: {pair['travel_time_ratio']:.3f}, {interval} "
                f"({pair['trips']} trips, {pair['clusters']} {pair['cluster']})"
            )
    return "\n".join(lines)


def described(scenario: Scenario, site: Site, seeds: list[int], command: str, episodes: int, asked: int) -> dict:
    """What was evaluated, with what, and by which command; and how many of the episodes asked for are in there."""
    return {
        "command": command,
        "complete": episodes == asked,
        "episodes": episodes,
        "episodes_asked": asked,
        "scenario": {key: value for key, value in dataclasses.asdict(scenario).items() if key != "site"},
        "site": {"name": site.name, "size_m": list(site.map.size), "stations": len(site.stations)},
        "seeds": seeds,
        "versions": versions(),
        "machine": machine(),
    }


def incidents(results: list[EpisodeResult]) -> list[dict]:
    """Every contact and every near miss: whose, when [s], with what, where [m, map frame], how fast [m/s]."""
    rows = []
    for result in results:
        whose = {"controller": result.controller, "seed": result.seed}
        for hit in result.collisions:
            kind = "walked_into" if hit.walked_into else "collision"
            rows.append(whose | {"kind": kind} | dataclasses.asdict(hit))
        rows += [whose | {"kind": "near_miss"} | dataclasses.asdict(near) for near in result.near_misses]
    return [{name: _cell(value) for name, value in row.items()} for row in rows]


def write_json(path: Path, content: dict) -> None:
    """Write the summary, atomically. Raises OSError."""
    write_whole(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_trips(path: Path, results: list[EpisodeResult]) -> None:
    """Write one row per trip (csv), atomically. Raises OSError."""
    names = [field.name for field in dataclasses.fields(Trip)]
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["controller", "seed", *names, "ratio"])
    for result in results:
        for trip in result.trips:
            values = [_cell(getattr(trip, name)) for name in (*names, "ratio")]
            writer.writerow([result.controller, result.seed, *values])
    write_whole(path, table.getvalue())


def _cell(value):
    return round(value, 4) if isinstance(value, float) else value
