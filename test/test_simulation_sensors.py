"""What the simulated robot perceives: ranges to what is really there, a slightly wrong pose, wheels and gyroscope."""

import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation_worlds import QUIET, drive, hall, world

from dyna_nav.simulation import Pallet, SimulationConfig
from dyna_nav.simulation.walls import touchable_cells


def beam(simulation, robot, angle):
    """Range [m] of the beam at this angle to the robot's heading."""
    known = simulation.observe()
    off = (known.scan_angles - angle + math.pi) % (2 * math.pi) - math.pi
    return known.scan[robot, np.argmin(np.abs(off))]


def test_laser_measures_the_distance_of_the_walls():
    simulation = world((5, 4, 0))
    for angle, distance in ((math.pi, 4.9), (-math.pi / 2, 3.9), (math.pi / 2, 5.9)):
        assert beam(simulation, 0, angle) == pytest.approx(distance, abs=1e-6)
    assert beam(simulation, 0, 0.0) == np.inf, "the wall ahead is 14.9 m away, out of range"


def test_beams_turn_with_the_robot():
    simulation = world((5, 4, math.pi / 2))
    assert beam(simulation, 0, 0.0) == pytest.approx(5.9, abs=1e-6)
    assert beam(simulation, 0, math.pi / 2) == pytest.approx(4.9, abs=1e-6)


def test_laser_sees_other_robots_but_not_itself():
    simulation = world((5, 5, 0), (8, 5, 0))
    assert beam(simulation, 0, 0.0) == pytest.approx(3 - 0.35, abs=1e-6)
    assert beam(simulation, 1, math.pi) == pytest.approx(3 - 0.35, abs=1e-6)


@pytest.mark.parametrize("height", [0.15, 0.4])
def test_laser_sees_pallets_where_they_stand_and_no_longer_when_they_are_gone(height):
    simulation = world((5, 5, 0))
    number = simulation.add_pallet(8, 5, math.pi / 2, height=height)
    assert beam(simulation, 0, 0.0) == pytest.approx(3 - 0.4, abs=1e-6)
    simulation.remove_pallet(number)
    simulation.step(np.zeros((1, 2)))
    assert beam(simulation, 0, 0.0) == np.inf


def test_unknown_space_is_a_wall_to_laser_and_body():
    simulation = world((5, 5, 0), site=hall(unknown=[(8, 0, 20, 10)]))
    assert beam(simulation, 0, 0.0) == pytest.approx(3.0, abs=1e-6)
    drive(simulation, (1.5, 0), 4.0)
    assert [hit.other for hit in simulation.collisions] == ["wall"]


def test_what_the_hall_hides_from_the_map_is_seen_and_hit():
    simulation = world((5, 5, 0), hidden_site=hall(boxes=[(8, 4, 9, 6)]))
    assert beam(simulation, 0, 0.0) == pytest.approx(3.0, abs=1e-6)
    drive(simulation, (1.5, 0), 4.0)
    assert simulation.true_pose[0, 0] == pytest.approx(8 - 0.35, abs=0.05)
    assert simulation.site.map.free[100, 170], "the planner's site does not know of it"


def _clutter(seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform((2, 1), (18, 9), (25, 2))
    far = corners + rng.uniform(0.05, 0.8, (25, 2))
    return hall(boxes=np.concatenate([corners, far], axis=1))


def _room_for_pallet(simulation, xy):
    gaps = np.hypot(*(simulation.true_pose[:, :2] - xy).T)
    return simulation.site.standable(xy, 0.8) and gaps.min() > 1.3


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), yaw=st.floats(-3.1, 3.1))
def test_every_range_is_what_the_physics_engine_measures(seed, yaw):
    """The grid's rays and MuJoCo's rays against the merged boxes, the chassis and the pallet agree."""
    site = _clutter(seed)
    spots = np.argwhere(site.clearance > 0.4)
    pick = np.random.default_rng(seed).permutation(len(spots))
    first = site.map.position_of(*spots[pick[0]])
    apart = next(p for k in pick if np.hypot(*((p := site.map.position_of(*spots[k])) - first)) > 1.5)
    simulation = world((*first, yaw), (*apart, 0.0), site=site)
    box = next(p for k in pick if _room_for_pallet(simulation, p := site.map.position_of(*spots[k])))
    simulation.add_pallet(*box, 0.5)
    inner = simulation._world
    scan = simulation.observe().scan[0]
    angles = yaw + simulation.observe().scan_angles
    rays = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=1)
    distance = np.empty(len(angles))
    inner.model.geom_group[inner.wheel_geom[0]] = 5  # the rays start between the robot's own wheels
    groups = np.array([1, 1, 1, 1, 1, 0], np.uint8)
    mujoco.mj_multiRay(
        inner.model, inner.data, np.array([*first, QUIET.laser_height]), rays.ravel(), groups, 1,
        int(inner.base_body[0]), np.empty(len(angles), np.int32), distance, None, len(angles), 50.0,
    )  # fmt: skip
    expected = np.where((distance < 0) | (distance > QUIET.scan_max), np.inf, distance)
    # Cells that no robot can touch have no boxes; the laser sees them all the same, and then before the engine does.
    hit = first + np.where(np.isfinite(scan), scan + 0.01, 0.0)[:, None] * rays[:, :2]
    row, col = site.map.cell_of(hit)
    inside = site.map.contains(hit)
    bare = (site.map.cells != 0) & ~touchable_cells(site, 0.35)
    bare = inside & bare[np.where(inside, row, 0), np.where(inside, col, 0)]
    assert (scan[bare] <= expected[bare] + 1e-4).all()
    same = bare | np.isclose(scan, expected, atol=1e-4) | (np.isinf(scan) & np.isinf(expected))
    # A ray that grazes an edge may go either way.
    assert np.count_nonzero(~same) <= 2


