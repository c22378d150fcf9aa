"""Traffic: the ways of the others as a flow, and what driving against it costs."""

from __future__ import annotations

import numpy as np
import pytest
from planning_worlds import MODEL, hall

from dyna_nav.mdp import GoalTolerance
from dyna_nav.planning.lattice import Lattice, PotentialConfig
from dyna_nav.planning.potential import time_to_go
from dyna_nav.planning.traffic import Traffic
from dyna_nav.planning.ways import way_of

SITE = hall(14, 5, [(3, 1.8, 11, 3.4)])  # a rack with an aisle on either side
LATTICE = Lattice.of(SITE, MODEL, PotentialConfig())
WEST, EAST = np.array([1.5, 0.9, 0.0]), np.array([12.5, 0.9, 0.0])
BOTH = np.ones(2, bool)


def potential(goal, flow=None, **prices):
    return time_to_go(LATTICE, goal, MODEL, GoalTolerance(), PotentialConfig(**prices), flow=flow)


def traffic_of(poses, goals, under_way=None):
    traffic = Traffic(LATTICE, MODEL.radius)
    fields = np.stack([potential(goal) for goal in goals])
    traffic.update(np.array(poses), fields, np.ones(len(poses), bool) if under_way is None else under_way)
    return traffic


def cell(x, y):
    return LATTICE.cell_of(np.array([x, y]))


def test_the_flow_points_along_the_way_of_the_other_and_only_beside_it():
    flow = traffic_of([WEST, EAST], [EAST, WEST]).flow(0)
    np.testing.assert_allclose(flow[cell(7.0, 0.9)], (-1.0, 0.0), atol=0.2)
    assert not flow[cell(7.0, 4.1)].any()  # the aisle that it does not take
    assert not flow[cell(13.6, 0.9)].any()  # behind it
    assert np.hypot(*flow.reshape(-1, 2).T).max() <= 1.0 + 1e-6


def test_five_who_drive_the_same_way_count_no_more_than_two():
    flow = traffic_of([WEST] + 5 * [EAST], [EAST] + 5 * [WEST]).flow(0)
    np.testing.assert_allclose(flow[cell(7.0, 0.9)], (-2.0, 0.0), atol=0.3)


def test_two_who_drive_the_same_way_count_twice():
    flow = traffic_of([WEST, EAST, EAST + np.array([0.0, 0.3, 0.0])], [EAST, WEST, WEST]).flow(0)
    np.testing.assert_allclose(flow[cell(7.0, 0.9)], (-2.0, 0.0), atol=0.3)


def test_nobody_else_on_the_way_is_no_flow():
    assert traffic_of([WEST], [EAST]).flow(0) is None
    assert traffic_of([WEST, EAST], [EAST, WEST], np.array([True, False])).flow(0) is None
    assert traffic_of([WEST, np.full(3, np.nan)], [EAST, WEST]).flow(0) is None
    assert Traffic(LATTICE, MODEL.radius).flow(0) is None  # before the first cycle


def test_who_would_meet_another_in_an_aisle_takes_the_other_one():
    start, goal = np.array([1.5, 2.3, 0.0]), np.array([12.5, 2.3, 0.0])  # the lower aisle is a little shorter
    alone = way_of(potential(goal), *LATTICE.cell_of(start)) * LATTICE.resolution
    assert alone[:, 0].max() < 2.5
    flow = traffic_of([start, EAST], [goal, WEST]).flow(0)
    assert way_of(potential(goal, flow), *LATTICE.cell_of(start))[:, 0].max() * LATTICE.resolution > 3.4


def test_who_is_given_a_goal_keeps_out_of_the_way_of_those_under_way(drive_dyna2):
    start, goal = (1.5, 2.3, 0.0), (12.5, 2.3, 0.0)
    run = drive_dyna2(2, site=SITE, poses=[tuple(EAST), start], goals=[WEST, None])
    run.steps(2)
    run.assign(1, goal)
    run.steps(1)
    way = way_of(run.dyna2.fields[1], *LATTICE.cell_of(np.array(start))) * LATTICE.resolution
    assert way[:, 0].max() > 3.4


def test_who_drives_the_same_way_is_not_avoided():
    flow = traffic_of([WEST, WEST + np.array([1.5, 0.0, 0.0])], [EAST, EAST]).flow(0)
    with_it, alone = potential(EAST, flow), potential(EAST)
    assert with_it[(*cell(1.5, 0.9), 0)] == pytest.approx(alone[(*cell(1.5, 0.9), 0)], rel=0.02)


@pytest.mark.parametrize("contraflow", [0.0, 0.5, 1.2, 5.0])
def test_driving_against_the_flow_costs_its_price_and_nothing_gets_cheaper(contraflow):
    flow = np.zeros((*LATTICE.clearance.shape, 2), np.float32)
    flow[..., 0] = -1.0  # everybody else drives west, everywhere
    against, alone = potential(EAST, flow, contraflow=contraflow), potential(EAST)
    assert (against >= alone - 1e-3).all()
    here, nearer = cell(4.0, 0.9), cell(10.0, 0.9)
    driven = alone[(*here, 0)] - alone[(*nearer, 0)]
    straight = 6.0 / MODEL.max_speed  # [s]; driving near walls costs more, against the flow it is added to that
    extra = against[(*here, 0)] - against[(*nearer, 0)] - driven
    assert extra == pytest.approx(contraflow * straight, rel=0.1, abs=1e-3)


