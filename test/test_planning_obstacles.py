"""The live map: what the lasers see and the map does not explain lowers the clearance, and nothing else does."""

from __future__ import annotations

import math
from dataclasses import replace

import laser_worlds
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laser_worlds import ANGLES
from planning_worlds import MODEL, hall

from dyna_nav.controller import Observation
from dyna_nav.planning.obstacles import LiveMap, ObstacleConfig, clearance_at
from dyna_nav.planning.track import MovingConfig

SITE = hall(12, 8, [(5, 6, 7, 8)])
AT_ONCE = MovingConfig(settled=0.0)  # what is seen is taken to stand at first sight
PALLET = (7.0, 3.0, 0.4)  # x, y, radius [m]


def seen(time, poses, discs=(), scans=None, bodies=True):
    return laser_worlds.seen(SITE, time, poses, discs, scans, bodies)


def everyone(observation):
    return np.ones(len(observation.pose), bool)


def live_after(*observations, config=None):
    live = LiveMap(SITE, MODEL.radius, config or ObstacleConfig(), AT_ONCE)
    for observation in observations:
        live.update(observation, everyone(observation))
    return live


def test_each_robot_keeps_its_own_returns_nearby_in_the_map_frame():
    """Whatever they are of, and wherever the robot looks; nothing far away, and nothing without a pose."""
    observation = seen(0.0, [(5, 3, 2.0), (6, 2.6, -1.0), (np.nan, np.nan, np.nan)], [PALLET], bodies=False)
    observation.scan[2] = 1.0
    live = LiveMap(SITE, MODEL.radius)
    live.update(observation, np.array([True, True, False]))
    for returns in live.returns[:2]:
        assert len(returns)
        assert np.hypot(*(returns - np.array(PALLET[:2])).T) == pytest.approx(PALLET[2], abs=1e-6)
    assert len(live.returns[2]) == 0
    far = seen(1.0, [(3, 3, 0.0)], [PALLET])
    live.update(far, everyone(far))
    assert len(live.returns[0]) == 0


def test_a_pallet_becomes_an_obstacle_and_lowers_the_clearance_around_it():
    live = live_after(seen(0.0, [(3, 3, 0)], [PALLET]))
    surface = np.hypot(live.obstacles[:, 0] - PALLET[0], live.obstacles[:, 1] - PALLET[1]) - PALLET[2]
    assert len(live.obstacles) >= 5
    assert np.abs(surface).max() < 0.1
    for x in (5.5, 6.0, 6.4):
        room = clearance_at(live.clearance, *live.origin, live.resolution, x, 3.0)
        assert room == pytest.approx(7.0 - 0.4 - x, abs=0.08)
    assert (live.clearance <= SITE.clearance).all()


def test_on_a_coarse_map_obstacles_are_as_fine_as_on_any_other():
    coarse = hall(12, 8, [(5, 6, 7, 8)], resolution=0.25)
    live = LiveMap(coarse, MODEL.radius, ObstacleConfig(), AT_ONCE)
    observation = laser_worlds.seen(coarse, 0.0, [(3, 3, 0)], [PALLET], None, True)
    live.update(observation, everyone(observation))
    surface = np.hypot(live.obstacles[:, 0] - PALLET[0], live.obstacles[:, 1] - PALLET[1]) - PALLET[2]
    assert len(live.obstacles) >= 5
    assert np.abs(surface).max() < 0.1


@given(st.floats(1, 4), st.floats(1, 7), st.floats(-4, 4))
@settings(max_examples=25)
def test_the_walls_of_the_map_are_no_obstacles(x, y, yaw):
    live = live_after(seen(0.0, [(x, y, yaw)]))
    assert len(live.obstacles) == 0
    np.testing.assert_array_equal(live.clearance, SITE.clearance)


@given(st.floats(1, 4), st.floats(1, 5), st.floats(6, 10), st.floats(1, 5))
@settings(max_examples=25)
def test_robots_of_the_fleet_are_no_obstacles_to_each_other(x, y, other_x, other_y):
    live = live_after(seen(0.0, [(x, y, 0.3), (other_x, other_y, -2.0)]))
    assert len(live.obstacles) == 0


def test_a_robot_whose_pose_is_unknown_is_an_obstacle_to_the_others():
    observation = seen(0.0, [(3, 3, 0), (6, 3, 0)])
    live = LiveMap(SITE, MODEL.radius, moving=AT_ONCE)
    live.update(replace(observation, pose=np.array([[3, 3, 0], [np.nan] * 3])), np.array([True, False]))
    assert len(live.obstacles) > 0
    assert np.hypot(*(live.obstacles - (6, 3)).T).max() < 0.5


def test_a_pallet_that_was_taken_away_is_gone_once_somebody_looks_there():
    here = seen(0.0, [(3, 3, 0)], [PALLET])
    live = live_after(here)
    assert len(live.obstacles) > 0
    away = seen(0.1, [(3, 3, 0)])
    live.update(away, everyone(away))
    assert len(live.obstacles) == 0
    np.testing.assert_array_equal(live.clearance, SITE.clearance)


