"""``python -m dyna_nav.baselines.sweep``: tunes the baseline, one parameter at a time, on sites that are not reported.

Every candidate drives the same cases: random sites 101 to 106, with 1, 4 and 8 robots, with and without knowledge of
the fleet, with pallets that are not in the map where 4 robots drive. A case is a fixed time; its figure is the time
spent per time that the same progress takes at full speed along the geodesic (trips under way count with the way they
have made). Results are appended to a CSV file; what is in it already is not driven again.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dyna_nav.baselines.controller import AStarController, BaselineConfig
from dyna_nav.mdp import RobotModel, goal_reached
from dyna_nav.parameters import check
from dyna_nav.simulation import Pallet, Simulation
from dyna_nav.site import Site, resolve_site
from dyna_nav.site.fields import distance_at, geodesic_distance

SWEEP = {  # parameter: values that are tried beside the default, what matters most in traffic first
    "monitor.robot_margin": (0.06, 0.14),
    "traffic.predict_cost": (2.0, 12.0),
    "monitor.yield_time": (0.5, 1.5),
    "monitor.slow_share": (0.4, 1.0),
    "monitor.time_to_collision": (0.6,),
    "replan_period": (0.5, 2.0),
    "costmap.cost_weight": (1.5, 5.0),
    "costmap.inflation_radius": (0.3, 1.0),
    "pursuit.lookahead_time": (0.6, 1.0),
    "traffic.keep_right": (0.0,),
    "pursuit.proximity_speed": (0.5, 1.0),
    "costmap.cost_scaling": (2.0, 6.0),
    "recovery.patience": (1.5,),
    "pursuit.lookahead_min": (0.6, 1.2),
}
COLUMNS = ("candidate", "site", "robots", "variant", "elapsed_s", "progress_s", "trips", "slowest", "collisions")
_APART = 1.2  # a station with a robot so near is taken [m]


@dataclass(frozen=True)
class Case:
    """One hall, fleet and variant that every candidate drives."""

    site: str
    robots: int
    knows_fleet: bool
    pallets: int = 0
    seed: int = 1

    @property
    def key(self) -> tuple[str, str, str]:
        return self.site, str(self.robots), "fleet" if self.knows_fleet else "blind"


CASES = (
    Case("random:101", 1, False),
    Case("random:102", 8, False),
    Case("random:103", 4, False, pallets=4),
    Case("random:104", 4, True, pallets=4),
    Case("random:105", 8, True),
    Case("random:106", 8, False),
    Case("random:102", 8, True),
)


def with_values(config: BaselineConfig, values: dict[str, float]) -> BaselineConfig:
    """A configuration with some parameters (``part.name`` or ``name``) changed.

    Raises ValueError for a parameter that does not exist or a value outside its range.
    """
    for name, value in values.items():
        part, _, last = name.rpartition(".")
        owner = getattr(config, part, None) if part else config
        if owner is None or not hasattr(owner, last):
            raise ValueError(f"parameter {name} does not exist; see BaselineConfig for those that do")
        changed = replace(owner, **{last: type(getattr(owner, last))(value)})
        config = replace(config, **{part: changed}) if part else changed
    check(config)
    return config


def drop_pallets(site: Site, count: int, rng: np.random.Generator) -> list[Pallet]:
    """Pallets in the open, away from stations and from each other, that leave room to pass on one side."""
    row, col = np.nonzero((site.clearance > 0.9) & (site.clearance < 1.8))
    spots = site.map.position_of(row, col)[rng.permutation(len(row))]
    chosen: list[np.ndarray] = [np.array([station.x, station.y]) for station in site.stations]
    pallets = []
    for spot in spots:
        if len(pallets) < count and all(np.hypot(*(spot - other)) > 2.5 for other in chosen):
            chosen.append(spot)
            pallets.append(Pallet(float(spot[0]), float(spot[1]), float(rng.choice((0.0, 0.5 * np.pi)))))
    return pallets


def drive(case: Case, config: BaselineConfig, seconds: float) -> dict[str, float]:
    """Drive a case for a time [s]; the columns of its row from ``elapsed_s`` on. Deterministic."""
    site, model = resolve_site(case.site), RobotModel()
    pallets = drop_pallets(site, case.pallets, np.random.default_rng([case.seed, 1]))
    simulation = Simulation(site, case.robots, case.seed, pallets=pallets)
    controller = AStarController(case.knows_fleet, config)
    controller.reset(site, case.robots, np.random.default_rng([case.seed, 2]), model)
    stations = np.array([(station.x, station.y, station.yaw) for station in site.stations])
    fields = [geodesic_distance(site, station[:2], model.radius) for station in stations]
    draws = [np.random.default_rng([case.seed, 3, robot]) for robot in range(case.robots)]
    target, begun, ideal = [-1] * case.robots, [0.0] * case.robots, [0.0] * case.robots
    elapsed, progress, slowest, trips = 0.0, 0.0, 1.0, 0

    def to_go(robot: int, pose: np.ndarray) -> float:  # at full speed [s]
        return distance_at(site, fields[target[robot]], pose[:2]) / model.max_speed

    while simulation.time < seconds:
        seen = simulation.observe()
        for robot in range(case.robots):
            k = target[robot]
            if (
                k >= 0
                and goal_reached(
                    seen.pose[robot : robot + 1],
                    seen.twist[robot : robot + 1, 0],
                    stations[k : k + 1],
                    config.tolerance,
                )[0]
            ):
                spent = simulation.time - begun[robot]
                elapsed, progress, trips = elapsed + spent, progress + ideal[robot], trips + 1
                slowest = max(slowest, spent / ideal[robot])
                target[robot] = k = -1
                controller.assign(robot, None)
            if k < 0:
                apart = np.hypot(*(stations[:, None, :2] - seen.pose[None, :, :2]).transpose(2, 0, 1)).min(axis=1)
                free = [j for j in range(len(stations)) if j not in target and apart[j] > _APART]
                if free:
                    target[robot], begun[robot] = int(draws[robot].choice(free)), simulation.time
                    ideal[robot] = to_go(robot, seen.pose[robot])
                    controller.assign(robot, stations[target[robot]])
        simulation.step(controller.act(seen))
    for robot, pose in enumerate(simulation.observe().pose):
        if target[robot] >= 0 and np.isfinite(left := to_go(robot, pose)):
            elapsed += simulation.time - begun[robot]
            progress += ideal[robot] - left
    return {
        "elapsed_s": round(elapsed, 1), "progress_s": round(progress, 2), "trips": trips,
        "slowest": round(slowest, 2), "collisions": len(simulation.collisions),
    }  # fmt: skip


def candidates(extra: list[str]) -> Iterator[tuple[str, dict[str, float]]]:
    """Names and changed parameters: the defaults, every single change, and the combinations asked for."""
    yield "default", {}
    for name, values in SWEEP.items():
        for value in values:
            yield f"{name}={value:g}", {name: value}
    for words in extra:
        yield words, parse(words)


def parse(words: str) -> dict[str, float]:
    """Parameters of ``name=value,name=value``. Raises ValueError for anything else."""
    values = {}
    for word in words.split(","):
        name, separator, value = word.partition("=")
        if not separator:
            raise ValueError(f"--candidate has {word!r}; write name=value, as in pursuit.lookahead_time=0.9")
        values[name.strip()] = float(value)
    return values


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a result file; none when there is no such file yet. Raises ValueError for a file of another kind."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path}: its columns are not {', '.join(COLUMNS)}; choose another file with --out")
        return list(reader)


def table(rows: list[dict[str, str]]) -> str:
    """Markdown: per candidate the ratio over all its cases and per fleet size, collisions and slowest trip."""
    lines = [
        "| candidate | all | 1 robot | 4 robots | 8 robots | collisions | slowest trip |",
        "|---|---|---|---|---|---|---|",
    ]

    def ratio(chosen: list[dict[str, str]]) -> float:
        return float(np.mean([float(row["elapsed_s"]) / float(row["progress_s"]) for row in chosen]))

    names = list(dict.fromkeys(row["candidate"] for row in rows))
    of = {name: [row for row in rows if row["candidate"] == name] for name in names}
    for name in sorted((name for name in names if len(of[name]) == len(CASES)), key=lambda name: ratio(of[name])):
        sizes = [ratio([row for row in of[name] if row["robots"] == size]) for size in ("1", "4", "8")]
        hits, slowest = sum(int(row["collisions"]) for row in of[name]), max(float(r["slowest"]) for r in of[name])
        lines.append(
            f"| {name} | {ratio(of[name]):.3f} | " + " | ".join(f"{s:.3f}" for s in sizes) + f" | {hits} | {slowest} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Drive what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/baseline_sweep.csv"), help="CSV file of the results")
    parser.add_argument("--seconds", type=float, default=30.0, help="simulated time of a case")
    parser.add_argument("--most", type=int, default=10_000, help="candidates to drive in this run")
    parser.add_argument(
        "--candidate", action="append", default=[], metavar="A=1,B=2", help="a combination to drive as well"
    )
    parser.add_argument("--table", action="store_true", help="drive nothing, only print the table")
    arguments = parser.parse_args()
    try:
        rows = read(arguments.out)
        wanted = [(name, with_values(BaselineConfig(), values)) for name, values in candidates(arguments.candidate)]
    except ValueError as error:
        parser.exit(2, f"sweep: {error}\n")
    known = {(row["candidate"], row["site"], row["robots"], row["variant"]) for row in rows}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    missing = [(name, config, [case for case in CASES if (name, *case.key) not in known]) for name, config in wanted]
    missing = [entry for entry in missing if entry[2]][: 0 if arguments.table else arguments.most]
    for done, (name, config, cases) in enumerate(missing):
        for case in cases:
            row = dict(zip(COLUMNS, (name, *case.key), strict=False)) | drive(case, config, arguments.seconds)
            fresh = not arguments.out.exists()
            with arguments.out.open("a", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                if fresh:
                    writer.writeheader()
                writer.writerow(row)
            rows.append({key: str(value) for key, value in row.items()})
        print(f"{done + 1}/{len(missing)} {name}", flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
