"""``dyna-nav warmup``: some cycles of everything, so that every compiled kernel lies in the cache afterwards."""

from __future__ import annotations

import argparse
import time

import numpy as np

from dyna_nav.mdp import RobotModel
from dyna_nav.planning import Dyna2Controller
from dyna_nav.rehearsal import rehearse
from dyna_nav.simulation import Simulation
from dyna_nav.site import resolve_site
from dyna_nav.site.fields import geodesic_distance

ROBOTS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``dyna-nav warmup``."""
    parser.add_argument("--map", default="random:1", metavar="M", help="map_server yaml, default, or random:SEED")


def run(arguments: argparse.Namespace) -> int:
    """Plan, simulate and measure distances on a site. Raises ValueError when the site or the model cannot be used."""
    began = time.monotonic()
    site = resolve_site(arguments.map)
    rehearse(Dyna2Controller.from_bundle(), site, ROBOTS, RobotModel())
    simulation = Simulation(site, ROBOTS, seed=0)
    simulation.step(np.zeros((ROBOTS, 2)))
    simulation.observe()
    geodesic_distance(site, simulation.true_pose[0, :2], RobotModel().radius)
    print(f"every kernel is compiled ({time.monotonic() - began:.1f} s)")
    return 0
