"""``python -m dyna_nav.evaluation.baseline_sweep``: tunes the baseline, one parameter at a time, on unreported sites.

Every candidate drives the same trips (``CASES``) in the benchmark's own episodes: alone, in crossing flows, among
pallets and in corridors. What counts is travel time over ideal time, a trip that was given up with its timeout, as in
every evaluation; what a candidate is worth is told by its cases paired with those of the defaults. Results are appended
to a CSV file; what is in it already is not driven again, unless another state of the source drove it.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path

import numpy as np

from dyna_nav.baselines.controller import AStarController, BaselineConfig
from dyna_nav.evaluation.benchmark import course_of, site_of
from dyna_nav.evaluation.episode import Episode
from dyna_nav.evaluation.scenario import load_scenario, overridden
from dyna_nav.parameters import check
from dyna_nav.whole_file import check_writable, make_folder
from dyna_nav.workers import run_jobs
from dyna_nav.world_model.source_key import source_key

SWEEP = {  # parameter: values that are tried beside the default, what was close in earlier sweeps first
    "costmap.cost_scaling": (2.0, 6.0),
    "costmap.cost_weight": (0.8, 3.0),
    "costmap.inflation_radius": (0.3, 1.0),
    "pursuit.lookahead_time": (0.6, 1.0),
    "monitor.slow_share": (0.4, 1.0),
    "recovery.patience": (1.5, 5.0),
    "recovery.retreat_time": (3.0, 12.0),
    "traffic.predict_cost": (6.0, 24.0),
    "traffic.keep_right": (0.0, 0.8),
    "replan_period": (0.5, 2.0),
    "monitor.robot_margin": (0.06, 0.14),
    "monitor.time_to_collision": (0.6,),
    "monitor.yield_time": (0.5, 1.5),
    "recovery.wait": (0.5, 4.0),
    "pursuit.lookahead_min": (0.6, 1.2),
    "pursuit.proximity_speed": (0.5, 1.0),
    "pursuit.launch_angle": (0.3, 1.0),
    "recovery.circling": (6.0, 25.0),
    "costmap.memory": (5.0, 60.0, 300.0),
}
DRIVEN_BY = (  # source that the figures depend on
    "mdp.py", "controller.py", "site", "simulation", "baselines", "planning/admissible.py", "planning/obstacles.py",
    "safety/braking.py", "evaluation/carrying.py", "evaluation/corridor.py", "evaluation/course.py",
    "evaluation/driver.py", "evaluation/episode.py", "evaluation/happenings.py", "evaluation/incidents.py",
    "evaluation/scenario.py", "evaluation/tasks.py",
    *(f"evaluation/scenarios/{name}.yaml" for name in ("busy", "empty", "head_on", "head_on_narrow", "pallets",
    "stalled")),
)  # fmt: skip
DEFAULT = "default"
COLUMNS = ("candidate", "case", "group", "travel_s", "ideal_s", "trips", "unfinished", "collisions", "slowest", "code")


@dataclass(frozen=True)
class Case:
    """One episode that every candidate drives: ``group`` is the column of the table that it counts in."""

    group: str
    scenario: str
    seed: int
    site: str = ""  # "": the scenario's own
    trips: int | None = None
    knows_fleet: bool = True

    @property
    def name(self) -> str:
        return f"{self.scenario} {self.site} {self.seed} {'fleet' if self.knows_fleet else 'blind'}".replace("  ", " ")


def _cases(site: int, seed: int, corridor: int) -> tuple[Case, ...]:
    """Episodes on six random sites from a number on; seeds from a number on, in corridors from another one."""
    halls = [f"random:{site + k}" for k in range(6)]
    return (
        *(Case("alone", "empty", seed + k, halls[k]) for k in range(2)),
        *(Case("crossing", "busy", seed + k, halls[2 + k], trips=40, knows_fleet=k < 3) for k in range(4)),
        *(Case("pallets", "pallets", seed + 4 + k, halls[k], trips=20, knows_fleet=k < 2) for k in range(3)),
        *(Case("corridors", "head_on", corridor + k) for k in range(2)),
        *(Case("corridors", "head_on_narrow", corridor + k) for k in range(3)),
        Case("corridors", "stalled", corridor),
    )


CASES = _cases(101, 1, 901)
OTHER_CASES = _cases(107, 11, 911)  # on which what was taken over is driven once more beside the old values
GROUPS = tuple(dict.fromkeys(case.group for case in CASES))


@dataclass(frozen=True)
class Drive:
    """One candidate on one case."""

    candidate: str
    values: tuple[tuple[str, float], ...]
    case: Case


def with_values(config: BaselineConfig, values: dict[str, float]) -> BaselineConfig:
    """A configuration with some parameters (``part.name`` or ``name``) changed.

    Raises ValueError for a parameter that does not exist or a value outside its range.
    """
    for name, value in values.items():
        part, _, last = name.rpartition(".")
        owner = getattr(config, part, None) if part else config
        if not is_dataclass(owner) or not hasattr(owner, last) or is_dataclass(getattr(owner, last)):
            raise ValueError(f"parameter {name} does not exist; see BaselineConfig for those that do")
        kind = type(getattr(owner, last))
        if kind is int and not float(value).is_integer():
            raise ValueError(f"parameter {name} is {value}; it takes a whole number")
        changed = replace(owner, **{last: kind(value)})
        config = replace(config, **{part: changed}) if part else changed
    check(config)
    return config


def drive(job: Drive, on_trip: Callable[[], None] = lambda: None) -> dict[str, str]:
    """Drive a candidate on a case: its row. Deterministic."""
    case = job.case
    scenario = overridden(load_scenario(case.scenario), trips=case.trips, site=case.site)
    controller = AStarController(case.knows_fleet, with_values(BaselineConfig(), dict(job.values)))
    course = course_of(site_of(scenario), scenario, case.seed)
    result = Episode(course, controller, job.candidate, on_trip=on_trip).run()
    row = {
        "candidate": job.candidate,
        "case": case.name,
        "group": case.group,
        "travel_s": round(sum(trip.travel_s for trip in result.trips), 1),
        "ideal_s": round(sum(trip.ideal_s for trip in result.trips), 2),
        "trips": len(result.trips),
        "unfinished": sum(not trip.finished for trip in result.trips),
        "collisions": len(result.collisions),
        "slowest": round(max(trip.ratio for trip in result.trips), 2),
        "code": source_key(DRIVEN_BY),
    }
    return {name: str(value) for name, value in row.items()}


def candidates(extra: list[str]) -> dict[str, dict[str, float]]:
    """Changed parameters by name: the defaults, every single change, and the combinations asked for."""
    single = {f"{name}={value:g}": {name: value} for name, values in SWEEP.items() for value in values}
    return {DEFAULT: {}} | single | {words: parse(words) for words in extra}


def parse(words: str) -> dict[str, float]:
    """Parameters of ``name=value,name=value``. Raises ValueError for anything else."""
    values = {}
    for word in words.split(","):
        name, separator, value = word.partition("=")
        try:
            values[name.strip()] = float(value)
        except ValueError:
            separator = ""
        if not separator:
            raise ValueError(f"--candidate has {word!r}; write name=value, as in pursuit.lookahead_time=0.9")
    return values


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a result file; none when there is no such file yet. Raises ValueError for a file of another kind."""
    if not path.exists():
        return []
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file with --out")
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path}: its columns are not {', '.join(COLUMNS)}; choose another file with --out")
        return list(reader)


