"""A rehearsal before the first real cycle: every kernel is compiled or loaded, every page touched, nothing learned."""

from __future__ import annotations

import numpy as np

from dyna_nav.controller import Observation
from dyna_nav.mdp import STEP, RobotModel
from dyna_nav.planning import Dyna2Controller
from dyna_nav.planning.making_way import flood, way_of
from dyna_nav.planning.potential import HEADINGS
from dyna_nav.site import Site

CYCLES = 4  # a few, because some kernels have work only once something was observed or planned before
BEAMS = 360


def rehearse(controller: Dyna2Controller, site: Site, robots: int, robot_model: RobotModel) -> None:
    """Plan some cycles for robots that stand at the site's stations and are sent to the next ones.

    The controller must keep no memory on disk; it is reset, used and closed here. Sites without two stations are left
    alone: there is nowhere to go.
    """
    stations = np.array([(station.x, station.y, station.yaw) for station in site.stations])
    if len(stations) < 2:
        return
    poses = stations[np.arange(robots) % len(stations)]
    goals = stations[(np.arange(robots) + 1) % len(stations)]
    controller.reset(site, robots, np.random.default_rng(0), robot_model)
    for robot, goal in enumerate(goals):
        controller.assign(robot, goal)
    controller.wait_for_potentials()
    angles = np.arange(BEAMS) * (2 * np.pi / BEAMS) - np.pi
    for cycle in range(CYCLES):
        controller.act(
            Observation(
                time=cycle * STEP,
                pose=poses + np.array([1e-3 * cycle, 0.0, 0.0]),
                twist=np.zeros((robots, 2)),
                battery=np.ones(robots),
                goal=goals,
                scan=np.full((robots, BEAMS), 3.0) + 1e-3 * cycle,
                scan_angles=angles,
                scan_max=12.0,
            )
        )
    flood(np.ones((2, 2), bool), 0, 0)  # robots that block each other are rare: their kernels would be
    way_of(np.zeros((2, 2, HEADINGS), np.float32), 0, 0)  # compiled in the middle of a run
    controller.close()
