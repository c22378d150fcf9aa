"""Small campaigns for the tests, and made-up episodes in place of driven ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from dyna_nav.cli import main
from dyna_nav.evaluation.results import EpisodeResult, Trip
from dyna_nav.simulation import Collision

PACE = {"dyna2": 1.2, "astar-fleet": 1.5, "astar": 1.6}  # travel time over ideal
TRIPS, ROBOTS = 4, 2


def section(**changes) -> dict:
    return {"name": "busy", "title": "Crossing flows", "about": "Ways cross."} | changes


def run_entry(**changes) -> dict:
    entry = {"name": "first", "section": "busy", "shows": "two robots", "scenario": "busy", "site": "default"}
    return entry | {"seeds": "1-2", "controllers": "dyna2,astar-fleet"} | changes


def content(runs: list[dict] | None = None, **changes) -> dict:
    told = {"title": "Results", "about": "What happened.", "sections": [section()]}
    return told | {"runs": [run_entry()] if runs is None else runs} | changes


def written(folder: Path, campaign: dict) -> str:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(campaign))
    return str(path)


def command(folder: Path, campaign: dict, *arguments: str) -> int:
    """``dyna-nav campaign`` on a campaign, with results in folder/out and the page at folder/out.md."""
    given = ["--campaign", written(folder, campaign), "--out", str(folder / "out"), "--maps", str(folder / "maps")]
    return main(["campaign", *given, *arguments])


def trip(label: str, seed: int, robot: int, number: int) -> Trip:
    ideal = 10.0 + robot + number + seed
    return Trip(
        robot=robot, trip=number, start="a", goal="b", assigned_s=1.0, ideal_s=ideal, least_s=1.05 * ideal,
        travel_s=PACE[label] * ideal, geodesic_m=15.0, path_length_m=16.0, collisions=0, near_misses=0,
        mean_abs_jerk=1.5, plan_ms_p99=20.0, finished=True, note="",
    )  # fmt: skip


def episode(label: str, seed: int, collisions: list[Collision] | None = None, steps: int = 40) -> EpisodeResult:
    trips = [trip(label, seed, robot, number) for robot in range(ROBOTS) for number in range(TRIPS // ROBOTS)]
    return EpisodeResult(
        controller=label, seed=seed, trips=trips, void_trips=0, collisions=collisions or [], near_misses=[], stops=[],
        stop_reasons={}, plan_ms=np.full(steps, 12.0), wait_ms=np.zeros(steps),
        pose=np.zeros((steps, ROBOTS, 3), np.float32), speed=np.ones((steps, ROBOTS), np.float32),
        driving=np.ones((steps, ROBOTS), bool), pallets=np.zeros((0, 3)), walkers=np.zeros((steps, 0, 2), np.float32),
        simulated_s=60.0, wall_s=10.0, cpu_s=9.0, version="",
    )  # fmt: skip


class MadeUp:
    """Stands in for the benchmark: remembers what was asked for; fails or is interrupted on request."""

    def __init__(self):
        self.asked: list[tuple[str, str, list[int]]] = []
        self.raises: dict[int, BaseException] = {}  # by the number of the evaluation
        self.collisions: list[Collision] = []  # of the baseline, on every seed

    def run_benchmark(self, scenario, controllers, seeds, processes, on_trip, on_episode):
        self.asked.append((scenario.name, scenario.site, seeds))
        if len(self.asked) in self.raises:
            raise self.raises[len(self.asked)]
        labels = [name.label for name in controllers]
        return [
            episode(label, seed, self.collisions if label == "astar-fleet" else None)
            for seed in seeds
            for label in labels
        ]