def table(rows: list[dict[str, str]]) -> str:
    """Markdown: per candidate travel over ideal time by group, what it is worth, unfinished trips and collisions."""
    of: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        of.setdefault(row["candidate"], {})[row["case"]] = row
    default = of.get(DEFAULT, {})
    of = {name: cases for name, cases in of.items() if cases.keys() == default.keys()}  # whole ones alone
    worth = {name: _worth(cases, default) for name, cases in of.items()}
    lines = [
        f"| candidate | {' | '.join(GROUPS)} | time / defaults' | not finished | collisions | slowest trip |",
        f"|---|{'---|' * len(GROUPS)}---|---|---|---|",
    ]
    for name in sorted(of, key=lambda name: worth[name][0]):
        cases = list(of[name].values())
        groups = [f"{_ratio([row for row in cases if row['group'] == group]):.3f}" for group in GROUPS]
        mean, error = worth[name]
        lines.append(
            f"| {name} | {' | '.join(groups)} | {mean:.3f} ± {error:.3f} "
            f"| {sum(int(row['unfinished']) for row in cases)} | {sum(int(row['collisions']) for row in cases)} "
            f"| {max(float(row['slowest']) for row in cases)} |"
        )
    return "\n".join(lines)


def _ratio(rows: list[dict[str, str]]) -> float:
    """Travel over ideal time of some rows; NaN without any."""
    ideal = sum(float(row["ideal_s"]) for row in rows)
    return sum(float(row["travel_s"]) for row in rows) / ideal if ideal else math.nan


