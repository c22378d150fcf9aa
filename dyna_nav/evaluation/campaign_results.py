"""The results of a campaign on disk: what is there, what is stale, and how a run is made.

A run leaves NAME.csv (one row per trip), NAME/ (pictures) and, written last, NAME.json: the summary of the evaluation
and under ``campaign`` what it was made from. Without the last there is no result. An older one goes before the first of
them is written, so a run that is interrupted while it writes leaves none.
"""

from __future__ import annotations

import csv
import hashlib
import json
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from dyna_nav.evaluation import benchmark, tables
from dyna_nav.evaluation.campaign import MAPS, Run
from dyna_nav.evaluation.controllers import file_of
from dyna_nav.evaluation.module_files import module_files
from dyna_nav.evaluation.progress import EvaluationProgress
from dyna_nav.evaluation.results import TIMED_OUT
from dyna_nav.evaluation.scenario import overridden
from dyna_nav.site import SiteError
from dyna_nav.site.site import files_of
from dyna_nav.world_model.source_key import source_key

MADE_BY = (  # source that the figures depend on; planners of others come with their packages
    "mdp.py", "controller.py", "viewpoint.py", "site", "simulation", "world_model", "ood", "planning", "safety",
    "baselines", "outsiders", "evaluation/benchmark.py", "evaluation/carrying.py", "evaluation/controllers.py",
    "evaluation/corridor.py", "evaluation/course.py", "evaluation/driver.py", "evaluation/episode.py",
    "evaluation/happenings.py", "evaluation/incidents.py", "evaluation/least_time.py", "evaluation/results.py",
    "evaluation/statistics.py", "evaluation/tasks.py", "parameters.py",
)  # fmt: skip
PICTURE_DPI = 90
NUMBERS = ("seed", "robot", "trip", "travel_s", "ideal_s", "least_s", "mean_abs_jerk")
SUMMARY = ("scenario", "site", "seeds", "versions", "machine", "controllers", "campaign")
MADE = ("key", "model", "code", "date", "seconds", "processes")


@dataclass(frozen=True, eq=False)
class Result:
    """A finished run: its summary, and its trips [trips] by controller and column.

    Columns are numbers, and as bool ``finished`` and ``driven``: not refused, and the start was not taken.
    """

    run: Run
    summary: dict
    trips: dict[str, dict[str, np.ndarray]]

    @property
    def labels(self) -> list[str]:
        """Controllers in the order in which they were given."""
        return list(self.summary["controllers"])

    @property
    def made(self) -> dict:
        """What it was made from: key, model, code, date, seconds, processes."""
        return self.summary["campaign"]


def source() -> str:
    """Eight hexadecimal digits of the source that figures depend on, as it is now."""
    return source_key(MADE_BY)


def outsiders(run: Run) -> dict[str, str]:
    """Eight hexadecimal digits of the source of each controller of a run that is no part of the project, by label.

    That is its file, and the modules beside it and below that it imports, of whatever depth.
    """
    found = {}
    for name in run.names():
        file = file_of(name)
        if file:
            module = name.target.partition(":")[0]
            root = file.parents[module.count(".") + (file.name == "__init__.py")]
            content = b"".join(each.read_bytes() for each in module_files(module, root))
            found[name.label] = hashlib.sha256(content).hexdigest()[:8]
    return found


def map_digits(run: Run, maps: Path) -> str:
    """Eight hexadecimal digits of the files of a run's map, "" when it needs none or they are not there."""
    scenario = run.loaded()
    place = Path(run.place(maps) or ("" if scenario.corridor is not None else scenario.site))
    if not place.is_file():
        return ""
    try:
        content = [hashlib.sha256(file.read_bytes()).digest() for file in files_of(place)]
    except (SiteError, OSError):  # whoever makes the run is told what is wrong with it
        return "unreadable"
    return hashlib.sha256(b"".join(content)).hexdigest()[:8]


