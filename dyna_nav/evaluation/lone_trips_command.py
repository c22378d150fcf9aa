"""``python -m dyna_nav.evaluation.lone_trips_command``: how much faster every trip of a lone robot could have been.

Controllers drive the scenario ``empty`` in the benchmark's own episodes; then every trip is solved as a whole for the
least time that it could take. A line for each trip goes to a CSV file; the table says what is lost, and where.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dyna_nav.evaluation.command import count, parse_seeds, with_packages
from dyna_nav.whole_file import check_writable

SCENARIO = "empty"


def main() -> None:
    """Drive, solve, and print what could be saved."""
    parser = argparse.ArgumentParser(description=__doc__)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--map", default="", metavar="M", help="map_server yaml")
    where.add_argument("--site", default="default", metavar="S", help="default or random:SEED")
    parser.add_argument("--controllers", default="dyna2,astar-fleet", metavar="A,B", help="as dyna-nav evaluate has it")
    parser.add_argument("--seeds", default="101-112", metavar="A-B", help="seeds, as 1-8 or 3")
    parser.add_argument("--trips", type=count, metavar="N", help="trips per seed (default: the scenario's)")
    parser.add_argument("--jobs", type=count, default=2, metavar="N", help="processes")
    parser.add_argument("--out", type=Path, default=Path("runs/lone_trips.csv"), help="CSV file, a line per trip")
    parser.add_argument("--picture", type=Path, help="picture of the trips that lost most")
    arguments = parser.parse_args()
    try:
        sys.exit(with_packages(_run, arguments, "optimum"))
    except (ValueError, OSError) as error:
        parser.exit(2, f"lone_trips: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "lone_trips: interrupted\n")


def _run(arguments: argparse.Namespace) -> int:
    from dyna_nav.evaluation import benchmark, lone_trips
    from dyna_nav.evaluation.controllers import parse_controllers
    from dyna_nav.evaluation.progress import EvaluationProgress
    from dyna_nav.evaluation.scenario import load_scenario, overridden
    from dyna_nav.workers import run_jobs

    controllers, seeds = parse_controllers(arguments.controllers), parse_seeds(arguments.seeds)
    scenario = overridden(load_scenario(SCENARIO), 1, arguments.trips, arguments.map or arguments.site)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    for file in filter(None, (arguments.out, arguments.picture)):
        check_writable(file)
    site = benchmark.check(scenario, controllers, seeds)
    with EvaluationProgress(len(seeds) * len(controllers), scenario.trips) as progress:
        results = benchmark.run_benchmark(scenario, controllers, seeds, arguments.jobs, progress.trip, progress.episode)
    driven = [tuple(result for result in results if result.seed == seed) for seed in seeds]
    compared: list[lone_trips.Compared] = []

    def keep(trips: list[lone_trips.Compared]) -> None:
        compared.extend(trips)
        print(f"lone_trips: {len(compared)} trips solved", file=sys.stderr, flush=True)

    jobs = [lone_trips.Job(scenario, together) for together in driven]
    run_jobs(lone_trips.compare, jobs, arguments.jobs, lambda: None, keep)
    labels = [name.label for name in controllers]
    compared.sort(key=lambda trip: (labels.index(trip.row.controller), trip.row.seed, trip.row.trip))
    lone_trips.write(arguments.out, compared)
    print(lone_trips.table([trip.row for trip in compared]))
    if arguments.picture:
        lone_trips.draw(arguments.picture, site, compared)
    return 0


if __name__ == "__main__":
    main()