def test_range_noise_is_as_large_as_configured():
    simulation = world((5, 5, 0), site=hall(10, 10), config=SimulationConfig())
    known = simulation.observe()
    angles = known.scan_angles
    exact = np.minimum(4.9 / np.maximum(np.abs(np.cos(angles)), 1e-9), 4.9 / np.maximum(np.abs(np.sin(angles)), 1e-9))
    assert np.std(known.scan[0] - exact) == pytest.approx(0.01, rel=0.3)


def test_the_noise_of_one_scan_says_nothing_of_the_next():
    simulation = world((5, 5, 0), site=hall(10, 10), config=replace(QUIET, scan_noise=0.01))
    errors = []
    for _ in range(2):
        errors.append(simulation.observe().scan[0])
        simulation.step(np.zeros((1, 2)))
    first, second = np.array(errors) - np.minimum(4.9 / _side(simulation, np.cos), 4.9 / _side(simulation, np.sin))
    lags = [abs(np.corrcoef(first, np.roll(second, lag))[0, 1]) for lag in range(360)]
    assert max(lags) < 0.3


def _side(simulation, function):
    return np.maximum(np.abs(function(simulation.observe().scan_angles)), 1e-9)


def test_looking_twice_shows_the_same():
    simulation = world((5, 5, 0), config=SimulationConfig())
    first, second = simulation.observe(), simulation.observe()
    assert np.array_equal(first.scan, second.scan)
    assert np.array_equal(first.pose, second.pose)


def test_localisation_error_is_small_centred_and_correlated():
    simulation = world(*((2.0 + 1.5 * k, 5, 0) for k in range(8)), config=SimulationConfig())
    errors = []
    for _ in range(600):
        simulation.step(np.zeros((8, 2)))
        errors.append(simulation.observe().pose - simulation.true_pose)
    errors = np.array(errors)
    assert errors[..., :2].std() == pytest.approx(0.01, rel=0.2)
    assert errors[..., 2].std() == pytest.approx(math.radians(0.3), rel=0.25)
    assert np.abs(errors[..., :2].mean()) < 0.003
    assert np.corrcoef(errors[:-1, :, 0].ravel(), errors[1:, :, 0].ravel())[0, 1] == pytest.approx(
        math.exp(-0.1 / 2.0), abs=0.03
    )


def test_twist_is_that_of_the_wheels_and_the_gyroscope():
    simulation = world((5, 5, 0))
    drive(simulation, (0.8, 0.5), 2.0)
    assert simulation.observe().twist[0] == pytest.approx(simulation.true_twist[0], abs=0.03)


def test_a_goal_set_on_the_simulation_is_observed_at_once():
    simulation = world((5, 5, 0))
    assert np.isnan(simulation.observe().goal).all()
    simulation.goals[0] = (9, 5, 0)
    assert simulation.observe().goal.tolist() == [[9, 5, 0]]


def test_a_dead_laser_sees_nothing_and_a_shifted_one_is_turned():
    simulation = world((5, 4, 0))
    simulation.set_scan_fault(0, "dead")
    assert np.isinf(simulation.observe().scan).all()
    simulation.set_scan_fault(0, "shifted")
    shift = round(QUIET.scan_shift / (2 * math.pi) * 360) * math.radians(1)
    assert beam(simulation, 0, -math.pi / 2 + shift) == pytest.approx(3.9, abs=1e-6)
    simulation.set_scan_fault(0, None)
    assert beam(simulation, 0, -math.pi / 2) == pytest.approx(3.9, abs=1e-6)
    with pytest.raises(ValueError, match="'blind'"):
        simulation.set_scan_fault(0, "blind")


def test_a_jump_of_the_localisation_stays_and_moves_nothing():
    simulation = world((5, 5, 0))
    simulation.jump_odometry(0, 1.0, -0.5, 0.3)
    assert simulation.observe().pose[0] == pytest.approx((6.0, 4.5, 0.3))
    drive(simulation, (0, 0), 0.5)
    assert simulation.observe().pose[0] == pytest.approx((6.0, 4.5, 0.3), abs=1e-3)
    assert simulation.true_pose[0] == pytest.approx((5, 5, 0), abs=1e-3)


def test_a_pallet_lower_than_the_laser_is_refused():
    with pytest.raises(ValueError, match=r"height.*0\.1"):
        Pallet(5, 5, height=0.1)
