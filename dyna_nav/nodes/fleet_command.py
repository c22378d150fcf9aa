"""Arguments of ``dyna-nav fleet``."""

from __future__ import annotations

import argparse
import re

from dyna_nav.nodes.fleet_run import FleetOptions, run_fleet
from dyna_nav.simulation.rounds import MOST_WALKERS

TRIPS = 40  # when neither trips nor a duration are asked for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``dyna-nav fleet``."""
    parser.add_argument("--map", default="default", metavar="M", help="map_server yaml, default, or random:SEED")
    parser.add_argument("--robots", type=_count, default=4, metavar="N", help="robots (default 4)")
    parser.add_argument("--people", type=_people, default=0, metavar="N", help="people among the robots (default 0)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--trips", type=_count, metavar="N", help=f"trips to make in all (default {TRIPS})")
    length.add_argument("--duration", type=_seconds, metavar="S", help="drive for so many seconds instead")
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="seed of places, trips, noise (default 0)")
    parser.add_argument("--headless", action="store_true", help="a line now and then instead of the live table")
    parser.add_argument("--json", default="", metavar="FILE", help="write the figures of the run")
    parser.add_argument("--picture", default="", metavar="FILE", help="write a picture (png) of the paths driven")
    parser.add_argument("--model", default="", metavar="DIR", help="model bundle (default: the one that ships)")
    parser.add_argument("--memory", default="", metavar="DIR", help="permanent memory (default ~/.ros/dyna_nav; none)")
    parser.add_argument("--controller", default="", metavar="M:C", help="drive with another class, as module:Class")


def run(arguments: argparse.Namespace) -> int:
    """Drive; returns the exit status."""
    trips = arguments.trips or (0 if arguments.duration else TRIPS)
    return run_fleet(
        FleetOptions(
            map=arguments.map, model=arguments.model, robots=arguments.robots, people=arguments.people, trips=trips,
            duration=arguments.duration or 0.0, seed=arguments.seed, headless=arguments.headless, json=arguments.json,
            picture=arguments.picture, memory=arguments.memory, controller=arguments.controller,
        )
    )  # fmt: skip


def _count(text: str) -> int:
    if not re.fullmatch("[0-9]+", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _people(text: str) -> int:
    if not re.fullmatch("[0-9]+", text) or int(text) > MOST_WALKERS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {MOST_WALKERS}")
    return int(text)


def _seed(text: str) -> int:
    if not re.fullmatch("[0-9]+", text) or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {2**31 - 1}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < 1e7:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
