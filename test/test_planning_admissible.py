"""The planner's braking rule: whatever robots want, nobody touches anybody or anything, and nobody is locked in."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from braking_worlds import ACTIONS, CONFIG, LIMITS, NOTHING, POINTS, ROOM, Rule, margins, standing_apart
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_worlds import MODEL, IdealFleet, hall, least_gap

from dyna_nav.mdp import STEP, STOP, RobotModel
from dyna_nav.parameters import check
from dyna_nav.planning.admissible import (
    PATH_STEP,
    BrakingConfig,
    approach,
    braking_path,
    clear_of_returns,
    path_is_safe,
    path_length,
)
from dyna_nav.safety.braking import braking_path as gate_path
from dyna_nav.safety.braking import obstacle_in_path
from dyna_nav.safety.gate import GateConfig


def random_hall(rng):
    boxes = [(x, y, x + 0.6, y + rng.uniform(0.3, 1.5)) for x, y in rng.uniform((1, 1), (5, 3), (rng.integers(3), 2))]
    return hall(rng.uniform(5, 7), rng.uniform(4, 6), boxes)


def drive(site, poses, steps, wish, rng, latency=CONFIG.latency):
    """Let robots do what they wish as far as the rule allows; positions [ticks, robots, 2] on the way."""
    fleet, rule, way = IdealFleet(poses, latency), Rule(site, len(poses)), []
    for _ in range(steps):
        way.append(fleet.step(rule.commands(fleet, wish(fleet), rng.permutation(len(poses)))))
    return np.concatenate(way)


def towards(fleet, targets):
    """Actions in the order in which they bring robots to their targets fastest: reckless on purpose."""
    wishes = []
    for pose, target in zip(fleet.pose, targets, strict=True):
        bearing = math.atan2(target[1] - pose[1], target[0] - pose[0]) - pose[2]
        error = (bearing + math.pi) % (2 * math.pi) - math.pi
        wishes.append(sorted(range(len(ACTIONS)), key=lambda a: abs(error - 0.5 * ACTIONS[a, 1]) - 2.0 * ACTIONS[a, 0]))
    return wishes


@given(st.integers(0, 2**32), st.integers(2, 5))
@settings(max_examples=8)
def test_robots_that_want_anything_never_touch_each_other_or_a_wall(seed, robots):
    rng = np.random.default_rng(seed)
    site = random_hall(rng)
    way = drive(
        site,
        standing_apart(site, robots, rng),
        250,
        lambda _: [rng.permutation(len(ACTIONS)) for _ in range(robots)],
        rng,
    )
    assert least_gap(way) >= 2 * MODEL.radius
    assert site.clearance_at(way).min() >= MODEL.radius


@given(st.integers(0, 2**32), st.integers(2, 4))
@settings(max_examples=8)
def test_robots_that_want_to_ram_each_other_and_the_walls_never_do(seed, robots):
    rng = np.random.default_rng(seed)
    site = random_hall(rng)
    outside = rng.uniform(-20, 20, (robots, 2))

    def reckless(fleet):
        chased = np.roll(fleet.pose[:, :2], 1, axis=0)
        return towards(fleet, np.where(np.arange(robots)[:, None] % 2 == 0, chased, outside))

    way = drive(site, standing_apart(site, robots, rng), 200, reckless, rng)
    assert least_gap(way) >= 2 * MODEL.radius
    assert site.clearance_at(way).min() >= MODEL.radius


@given(st.integers(0, 2**32))
@settings(max_examples=8)
def test_a_robot_cannot_creep_up_to_a_wall_or_a_robot_step_by_step(seed):
    """The margin is for localisation and timing; a robot that stands inside it may not use it up centimetre-wise."""
    rng = np.random.default_rng(seed)
    edge = MODEL.radius + CONFIG.margin
    poses = [
        (edge + 0.05 - 0.02, 2.5, math.pi + rng.uniform(-1, 1)),
        (edge + 0.03 + 2 * edge - 0.02, 2.5, rng.uniform(2, 4)),
    ]

    def press(fleet):
        along = fleet.pose[:, :2] + (
            -0.3,
            rng.choice([-1.0, 1.0]),
        )  # at a slant, where each step comes but a little nearer
        return [rng.permutation(len(ACTIONS))] * 2 if rng.random() < 0.3 else towards(fleet, along)

    way = drive(ROOM, poses, 300, press, rng)
    assert least_gap(way) >= 2 * MODEL.radius + 0.5 * CONFIG.margin
    assert ROOM.clearance_at(way).min() >= MODEL.radius + 0.25 * CONFIG.margin


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.05, 0.1]))
@settings(max_examples=8)
def test_wheels_that_answer_sooner_than_assumed_stay_within_the_margins(seed, latency):
    rng = np.random.default_rng(seed)
    site = random_hall(rng)
    way = drive(
        site,
        standing_apart(site, 3, rng),
        200,
        lambda _: [rng.permutation(len(ACTIONS)) for _ in range(3)],
        rng,
        latency,
    )
    assert least_gap(way) >= 2 * MODEL.radius
    assert site.clearance_at(way).min() >= MODEL.radius


def test_a_latency_of_more_than_one_step_is_refused_because_the_rule_would_not_hold():
    check(BrakingConfig(latency=STEP))
    with pytest.raises(ValueError, match="latency"):
        check(BrakingConfig(latency=1.5 * STEP))


def stop_from(speed, latency=0.0, hold=0.0, command=(0.0, 0.0), previous=(0.0, 0.0), turn=0.0, model=MODEL):
    config = replace(CONFIG, latency=latency)
    out = np.empty((path_length(model, config) + round(hold / PATH_STEP), 2))
    limits = np.array([model.acceleration, model.deceleration, model.turn_acceleration])
    braking_path(
        np.zeros(3), np.array([speed, turn]), np.array(previous), np.array(command), limits, latency, hold, out
    )
    return out


@given(st.floats(0, MODEL.max_speed), st.floats(0.5, 5.0))
def test_the_braking_path_is_as_long_as_the_stopping_distance(speed, deceleration):
    out = stop_from(speed, model=replace(MODEL, deceleration=deceleration))
    assert out[-1, 0] == pytest.approx(speed**2 / (2 * deceleration), abs=speed * PATH_STEP / 2 + 1e-9)
    assert out[-1, 0] >= speed**2 / (2 * deceleration) - 1e-9
    np.testing.assert_array_equal(out[-1], out[-2])  # it stands


@given(st.floats(0, MODEL.max_speed), st.sampled_from([0.1, 0.2]), st.sampled_from([0.05, 0.1]))
def test_latency_and_hold_add_their_time_at_speed(speed, latency, hold):
    keep = (speed, 0.0)
    out = stop_from(speed, latency, hold, command=keep, previous=keep)
    expected = speed * (latency + hold) + speed**2 / (2 * MODEL.deceleration)
    assert out[-1, 0] == pytest.approx(expected, abs=speed * PATH_STEP / 2 + 1e-9)


@given(
    st.tuples(st.floats(0, 1.5), st.floats(-1.2, 1.2)),
    st.sampled_from(ACTIONS.tolist()),
    st.sampled_from(ACTIONS.tolist()),
)
@settings(max_examples=60)
def test_the_braking_path_is_the_one_the_robot_drives(twist, previous, command):
    fleet = IdealFleet([(0, 0, 0)], latency=0.0)
    fleet.twist[0] = twist
    path = stop_from(twist[0], 0.1, 0.1, command, previous, twist[1])
    way = np.concatenate([fleet.step([given])[:, 0] for given in (previous, command, *[(0, 0)] * 12)])
    assert np.hypot(*(path[-1] - way[-1])) < 0.03
    every = way[round(PATH_STEP / fleet.TICK) - 1 :: round(PATH_STEP / fleet.TICK)][: len(path) - 1]
    assert np.hypot(*(path[1 : len(every) + 1] - every).T).max() < 0.03


@given(st.floats(0.05, 5), st.floats(0.05, 10), st.floats(0.05, 20), st.floats(0.05, 50), st.floats(0, 1))
def test_every_path_is_long_enough_to_stand_at_its_end(speed, turn_rate, braking, turn_braking, latency):
    model = RobotModel(
        max_speed=speed,
        max_turn_rate=turn_rate,
        acceleration=20.0,
        deceleration=braking,
        turn_acceleration=turn_braking,
    )
    points = path_length(model, replace(CONFIG, latency=latency))
    out, limits = np.empty((points, 2)), np.array([20.0, braking, turn_braking])
    full = np.array([speed, turn_rate])
    braking_path(np.zeros(3), full, full, full, limits, latency, STEP, out)
    np.testing.assert_allclose(out[-1], out[-2], atol=1e-9)


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.001, 1), st.floats(0.001, 1))
def test_a_speed_goes_to_its_target_and_not_past_it(value, target, up, down):
    after = approach(value, target, up, down)
    assert min(value, target) <= after <= max(value, target)
    slowing = abs(target) < abs(value) and target * value >= 0
    assert abs(after - value) <= (down if slowing else max(up, down)) + 1e-12


def allowed_at(pose, twist=(0.0, 0.0), others=(), site=ROOM):
    fleet = IdealFleet([pose, *others])
    fleet.twist[0] = twist
    rule = Rule(site, len(fleet.pose))
    rule.previous[0] = twist
    paths = np.array([rule.path(fleet, robot, ACTIONS[STOP], 0.0) for robot in range(len(fleet.pose))])
    return rule.allowed(fleet, 0, paths)


FORWARD = ACTIONS[:, 0] > 0
STRAIGHT = np.flatnonzero(FORWARD & (ACTIONS[:, 1] == 0))


@given(st.floats(-math.pi, math.pi), st.floats(-0.2, 0.06))
def test_turning_on_the_spot_beside_a_wall_is_always_allowed(yaw, slack):
    """Even when localisation puts the robot into the wall: its circle holds it and its load in every heading."""
    assert allowed_at((MODEL.radius + slack + 0.05, 2.5, yaw))[~FORWARD].all()


@given(st.floats(-0.2, CONFIG.margin - 0.01))
def test_a_robot_too_close_to_a_wall_may_leave_it_but_not_approach(slack):
    x = MODEL.radius + slack + 0.05
    assert allowed_at((x, 2.5, 0.0))[STRAIGHT].all()
    assert not allowed_at((x, 2.5, math.pi))[FORWARD].any()


@given(x=st.floats(-1.0, -0.1), y=st.floats(0.5, 4.5), yaw=st.floats(-math.pi, math.pi), speed=st.floats(0.0, 1.5))
def test_a_robot_that_seems_to_be_inside_of_a_wall_or_off_the_map_does_not_drive(x, y, yaw, speed):
    """Its localisation has failed, and what the map alone holds, a ban on driving, would not stop it."""
    assert not allowed_at((x, y, yaw), (speed, 0.0)).any()


@given(st.floats(-0.2, 2 * CONFIG.margin - 0.01))
def test_a_robot_too_close_to_another_may_leave_it_but_not_approach(slack):
    other = (3.0 + 2 * MODEL.radius + slack, 2.5, 0.0)
    assert allowed_at((3.0, 2.5, math.pi), others=[other])[STRAIGHT].all()
    assert not allowed_at((3.0, 2.5, 0.0), others=[other])[FORWARD].any()
    assert allowed_at((3.0, 2.5, 0.0), others=[other])[~FORWARD].all()


def test_full_speed_at_a_wall_is_allowed_as_long_as_it_can_be_stopped():
    full, ahead = (MODEL.max_speed, 0.0), []
    for gap in np.arange(0.0, 4.0, 0.01):
        ahead.append(allowed_at((6 - 0.05 - MODEL.radius - gap, 2.5, 0.0), full)[STRAIGHT[-1]])
    needed = MODEL.max_speed * (CONFIG.latency + STEP) + MODEL.max_speed**2 / (2 * MODEL.deceleration)
    needed += CONFIG.margin + CONFIG.speed_margin * MODEL.max_speed
    assert np.argmax(ahead) * 0.01 == pytest.approx(needed, abs=0.06)
    assert all(ahead[np.argmax(ahead) :])


def test_a_robot_that_is_absent_hinders_nobody():
    fleet, rule = IdealFleet([(3, 2.5, 0), (3.5, 2.5, 0)]), Rule(ROOM, 2)
    paths = np.array([rule.path(fleet, 0, ACTIONS[STOP], 0.0), np.full((POINTS, 2), np.nan)])
    assert rule.allowed(fleet, 0, paths).all()


def test_two_that_would_meet_in_the_middle_are_told_apart_by_time_not_by_place():
    """Paths are compared instant by instant: whoever has passed before the other comes is no hindrance."""
    crossing = np.array([[x, 2.5] for x in np.linspace(1, 5, POINTS)])
    later = np.array([[3.0, y] for y in np.linspace(0.6, 0.9, POINTS)])
    field = ROOM.clearance.astype(np.float32)
    paths = np.array([crossing, later])
    rest = (0, MODEL.radius, margins(CONFIG), field, 0.0, 0.0, 0.05)
    assert path_is_safe(crossing, 1.0, paths, paths, *rest)
    meeting = np.array([crossing, [[3.0, y] for y in np.linspace(0.6, 4.4, POINTS)]])
    assert not path_is_safe(crossing, 1.0, meeting, meeting, *rest)
    assert not path_is_safe(crossing, 1.0, paths, meeting, *rest)


def test_who_follows_leaves_room_for_the_one_ahead_to_be_stopped_at_once():
    """A velocity gate stops a robot without a word to the fleet, and sooner than a command could."""
    freed, stops, gaps = [], [], np.arange(0.05, 1.0, 0.05)
    for gap in gaps:
        fleet = IdealFleet([(1.0, 2.5, 0), (1.0 + 2 * MODEL.radius + gap, 2.5, 0)])
        fleet.twist[:, 0] = MODEL.max_speed
        rule = Rule(hall(20, 5), 2)
        rule.previous[:, 0] = MODEL.max_speed
        paths = np.array([rule.path(fleet, robot, ACTIONS[STRAIGHT[-1]], STEP) for robot in range(2)])
        halts = np.array([rule.path(fleet, robot, ACTIONS[STOP], 0.0, latency=0.0) for robot in range(2)])
        freed.append(rule.allowed(fleet, 0, paths)[STRAIGHT[-1]])
        stops.append(rule.allowed(fleet, 0, paths, halts=halts)[STRAIGHT[-1]])
    assert all(freed)  # both drive on as they say, or brake alike
    lost = MODEL.max_speed * (CONFIG.latency + STEP)  # what the one ahead no longer drives
    margin = CONFIG.margin + CONFIG.speed_margin * MODEL.max_speed
    assert gaps[np.argmax(stops)] == pytest.approx(lost + 2 * margin, abs=0.06)
    assert all(stops[np.argmax(stops) :])


def gate_stops(twist, command, returns):
    """Whether the velocity gate, with a scan as old as commands take to act, holds a robot at the origin."""
    gate = GateConfig()
    path = gate_path(*twist, MODEL, gate.reaction_time, command=command, delay=CONFIG.latency)
    margin = gate.margin + gate.speed_margin * abs(twist[0])
    return obstacle_in_path(returns, path, MODEL.radius, margin) is not None


@settings(max_examples=300)
@given(
    speed=st.floats(0, 1.5),
    turn=st.floats(-1.2, 1.2),
    action=st.integers(0, len(ACTIONS) - 1),
    seed=st.integers(0, 10_000),
)
def test_what_is_admissible_passes_the_velocity_gate(speed, turn, action, seed):
    """On exact data, for who is not within the margins already: there the planner lets the laser's noise go."""
    rng = np.random.default_rng(seed)
    bearing, distance = rng.uniform(-np.pi, np.pi, 12), rng.uniform(MODEL.radius + 0.15, 2.5, 12)
    returns = np.stack([distance * np.cos(bearing), distance * np.sin(bearing)], axis=1)
    path, twist = np.empty((POINTS, 2)), np.array([speed, turn])
    braking_path(np.zeros(3), twist, twist, ACTIONS[action], LIMITS, CONFIG.latency, STEP, path)
    admitted = clear_of_returns(path, speed, returns, MODEL.radius, margins(CONFIG))
    assert not (admitted and gate_stops(twist, ACTIONS[action], returns))


