"""Collisions are counted once each, and every fault does what it says and can be taken back."""

import math

import numpy as np
import pytest
from simulation_worlds import QUIET, drive, hall, station, world

from dyna_nav.simulation import Pallet, Simulation
from dyna_nav.simulation.collisions import CollisionLog


def others(simulation):
    return [hit.other for hit in simulation.collisions]


def test_a_robot_that_pushes_against_a_wall_for_long_has_one_collision():
    simulation = world((5, 5, math.pi))
    drive(simulation, (1.5, 0), 10.0)
    (hit,) = simulation.collisions
    assert (hit.robot, hit.other) == (0, "wall")
    assert (hit.x, hit.y) == (pytest.approx(0.1, abs=0.05), pytest.approx(5.0, abs=0.05))
    assert 2.5 < hit.time < 5.0
    assert simulation.contact.tolist() == [True]
    assert simulation.true_pose[0, 0] == pytest.approx(0.45, abs=0.02), "walls are hard"


def test_a_second_touch_after_a_pause_is_a_second_collision():
    simulation = world((2, 5, math.pi))
    drive(simulation, (1.0, 0), 3.0)
    drive(simulation, (-0.5, 0), 2.0)
    assert simulation.contact.tolist() == [False]
    drive(simulation, (1.0, 0), 3.0)
    assert others(simulation) == ["wall", "wall"]


def test_touches_within_the_separation_are_one_episode():
    log = CollisionLog(separation=1.0)
    for time in (0.0, 0.5, 1.4, 2.5, 5.0):
        log.touch(time, 0, "wall", 0, 0)
    log.touch(5.1, 1, "wall", 0, 0)
    assert [(hit.time, hit.robot) for hit in log.collisions] == [(0.0, 0), (2.5, 0), (5.0, 0), (5.1, 1)]


def test_two_robots_that_meet_make_one_collision_told_by_the_lower():
    simulation = world((5, 5, 0), (9, 5, math.pi))
    drive(simulation, (0.8, 0), 4.0)
    assert [(hit.robot, hit.other) for hit in simulation.collisions] == [(0, "robot:1")]
    assert simulation.collisions[0].x == pytest.approx(7.0, abs=0.1)
    assert simulation.contact.tolist() == [True, True]


def test_driving_freely_touches_nothing():
    simulation = world((3, 5, 0), pallets=[(10, 8, 0.2)])
    drive(simulation, (1.0, 0.6), 10.0)
    assert not simulation.collisions


def test_a_light_pallet_is_pushed_and_a_heavy_one_stops_the_robot():
    simulation = world(
        (5, 3, 0), (5, 7, 0), pallets=[Pallet(7, 3, math.pi / 2, mass=25), Pallet(7, 7, math.pi / 2, mass=300)]
    )
    drive(simulation, (1.0, 0), 5.0)
    assert others(simulation) == ["pallet:0", "pallet:1"]
    assert simulation.pallets[0][0] > 8.0
    assert simulation.pallets[1][0] < 7.3
    assert simulation.true_pose[1, 0] < 6.6


def test_pallets_that_come_and_go_keep_their_numbers_and_disturb_no_one():
    simulation = world((2, 5, 0), pallets=[(10, 2, 0)])
    drive(simulation, (1.0, 0), 2.0)
    speed = simulation.true_twist[0, 0]
    number = simulation.add_pallet(10, 8, 0)
    simulation.remove_pallet(0)
    assert (number, list(simulation.pallets)) == (1, [1])
    assert simulation.true_twist[0, 0] == pytest.approx(speed)
    assert drive(simulation, (1.0, 0), 0.5)[:, 0, 0] == pytest.approx(speed, abs=0.02)
    assert simulation.add_pallet(10, 2, 0) == 2
    with pytest.raises(ValueError, match=r"pallet is 0.*\[1, 2\]"):
        simulation.remove_pallet(0)


def test_a_pallet_is_not_put_into_a_wall_or_onto_a_robot():
    simulation = world((5, 5, 0))
    with pytest.raises(ValueError, match="wall"):
        simulation.add_pallet(0.3, 5)
    with pytest.raises(ValueError, match="robot 0"):
        simulation.add_pallet(5.8, 5)
    assert not simulation.pallets


def test_a_push_moves_a_standing_robot_and_it_stays_upright():
    simulation = world((5, 5, 0))
    simulation.push(0, (0.0, 90.0))
    drive(simulation, (0, 0), 2.0)
    assert simulation.true_pose[0, 1] > 5.05
    assert np.abs(simulation.true_twist).max() < 0.01, "friction has stopped it"
    assert simulation._world.data.qpos[2] == pytest.approx(QUIET.wheel_radius, abs=0.01)


def test_a_lifted_robot_stays_while_its_wheels_turn_and_drives_when_lowered():
    simulation = world((5, 5, 0))
    drive(simulation, (1.0, 0), 1.5)
    simulation.lift(0)
    held = simulation.true_pose
    drive(simulation, (1.0, 0), 1.0)
    assert simulation.true_pose == pytest.approx(held, abs=1e-3)
    assert simulation.observe().twist[0, 0] == pytest.approx(1.0, abs=0.05)
    simulation.lower(0)
    drive(simulation, (1.0, 0), 1.0)
    assert simulation.true_pose[0, 0] > held[0, 0] + 0.5


