"""A rehearsal before the first real cycle: every kernel is compiled or loaded, every page touched, nothing learned."""

from __future__ import annotations

import math

import numpy as np

from dyna_nav.controller import Observation
from dyna_nav.mdp import STEP, RobotModel
from dyna_nav.ood.features import expected_ranges
from dyna_nav.planning import Dyna2Controller
from dyna_nav.planning.lattice import HEADINGS
from dyna_nav.planning.making_way import flood, mark
from dyna_nav.planning.ways import way_of
from dyna_nav.site import Site
from dyna_nav.viewpoint import seen_from

# Time for each cycle's rollouts [s]. A few cycles, because some kernels have work only once something was observed or
# planned before; all the time they want, so that what is reached does not depend on the machine; and none in the last,
# which drives by the memories alone, as a late cycle does and one that does not trust the model.
BUDGETS = (math.inf, math.inf, math.inf, 0.0)
BEAMS = 360
REACH = 12.0  # of the imagined lasers [m]


def rehearse(controller: Dyna2Controller, site: Site, robots: int, robot_model: RobotModel) -> None:
    """Plan some cycles for robots that set off from the site's stations to the next ones.

    They see what the map promises, so that they are planned for and not stopped as in a strange place.
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
    scan = np.array([seen_from(_promised_scan(site, pose, angles), angles, np.zeros(3)) for pose in poses])
    for cycle, budget in enumerate(BUDGETS):
        observation = Observation(
            time=cycle * STEP,
            pose=poses,
            twist=np.zeros((robots, 2)),
            battery=np.ones(robots),
            goal=goals,
            scan=scan,
            scan_angles=angles,
            scan_max=REACH,
        )
        controller.act(observation, budget)
    controller.assign(0, goals[0])  # now that the others have ways, which it keeps out of
    # Robots that block each other are rare: their kernels would be compiled in the middle of a run.
    room = np.ones((2, 2), bool)
    mark(room, np.zeros((1, 2)), 1.0)
    flood(room, room, 0, 0)
    way_of(np.zeros((2, 2, HEADINGS), np.float32), 0, 0)
    controller.close()


def _promised_scan(site: Site, pose: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Ranges [beams] (m) that the map promises from a pose [3]; inf where it promises nothing."""
    ranges, grid = np.empty(len(angles)), (*site.map.origin, site.map.resolution)
    expected_ranges(*pose, angles, REACH, site.clearance, site.map.cells, *grid, ranges)
    return np.where(ranges < REACH, ranges, np.inf)
