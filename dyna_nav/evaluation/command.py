"""``dyna-nav evaluate``: controllers on the same trips, in lockstep, with paired statistics and plots."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from dyna_nav.whole_file import check_writable, make_folder

MOST_SEEDS = 10_000
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``dyna-nav evaluate``."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--map", default="", metavar="M", help="map_server yaml (default: the scenario's site)")
    where.add_argument("--site", default="", metavar="S", help="default or random:SEED")
    parser.add_argument("--scenario", default="busy", metavar="NAME|FILE", help="what happens (default busy)")
    parser.add_argument(
        "--controllers", default="dyna2", metavar="A,B", help="dyna2, astar, [NAME=]module:Class ... (default dyna2)"
    )
    parser.add_argument("--robots", type=count, metavar="N", help="robots (default: the scenario's)")
    parser.add_argument("--trips", type=count, metavar="N", help="trips per seed, of all robots (the scenario's)")
    parser.add_argument("--seeds", type=_seeds, metavar="A-B", help="seeds, as 1-8, 3 or 1-3,7 (the scenario's)")
    parser.add_argument("--jobs", type=count, default=os.cpu_count() or 1, metavar="N", help="processes (all cores)")
    parser.add_argument(
        "--json", default="", metavar="FILE", help="write the summary, and one row per trip beside it (FILE with .csv)"
    )
    parser.add_argument("--trips-table", default="", metavar="FILE", help="write one row per trip (csv) here")
    parser.add_argument("--plots", default="", metavar="DIR", help="write plots (png)")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate; returns the exit status. Raises ValueError or OSError, one sentence, for what cannot be done."""
    return with_packages(_evaluate, arguments)


def with_packages(
    command: Callable[[argparse.Namespace], int], arguments: argparse.Namespace, extra: str = "evaluation"
) -> int:
    """Run a command on one thread per process; a package that is not there is a ValueError with what to do.

    extra: of the package's extras the one that brings what the command needs.
    """
    for name in THREADS:  # before numpy is loaded, and handed down to the workers: processes share the cores instead
        os.environ.setdefault(name, "1")
    try:
        return command(arguments)
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("dyna_nav"):
            raise
        raise ValueError(
            f"{error.name} is not installed; install it in the package's folder with: pip install '.[{extra}]'"
        ) from None


def _evaluate(arguments: argparse.Namespace) -> int:
    from dyna_nav.evaluation import benchmark, tables
    from dyna_nav.evaluation.controllers import parse_controllers
    from dyna_nav.evaluation.progress import EvaluationProgress
    from dyna_nav.evaluation.results import EpisodeResult
    from dyna_nav.evaluation.scenario import load_scenario, overridden

    controllers = parse_controllers(arguments.controllers)
    loaded = load_scenario(arguments.scenario)
    scenario = overridden(loaded, arguments.robots, arguments.trips, arguments.map or arguments.site)
    seeds = arguments.seeds or [scenario.seed]
    # What cannot be run or written is said before anything starts.
    summary_file, trips_file = _files(arguments.json, arguments.trips_table)
    files = [file for file in (summary_file, trips_file) if file]
    for file in files:
        check_writable(file)
    if len({file.resolve() for file in files}) < len(files):
        raise ValueError(
            f"summary and table of trips would both be {files[0]}; give --json and --trips-table a file each"
        )
    here = Path.cwd()  # wherever a controller goes
    if arguments.plots:
        from dyna_nav.evaluation.plots import draw_all

        make_folder(arguments.plots)
    site = benchmark.check(scenario, controllers, seeds)
    if loaded.corridor is not None and scenario.corridor is None:
        _say(
            f"evaluate: {site.name} takes the place of {loaded.name}'s corridor; robots meet in an aisle if it has one"
        )

    labels = [name.label for name in controllers]
    asked = len(seeds) * len(controllers)
    driven: list[EpisodeResult] = []

    def write() -> None:
        """Write, then print what the episodes that were driven come to, in the order in which they were asked for."""
        results = sorted(driven, key=lambda result: (result.seed, labels.index(result.controller)))
        summary = benchmark.summarise(results)
        command = shlex.join(["dyna-nav", *sys.argv[1:]])
        described = tables.described(scenario, site, seeds, command, len(results), asked)
        if summary_file:
            tables.write_json(here / summary_file, described | summary | {"incidents": tables.incidents(results)})
        if trips_file:
            tables.write_trips(here / trips_file, results)
        print(tables.text(summary))

    try:
        with EvaluationProgress(asked, scenario.trips) as progress:

            def keep(result: EpisodeResult) -> None:
                driven.append(result)
                progress.episode(result)

            results = benchmark.run_benchmark(scenario, controllers, seeds, arguments.jobs, progress.trip, keep)
    except BaseException:  # Ctrl-C, a controller that fails, a seed without room: hours may have been driven
        where = f", written to {' and '.join(map(str, files))}" if driven and files else ""
        try:
            if driven:
                write()
        except (OSError, ValueError) as error:  # why it ended early is not to be hidden by this
            where = f", but not all of it could be written or printed: {error}"
        _say(f"evaluate: ended early; {len(driven)} of {asked} episodes were finished{where}")
        raise
    write()
    if arguments.plots:
        for path in draw_all(here / arguments.plots, site, results, scenario.name):
            print(f"{path}: written")
    return 0


def _files(summary: str, trips: str) -> tuple[Path | None, Path | None]:
    """Where the summary and the table of trips go, if anywhere; the table beside the summary unless it is named."""
    file = Path(summary) if summary else None
    beside = file.with_suffix(".csv") if file and file.name else None
    return file, Path(trips) if trips else beside


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def count(text: str) -> int:
    """A whole number of at least 1. Raises ArgumentTypeError."""
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _seeds(text: str) -> list[int]:
    try:
        return parse_seeds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_seeds(text: str) -> list[int]:
    """Seeds from ``1-8``, ``3`` or ``1-3,7``. Raises ValueError."""
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise ValueError(f"{text!r} is no range of seeds; give two whole numbers as in 1-8, or one, or 1-3,7")
        first, last = int(match[1]), int(match[2] or match[1])
        if len(seeds) + last - first >= MOST_SEEDS:
            raise ValueError(f"{text!r} are {len(seeds) + last - first + 1} seeds; give at most {MOST_SEEDS}")
        seeds += range(first, last + 1)
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"{text!r} has a seed twice; give each of them once")
    return seeds
