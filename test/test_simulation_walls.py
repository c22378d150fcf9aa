"""The walls of the physics are the solid cells of the map: all that a robot can touch, nothing that is free."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation_worlds import drive, hall, world

from dyna_nav.simulation.walls import touchable_cells, wall_boxes
from dyna_nav.site import OccupancyMap, Site

RADIUS = 0.35


def noisy(seed, shape=(120, 160), origin=(-3.0, 2.0)):
    """A site of scattered bars, specks and unknown patches."""
    rng = np.random.default_rng(seed)
    cells = np.zeros(shape, np.int8)
    for _ in range(12):
        row, col = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        height, width = rng.integers(1, 25, 2)
        cells[row : row + height, col : col + width] = rng.choice([100, -1])
    cells[rng.random(shape) < 0.003] = 100
    return Site.from_map("noisy", OccupancyMap(cells, 0.05, origin))


def covered_cells(site, boxes):
    """Cells [rows, cols] whose whole square lies in a box."""
    covered = np.zeros(site.map.shape, bool)
    for x, y, half_width, half_depth in boxes:
        low = np.round((np.array([y - half_depth, x - half_width]) - site.map.origin[::-1]) / site.map.resolution)
        high = np.round((np.array([y + half_depth, x + half_width]) - site.map.origin[::-1]) / site.map.resolution)
        (r0, c0), (r1, c1) = np.clip(low, 0, None).astype(int), np.clip(high, 0, None).astype(int)
        covered[r0:r1, c0:c1] = True
    return covered


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_boxes_hold_the_rim_of_all_that_can_be_touched_and_nothing_free(seed):
    site = noisy(seed)
    covered = covered_cells(site, wall_boxes(site, RADIUS))
    assert not (covered & site.map.free).any()
    free = np.pad(site.map.free, 1)
    beside = np.zeros(site.map.shape, bool)
    for dr in range(3):
        for dc in range(3):
            beside |= free[dr : dr + beside.shape[0], dc : dc + beside.shape[1]]
    assert covered[touchable_cells(site, RADIUS) & beside].all()


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_every_cell_within_the_radius_of_a_standing_robot_can_be_touched(seed):
    site = noisy(seed)
    spots = np.argwhere(site.clearance >= RADIUS)
    touchable = touchable_cells(site, RADIUS)
    solid = np.argwhere(site.map.cells != 0)
    for spot in np.random.default_rng(seed).permutation(spots)[:20]:
        near = np.hypot(*((solid - spot) * 0.05).T) <= RADIUS + 0.05
        assert touchable[tuple(solid[near].T)].all()


def test_a_wall_is_one_box_and_the_map_has_four_more_around_it():
    assert len(wall_boxes(hall(boxes=[(5, 3, 8, 4)]), RADIUS)) == 4 + 1 + 4


def test_specks_inside_walls_cost_next_to_nothing():
    site = noisy(3)
    cells = site.map.cells.copy()
    cells[20:80, 20:120] = 100
    rng = np.random.default_rng(0)
    speckled = cells.copy()
    speckled[30:70, 30:110][rng.random((40, 80)) < 0.5] = 0
    plain, busy = (Site.from_map("x", OccupancyMap(grid, 0.05, (0, 0))) for grid in (cells, speckled))
    assert len(wall_boxes(busy, RADIUS)) <= len(wall_boxes(plain, RADIUS)) + 5


@pytest.mark.parametrize("angle", np.linspace(0, 2 * np.pi, 9)[:-1])
def test_no_robot_leaves_the_map_even_where_it_has_no_walls(angle):
    open_floor = Site.from_map("open", OccupancyMap(np.zeros((100, 120), np.int8), 0.05, (-3.0, -2.5)))
    simulation = world((0, 0, angle), site=open_floor)
    drive(simulation, (1.5, 0), 4.0)
    assert [hit.other for hit in simulation.collisions][:1] == ["wall"]
    assert (np.abs(simulation.true_pose[0, :2]) <= np.array([3.0, 2.5]) - 0.33).all()


def test_a_robot_in_a_cluttered_hall_never_sinks_into_anything():
    site = noisy(11, shape=(240, 240))
    simulation = world(*[(*p, k) for k, p in enumerate(_apart(site, 4))], site=site)
    rng = np.random.default_rng(0)
    for _ in range(40):
        commands = rng.uniform((0.5, -1.2), (1.5, 1.2), (4, 2))
        drive(simulation, commands, 1.0)
        x, y, _ = simulation.true_pose.T
        solid = np.argwhere(site.map.cells != 0)
        centres = site.map.position_of(*solid.T)
        gaps = np.maximum(np.abs(centres[None] - np.stack([x, y], -1)[:, None]) - 0.025, 0)
        assert np.hypot(gaps[..., 0], gaps[..., 1]).min() > RADIUS - 0.04
        upright = simulation._world.data.qpos[simulation._world.base_qpos + 2]
        assert upright == pytest.approx(0.1, abs=0.03)
    assert len(simulation.collisions) > 5


def _apart(site, count):
    spots = np.random.default_rng(0).permutation(np.argwhere(site.clearance > 0.5))
    chosen = []
    for spot in site.map.position_of(*spots.T):
        if len(chosen) < count and all(np.hypot(*(spot - other)) > 1.5 for other in chosen):
            chosen.append(spot)
    return chosen