def test_a_pallet_out_of_sight_is_remembered_and_then_forgotten():
    config = ObstacleConfig(memory=20.0)
    live = live_after(seen(100.0, [(3, 3, 0)], [PALLET]), config=config)
    blind = np.full((1, ANGLES.size), np.nan)
    for time, remembered in [(110.0, True), (119.9, True), (120.1, False)]:
        later = seen(time, [(3, 3, 0)], scans=blind)
        live.update(later, everyone(later))
        assert (len(live.obstacles) > 0) == remembered
    np.testing.assert_array_equal(live.clearance, SITE.clearance)


def test_time_that_began_long_ago_loses_no_precision():
    start = 1.7e9
    live = live_after(seen(start, [(3, 3, 0)], [PALLET]), seen(start + 0.1, [(3, 3, 0)], [PALLET]))
    assert len(live.obstacles) > 0


def test_a_pallet_seen_by_one_robot_is_known_to_all():
    wall_between = seen(0.0, [(3, 3, 0), (10.5, 7, 0)], [PALLET])
    scans = wall_between.scan.copy()
    scans[1] = np.nan
    live = live_after(replace(wall_between, scan=scans))
    assert clearance_at(live.clearance, *live.origin, live.resolution, 6.4, 3.0) < 0.35


@given(
    st.lists(st.tuples(st.floats(1, 11), st.floats(1, 7), st.floats(0.1, 0.6)), max_size=4),
    st.lists(st.tuples(st.floats(1, 4), st.floats(1, 7), st.floats(-4, 4)), min_size=1, max_size=5),
)
@settings(max_examples=15)
def test_when_everything_is_forgotten_the_clearance_is_the_sites_bit_for_bit(discs, poses):
    live = live_after(*(seen(0.1 * k, [pose], discs) for k, pose in enumerate(poses)))
    blind = seen(1000.0, [poses[0]], scans=np.full((1, ANGLES.size), np.nan))
    live.update(blind, everyone(blind))
    np.testing.assert_array_equal(live.clearance, SITE.clearance)


@given(st.floats(5, 9), st.floats(1, 5), st.floats(0.15, 0.5))
@settings(max_examples=25)
def test_a_beam_that_grazes_an_obstacle_does_not_wipe_out_what_its_neighbour_saw(x, y, radius):
    observation = seen(0.0, [(3, 3, 0)], [(x, y, radius)])
    live = live_after(observation)
    scan = observation.scan[0]
    ends = np.stack([3 + scan * np.cos(ANGLES), 3 + scan * np.sin(ANGLES)], axis=1)
    near = scan <= ObstacleConfig().reach
    hits = ends[near & (np.hypot(ends[:, 0] - x, ends[:, 1] - y) < radius + 0.01)]
    hits = hits[SITE.clearance_at(hits) > 0.2]
    for hit in hits:
        assert np.abs(live.obstacles - hit).max(axis=1).min() <= 0.5 * live.cell + 1e-6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -1.0, 1e9])
def test_beams_that_measured_nothing_leave_no_trace(value):
    live = live_after(seen(0.0, [(3, 3, 0)], scans=np.full((1, ANGLES.size), value)))
    assert len(live.obstacles) == 0
    np.testing.assert_array_equal(live.clearance, SITE.clearance)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=360, max_size=360), st.integers(0, 3))
@settings(max_examples=50)
def test_no_scan_however_wild_raises_the_clearance_or_writes_outside(scan, quarter):
    live = live_after(seen(0.0, [(0.5, 7.5, quarter * math.pi / 2)], scans=np.array([scan])))
    assert (live.clearance <= SITE.clearance).all()
    assert (live.clearance >= 0).all()


def test_a_whole_wall_that_the_map_lacks_is_entered_completely():
    site = hall(40, 40, resolution=0.02)
    live = LiveMap(site, MODEL.radius, ObstacleConfig(cell=0.02))
    ring = np.full((1, 3600), 4.0)
    angles = np.linspace(-math.pi, math.pi, 3600, endpoint=False)
    pose = np.array([[20.0, 20.0, 0.0]])
    live.update(
        Observation(0.0, pose, np.zeros((1, 2)), np.ones(1), np.full((1, 3), np.nan), ring, angles, 10.0),
        np.ones(1, bool),
    )
    for angle in np.linspace(0, 6.2, 60):
        x, y = 20 + 4 * math.cos(angle), 20 + 4 * math.sin(angle)
        assert clearance_at(live.clearance, *live.origin, live.resolution, x, y) < 0.1


@given(st.floats(0.1, 11.9), st.floats(0.1, 7.9))
def test_the_clearance_at_a_point_is_the_sites(x, y):
    assert clearance_at(SITE.clearance, 0.0, 0.0, 0.05, x, y) == pytest.approx(
        float(SITE.clearance_at([x, y])), abs=1e-5
    )


@pytest.mark.parametrize(("x", "y"), [(-1, 3), (13, 3), (3, -0.1), (3, 8.1)])
def test_outside_the_map_there_is_no_room(x, y):
    assert clearance_at(SITE.clearance, 0.0, 0.0, 0.05, x, y) == 0.0