def test_a_robot_in_front_that_will_have_driven_on_is_still_in_the_way_of_the_gate():
    """The fleet's predictions let a robot follow closely; the laser's returns do not."""
    path, twist = np.empty((POINTS, 2)), np.array([1.5, 0.0])
    braking_path(np.zeros(3), twist, twist, ACTIONS[7], LIMITS, CONFIG.latency, STEP, path)
    behind = path[-1, 0] + MODEL.radius
    for distance, free in ((behind + 0.05, False), (behind + 0.2, True)):
        assert clear_of_returns(path, 1.5, np.array([[distance, 0.0]]), MODEL.radius, margins(CONFIG)) is free


def test_a_robot_near_something_may_turn_and_leave_but_not_come_nearer():
    returns = np.array([[MODEL.radius + 0.015, 0.0]])  # all the noise that is let go is used up
    for yaw, command, allowed in ((0.0, 0, True), (0.0, 4, False), (np.pi, 4, True)):
        path = np.empty((POINTS, 2))
        pose = np.array([0.0, 0.0, yaw])
        braking_path(pose, np.zeros(2), np.zeros(2), ACTIONS[command], LIMITS, CONFIG.latency, STEP, path)
        assert clear_of_returns(path, 0.0, returns, MODEL.radius, margins(CONFIG)) is allowed


