"""What the model sees does not depend on where a site's origin is; predictions move states as they were measured."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dyna_nav.world_model.encoding import (
    BODY_POINTS,
    CLEARANCE_LIMIT,
    CLEARANCE_POINTS,
    FEATURE_NAMES,
    FEATURES,
    FIRST_CLEARANCE,
    OUTPUTS,
    apply_delta,
    clearance_points,
    encode_rows,
    lower_to_scan,
    map_clearances,
    measure_delta,
)

ROWS = 5
metres = st.floats(-50, 50)
angles = st.floats(-3.1, 3.1)


def state(seed):
    rng = np.random.default_rng(seed)
    pose = np.column_stack([rng.uniform(-20, 20, (ROWS, 2)), rng.uniform(-3.1, 3.1, ROWS)])
    goal = pose + rng.normal(0, 2, (ROWS, 3))
    twist, previous, command = rng.uniform(0, 1.5, (3, ROWS, 2))
    return pose, twist, rng.uniform(0, 1, ROWS), goal, previous, command, rng.uniform(0, 3, (ROWS, CLEARANCE_POINTS))


def moved(pose, dx, dy, turn):
    """Poses after the whole site was turned about the origin and shifted."""
    cos, sin = np.cos(turn), np.sin(turn)
    x, y, yaw = pose.T
    return np.column_stack([cos * x - sin * y + dx, sin * x + cos * y + dy, yaw + turn])


def encode(pose, twist, battery, goal, previous, command, clearances):
    out = np.empty((len(pose), FEATURES), np.float32)
    encode_rows(pose, twist, battery, goal, previous, command, clearances, out)
    return out


@given(st.integers(0, 1000), metres, metres, angles)
def test_encoding_does_not_know_where_the_site_lies_or_how_it_is_turned(seed, dx, dy, turn):
    pose, twist, battery, goal, *rest = state(seed)
    here = encode(pose, twist, battery, goal, *rest)
    there = encode(moved(pose, dx, dy, turn), twist, battery, moved(goal, dx, dy, turn), *rest)
    np.testing.assert_allclose(there, here, atol=1e-5)


@given(st.integers(0, 1000), metres, metres, angles)
def test_clearance_points_move_with_the_site(seed, dx, dy, turn):
    pose = state(seed)[0]
    here, there = np.empty((2, CLEARANCE_POINTS, 2))
    clearance_points(pose[0], here)
    clearance_points(moved(pose, dx, dy, turn)[0], there)
    expected = moved(np.column_stack([here, np.zeros(CLEARANCE_POINTS)]), dx, dy, turn)[:, :2]
    np.testing.assert_allclose(there, expected, atol=1e-9)


def test_no_goal_is_encoded_as_zeros():
    pose, twist, battery, goal, *rest = state(1)
    goal[2] = np.nan
    row = encode(pose, twist, battery, goal, *rest)[2]
    columns = [FEATURE_NAMES.index(name) for name in FEATURE_NAMES if name.startswith("goal")]
    assert (row[columns] == 0).all()
    assert np.isfinite(row).all()


def test_clearances_are_clipped():
    pose, twist, battery, goal, previous, command, _ = state(2)
    clearances = np.full((ROWS, CLEARANCE_POINTS), 9.0)
    clearances[0] = -1.0
    features = encode(pose, twist, battery, goal, previous, command, clearances)
    assert (features[1:, FIRST_CLEARANCE:] == CLEARANCE_LIMIT).all()
    assert (features[0, FIRST_CLEARANCE:] == 0).all()


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_applying_a_measured_change_leads_to_the_next_state(seed, other):
    pose, twist, battery = state(seed)[:3]
    next_pose, next_twist, next_battery = state(other)[:3]
    delta = np.zeros((ROWS, OUTPUTS))
    measure_delta(pose, twist, battery, next_pose, next_twist, next_battery, delta)
    apply_delta(pose, twist, battery, delta)
    np.testing.assert_allclose(pose[:, :2], next_pose[:, :2], atol=1e-9)
    np.testing.assert_allclose(np.cos(pose[:, 2] - next_pose[:, 2]), 1.0, atol=1e-9)
    np.testing.assert_allclose(twist, next_twist, atol=1e-12)
    np.testing.assert_allclose(battery, next_battery, atol=1e-12)


def test_a_map_lookup_outside_the_map_has_no_clearance():
    out = np.empty((1, CLEARANCE_POINTS))
    map_clearances(np.array([[100.0, 0.0, 0.0]]), np.ones((10, 10), np.float32), 0.0, 0.0, 0.1, out)
    assert (out == 0).all()


def test_the_scan_lowers_the_clearance_where_it_sees_something():
    clearances = np.full((1, CLEARANCE_POINTS), 2.0)
    lower_to_scan(np.array([[1.0, np.inf, np.nan, 0.0]]), np.array([0.0, 1.6, 3.1, -1.6]), clearances)
    expected = np.hypot(1.0 - BODY_POINTS[:, 0], BODY_POINTS[:, 1])
    np.testing.assert_allclose(clearances[0], np.minimum(expected, 2.0))
