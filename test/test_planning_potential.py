"""The potential: a time to go that leads to the goal from everywhere, and nowhere else."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_worlds import MODEL, hall

from dyna_nav.mdp import GoalTolerance, action_set
from dyna_nav.planning.admissible import approach
from dyna_nav.planning.lattice import HEADING_ANGLES, HEADINGS, Lattice, PotentialConfig
from dyna_nav.planning.potential import UNREACHABLE, heading_position, interpolate, time_to_go
from dyna_nav.planning.potential_store import PotentialStore
from dyna_nav.planning.ways import way_of
from dyna_nav.site.fields import distance_at, geodesic_distance

RACKS = [(2, 2, 10, 3), (2, 5, 10, 6), (2, 8, 10, 9), (4.5, 3, 5, 5)]  # with a dead end between the first two
CONFIG, TOLERANCE, EXACT = PotentialConfig(), GoalTolerance(), GoalTolerance(heading=0.3)
RACK_HALL = hall(12, 11, RACKS)
OPEN_HALL = hall(20, 15)
ACTIONS = action_set(MODEL)


def field_of(site, goal, tolerance=TOLERANCE, obstacles=None, config=CONFIG):
    lattice = Lattice.of(site, MODEL, config)
    return lattice, time_to_go(lattice, np.array(goal, float), MODEL, tolerance, config, obstacles)


def at(lattice, field, x, y, yaw):
    return interpolate(field, *lattice.origin, lattice.resolution, x, y, yaw)


def descend(lattice, field, goal, pose, seconds):
    """Follow the potential with ideal kinematics: of all actions held for 0.5 s the one that ends lowest. Arrived?"""
    x, y, yaw, v, w = *pose, 0.0, 0.0

    def after(action, duration):
        state = [x, y, yaw, v, w]
        for _ in range(round(duration / 0.1)):
            state[3] = approach(state[3], action[0], MODEL.acceleration * 0.1, MODEL.deceleration * 0.1)
            state[4] = approach(state[4], action[1], MODEL.turn_acceleration * 0.1, MODEL.turn_acceleration * 0.1)
            state[2] += 0.1 * state[4]
            state[0] += 0.1 * state[3] * math.cos(state[2])
            state[1] += 0.1 * state[3] * math.sin(state[2])
        return state

    for _ in range(round(10 * seconds)):
        if math.hypot(x - goal[0], y - goal[1]) < 0.3:
            return True
        best = min(ACTIONS, key=lambda action: at(lattice, field, *after(action, 0.5)[:3]))
        x, y, yaw, v, w = after(best, 0.1)
    return False


@given(st.sampled_from([(1, 1), (11, 10), (3, 4), (8, 4), (6, 7)]), st.floats(-4, 4))
@settings(max_examples=20)
def test_it_is_zero_at_the_goal_and_nowhere_negative(xy, yaw):
    lattice, field = field_of(RACK_HALL, (*xy, yaw), EXACT)
    nearest = HEADING_ANGLES[np.abs((HEADING_ANGLES - yaw + math.pi) % (2 * math.pi) - math.pi).argmin()]
    assert at(lattice, field, *xy, nearest) < 0.1
    assert field.min() == 0.0


free_places = st.tuples(st.floats(0.6, 11.4), st.floats(0.6, 10.4), st.floats(-math.pi, math.pi)).filter(
    lambda pose: RACK_HALL.clearance_at(pose[:2]) > MODEL.radius + 0.05
)


@given(free_places, st.sampled_from([(1, 1, 0.0), (4, 4, 0.0), (11, 10, 2.0), (7, 7, -2.0)]))
@settings(max_examples=40)
def test_following_it_arrives_from_anywhere_even_out_of_a_dead_end(start, goal):
    lattice, field = field_of(RACK_HALL, goal)
    seconds = at(lattice, field, *start)
    assert seconds < UNREACHABLE
    assert descend(lattice, field, goal, start, 2.5 * seconds + 10)


@pytest.mark.parametrize("goal", [(1, 1, 0.0), (4, 4, 0.0), (11, 10, 2.0)])
def test_every_reachable_node_has_a_lower_neighbour(goal):
    _, field = field_of(RACK_HALL, goal, EXACT)
    padded = np.pad(field, ((2, 2), (2, 2), (0, 0)), constant_values=np.inf)
    rows, cols = field.shape[:2]
    lowest = np.full(field.shape, np.inf)
    for r in range(5):
        for c in range(5):
            for turn in (-1, 0, 1):
                if (r, c, turn) != (2, 2, 0):
                    lowest = np.minimum(lowest, np.roll(padded[r : r + rows, c : c + cols], turn, axis=2))
    inner = (field > 0) & (field < UNREACHABLE)
    assert inner.sum() > 10_000
    assert (lowest < field)[inner].all()


@given(st.floats(2, 18), st.floats(2, 13), st.floats(2, 18), st.floats(2, 13))
@settings(max_examples=30)
def test_on_open_floor_it_is_the_geodesic_time_within_an_eighth(x, y, goal_x, goal_y):
    straight = math.hypot(goal_x - x, goal_y - y)
    lattice, field = field_of(OPEN_HALL, (goal_x, goal_y, 0.0))
    towards = math.atan2(goal_y - y, goal_x - x)
    ideal = straight / MODEL.max_speed
    assert at(lattice, field, x, y, towards) == pytest.approx(ideal, rel=0.125, abs=0.5)


def test_around_racks_it_is_never_far_below_the_geodesic_time():
    goal = (11.0, 10.0, 0.0)
    lattice, field = field_of(RACK_HALL, goal)
    geodesic = geodesic_distance(RACK_HALL, goal[:2], MODEL.radius)
    for x, y in [(1, 1), (3, 4), (7, 7), (11, 1)]:
        ideal = distance_at(RACK_HALL, geodesic, np.array([x, y])) / MODEL.max_speed
        reached = min(at(lattice, field, x, y, yaw) for yaw in HEADING_ANGLES)
        assert 0.85 * ideal - 0.4 < reached < 1.8 * ideal + 0.5


@pytest.mark.parametrize(("gap", "other", "taken"), [(0.85, True, "other"), (1.2, True, "gap"), (0.85, False, "gap")])
def test_a_gap_that_hardly_holds_the_robot_is_the_last_resort(gap, other, taken):
    """It would be tried for long, and mostly in vain; the way round is 9 m longer."""
    wall = [(6.0, 0.0, 6.6, 6.6), (6.0, 6.6 + gap, 6.6, 14.0 if other else 16.0)]
    lattice, field = field_of(hall(12, 16, wall), (11.0, 7.0, 0.0))
    way = lattice.centres(way_of(field, *lattice.cell_of(np.array([2.0, 7.0]))))
    through = way[np.abs(way[:, 0] - 6.3).argmin(), 1]
    assert abs(through - 6.6 - gap / 2) < 0.5 if taken == "gap" else through > 14.0


def test_a_closed_room_is_unreachable():
    site = hall(12, 8, [(6, 0, 6.2, 8)])
    lattice, field = field_of(site, (2, 4, 0))
    assert at(lattice, field, 9, 4, 0) == UNREACHABLE
    assert at(lattice, field, 3, 6, 0) < 10
    assert (field[:, int(6.6 / lattice.resolution) :] == UNREACHABLE).all()


def test_a_door_narrower_than_the_robot_is_closed_and_a_wider_one_open():
    for width, passes in [(2 * MODEL.radius - 0.1, False), (2 * MODEL.radius + 0.3, True)]:
        site = hall(12, 8, [(6, 0, 6.2, 4), (6, 4 + width, 6.2, 8)])
        lattice, field = field_of(site, (2, 4, 0))
        assert (at(lattice, field, 9, 4, 0) < UNREACHABLE) == passes


def test_obstacles_that_are_not_in_the_map_send_the_way_around():
    goal, start = (11.0, 7.0, 0.0), (1.0, 7.0, 0.0)
    free = at(*field_of(RACK_HALL, goal), *start)
    across = np.column_stack([np.full(33, 6.0), np.linspace(6.0, 8.0, 33)])
    around = at(*field_of(RACK_HALL, goal, obstacles=across), *start)
    assert free + 1 < around < UNREACHABLE


@pytest.mark.parametrize(
    ("gap", "passes"), [(0.7, False), (0.75, False), (0.9, True), (0.95, True), (1.0, True), (1.05, True)]
)
def test_a_pallet_leaves_the_gap_open_that_it_leaves_beside_a_wall(gap, passes):
    edge = np.arange(gap + 0.025, 3.0, 0.05)  # from the gap to the other wall
    pallet = np.concatenate([np.column_stack([np.full_like(edge, x), edge]) for x in (6.0, 6.8)])
    lattice, field = field_of(hall(12, 3), (10, 1.5, 0.0), obstacles=pallet)
    assert (at(lattice, field, 2, 1.5, 0.0) < UNREACHABLE) == passes


def test_a_gap_that_has_to_be_crept_through_is_left_for_a_longer_way():
    creep = 2 * (MODEL.radius + MODEL.room + 0.025)
    racks = [(5, 0, 7, 3.0), (5, 3.0 + creep, 7, 7)]  # the other way is open, above them
    lattice, field = field_of(hall(12, 9), (10, 3.4, 0.0))
    free = at(lattice, field, 2, 3.4, 0.0)
    lattice, field = field_of(hall(12, 9, racks), (10, 3.4, 0.0))
    around = at(lattice, field, 2, 3.4, 0.0)
    assert free + 2.0 < around < free + 5.0
    assert at(lattice, field, 4.2, 3.4, math.pi / 2) < at(lattice, field, 4.2, 3.4, 0.0)  # it leads up, not on


def test_looking_away_from_the_goal_takes_longer():
    lattice, field = field_of(OPEN_HALL, (15, 7, 0))
    ahead, aside, back = (at(lattice, field, 5, 7, yaw) for yaw in (0.0, math.pi / 2, math.pi))
    assert ahead + 0.1 < aside < back


def test_the_heading_at_the_goal_counts_only_when_it_is_asked_for():
    anyhow, field = field_of(OPEN_HALL, (10, 7, 0), TOLERANCE)
    assert max(at(anyhow, field, 10, 7, yaw) for yaw in HEADING_ANGLES) < 0.1
    exact, field = field_of(OPEN_HALL, (10, 7, 0), EXACT)
    assert at(exact, field, 10, 7, 0.0) < 0.1
    assert at(exact, field, 10, 7, math.pi) > 0.5 * math.pi / MODEL.max_turn_rate * 0.9
    assert at(exact, field, 9, 7, 0.0) < at(exact, field, 11, 7, math.pi)  # from the wrong side it has to turn


def test_driving_along_a_wall_is_dearer_than_down_the_middle():
    lattice, field = field_of(hall(20, 6), (19, 3, 0))
    assert at(lattice, field, 2, 0.5, 0.0) > at(lattice, field, 2, 3, 0.0) + 0.5


@pytest.mark.parametrize("nodes", [80_000, 100_000, 333_333])
@pytest.mark.parametrize("size", [(20, 15), (37.3, 11.7)])
def test_a_large_site_gets_cells_so_large_that_the_nodes_suffice(nodes, size):
    site = hall(*size, resolution=0.1)
    lattice = Lattice.of(site, MODEL, replace(CONFIG, nodes=nodes))
    rows, cols = lattice.clearance.shape
    assert rows * cols * HEADINGS <= nodes
    assert rows * lattice.resolution >= size[1] - 1e-6
    assert cols * lattice.resolution >= size[0] - 1e-6


def test_no_cell_is_so_large_that_the_way_leads_through_a_thin_wall():
    site = hall(12, 8, [(6, 0, 6.05, 8)])
    for nodes in (10_000, 20_000):
        lattice, field = field_of(site, (2, 4, 0), config=replace(CONFIG, nodes=nodes))
        assert lattice.resolution < MODEL.radius + MODEL.room
        assert at(lattice, field, 3, 4, math.pi) < 5
        assert at(lattice, field, 9, 4, math.pi) == UNREACHABLE


def test_a_coarse_lattice_still_leads_to_the_goal():
    config = replace(CONFIG, nodes=20_000)
    lattice, field = field_of(OPEN_HALL, (17, 12, 0.0), config=config)
    assert lattice.resolution > 0.29
    assert descend(lattice, field, (17, 12), (3, 3, 2.0), 40)


OPEN_LATTICE, OPEN_FIELD = field_of(OPEN_HALL, (15, 7, 0), EXACT)


@given(st.floats(1, 19), st.floats(1, 14), st.floats(-7, 7), st.sampled_from(np.eye(3).tolist()))
@settings(max_examples=200)
def test_it_has_no_jumps_in_position_or_heading(x, y, yaw, direction):
    step = 1e-6 * np.array(direction)
    here, there = (at(OPEN_LATTICE, OPEN_FIELD, *(np.array([x, y, yaw]) + s)) for s in (-step, step))
    assert abs(here - there) < 1e-3


@given(st.floats(1, 19), st.floats(1, 14), st.integers(-2, 2))
@settings(max_examples=50)
def test_a_full_turn_changes_nothing_and_pi_is_minus_pi(x, y, turns):
    for yaw in (math.pi, -1e-17, 0.0, 2.0):
        value = at(OPEN_LATTICE, OPEN_FIELD, x, y, yaw)
        assert at(OPEN_LATTICE, OPEN_FIELD, x, y, yaw + 2 * math.pi * turns) == pytest.approx(value, abs=1e-3)
    assert at(OPEN_LATTICE, OPEN_FIELD, x, y, math.pi - 1e-9) == pytest.approx(
        at(OPEN_LATTICE, OPEN_FIELD, x, y, -math.pi + 1e-9), abs=1e-3
    )


@given(st.floats(-10, 10))
def test_the_heading_lies_between_its_two_lattice_headings_in_proportion(yaw):
    lower, share = heading_position(yaw)
    low = HEADING_ANGLES[lower]
    gap = (HEADING_ANGLES[(lower + 1) % HEADINGS] - low) % (2 * math.pi)
    error = (low + share * gap - yaw + math.pi) % (2 * math.pi) - math.pi
    assert abs(error) < 1e-9
    assert 0.0 <= share <= 1.0


@pytest.mark.parametrize("corner", [(0.45, 0.45), (11.55, 10.55), (0.45, 10.55)])
def test_a_goal_in_the_farthest_corner_of_the_map_is_served(corner):
    lattice, field = field_of(RACK_HALL, (*corner, 0.0))
    assert at(lattice, field, 1.0, 7.0, 0.0) < 30
    assert descend(lattice, field, corner, (1.0, 7.0, 0.0), 60)


def test_a_map_with_its_corner_elsewhere_gives_the_same_times():
    here = field_of(RACK_HALL, (1, 1, 0.0))[1]
    there = field_of(hall(12, 11, RACKS, origin=(-30.0, 7.0)), (-29, 8, 0.0))[1]
    np.testing.assert_allclose(here, there, atol=2e-3)


def test_a_new_goal_is_computed_before_the_detours_that_wait():
    store = PotentialStore(Lattice.of(RACK_HALL, MODEL, CONFIG), MODEL, TOLERANCE, CONFIG)
    goal, finished = np.array([1.0, 1.0, 0.0]), []
    busy = store.request(goal)
    detours = [store.request(goal, np.array([[2.0, 1.0 + k]]), version=k) for k in range(3)]
    new = store.request(np.array([2.0, 1.0, 0.0]))
    for future, name in [(new, "new"), *((detour, "detour") for detour in detours)]:
        future.add_done_callback(lambda _, name=name: finished.append(name))
    detours[-1].result()
    store.close()
    assert busy.done()
    assert finished == ["new", "detour", "detour", "detour"]


def test_a_store_that_is_closed_computes_nothing_more():
    store = PotentialStore(Lattice.of(RACK_HALL, MODEL, CONFIG), MODEL, TOLERANCE, CONFIG)
    asked = [store.request(np.array([1.0 + 0.1 * k, 1.0, 0.0])) for k in range(6)]
    store.close()
    assert all(future.done() for future in asked)
    assert asked[-1].cancelled()
    with pytest.raises(RuntimeError, match="closed"):  # who asks later does not wait for ever
        store.request(np.array([2.0, 2.0, 0.0]))


def test_the_store_computes_each_goal_once_and_each_version_anew():
    lattice = Lattice.of(RACK_HALL, MODEL, CONFIG)
    store = PotentialStore(lattice, MODEL, TOLERANCE, CONFIG)
    goal = np.array([1.0, 1.0, 0.0])
    first, again, blocked = store.request(goal), store.request(goal.copy()), store.request(goal, version=1)
    goal[:] = np.nan  # the caller's array is the caller's
    assert first is again
    assert first is not blocked
    np.testing.assert_array_equal(first.result(), blocked.result())
    store.close()


def test_a_potential_that_nobody_waits_for_any_more_is_not_computed_until_it_is_asked_for_again():
    store = PotentialStore(Lattice.of(RACK_HALL, MODEL, CONFIG), MODEL, TOLERANCE, CONFIG)
    busy, goal = store.request(np.array([1.0, 1.0, 0.0])), np.array([2.0, 1.0, 0.0])
    waiting = store.request(goal)  # twice, for two robots, behind the one that is being computed
    assert store.request(goal) is waiting
    store.withdraw(waiting)
    assert not waiting.cancelled()
    store.withdraw(waiting)
    assert waiting.cancelled()
    assert np.isfinite(store.request(goal).result()).any()
    assert busy.done()
    store.close()


def test_a_passage_that_leaves_no_room_beside_the_robot_is_no_way():
    ways = {}
    for width in (0.7, 0.75, 0.8, 0.85, 0.9, 1.0):
        site = hall(9, 4, [(4, 0, 5, 2.0 - width / 2), (4, 2.0 + width / 2, 5, 4)])
        _, field = field_of(site, (7.0, 2.0, 0.0))
        room = site.clearance[:, 90].max() - MODEL.radius
        ways[room] = field[10, 10].min() < UNREACHABLE
    assert {way for room, way in ways.items() if room <= 0.03} == {False}
    assert {way for room, way in ways.items() if room >= 0.1} == {True}