def corridor(width, shift=0.0):
    """A corridor along x from 0 to 20 m with its right-hand wall (of who drives east) at y = 1 + shift [m]."""
    height = 5.0
    return hall(20, height, [(0, 0, 20, 1 + shift), (0, 1 + shift + width, 20, height)])


def ways_after_they_took_notice(site, poses, goals, rounds=3):
    """The ways [k, 2] (x, y [m]) of two robots that have led theirs past each other's, one after the other."""
    lattice = Lattice.of(site, MODEL, PotentialConfig())
    fields = np.stack([time_to_go(lattice, goal, MODEL, GoalTolerance(), PotentialConfig()) for goal in goals])
    traffic = Traffic(lattice, MODEL.radius)
    for k in range(2 * rounds):
        traffic.update(np.array(poses), fields, BOTH)
        robot = k % 2
        flow = traffic.flow(robot)
        fields[robot] = time_to_go(lattice, goals[robot], MODEL, GoalTolerance(), PotentialConfig(), flow=flow)
    return [lattice.centres(way_of(fields[k], *lattice.cell_of(poses[k]))) for k in range(2)]


@pytest.mark.parametrize("width", [2.2, 2.6, 3.0])
@pytest.mark.parametrize("shift", [0.0, 0.05, 0.1, 0.15])  # against the cells of the lattice
def test_two_that_meet_in_an_aisle_that_holds_two_each_keep_to_their_right_half(width, shift):
    middle = 1.0 + shift + 0.5 * width
    west, east = np.array([1.5, middle, 0.0]), np.array([18.5, middle, 0.0])
    ways = ways_after_they_took_notice(corridor(width, shift), [west, east], [east, west])
    eastward, westward = (way[(way[:, 0] > 8.0) & (way[:, 0] < 12.0), 1] for way in ways)
    assert westward.min() - eastward.max() >= 2.0 * MODEL.radius
    assert eastward.max() < middle < westward.min()
    for lane in (eastward, westward):  # and nobody scrapes along the wall: at full speed the braking rule needs room
        assert np.abs(lane - middle).max() <= 0.5 * width - MODEL.radius - 0.15


def test_an_aisle_that_holds_one_is_one_lane():
    site = corridor(1.3)
    west, east = np.array([1.5, 1.65, 0.0]), np.array([18.5, 1.65, 0.0])
    for way in ways_after_they_took_notice(site, [west, east], [east, west]):
        np.testing.assert_allclose(way[(way[:, 0] > 8.0) & (way[:, 0] < 12.0), 1], 1.65, atol=0.15)


WIDE = Lattice.of(corridor(2.6), MODEL, PotentialConfig())


def meets(starts, goals):
    """Whom each of some robots in a wide corridor, at x = starts on their way to x = goals [m], will meet."""
    places = [[np.array([x, 2.3, 0.0]) for x in points] for points in (starts, goals)]
    fields = np.stack([time_to_go(WIDE, goal, MODEL, GoalTolerance(), PotentialConfig()) for goal in places[1]])
    traffic = Traffic(WIDE, MODEL.radius)
    traffic.update(np.array(places[0]), fields, np.ones(len(starts), bool))
    return [traffic.meets(robot) for robot in range(len(starts))]


@pytest.mark.parametrize(
    ("starts", "goals", "meet"),
    [
        ((2.0, 16.0), (18.0, 1.0), True),
        ((12.0, 4.0), (18.0, 1.0), False),  # they have passed each other
        ((2.0, 5.0), (15.0, 18.0), False),  # one behind the other
        ((2.0, 16.0), (4.0, 14.0), False),  # neither drives so far
        ((2.0, 18.0), (3.0, 1.0), False),  # the one has long arrived when the other comes
    ],
)
def test_who_comes_towards_one_is_met(starts, goals, meet):
    assert meets(starts, goals) == ([{1}, {0}] if meet else [set(), set()])


def test_who_crosses_is_not_met_and_who_is_not_under_way_meets_nobody():
    goals = [np.array([12.5, 4.2, 0.0]), np.array([12.5, 0.9, 0.0])]
    traffic = traffic_of([np.array([12.5, 0.9, 0.0]), np.array([11.5, 4.2, 0.0])], [goals[0], np.array([13.5, 4.2, 0])])
    assert not traffic.meets(0)
    assert not traffic_of([WEST, EAST], [EAST, WEST], np.array([False, True])).meets(0)


def test_two_that_meet_in_an_aisle_pass_each_other_without_slowing_down(drive_dyna2):
    west, east = (1.5, 2.1, 0.0), (18.5, 2.1, np.pi)
    run = drive_dyna2(2, site=corridor(2.2), poses=[west, east], goals=[(18.5, 2.1, 0.0), (1.5, 2.1, np.pi)])
    slowest = np.inf
    while run.fleet.pose[0, 0] < 14.0 and run.fleet.time < 30.0:
        run.steps(1)
        if run.fleet.pose[0, 0] > 4.0:
            slowest = min(slowest, run.fleet.twist[:, 0].min())
    assert slowest > 0.6 * MODEL.max_speed
