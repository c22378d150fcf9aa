"""The braking rule among people: nobody can keep them away, so whoever they walk into stands (passive safety)."""

from __future__ import annotations

import numpy as np
import pytest
from braking_worlds import ACTIONS, POINTS, ROOM, Rule, standing_apart
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planning_worlds import MODEL, IdealFleet, hall

from dyna_nav.mdp import STEP, STOP
from dyna_nav.planning.admissible import PATH_STEP

PERSON = 0.25  # radius of a person [m]
TIMES = np.arange(POINTS) * PATH_STEP
TICKS = np.arange(1, round(STEP / IdealFleet.TICK) + 1) * IdealFleet.TICK


def walking(start, velocity, now=0.0):
    """Where a person is who walks straight on, as the rule is told of it: middles [1, points, 2], reach [1, points]."""
    middles = np.array(start) + (now + TIMES)[:, None] * np.array(velocity)
    return middles[None], np.full((1, POINTS), PERSON)


def assert_touched_standing(way, people):
    """Whenever a person is at a robot, both [ticks, 2], the robot stands."""
    touching = np.hypot(*(way - people).T) < MODEL.radius + PERSON
    speed = np.hypot(*np.diff(way, axis=0, prepend=way[:1]).T) / IdealFleet.TICK
    assert (speed[touching] < 0.02).all()


def test_who_stands_may_turn_but_not_drive_when_somebody_is_about_to_touch_it():
    fleet, rule = IdealFleet([(3.0, 2.5, 0.0)]), Rule(ROOM, 1)
    allowed = rule.allowed(fleet, 0, np.full((1, POINTS, 2), np.nan), people=walking((2.2, 2.5), (1.0, 0.0)))
    assert allowed[ACTIONS[:, 0] == 0.0].all()
    assert not allowed[ACTIONS[:, 0] > 0.0].any()


def test_who_has_gone_by_hinders_nobody():
    fleet, rule = IdealFleet([(1.0, 2.5, 0.0)]), Rule(ROOM, 1)
    nobody = rule.allowed(fleet, 0, np.full((1, POINTS, 2), np.nan))
    gone = rule.allowed(fleet, 0, np.full((1, POINTS, 2), np.nan), people=walking((2.0, 3.4), (0.0, 1.2)))
    np.testing.assert_array_equal(gone, nobody)
    assert gone.all()


@pytest.mark.parametrize("sideways", [0.0, 0.3, 0.6])
def test_at_full_speed_towards_somebody_only_braking_is_left_in_time(sideways):
    """Both come nearer at 2.7 m/s: the rule must say no while there is still room to stop."""
    site, person, velocity = hall(30, 5), np.array([12.0, 2.5 + sideways]), np.array([-1.2, 0.0])
    fleet, rule = IdealFleet([(2.0, 2.5, 0.0)]), Rule(site, 1)
    for step in range(60):
        now = step * STEP
        rule.people = walking(person, velocity, now)
        way = fleet.step(rule.commands(fleet, [[7, 4, STOP]], [0]))
        assert_touched_standing(way[:, 0], person + (now + TICKS)[:, None] * velocity)


@given(st.integers(0, 2**32), st.integers(1, 4))
@settings(max_examples=10)
def test_robots_that_want_anything_stand_whenever_somebody_walks_into_them(seed, people):
    """Walkers go to and fro through everything, as ghosts do; what is known of them is true for the next seconds."""
    rng = np.random.default_rng(seed)
    site = hall(8, 6)
    starts, velocity = rng.uniform((1, 1), (7, 5), (people, 2)), rng.uniform(-1.0, 1.0, (people, 2))
    poses = [pose for pose in standing_apart(site, 2, rng) if (np.hypot(*(starts - pose[:2]).T) > 1.5).all()]
    assume(poses)
    fleet, rule = IdealFleet(poses), Rule(site, len(poses))
    for step in range(150):
        now = step * STEP
        known = [walking(start, v, now) for start, v in zip(starts, velocity, strict=True)]
        rule.people = tuple(np.concatenate(parts) for parts in zip(*known, strict=True))
        wishes = [rng.permutation(len(ACTIONS)) for _ in poses]
        way = fleet.step(rule.commands(fleet, wishes, range(len(poses))))
        for robot in range(len(poses)):
            for start, v in zip(starts, velocity, strict=True):
                assert_touched_standing(way[:, robot], start + (now + TICKS)[:, None] * v)
