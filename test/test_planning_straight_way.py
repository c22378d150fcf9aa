"""What limited acceleration costs on a straight way."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dyna_nav.evaluation.least_time import least_time
from dyna_nav.mdp import GoalTolerance, RobotModel
from dyna_nav.planning.straight_way import missing_time, motion_of, straight_time

ROBOT, TOLERANCE = RobotModel(), GoalTolerance()
FULL, GAIN, BRAKE, LAST = ROBOT.max_speed, ROBOT.acceleration, ROBOT.deceleration, TOLERANCE.speed
MOTION = motion_of(ROBOT, TOLERANCE, 0.5)
BRAKING = (FULL - LAST) ** 2 / (2 * BRAKE * FULL)  # what stopping costs at least [s]


@given(
    speed=st.floats(0.0, FULL),
    changes=st.lists(st.tuples(st.floats(-BRAKE, GAIN), st.floats(0.0, 3.0)), min_size=0, max_size=6),
)
def test_no_way_of_driving_is_faster(speed, changes):
    now, driven, time = speed, 0.0, 0.0

    def hold(acceleration, duration):
        nonlocal now, driven, time
        after = min(max(now + acceleration * duration, 0.0), FULL)  # until it stands, or drives at full speed
        if acceleration and not 0.0 < after < FULL:
            duration = (after - now) / acceleration
        now, driven, time = after, driven + 0.5 * (now + after) * duration, time + duration

    for change in changes:
        hold(*change)
    hold(-BRAKE, max(0.0, now - LAST) / BRAKE)  # to what counts as arrived
    assert straight_time(driven, speed, LAST, FULL, GAIN, BRAKE) <= time + 1e-9


@given(length=st.floats(0.0, 100.0))
def test_from_one_arrival_to_the_next_it_is_the_least_time(length):
    bound = least_time(length + TOLERANCE.position, ROBOT, TOLERANCE)
    assert straight_time(length, LAST, LAST, FULL, GAIN, BRAKE) == pytest.approx(bound, abs=1e-9)


def test_at_full_speed_only_stopping_costs_anything():
    assert missing_time(10.0, FULL, MOTION) == pytest.approx(BRAKING)


def test_nothing_is_gained_by_what_is_measured_above_full_speed():
    assert missing_time(20.0, FULL + 0.03, MOTION) == missing_time(20.0, FULL, MOTION)


def test_missing_speed_counts_by_its_share():
    regaining = FULL / (2 * GAIN)
    assert missing_time(10.0, 0.0, MOTION) == pytest.approx(BRAKING + 0.5 * regaining)
    assert missing_time(10.0, 0.0, motion_of(ROBOT, TOLERANCE, 0.0)) == pytest.approx(BRAKING)


@given(gain=st.floats(0.0, 2.0), hold=st.floats(0.0, 5.0))
def test_gaining_speed_holding_full_speed_and_braking_is_the_fastest_way_there_is(gain, hold):
    speed = FULL - GAIN * min(gain, FULL / GAIN)
    driven = (FULL**2 - speed**2) / (2 * GAIN) + FULL * hold + (FULL**2 - LAST**2) / (2 * BRAKE)
    took = (FULL - speed) / GAIN + hold + (FULL - LAST) / BRAKE
    assert straight_time(driven, speed, LAST, FULL, GAIN, BRAKE) == pytest.approx(took, abs=1e-9)


@pytest.mark.parametrize("length", [0.0, 0.1, 5.0])
def test_who_rolls_backwards_is_farther_off_than_who_stands(length):
    standing, rolling = (missing_time(length, speed, MOTION) for speed in (0.0, -1.0))
    assert rolling > standing + 0.3


@given(time=st.floats(0.0, 20.0), speed=st.floats(-FULL, FULL))
def test_it_does_not_jump(time, speed):
    """A millimetre more is worth most to who stands just before the goal: 40 ms, as long as it takes them."""
    here = missing_time(time, speed, MOTION)
    assert abs(missing_time(time + 0.001 / FULL, speed, MOTION) - here) < 0.05
    assert abs(missing_time(time, min(speed + 0.001, FULL), MOTION) - here) < 0.01


def test_who_cannot_stop_at_the_goal_drives_back():
    room = MOTION[5]
    just = math.sqrt(LAST**2 + 2 * BRAKE * room)
    assert missing_time(0.0, just, MOTION) == pytest.approx((just - LAST) / BRAKE)
    assert missing_time(0.0, FULL, MOTION) > (FULL - LAST) / BRAKE + 0.4