def test_slippery_wheels_move_a_robot_less_and_deceive_its_odometry():
    simulation = world((2, 3, 0), (2, 7, 0))
    simulation.set_friction(1, 0.1)
    drive(simulation, (1.5, 0), 1.0)
    dry, slippery = simulation.true_pose[:, 0] - 2
    assert slippery < 0.6 * dry
    odometry = simulation.observe().twist
    assert odometry[1, 0] > simulation.true_twist[1, 0] + 0.2
    simulation.set_friction(1, 1.0)
    drive(simulation, (1.5, 0), 1.0)
    assert simulation.true_twist[1, 0] == pytest.approx(1.5, abs=0.05)


def test_slip_and_payload_survive_a_pallet_that_is_put_down():
    alone, joined = world((2, 5, 0), payloads=[40]), world((2, 5, 0), payloads=[40])
    for simulation in (alone, joined):
        simulation.set_friction(0, 0.15)
    joined.add_pallet(15, 2)
    assert drive(joined, (1.5, 0), 1.0)[-1, 0] == pytest.approx(drive(alone, (1.5, 0), 1.0)[-1, 0], abs=0.01)


def test_a_stalled_robot_brakes_and_ignores_commands_until_released():
    simulation = world((2, 5, 0))
    drive(simulation, (1.0, 0), 2.0)
    simulation.stall(0)
    assert abs(drive(simulation, (1.5, 0), 1.5)[-1, 0, 0]) < 0.01
    simulation.stall(0, False)
    assert drive(simulation, (1.0, 0), 1.5)[-1, 0, 0] == pytest.approx(1.0, abs=0.03)


def test_faults_of_a_robot_that_does_not_exist_are_refused():
    simulation = world((5, 5, 0))
    for fault in (lambda: simulation.stall(1), lambda: simulation.lift(-1), lambda: simulation.set_payload(3, 1.0)):
        with pytest.raises(ValueError, match="robot is"):
            fault()
    with pytest.raises(ValueError, match="mass"):
        simulation.set_payload(0, -1.0)
    with pytest.raises(ValueError, match="impulse"):
        simulation.push(0, (np.nan, 0.0))


def test_robots_start_at_chargers_then_other_stations_then_anywhere_apart():
    site = hall(stations=[station("a", 3, 3), station("c", 16, 8, "charger")])
    simulation = Simulation(site, 6, seed=3)
    poses = simulation.true_pose
    assert poses[0, :2] == pytest.approx((16, 8))
    assert poses[1, :2] == pytest.approx((3, 3))
    gaps = np.hypot(*(poses[:, None, :2] - poses[None, :, :2]).transpose(2, 0, 1)) + 9 * np.eye(6)
    assert gaps.min() >= 3 * 0.35
    assert (site.clearance_at(poses[:, :2]) >= 0.35).all()
    assert Simulation(site, 6, seed=3).true_pose == pytest.approx(poses)
    assert not np.allclose(Simulation(site, 6, seed=4).true_pose, poses)


@pytest.mark.parametrize("seed", range(5))
def test_robots_start_clear_of_pallets(seed):
    simulation = Simulation(hall(8, 8), 4, seed, pallets=[(3, 4, 0.4), (5.5, 4, 1.2)])
    drive(simulation, (0, 0), 0.2)
    assert not simulation.collisions


def test_a_hall_that_is_too_small_for_its_robots_is_refused():
    with pytest.raises(ValueError, match=r"room for \d of 9 robots"):
        Simulation(hall(2.5, 2.5), 9, seed=0)


def test_poses_in_walls_or_in_each_other_are_refused():
    with pytest.raises(ValueError, match=r"robot 1 .*clearance"):
        world((5, 5, 0), (0.2, 5, 0))
    with pytest.raises(ValueError, match=r"robots 0 and 1 start 0\.50 m apart"):
        world((5, 5, 0), (5.5, 5, 0))


def test_a_robot_that_is_carried_stands_still_elsewhere():
    simulation = world((5, 5, 0), (8, 5, 0))
    drive(simulation, [(1.0, 0.5), (0, 0)], 1.0)
    simulation.carry({0: np.array([3.0, 8.0, 1.0])})
    drive(simulation, (0, 0), 0.5)
    np.testing.assert_allclose(simulation.true_pose[0], (3, 8, 1), atol=0.01)
    np.testing.assert_allclose(simulation.true_pose[1], (8, 5, 0), atol=0.01)
    with pytest.raises(ValueError, match="they overlap"):
        simulation.carry({1: np.array([3.2, 8.0, 0.0])})


def test_robots_in_contact_are_nobody_elses_hindrance():
    simulation = world((5, 5, 0), (5.72, 5, 0), (8, 8, 0))
    drive(simulation, [(0.5, 0), (0, 0), (0, 0)], 1.0)
    assert np.hypot(*(simulation.true_pose[1] - simulation.true_pose[0])[:2]) < 2 * simulation.robot_model.radius
    simulation.carry({2: np.array([3.0, 8.0, 0.0])})
    np.testing.assert_allclose(simulation.true_pose[2], (3, 8, 0), atol=0.01)
    simulation.change_hall(simulation.site)
    with pytest.raises(ValueError, match=r"robots 0 and 2 .*they overlap"):
        simulation.carry({2: simulation.true_pose[0]})