def why_not(run: Run, folder: Path, maps: Path, model: str, code: str = "") -> str:
    """Why a run has to be made, "" when its result is there: of these arguments, this model and, if given, this source.

    A map and a controller that is no part of the project are compared by their files.
    Raises ValueError naming the file when there is a result that cannot be read.
    """
    if not _summary_file(run, folder).is_file():
        return "not made yet"
    summary = _read_summary(run, folder)
    made = summary["campaign"]
    if not summary.get("complete", True):
        return "only a part of it was driven"
    if made["model"] != model:
        return f"made with model {made['model']}, not {model}"
    if made["key"] != run.key(model):
        return "made with other arguments"
    before = made.get("outsiders", {})
    changed = [label for label, digits in outsiders(run).items() if before.get(label, digits) != digits]
    if changed:
        return f"the source of controller {changed[0]} has changed"
    digits = map_digits(run, maps)
    if digits and made.get("map", digits) != digits:
        return f"the map {run.map or run.loaded().site} has changed"
    if run.plots and made.get("drawn", run.drawn()) != run.drawn():
        return "its pictures show other controllers"
    if code and made["code"] != code:
        return f"made by source {made['code']}, not {code}"
    files = [_trips_file(run, folder), *pictures(run, folder)]
    return next((f"{file.name} is missing" for file in files if not file.is_file()), "")


def no_map(run: Run, maps: Path) -> str:
    """Why a run cannot be made here, "" when its map is there or it needs none."""
    if run.map and not Path(run.place(maps)).is_file():
        where = f"not in {maps}; give its folder with --maps" if run.map.startswith(MAPS) else "not there"
        return f"{run.map} is {where}"
    return ""


def pictures(run: Run, folder: Path) -> list[Path]:
    """The pictures of a run that the page shows."""
    return [folder / run.name / f"{plot}.png" for plot in run.plots]


def make(run: Run, folder: Path, maps: Path, model: str, jobs: int) -> Result:
    """Evaluate and write the result. Raises ValueError or OSError, one sentence, for what cannot be done."""
    scenario, controllers, seeds = overridden(run.loaded(), site=run.place(maps)), run.names(), run.seed_list()
    site = benchmark.check(scenario, controllers, seeds)
    began, code, files, digits = time.monotonic(), source(), outsiders(run), map_digits(run, maps)
    with EvaluationProgress(len(seeds) * len(controllers), scenario.trips) as progress:
        results = benchmark.run_benchmark(scenario, controllers, seeds, jobs, progress.trip, progress.episode)
    seconds = time.monotonic() - began
    folder.mkdir(parents=True, exist_ok=True)
    _summary_file(run, folder).unlink(missing_ok=True)
    tables.write_trips(_trips_file(run, folder), results)
    if run.plots:
        from dyna_nav.evaluation.plots import draw_all

        (folder / run.name).mkdir(exist_ok=True)
        drawn = [result for label in run.drawn() for result in results if result.controller == label]
        draw_all(folder / run.name, site, drawn, scenario.name, run.plots, PICTURE_DPI)
    made = {
        "run": run.name,
        "key": run.key(model),
        "model": model,
        "code": code,
        "outsiders": files,
        "map": digits,
        "drawn": run.drawn(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "processes": min(jobs, len(seeds) * len(controllers)),
    }
    asked = len(seeds) * len(controllers)
    content = tables.described(scenario, site, seeds, run.command(), len(results), asked)
    content |= benchmark.summarise(results)
    tables.write_json(_summary_file(run, folder), content | {"campaign": made})
    return read(run, folder)


def read(run: Run, folder: Path) -> Result:
    """The result of a run. Raises ValueError naming the file when it cannot be read."""
    summary, path = _read_summary(run, folder), _trips_file(run, folder)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        trips = {}
        for label, figures in summary["controllers"].items():
            mine = [row for row in rows if row["controller"] == label]
            if len(mine) != figures["trips"]:
                raise ValueError(f"{len(mine)} rows of {label}, but {figures['trips']} trips in the summary")
            trips[label] = {name: np.array([float(row[name]) for row in mine]) for name in NUMBERS}
            finished = trips[label]["finished"] = np.array([row["finished"] == "True" for row in mine], bool)
            trips[label]["driven"] = finished | np.array([row["note"] == TIMED_OUT for row in mine], bool)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); delete it and run the campaign again") from None
    return Result(run, summary, trips)


def _read_summary(run: Run, folder: Path) -> dict:
    path = _summary_file(run, folder)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = set(SUMMARY) <= set(content) and set(MADE) <= set(content["campaign"])
    except (OSError, ValueError, TypeError):
        found = False
    if not found:
        raise ValueError(f"{path}: no result of a campaign can be read from it; delete it and run the campaign again")
    return content


def _summary_file(run: Run, folder: Path) -> Path:
    return folder / f"{run.name}.json"


def _trips_file(run: Run, folder: Path) -> Path:
    return folder / f"{run.name}.csv"
