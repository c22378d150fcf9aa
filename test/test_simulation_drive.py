"""The simulated base follows commands as a real one does: within its limits, late, heavier when loaded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation_worlds import QUIET, drive, hall, world

from dyna_nav.mdp import RobotModel
from dyna_nav.simulation import Simulation, SimulationConfig

MODEL = RobotModel()


def test_robot_reaches_full_speed_in_the_time_its_acceleration_allows():
    simulation = world((2, 5, 0))
    speeds = drive(simulation, (MODEL.max_speed, 0), 2.0)[:, 0, 0]
    ramp = MODEL.max_speed / MODEL.acceleration + QUIET.latency
    assert speeds[int(ramp * 10) - 2] < 0.97 * MODEL.max_speed
    assert speeds[int(ramp * 10) + 2] == pytest.approx(MODEL.max_speed, rel=0.02)
    assert np.diff(speeds).max() <= 1.05 * MODEL.acceleration * 0.1


def test_robot_does_not_drive_faster_than_its_model_says():
    simulation = world((2, 5, 0))
    twists = drive(simulation, (9.0, 9.0), 3.0)[:, 0]
    assert twists[:, 0].max() < 1.01 * MODEL.max_speed
    assert twists[:, 1].max() < 1.02 * MODEL.max_turn_rate


@pytest.mark.parametrize("payload", [0.0, 20.0, 40.0])
def test_braking_distance_is_that_of_the_robot_model(payload):
    simulation = world((2, 5, 0), payloads=[payload])
    speed = drive(simulation, (MODEL.max_speed, 0), 3.0)[-1, 0, 0]
    start = simulation.true_pose[0, 0]
    drive(simulation, (0, 0), 2.0)
    expected = speed**2 / (2 * MODEL.deceleration) + speed * QUIET.latency
    assert simulation.true_pose[0, 0] - start == pytest.approx(expected, abs=0.06)
    assert abs(simulation.true_twist[0, 0]) < 0.01


def test_robot_that_brakes_while_still_accelerating_brakes_at_once():
    """A heavy robot lags behind its ramp; the firmware must not first wind down what the robot never reached."""
    simulation = world((2, 5, 0), payloads=[80.0])
    drive(simulation, (MODEL.max_speed, 0), 1.0)
    speed, start = simulation.true_twist[0, 0], simulation.true_pose[0, 0]
    drive(simulation, (0, 0), 2.0)
    assert simulation.true_pose[0, 0] - start < speed**2 / (2 * 1.4) + speed * (QUIET.latency + 0.1)


@pytest.mark.parametrize("sign", [1, -1])
def test_robot_turns_on_the_spot_at_the_commanded_rate(sign):
    simulation = world((5, 5, 0))
    rates = drive(simulation, (0, sign * MODEL.max_turn_rate), 2.0)[:, 0, 1]
    assert rates[5:] == pytest.approx(sign * MODEL.max_turn_rate, rel=0.02)
    assert np.abs(np.diff(rates)).max() <= 1.1 * MODEL.turn_acceleration * 0.1
    assert np.hypot(*(simulation.true_pose[0, :2] - (5, 5))) < 0.01


def test_left_and_right_are_mirror_images():
    simulation = world((5, 5, 0), (5, 25, 0), site=hall(30, 30))
    drive(simulation, [(1.0, 0.8), (1.0, -0.8)], 3.0)
    left, right = simulation.true_pose - ((5, 5, 0), (5, 25, 0))
    assert left == pytest.approx(right * (1, -1, -1), abs=2e-3)


def test_nothing_moves_before_the_latency_has_passed():
    simulation = world((5, 5, 0))
    simulation.advance(np.array([[1.5, 0.0]]), QUIET.latency)
    assert abs(simulation.true_twist[0, 0]) < 1e-6
    simulation.advance(np.array([[1.5, 0.0]]), QUIET.latency)
    assert simulation.true_twist[0, 0] > 0.02


def test_heavier_payload_accelerates_slower():
    simulation = world((2, 2, 0), (2, 5, 0), (2, 8, 0), payloads=[0, 40, 80])
    light, heavy, overloaded = drive(simulation, (MODEL.max_speed, 0), 1.0)[-1, :, 0]
    assert light > 1.15 * heavy > 1.15 * 1.15 * overloaded


def test_a_payload_can_change_on_the_way():
    simulation = world((2, 2, 0), (2, 8, 0))
    simulation.set_payload(1, 40.0)
    twists = drive(simulation, (MODEL.max_speed, 0), 1.0)
    assert twists[-1, 0, 0] > 1.15 * twists[-1, 1, 0]
    assert simulation.payload.tolist() == [0.0, 40.0]


def test_robot_drives_backwards_when_told():
    simulation = world((10, 5, 0))
    assert drive(simulation, (-0.5, 0), 2.0)[-1, 0, 0] == pytest.approx(-0.5, abs=0.02)


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.75, 1.5]), st.sampled_from([-1.2, 0.0, 1.2])), min_size=5, max_size=25),
    st.floats(0, 40),
)
def test_speeds_and_accelerations_stay_within_the_model(commands, payload):
    simulation = world((20, 20, 0.3), site=hall(40, 40), payloads=[payload])
    before = np.zeros(2)
    for command in commands:
        simulation.step(np.array([command]))
        now = simulation.true_twist[0]
        assert -0.02 <= now[0] <= 1.02 * MODEL.max_speed
        assert abs(now[1]) <= 1.05 * MODEL.max_turn_rate
        assert now[0] - before[0] <= 1.1 * MODEL.acceleration * 0.1 + 0.01
        assert before[0] - now[0] <= 1.1 * MODEL.deceleration * 0.1 + 0.01
        before = now
    assert not simulation.collisions


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_command_that_is_not_finite_is_refused_and_nothing_moves(bad):
    simulation = world((5, 5, 0), (10, 5, 0))
    with pytest.raises(ValueError, match=r"robot 1 .*(nan|inf)"):
        simulation.step(np.array([[0.5, 0.0], [0.5, bad]]))
    assert simulation.time == 0.0


def test_commands_of_the_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 2\).*\[2, 2\]"):
        world((5, 5, 0), (10, 5, 0)).step(np.zeros((1, 2)))


@pytest.mark.parametrize("seconds", [0.0, -0.1, 0.0012])
def test_a_time_that_is_no_multiple_of_the_physics_step_is_refused(seconds):
    with pytest.raises(ValueError, match="seconds"):
        world((5, 5, 0)).advance(np.zeros((1, 2)), seconds)


def _noisy(seed, site):
    return Simulation(site, 3, seed, pallets=[(10, 5, 0.3)])


def _run(simulation, pieces=1):
    rng = np.random.default_rng(5)
    observed = []
    for _ in range(60):
        commands = rng.uniform((0, -1.2), (1.5, 1.2), (3, 2))
        for _ in range(pieces):
            simulation.advance(commands, 0.1 / pieces)
        known = simulation.observe()
        observed.append(np.concatenate([known.pose.ravel(), known.twist.ravel(), known.battery, known.scan.ravel()]))
    return np.array(observed), simulation.collisions


def test_the_same_seed_gives_the_same_run_bit_for_bit():
    site = hall()
    (first, hits), (second, again) = _run(_noisy(7, site)), _run(_noisy(7, site))
    assert np.array_equal(first, second)
    assert hits == again


def test_a_run_does_not_depend_on_how_it_is_cut_into_calls():
    site = hall()
    whole, cut = _run(_noisy(7, site))[0], _run(_noisy(7, site), pieces=4)[0]
    assert np.array_equal(whole, cut)


def test_another_seed_gives_another_run():
    site = hall()
    assert not np.array_equal(_run(_noisy(7, site))[0], _run(_noisy(8, site))[0])


def test_battery_lasts_two_to_three_hours_of_work_and_charges_when_told():
    simulation = world((5, 5, 0))
    drive(simulation, (0.8, 0.8), 60.0)
    hours = 60 / (1 - simulation.battery[0]) / 3600
    assert 2.0 < hours < 3.0
    low = simulation.battery[0]
    simulation.charge(0, True)
    drive(simulation, (0, 0), 10.0)
    assert simulation.battery[0] > low
    simulation.charge(0, False)
    full = simulation.battery[0]
    drive(simulation, (0, 0), 10.0)
    assert simulation.battery[0] < full


def test_a_robot_with_a_flat_battery_stands():
    simulation = world((5, 5, 0), config=SimulationConfig(battery_start=0.0))
    assert np.abs(drive(simulation, (1.5, 0), 1.0)).max() < 1e-3
