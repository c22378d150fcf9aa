"""The exploring drivers show everything that a model has to learn, and the picture shows where they drove."""

import numpy as np
import pytest
from PIL import Image
from simulation_worlds import QUIET, hall, station, world

from dyna_nav.mdp import RobotModel, action_set
from dyna_nav.simulation import Simulation
from dyna_nav.simulation.drawing import draw_paths
from dyna_nav.simulation.drivers import CAREFUL, ExplorationDriver

ACTIONS = action_set(RobotModel())
RACKS = [(3, 3, 9, 4.2), (3, 6, 9, 7.2), (12, 3, 17, 4.2), (12, 6, 17, 7.2)]


def explore(site, robots, seconds, seed=0, style=None):
    simulation = Simulation(site, robots, seed, config=QUIET)
    driver = ExplorationDriver(site, robots, np.random.default_rng(seed), style=style)
    actions, nearest, paths = [], [], []
    for _ in range(round(seconds / 0.1)):
        known = simulation.observe()
        actions.append(driver.act(known))
        nearest.append(known.scan.min(axis=1))
        simulation.step(ACTIONS[actions[-1]])
        paths.append(simulation.true_pose)
    return simulation, np.array(actions), np.array(nearest), np.array(paths)


def test_exploration_takes_every_action_near_and_far_from_obstacles_and_collides():
    simulation, actions, nearest, paths = explore(hall(boxes=RACKS), 4, 150.0)
    for near in (True, False):
        counts = np.bincount(actions[(nearest < 0.8) == near], minlength=9)
        assert (counts > 15).all()
    assert {hit.other.split(":")[0] for hit in simulation.collisions} >= {"wall", "robot"}
    assert np.hypot(*np.diff(paths[..., :2], axis=0).transpose(2, 0, 1)).sum(axis=0).min() > 30.0
    assert np.ptp(paths[..., 0]) > 10.0


def test_exploration_is_deterministic_for_its_generator():
    first, second = (explore(hall(boxes=RACKS), 2, 20.0, seed=4) for _ in range(2))
    assert np.array_equal(first[1], second[1])
    assert np.array_equal(first[3], second[3])


def test_a_careful_driver_alone_touches_nothing():
    simulation, *_ = explore(hall(boxes=RACKS), 1, 90.0, style=CAREFUL)
    assert not simulation.collisions


def test_a_robot_without_a_pose_does_not_upset_the_driver():
    simulation = world((5, 5, 0), (10, 5, 0))
    driver = ExplorationDriver(simulation.site, 2, np.random.default_rng(0))
    simulation.jump_odometry(1, 100.0, 0.0, 0.0)
    known = simulation.observe()
    known.pose[0] = np.nan
    assert ((driver.act(known) >= 0) & (driver.act(known) < 9)).all()


def test_a_site_without_room_is_refused():
    with pytest.raises(ValueError, match="no place"):
        ExplorationDriver(hall(0.8, 5.0), 1, np.random.default_rng(0))


def test_a_picture_of_a_run_shows_paths_and_collisions(tmp_path):
    site = hall(boxes=RACKS, stations=[station("pick1", 1.5, 1.5), station("charger1", 18, 8, "charger")])
    simulation, _, _, paths = explore(site, 2, 15.0)
    file = tmp_path / "run.png"
    draw_paths(site, paths.swapaxes(0, 1), file, collisions=simulation.collisions, pallets=[np.array([10.5, 5, 0.4])])
    colours = {tuple(pixel) for pixel in np.asarray(Image.open(file).convert("RGB")).reshape(-1, 3)[::7].tolist()}
    assert len(colours) > 20
    draw_paths(site, [], file)
