"""Small halls for the tests of the simulator, and shorthands to drive in them."""

from __future__ import annotations

import numpy as np

from dyna_nav.simulation import Simulation, SimulationConfig
from dyna_nav.site import OccupancyMap, Site, Station

QUIET = SimulationConfig(scan_noise=0.0, position_noise=0.0, heading_noise=0.0, speed_noise=0.0, turn_rate_noise=0.0)


def hall(width=20.0, depth=10.0, boxes=(), unknown=(), stations=(), resolution=0.05, origin=(0.0, 0.0)) -> Site:
    """A hall with walls of 0.1 m around it; boxes and unknown (x0, y0, x1, y1) [m] from its lower left corner."""
    cells = np.zeros((round(depth / resolution), round(width / resolution)), np.int8)
    for areas, value in ((boxes, 100), (unknown, -1)):
        for x0, y0, x1, y1 in areas:
            rows = slice(round(y0 / resolution), round(y1 / resolution))
            cells[rows, round(x0 / resolution) : round(x1 / resolution)] = value
    rim = round(0.1 / resolution)
    cells[:rim] = cells[-rim:] = 100
    cells[:, :rim] = cells[:, -rim:] = 100
    return Site.from_map("hall", OccupancyMap(cells, resolution, origin), tuple(stations))


def station(name: str, x: float, y: float, kind: str = "pick") -> Station:
    return Station(name, x, y, 0.0, kind)


def world(*poses, site=None, seed=0, config=QUIET, **options) -> Simulation:
    """A simulation of robots at poses (x, y, yaw) in a hall of 20 x 10 m, without sensor noise unless asked for."""
    return Simulation(site or hall(), len(poses), seed, config=config, poses=np.array(poses, float), **options)


def drive(simulation: Simulation, command, seconds: float) -> np.ndarray:
    """Give every robot the same command (or each its row) and return the true twists [steps, n, 2] after each step."""
    commands = np.broadcast_to(np.asarray(command, float), (simulation.robots, 2))
    twists = []
    for _ in range(round(seconds / 0.1)):
        simulation.step(commands)
        twists.append(simulation.true_twist)
    return np.array(twists)
