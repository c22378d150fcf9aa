"""``dyna-nav warmup``: one lockstep cycle of everything, so that every compiled kernel lies in the cache afterwards."""

from __future__ import annotations

import argparse
import time

import numpy as np

from dyna_nav.mdp import RobotModel
from dyna_nav.planning import Dyna2Controller
from dyna_nav.simulation import Simulation
from dyna_nav.site import resolve_site
from dyna_nav.site.fields import geodesic_distance

CYCLES = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``dyna-nav warmup``: the site alone."""
    parser.add_argument("--map", default="random:1", metavar="M", help="map_server yaml, default, or random:SEED")


def run(arguments: argparse.Namespace) -> int:
    """Drive two robots for some cycles in lockstep. Raises ValueError when the site or the model cannot be used."""
    began = time.monotonic()
    site = resolve_site(arguments.map)
    simulation = Simulation(site, 2, seed=0)
    controller = Dyna2Controller.from_bundle()
    controller.reset(site, 2, np.random.default_rng(0), RobotModel())
    for robot, station in enumerate(site.stations[:2]):
        goal = np.array([station.x, station.y, station.yaw])
        simulation.goals[robot] = goal
        controller.assign(robot, goal)
        geodesic_distance(site, goal[:2], RobotModel().radius)
    controller.wait_for_potentials()
    for _ in range(CYCLES):
        simulation.step(controller.act(simulation.observe()))
    controller.close()
    print(f"every kernel is compiled ({time.monotonic() - began:.1f} s)")
    return 0
