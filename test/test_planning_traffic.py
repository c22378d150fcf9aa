"""Traffic: the ways of the others as a flow, and what driving against it costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planning_drive import LOCKSTEP
from planning_worlds import MODEL, hall

from dyna_nav.mdp import GoalTolerance, RobotModel
from dyna_nav.planning.lattice import Lattice, PotentialConfig
from dyna_nav.planning.making_way import MakingWayConfig
from dyna_nav.planning.potential import time_to_go
from dyna_nav.planning.traffic import Traffic
from dyna_nav.planning.ways import way_of

SITE = hall(14, 5, [(3, 1.8, 11, 3.4)])  # a rack with an aisle on either side
LATTICE = Lattice.of(SITE, MODEL, PotentialConfig())
WEST, EAST = np.array([1.5, 0.9, 0.0]), np.array([12.5, 0.9, 0.0])
BOTH = np.ones(2, bool)
GAP = MakingWayConfig().gap


def potential(goal, flow=None, **prices):
    return time_to_go(LATTICE, goal, MODEL, GoalTolerance(), PotentialConfig(**prices), flow=flow)


def traffic_of(poses, goals, under_way=None):
    traffic = Traffic(LATTICE, MODEL.radius, GAP)
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
    assert Traffic(LATTICE, MODEL.radius, GAP).flow(0) is None  # before the first cycle


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
    traffic = Traffic(lattice, MODEL.radius, GAP)
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


@pytest.mark.parametrize("width", [1.2, 1.4, 1.55])
@pytest.mark.parametrize("shift", [0.0, 0.05, 0.1, 0.15])
def test_an_aisle_that_holds_one_is_one_lane(width, shift):
    middle = 1.0 + shift + 0.5 * width
    places = np.array([[1.5, middle, 0.0], [18.5, middle, 0.0]])
    flow, lattice = flow_of(corridor(width, shift), places[0], places[1])
    col = lattice.cell_of(np.array([10.0, middle]))[1]
    fits = lattice.clearance[:, col] >= lattice.radius
    assert fits.any()
    assert (flow[fits, col, 0] > 0.9).all()  # from wall to wall, for whoever comes the other way


def flow_of(site, start, goal, gap=GAP):
    """The flow of one robot on its way, for another one, and the lattice."""
    lattice = Lattice.of(site, MODEL, PotentialConfig())
    field = time_to_go(lattice, goal, MODEL, GoalTolerance(), PotentialConfig())
    traffic = Traffic(lattice, MODEL.radius, gap)
    traffic.update(np.array([start, np.full(3, np.nan)]), np.stack([field, field]), BOTH)
    return traffic.flow(1), lattice


def test_who_wants_a_wider_gap_takes_a_wider_aisle_for_one_lane():
    places = np.array([[1.5, 2.1, 0.0], [18.5, 2.1, 0.0]])
    for gap, oncoming in ((0.2, False), (1.0, True)):
        flow, lattice = flow_of(corridor(2.2), *places, gap)
        assert (flow[lattice.cell_of(np.array([10.0, 2.7]))][0] > 0.5) == oncoming


@pytest.mark.parametrize("along", ["x", "y"])
@pytest.mark.parametrize("shift", [0.0, 0.05, 0.1, 0.15])
def test_the_lanes_of_an_aisle_mirror_each_other(along, shift):
    width, length = 2.2, 20.0
    boxes = [(0, 0, length, 1 + shift), (0, 1 + shift + width, length, 5)]
    if along == "y":
        boxes = [(y0, x0, y1, x1) for x0, y0, x1, y1 in boxes]
    site = hall(*((length, 5.0) if along == "x" else (5.0, length)), boxes)
    middle = 1 + shift + 0.5 * width
    ends = np.array([[1.5, middle, 0.0], [18.5, middle, 0.0]])
    if along == "y":
        ends = ends[:, [1, 0, 2]]
    forth, lattice = flow_of(site, ends[0], ends[1])
    back, _ = flow_of(site, ends[1], ends[0])
    across = np.abs(forth[:, 50, 0] if along == "x" else forth[50, :, 1])
    other = np.abs(back[:, 50, 0] if along == "x" else back[50, :, 1])
    offset = (np.arange(len(across)) + 0.5) * lattice.resolution - middle
    right = 1.0 if along == "y" else -1.0  # of who drives forth
    coarse = 0.06 if shift in (0.0, 0.1) else 0.11  # elsewhere the cells themselves lie askew
    assert across @ offset / across.sum() * right == pytest.approx(other @ offset / other.sum() * -right, abs=coarse)
    assert across @ offset / across.sum() * right > 0.2


def test_around_a_pallet_the_lane_is_where_there_is_room():
    middle, pallet = 2.5, np.array([[10.0 + 0.1 * k, 1.6] for k in range(10)])  # in the right half of who drives east
    site = corridor(3.0)
    lattice, (west, east) = Lattice.of(site, MODEL, PotentialConfig()), np.array([[1.5, middle, 0], [18.5, middle, 0]])
    field = time_to_go(lattice, east, MODEL, GoalTolerance(), PotentialConfig(), obstacles=pallet)
    traffic = Traffic(lattice, MODEL.radius, GAP)
    traffic.update(np.array([west, np.full(3, np.nan)]), np.stack([field, field]), BOTH)
    way = lattice.centres(way_of(field, *lattice.cell_of(west)))
    beside = way[np.abs(way[:, 0] - 10.5) < 0.3]
    flow = traffic.flow(1)
    assert beside[:, 1].min() > middle - 0.05
    for place in beside:
        assert flow[lattice.cell_of(place)][0] > 0.9


def test_who_stands_on_the_left_is_there_and_not_in_the_right_half():
    start = np.array([4.0, 3.0, 0.0])
    flow, lattice = flow_of(corridor(2.6), start, np.array([18.5, 2.3, 0.0]))
    assert np.hypot(*flow[lattice.cell_of(start)]) > 0.95
    assert flow[lattice.cell_of(np.array([10.0, 3.2]))][0] < 0.2


def test_a_small_robot_s_way_is_dear_too():
    small = RobotModel(radius=0.1)
    lattice = Lattice.of(corridor(0.5), small, PotentialConfig())
    places = np.array([[1.5, 1.25, 0.0], [18.5, 1.25, 0.0]])
    field = time_to_go(lattice, places[1], small, GoalTolerance(), PotentialConfig())
    traffic = Traffic(lattice, small.radius, GAP)
    traffic.update(np.array([places[0], np.full(3, np.nan)]), np.stack([field, field]), BOTH)
    assert np.hypot(*traffic.flow(1).reshape(-1, 2).T).max() > 0.9


WIDE = Lattice.of(corridor(2.6), MODEL, PotentialConfig())


def meets(starts, goals):
    """Whom each of some robots in a wide corridor, at x = starts on their way to x = goals [m], will meet."""
    places = [[np.array([x, 2.3, 0.0]) for x in points] for points in (starts, goals)]
    fields = np.stack([time_to_go(WIDE, goal, MODEL, GoalTolerance(), PotentialConfig()) for goal in places[1]])
    traffic = Traffic(WIDE, MODEL.radius, GAP)
    traffic.update(np.array(places[0]), fields, np.ones(len(starts), bool))
    return [traffic.meets(robot) for robot in range(len(starts))]


@pytest.mark.parametrize(
    ("starts", "goals", "meet"),
    [
        ((2.0, 16.0), (18.0, 1.0), True),
        ((12.0, 4.0), (18.0, 1.0), False),  # they have passed each other
        ((2.0, 5.0), (15.0, 18.0), False),  # one behind the other
        ((2.0, 16.0), (4.0, 14.0), False),  # neither drives so far
        ((2.0, 2.0), (15.0, 15.0), False),  # side by side
        ((2.0, 12.0), (3.5, 1.0), False),  # the one has long arrived when the other comes
    ],
)
def test_who_comes_towards_one_is_met(starts, goals, meet):
    assert meets(starts, goals) == ([{1}, {0}] if meet else [set(), set()])


def test_who_crosses_is_not_met_and_who_is_not_under_way_meets_nobody():
    crossing = [np.array([12.5, 0.9, 0.0]), np.array([9.5, 2.6, 0.0])]
    goals = [np.array([12.5, 4.2, 0.0]), np.array([13.5, 2.6, 0.0])]
    site = hall(14, 5)
    lattice = Lattice.of(site, MODEL, PotentialConfig())
    traffic = Traffic(lattice, MODEL.radius, GAP)
    fields = np.stack([time_to_go(lattice, goal, MODEL, GoalTolerance(), PotentialConfig()) for goal in goals])
    traffic.update(np.array(crossing), fields, BOTH)
    assert not traffic.meets(0)
    assert not traffic.meets(1)
    assert not traffic_of([WEST, EAST], [EAST, WEST], np.array([False, True])).meets(0)


def drive_through(drive_dyna2, **more):
    """A run of two robots that meet in the middle of an aisle of 2.2 m, until they have passed each other."""
    west, east = (1.5, 2.1, 0.0), (18.5, 2.1, np.pi)
    goals = [(18.5, 2.1, 0.0), (1.5, 2.1, np.pi)]
    run = drive_dyna2(2, site=corridor(2.2), poses=[west, east], goals=goals, **more)
    slowest = np.inf
    while run.fleet.pose[0, 0] < 14.0 and run.fleet.time < 30.0:
        run.steps(1)
        if run.fleet.pose[0, 0] > 4.0:
            slowest = min(slowest, run.fleet.twist[:, 0].min())
    assert run.fleet.pose[0, 0] >= 14.0
    return slowest


def test_two_that_meet_in_an_aisle_pass_each_other_without_slowing_down(drive_dyna2):
    assert drive_through(drive_dyna2) > 0.6 * MODEL.max_speed


def asks_of_a_meeting(drive_dyna2, config=LOCKSTEP):
    """What two robots that will meet ask of the potential store, once all that was asked with their goals is there."""
    run = drive_dyna2(
        2,
        site=corridor(2.2),
        poses=[(1.5, 2.1, 0.0), (18.5, 2.1, np.pi)],
        goals=[(18.5, 2.1, 0.0), (1.5, 2.1, np.pi)],
        config=config,
    )
    asks, store = [], run.controller._routes._store
    request = store.request
    store.request = lambda *what: (asks.append((run.fleet.time, *what)), request(*what))[1]
    run.steps(30)
    return asks


def test_two_that_meet_ask_one_after_the_other(drive_dyna2):
    asks = asks_of_a_meeting(drive_dyna2)
    assert [what[1][0] for what in asks] == [18.5, 1.5]
    assert asks[0][0] < asks[1][0]  # the second knows the first one's new way


def test_the_others_are_told_when_a_robot_follows_another_potential(drive_dyna2, monkeypatch):
    run = drive_dyna2(2)
    detours, told = run.controller._routes._detours, []
    monkeypatch.setattr(detours, "drives_elsewhere", told.append)
    monkeypatch.setattr(detours, "take", lambda *arguments: None)  # those of goals and refuges, not of what is beside
    run.steps(2)
    assert sorted(told) == [0, 1]
    run.assign(1, (1.5, 6.5, 0.0))
    run.steps(2)
    assert told[2:] == [1]


def test_a_robot_that_is_parked_or_has_broken_down_is_no_traffic(drive_dyna2, monkeypatch):
    run = drive_dyna2(3)
    routes, seen = run.controller._routes, []
    monkeypatch.setattr(routes._traffic, "update", lambda pose, fields, under_way: seen.append(under_way.tolist()))
    run.steps(2)
    assert seen[-1] == [True, True, True]
    monkeypatch.setattr(run.controller._broken_down, "update", lambda *arguments: None)
    run.controller._broken_down.robots[1] = routes._detours.parked[2] = True
    run.steps(1)
    assert seen[-1] == [True, False, False]


def test_a_robot_that_follows_another_potential_is_met_elsewhere_in_the_same_cycle():
    goals = np.array([WEST, EAST])
    traffic = traffic_of([EAST, WEST], goals)
    assert traffic.meets(0) == {1}
    traffic._fields[1] = potential(WEST)  # it stays
    traffic.forget(1)
    assert traffic.meets(0) == set()


def test_where_traffic_costs_nothing_nobody_asks_for_its_sake(drive_dyna2):
    config = replace(LOCKSTEP, potential=PotentialConfig(contraflow=0.0))
    assert not asks_of_a_meeting(drive_dyna2, config)