def test_what_only_the_laser_sees_makes_driving_into_it_inadmissible():
    fleet, rule = IdealFleet([(2.0, 2.5, 0.0)]), Rule(ROOM, 1)
    paths = np.array([rule.path(fleet, 0, ACTIONS[STOP], 0.0)])
    assert rule.allowed(fleet, 0, paths).all()
    ahead = rule.allowed(fleet, 0, paths, np.array([[2.0 + MODEL.radius + 0.03, 2.5]]))
    assert ahead.tolist() == (ACTIONS[:, 0] == 0.0).tolist()


@pytest.mark.parametrize("speed", [0.5, 1.0])
@pytest.mark.parametrize("ahead", ["wall", "robot", "laser return"])
def test_the_margin_is_that_of_the_speed_which_the_command_leads_to(ahead, speed):
    """Who speeds up has to be able to stop from the speed that it will have, not from the present one."""
    config = replace(CONFIG, speed_margin=0.5, return_speed_margin=0.5)  # far more than the rounding of the map's cells
    rule, fleet, action = Rule(ROOM, 2, config), IdealFleet([(0.0, 2.5, 0.0), (5.0, 2.5, 0.0)]), STRAIGHT[-1]
    fleet.twist[0] = rule.previous[0] = speed, 0.0
    way = rule.path(fleet, 0, ACTIONS[action], STEP)
    faster = np.diff(way[:, 0]).max() / PATH_STEP
    assert 0.5 * (faster - speed) > 0.04  # so much more room than for the present speed
    last = {  # where the robot may stand at the end of its way, by the margin of the greater speed
        "wall": 6 - 0.05 - MODEL.radius - config.margin - 0.5 * faster,
        "robot": 5.0 - 2 * (MODEL.radius + config.margin + 0.5 * faster),
        "laser return": 5.0 - MODEL.radius - config.return_margin - 0.5 * faster,
    }[ahead]
    for nearer, allowed in ((-0.02, True), (0.02, False)):
        fleet.pose[0, 0] = last - way[-1, 0] + nearer
        paths = np.array([rule.path(fleet, robot, ACTIONS[STOP], 0.0) for robot in range(2)])
        if ahead != "robot":
            paths[1] = np.nan  # the other one is absent
        returns = np.array([[5.0, 2.5]]) if ahead == "laser return" else NOTHING
        assert rule.allowed(fleet, 0, paths, returns)[action] == allowed


@pytest.mark.parametrize(
    ("robot", "words"),
    [
        (RobotModel(radius=1.2), r"robot\.radius 1\.2 m and its margins need 1\.3\d m .* at most 1\.2 m"),
        (RobotModel(max_speed=3.0), r"robot\.max_speed 3 m/s .* 3\.\d\d m .* looks 2\.5 m far"),
        (RobotModel(deceleration=0.5), r"robot\.deceleration 0\.5 m/s\^2"),
    ],
)
def test_a_robot_for_which_the_planner_does_not_look_far_enough_is_refused(robot, words):
    with pytest.raises(ValueError, match=words):
        BrakingConfig().check_reach(robot)


def test_the_robots_that_come_with_it_are_looked_out_for():
    BrakingConfig().check_reach(RobotModel())
    BrakingConfig().check_reach(RobotModel(radius=0.6, max_speed=2.0))