def _worth(cases: dict[str, dict[str, str]], default: dict[str, dict[str, str]]) -> tuple[float, float]:
    """Mean over the cases of travel time over that of the defaults, and its standard error."""
    ratios = [float(row["travel_s"]) / float(default[name]["travel_s"]) for name, row in cases.items()]
    return float(np.mean(ratios)), float(np.std(ratios) / math.sqrt(max(len(ratios) - 1, 1)))


def main() -> None:
    """Drive what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/baseline_sweep.csv"), help="CSV file of the results")
    parser.add_argument("--processes", type=int, default=2, help="episodes side by side")
    parser.add_argument(
        "--candidate", action="append", default=[], metavar="A=1,B=2", help="a combination to drive as well"
    )
    parser.add_argument("--only", action="store_true", help="drive the defaults and the combinations alone")
    parser.add_argument("--other-cases", action="store_true", help="on sites and seeds that the sweep did not see")
    parser.add_argument("--table", action="store_true", help="drive nothing, only print the table")
    arguments = parser.parse_args()
    try:
        rows = read(arguments.out)
        wanted = [
            (name, values)
            for name, values in candidates(arguments.candidate).items()
            if not arguments.only or name in (DEFAULT, *arguments.candidate)
        ]
        for _, values in wanted:
            with_values(BaselineConfig(), values)
        if not arguments.table:
            make_folder(arguments.out.parent)
            check_writable(arguments.out)
    except (ValueError, OSError) as error:
        parser.exit(2, f"sweep: {error}\n")
    cases = {case.name: case for case in (OTHER_CASES if arguments.other_cases else CASES)}
    code = rows[-1]["code"] if arguments.table and rows else source_key(DRIVEN_BY)
    rows = [row for row in rows if row["code"] == code]
    known = {(row["candidate"], row["case"]) for row in rows}
    jobs = [
        Drive(name, tuple(values.items()), case)
        for name, values in ([] if arguments.table else wanted)
        for case in cases.values()
        if (name, case.name) not in known
    ]

    def keep(row: dict[str, str]) -> None:
        fresh = not arguments.out.exists()
        with arguments.out.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        rows.append(row)
        print(f"{row['candidate']}: {row['case']}, {_ratio([row]):.3f} of ideal", file=sys.stderr, flush=True)

    try:
        run_jobs(drive, jobs, arguments.processes, lambda: None, keep)
    except KeyboardInterrupt:
        parser.exit(130, f"sweep: interrupted; what was driven is in {arguments.out}\n")
    print(table([row for row in rows if row["case"] in cases]))


if __name__ == "__main__":
    main()
