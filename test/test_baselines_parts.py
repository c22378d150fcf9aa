"""The parts of the baseline: costmap, tracker, pursuit, collision monitor, recoveries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_worlds import IdealFleet
from simulation_worlds import hall

from dyna_nav.baselines.costmap import Costmap, CostmapConfig
from dyna_nav.baselines.monitor import Monitor, MonitorConfig, Wish
from dyna_nav.baselines.pursuit import PursuitConfig, arc_to, free_direction, pursue
from dyna_nav.baselines.recovery import ESCALATION, Behaviour, Recovery, RecoveryConfig
from dyna_nav.baselines.route import RoutePlanner
from dyna_nav.baselines.tracking import Tracker, TrackingConfig
from dyna_nav.mdp import STEP, RobotModel
from dyna_nav.site.site import Site

MODEL = RobotModel()
HALL: Site = hall(12.0, 8.0)
GEOMETRY = (0.0, 0.0, HALL.map.resolution)
ANGLES = np.arange(360) * math.radians(1) - math.pi
NOTHING = np.empty((0, 3))


def scan_of_disc(pose, x, y, radius=0.35):
    """Ranges of a laser at pose that sees nothing but a disc."""
    ranges = np.full(360, np.inf)
    for k, angle in enumerate(pose[2] + ANGLES):
        along = (x - pose[0]) * math.cos(angle) + (y - pose[1]) * math.sin(angle)
        inside = radius**2 - ((x - pose[0]) * math.sin(angle) - (y - pose[1]) * math.cos(angle)) ** 2
        if along > 0 and inside > 0:
            ranges[k] = along - math.sqrt(inside)
    return ranges


# The costmap.


def costmap(**options):
    return Costmap(HALL, MODEL.radius, 1, CostmapConfig(**options))


def cost_at(costs, chart, x, y):
    return costs[chart.cell_of(np.array([x, y]))]


def test_what_the_laser_sees_is_lethal_around_it_and_costs_fade_with_distance():
    chart, pose = costmap(), np.array([3.0, 4.0, 0.0])
    chart.observe(0, 1.0, pose, NOTHING, scan_of_disc(pose, 6.0, 4.0), ANGLES, 12.0)
    costs = chart.costs(0, 1.0, NOTHING, np.empty((0, 4)))
    assert np.isinf(cost_at(costs, chart, 5.6, 4.0))
    fading = [cost_at(costs, chart, x, 4.0) for x in (5.15, 5.0, 4.85, 4.0)]
    assert np.isfinite(fading).all()
    assert fading == sorted(fading, reverse=True)
    assert fading[-1] == 1.0


def test_no_search_begins_or_ends_on_the_border_which_is_lethal():
    chart = costmap()
    rows, cols = chart.static_cost.shape
    for x, y in ((-5.0, -5.0), (0.01, 4.0), (12.0, 8.0), (6.0, 99.0)):
        row, col = chart.cell_of(np.array([x, y]))
        assert 1 <= row <= rows - 2
        assert 1 <= col <= cols - 2


def test_a_way_that_takes_long_to_find_is_passable_all_the_same(monkeypatch):
    """On a large site the first search gives up: what the second one finds counts as what it is."""
    monkeypatch.setattr("dyna_nav.baselines.route._MOST", 10)
    chart = costmap()
    planner = RoutePlanner(HALL, chart, MODEL, PursuitConfig(), 0.2)
    start, goal = np.array([2.0, 4.0, 0.0]), np.array([10.0, 4.0, 0.0])
    for closed in (False, True):
        if closed:
            chart.block(0, np.array([6.0, 4.0]), 9.0, math.inf)  # from wall to wall
        route = planner.route(start, goal, chart.costs(0, 0.0, NOTHING, np.empty((0, 4))))
        assert route.passable != closed


def test_what_is_opened_around_the_robot_is_dearer_than_where_it_is_tight():
    """In a door of 0.9 m: or its way out would lead through the jambs."""
    site = hall(10.0, 10.0, boxes=[(0.0, 5.0, 4.55, 5.1), (5.45, 5.0, 10.0, 5.1)])
    chart = Costmap(site, MODEL.radius, 1, CostmapConfig())
    cost = chart.costs(0, 0.0, np.array([(5.0, 5.4, 0.2)]), np.empty((0, 4)))
    closed = np.isinf(cost) & np.isfinite(chart.static_cost)
    RoutePlanner(site, chart, MODEL, PursuitConfig(), 0.2)._open(cost, chart.cell_of(np.array([5.0, 5.05])))
    opened = closed & np.isfinite(cost)
    assert opened.sum() > 10
    assert (cost[opened] > chart.static_cost[opened]).all()


def test_a_beam_that_passes_clears_and_a_known_disc_is_not_marked():
    chart, pose = costmap(), np.array([3.0, 4.0, 0.0])
    free = np.full(360, np.inf)
    chart.observe(0, 1.0, pose, NOTHING, scan_of_disc(pose, 6.0, 4.0), ANGLES, 12.0)
    chart.observe(0, 1.1, pose, NOTHING, free, ANGLES, 12.0)
    assert np.array_equal(chart.costs(0, 1.1, NOTHING, np.empty((0, 4))), chart.static_cost)
    chart.observe(0, 1.2, pose, np.array([[6.0, 4.0, 0.6]]), scan_of_disc(pose, 6.0, 4.0), ANGLES, 12.0)
    assert np.array_equal(chart.costs(0, 1.2, NOTHING, np.empty((0, 4))), chart.static_cost)


def test_obstacles_and_blocked_places_are_forgotten_after_their_time():
    chart, pose = costmap(memory=5.0), np.array([3.0, 4.0, 0.0])
    chart.observe(0, 1.0, pose, NOTHING, scan_of_disc(pose, 6.0, 4.0), ANGLES, 12.0)
    chart.block(0, np.array([9.0, 4.0]), 0.5, 8.0)
    assert np.isinf(cost_at(chart.costs(0, 5.0, NOTHING, np.empty((0, 4))), chart, 9.0, 4.0))
    assert np.array_equal(chart.costs(0, 8.5, NOTHING, np.empty((0, 4))), chart.static_cost)


# The tracker.


def track(velocity, scans=15):
    tracker = Tracker(MODEL.radius, HALL.clearance, GEOMETRY, TrackingConfig())
    pose, noise = np.array([2.0, 4.0, 0.3]), np.random.default_rng(1)
    for k in range(scans):
        x, y = 6.0 + velocity[0] * 0.1 * k, 4.0 + velocity[1] * 0.1 * k
        scan = scan_of_disc(pose, x, y) + 0.01 * noise.standard_normal(360)
        seen = tracker.update(0.1 * k, pose, scan, ANGLES)
    return seen, (x, y)


@pytest.mark.parametrize("velocity", [(-1.4, 0.0), (0.0, 1.2), (-0.6, -0.8)])
def test_a_moving_disc_is_tracked_with_its_velocity(velocity):
    seen, (x, y) = track(velocity)
    assert len(seen) == 1
    assert seen[0, :2] == pytest.approx((x, y), abs=0.15)
    assert seen[0, 2:] == pytest.approx(velocity, abs=0.25)


def test_what_stands_does_not_move():
    assert len(track((0.0, 0.0))[0]) == 0


# Pursuit.


def follow(pose, points, speed=1.0, cost=None):
    """Speed and turn rate on a path in an empty place."""
    cost = np.ones((200, 200), np.float32) if cost is None else cost
    field = np.full((200, 200), 5.0, np.float32)
    points = np.array(points, float)
    limits = (MODEL.max_speed, MODEL.max_turn_rate, MODEL.acceleration, MODEL.turn_acceleration)
    settings = (0.7, 0.5, 1.4, 0.6, 1.7, 0.5, 0.95, 0.25, 0.6, 0.43, 0.41)
    speeds = np.full(len(points), MODEL.max_speed)
    return pursue(
        np.array(pose, float), speed, points, speeds, 0, cost, (0.0, 0.0, 0.1), field, 0.1, math.inf, limits, settings
    )


STRAIGHT = [(5 + 0.1 * k, 10.0) for k in range(60)]


@settings(max_examples=50)
@given(x=st.floats(0.2, 3.0), y=st.floats(-2.0, 2.0), yaw=st.floats(-3.1, 3.1))
def test_the_arc_leads_to_the_carrot(x, y, yaw):
    pose = np.array([1.0, 2.0, yaw])
    cos, sin = math.cos(yaw), math.sin(yaw)
    target = pose[0] + x * cos - y * sin, pose[1] + x * sin + y * cos
    curvature, bearing = arc_to(pose, *target)
    length = math.hypot(x, y) * (bearing / math.sin(bearing) if abs(bearing) > 1e-6 else 1.0)
    steps = 2000
    for _ in range(steps):
        pose[2] += 0.5 * curvature * length / steps
        pose[:2] += length / steps * np.array([math.cos(pose[2]), math.sin(pose[2])])
        pose[2] += 0.5 * curvature * length / steps
    assert pose[:2] == pytest.approx(target, abs=1e-3)


def test_on_a_straight_path_it_drives_straight_at_full_speed():
    speed, turn, _ = follow((5.0, 10.0, 0.0), STRAIGHT)
    assert (speed, turn) == pytest.approx((MODEL.max_speed, 0.0))


@settings(max_examples=50)
@given(yaw=st.floats(-3.1, 3.1), offset=st.floats(-0.8, 0.8), speed=st.floats(0.0, 1.5))
def test_commands_are_within_the_limits(yaw, offset, speed):
    forward, turn, _ = follow((5.0, 10.0 + offset, yaw), STRAIGHT, speed)
    assert -0.5 <= forward <= MODEL.max_speed
    assert abs(turn) <= MODEL.max_turn_rate + 1e-9


@settings(max_examples=50)
@given(side=st.sampled_from((-1, 1)), yaw=st.floats(0.6, 1.2), offset=st.floats(-0.05, 0.05), speed=st.floats(0.0, 1.5))
def test_a_path_ahead_is_turned_to(side, yaw, offset, speed):
    """One that lies behind may be reached sooner by turning the other way: in reverse."""
    _, turn, _ = follow((5.0, 10.0 + offset, side * yaw), STRAIGHT, speed)
    assert turn * side < 0.0


def test_what_lies_behind_is_approached_backwards_while_turning_round():
    forward, turn, turning = follow((5.0, 10.0, 3.0), STRAIGHT, speed=0.0)
    assert -0.5 <= forward < 0.0
    assert abs(turn) == MODEL.max_turn_rate
    assert turning


def test_the_carrot_comes_nearer_when_the_arc_to_it_would_cut_a_corner():
    path = [(5 + 0.1 * k, 10.0) for k in range(10)] + [(5.9, 10.0 + 0.1 * k) for k in range(20)]
    _, wide, _ = follow((5.0, 10.0, 0.0), path, speed=1.4)
    cost = np.ones((200, 200), np.float32)
    cost[101:130, 40:58] = np.inf  # inside of the corner
    _, tight, _ = follow((5.0, 10.0, 0.0), path, speed=1.4, cost=cost)
    assert wide > 0.1
    assert tight < 0.5 * wide


JAMB = np.ones((200, 200), np.float32)
JAMB[98:101, 56:80] = np.inf  # a wall whose end the path goes round
ROUND = [(5.0 + 0.1 * k, 9.4) for k in range(3)] + [(5.2, 9.5 + 0.1 * k) for k in range(8)]
ROUND += [(5.3 + 0.1 * k, 10.5) for k in range(40)]


@settings(max_examples=50)
@given(yaw=st.floats(-3.1, 3.1))
def test_beside_a_corner_it_turns_to_one_direction_whichever_way_it_faces(yaw):
    """Or it would turn to and fro; once it faces that way it drives."""
    field = np.full((200, 200), 5.0, np.float32)
    place = ((0.0, 0.0, 0.1), field, 0.1, (0.43, 0.41))

    def direction(yaw):
        found, around = free_direction(np.array([5.05, 9.4, yaw]), np.array(ROUND), 0, 0.9, JAMB, *place)
        assert found
        return (yaw + around) % (2 * math.pi)

    assert direction(yaw) == pytest.approx(direction(0.0), abs=1e-6)
    speed, *_ = follow((5.05, 9.4, direction(yaw)), ROUND, speed=0.0, cost=JAMB)
    assert speed > 0.0


# The collision monitor.


def drive_at(points, speed=1.5, seconds=6.0, pose=(2.0, 4.0, 0.0)):
    """Distance kept to points [m] by an ideal robot that wants to drive on, and the speeds it had."""
    fleet = IdealFleet([pose], latency=0.05)
    monitor = Monitor(HALL.clearance, GEOMETRY, MODEL, MonitorConfig())
    sent, nobody = np.zeros(2), np.empty((0, monitor.horizon, 2))
    nearest, speeds = np.inf, []
    for _ in range(round(seconds / STEP)):
        wish = Wish(np.array([speed, 0.0]))
        sent = monitor.limit(wish, fleet.pose[0], fleet.twist[0], sent, points, nobody, nobody, nobody)
        for position in fleet.step(sent[None])[:, 0]:
            nearest = min(nearest, np.hypot(*(points - position).T).min())
        speeds.append(fleet.twist[0, 0])
    return nearest, speeds


@settings(max_examples=15)
@given(y=st.floats(-0.4, 0.4), x=st.floats(1.0, 4.0), speed=st.floats(0.5, 1.5))
def test_it_stops_short_of_what_stands_in_the_way(x, y, speed):
    nearest, speeds = drive_at(np.array([[2.0 + x, 4.0 + y]]), speed, seconds=10.0)
    assert nearest > MODEL.radius
    assert speeds[-1] < 0.1 or abs(y) > MODEL.radius  # beside the lane it may pass


def test_the_map_stops_it_even_when_the_laser_sees_nothing():
    fleet = IdealFleet([(9.0, 4.0, 0.0)], latency=0.05)
    monitor = Monitor(HALL.clearance, GEOMETRY, MODEL, MonitorConfig())
    sent, none, nobody = np.zeros(2), np.empty((0, 2)), np.empty((0, monitor.horizon, 2))
    for _ in range(50):
        wish = Wish(np.array([1.5, 0.0]))
        sent = monitor.limit(wish, fleet.pose[0], fleet.twist[0], sent, none, nobody, nobody, nobody)
        fleet.step(sent[None])
    assert HALL.clearance_at(fleet.pose[0, :2]) > MODEL.radius
    assert fleet.pose[0, 0] > 11.0


def test_returns_beside_the_lane_slow_it_down_and_do_not_stop_it():
    beside = np.stack([np.linspace(3.0, 9.0, 61), np.full(61, 4.42)], axis=1)
    nearest, speeds = drive_at(beside, seconds=4.0)
    config = MonitorConfig()
    assert nearest > MODEL.radius
    assert 0.3 < speeds[-1] <= config.slow_share * MODEL.max_speed + 0.01


def test_it_gives_way_to_who_goes_first_and_goes_on_afterwards():
    monitor = Monitor(HALL.clearance, GEOMETRY, MODEL, MonitorConfig())
    pose, twist, sent = np.array([3.0, 4.0, 0.0]), np.array([1.0, 0.0]), np.array([1.0, 0.0])
    time = np.arange(monitor.horizon) * 0.05
    crossing = np.stack([np.full_like(time, 4.4), 3.0 + 1.5 * time], axis=1)[None]
    past = np.stack([np.full_like(time, 4.4), 6.0 + 1.5 * time], axis=1)[None]
    wish = Wish(np.array([1.0, 0.0]))
    none, nobody = np.empty((0, 2)), np.empty((0, monitor.horizon, 2))
    assert monitor.limit(wish, pose, twist, sent, none, nobody, nobody, crossing)[0] < 0.8
    assert monitor.limit(wish, pose, twist, sent, none, nobody, nobody, past)[0] == pytest.approx(1.0)


def test_a_stranger_who_comes_near_stops_it_just_the_same_when_the_fleet_is_known():
    monitor = Monitor(HALL.clearance, GEOMETRY, MODEL, MonitorConfig())
    pose, twist, sent = np.array([3.0, 4.0, 0.0]), np.array([1.0, 0.0]), np.array([1.0, 0.0])
    time = np.arange(monitor.horizon) * 0.05
    stranger = np.stack([4.6 - 1.2 * time, np.full_like(time, 4.0)], axis=1)[None]
    fleet = np.full((2, monitor.horizon, 2), np.nan)
    fleet[1] = (9.0, 7.0)  # somebody who stands far away
    wish, none, nobody = Wish(np.array([1.0, 0.0])), np.empty((0, 2)), np.empty((0, monitor.horizon, 2))
    blind = monitor.limit(wish, pose, twist, sent, none, nobody, stranger, nobody)
    known = monitor.limit(wish, pose, twist, sent, none, fleet, stranger, nobody)
    assert known.tolist() == blind.tolist()
    assert known[0] < 0.5
    assert monitor.limit(wish, pose, twist, sent, none, fleet, nobody, nobody)[0] == pytest.approx(1.0)


# Recoveries.


def stand(recovery, seconds, position=(1.0, 1.0), start=0.0):
    """The recoveries of a robot that stands, each over at once."""
    begun = []
    for k in range(round(seconds / STEP)):
        behaviour = recovery.next(start + k * STEP, np.array(position), 5.0, False, False)
        if behaviour is not None:
            begun.append(behaviour)
            recovery.done()
    return begun


def test_recoveries_escalate_in_their_order_while_nothing_helps():
    begun = stand(Recovery(RecoveryConfig(), np.random.default_rng(0)), 40.0)
    assert tuple(begun[: len(ESCALATION)]) == ESCALATION
    assert Behaviour.WAIT not in begun[len(ESCALATION) :]


def test_who_makes_way_begins_with_the_mildest_again():
    recovery = Recovery(RecoveryConfig(), np.random.default_rng(0))
    assert len(stand(recovery, 12.0)) >= 3
    assert stand(recovery, 8.0, position=(6.0, 1.0), start=12.0)[0] is Behaviour.WAIT


def test_driving_in_circles_is_no_progress():
    recovery = Recovery(RecoveryConfig(circling=5.0), np.random.default_rng(0))
    begun = []
    for k in range(80):
        position = np.array([math.cos(0.1 * k), math.sin(0.1 * k)])
        if recovery.next(k * STEP, position, 1.0, True, False):
            begun.append(k)
            break
    assert begun == [50]


def test_two_robots_draw_different_durations():
    rng = np.random.default_rng(0)
    assert Recovery(RecoveryConfig(), rng).duration(2.0) != Recovery(RecoveryConfig(), rng).duration(2.0)


def test_a_trip_that_begins_long_after_the_last_one_begins_with_patience():
    recovery, place = Recovery(RecoveryConfig(), np.random.default_rng(0)), np.zeros(2)
    assert recovery.next(0.0, place, 10.0, False, False) is None
    recovery.reset()
    assert recovery.next(100.0, place, math.inf, False, False) is None


def test_giving_way_uses_up_nothing_of_what_else_can_be_tried():
    recovery, place = Recovery(RecoveryConfig(), np.random.default_rng(0)), np.zeros(2)

    def next_one(gives_way, begin):
        for k in range(100):
            found = recovery.next(begin + 0.1 * k, place, 10.0, False, gives_way)
            if found is not None:
                recovery.done()
                return found

    assert next_one(True, 0.0) is Behaviour.RETREAT
    assert next_one(False, 50.0) is Behaviour.WAIT
