"""The braking rule: whatever it lets pass can still be stopped, and nobody is locked in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dyna_nav.mdp import RobotModel
from dyna_nav.safety.braking import braking_path, obstacle_in_path, scan_points

MODEL = RobotModel()
ANGLES = np.linspace(-math.pi, math.pi, 360, endpoint=False)
MARGIN, LATENCY = 0.02, 0.15
speeds = st.floats(-MODEL.max_speed, MODEL.max_speed)
turn_rates = st.floats(-MODEL.max_turn_rate, MODEL.max_turn_rate)


def drive(speed, turn_rate, command, delay, latency, step=1e-3):
    """Positions of the centre, millisecond by millisecond: the plain reading of what the base does."""
    x = y = heading = time = 0.0
    positions = [(x, y)]
    while time < delay + latency or abs(speed) > 1e-9:
        if time >= delay:
            goal_speed, goal_turn = command if time < delay + latency else (0.0, 0.0)
            rate = MODEL.deceleration if abs(goal_speed) < abs(speed) else MODEL.acceleration
            speed += np.clip(goal_speed - speed, -rate * step, rate * step)
            turn_rate += np.clip(goal_turn - turn_rate, -MODEL.turn_acceleration * step, MODEL.turn_acceleration * step)
        x, y = x + step * speed * math.cos(heading), y + step * speed * math.sin(heading)
        heading += step * turn_rate
        time += step
        positions.append((x, y))
    return np.array(positions)


def obstacle_ahead(ranges, speed, turn_rate, margin=MARGIN):
    """What a gate that passes the present motion on would find in its way, for a scan over all ANGLES."""
    path = braking_path(speed, turn_rate, MODEL, LATENCY)
    return obstacle_in_path(scan_points(ranges, ANGLES), path, MODEL.radius, margin)


def one_return(distance, bearing):
    """A scan that sees a single point."""
    ranges = np.full(ANGLES.size, np.inf)
    beam = int(np.argmin(np.abs(ANGLES - bearing)))
    ranges[beam] = distance
    return ranges, ANGLES[beam]


@given(speeds, turn_rates, speeds, turn_rates, st.floats(0, 0.4), st.floats(0, 0.4))
def test_the_braking_path_is_the_one_that_the_base_drives(speed, turn_rate, to_speed, to_turn, delay, latency):
    truth = drive(speed, turn_rate, (to_speed, to_turn), delay, latency)
    path = braking_path(speed, turn_rate, MODEL, latency, (to_speed, to_turn), delay)
    assert np.hypot(*(path[-1] - truth[-1])) < 0.03
    nearest = np.sqrt(((truth[:, None] - path[None]) ** 2).sum(-1)).min(axis=0)
    assert nearest.max() < 0.03  # every sample lies on the way driven


@given(speeds, st.floats(0, 1))
def test_straight_ahead_the_path_is_the_stopping_distance_long(speed, latency):
    path = braking_path(speed, 0.0, MODEL, latency)
    stopping_distance = abs(speed) * latency + speed**2 / (2 * MODEL.deceleration)
    assert abs(path[-1, 0]) == pytest.approx(stopping_distance, abs=1e-9)


@given(speeds, turn_rates, st.floats(MODEL.radius + MARGIN + 0.01, 3.0), st.floats(-math.pi, math.pi - 0.01))
def test_exactly_the_returns_that_the_disc_would_sweep_are_obstacles(speed, turn_rate, distance, bearing):
    ranges, bearing = one_return(distance, bearing)
    way = drive(speed, turn_rate, (speed, turn_rate), 0.0, LATENCY)
    point = distance * np.array([math.cos(bearing), math.sin(bearing)])
    gap = np.hypot(*(way - point).T).min() - MODEL.radius - MARGIN
    found = obstacle_ahead(ranges, speed, turn_rate)
    if abs(gap) > 0.03:  # beyond what the sampled reference resolves
        assert (found is not None) == (gap < 0)


@given(st.floats(0.3, MODEL.max_speed), turn_rates, st.floats(0.0, 0.3))
def test_what_was_admitted_can_be_stopped_short_of_the_obstacle(speed, turn_rate, gap):
    """Safety by induction: from an admitted motion, braking at once never touches the return."""
    ranges, _ = one_return(MODEL.radius + MARGIN + gap, 0.0)
    if obstacle_ahead(ranges, speed, turn_rate) is None:
        way = drive(speed, turn_rate, (0.0, 0.0), 0.0, 0.0)
        assert np.hypot(*(way - np.array([MODEL.radius + MARGIN + gap, 0.0])).T).min() > MODEL.radius


@given(turn_rates, st.lists(st.floats(0.05, 5), min_size=360, max_size=360))
def test_turning_on_the_spot_sweeps_nothing(turn_rate, ranges):
    assert obstacle_ahead(np.array(ranges), 0.0, turn_rate) is None


@given(st.floats(0.2, MODEL.radius + MARGIN), st.floats(-math.pi, math.pi - 0.01), st.floats(0.05, 0.5), st.booleans())
def test_a_robot_that_touches_something_may_leave_it_and_never_push_it(distance, bearing, speed, backwards):
    ranges, bearing = one_return(distance, bearing)
    speed = -speed if backwards else speed
    towards = speed * math.cos(bearing)
    found = obstacle_ahead(ranges, speed, 0.0)
    if towards < 0:
        assert found is None
    elif towards > 0.3 * abs(speed) and distance < MODEL.radius:
        assert found is not None
        assert found.distance == pytest.approx(distance)


def test_a_robot_beside_a_wall_within_the_margin_may_drive_along_it():
    beside = MODEL.radius + 0.04
    with np.errstate(divide="ignore"):
        ranges = np.where(np.sin(ANGLES) > 0.05, beside / np.sin(ANGLES), np.inf)
    assert obstacle_ahead(ranges, 1.0, 0.0, 0.06) is None
    assert obstacle_ahead(ranges, 1.0, 0.5, 0.06) is not None


def test_a_robot_in_a_corridor_a_little_wider_than_itself_drives_through():
    with np.errstate(divide="ignore"):
        ranges = np.minimum((MODEL.radius + MARGIN + 0.05) / np.abs(np.sin(ANGLES)), 12.0)
    assert obstacle_ahead(ranges, MODEL.max_speed, 0.0) is None


def test_contact_behind_does_not_hide_the_wall_ahead():
    ranges = np.full(ANGLES.size, np.inf)
    ranges[np.argmin(np.abs(ANGLES))] = 0.6
    ranges[0] = 0.3  # a pallet in the back
    found = obstacle_ahead(ranges, 1.0, 0.0)
    assert found is not None
    assert found.distance == pytest.approx(0.6)


def test_special_readings_follow_rep_117():
    angles = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5])
    ranges = np.array([np.inf, -np.inf, np.nan, 0.0, 12.0, 3.0])
    points = scan_points(ranges, angles, range_min=0.1, range_max=12.0)
    assert points == pytest.approx(
        np.array([[0.1 * math.cos(0.5), 0.1 * math.sin(0.5)], [3 * math.cos(2.5), 3 * math.sin(2.5)]])
    )


def test_an_empty_scan_has_no_obstacle():
    assert obstacle_in_path(np.empty((0, 2)), braking_path(1.0, 0.0, MODEL, 0.1), 0.35, 0.02) is None
