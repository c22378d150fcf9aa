"""People: found among the returns, followed from scan to scan, foreseen, and told apart from what stands."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laser_worlds import seen
from planning_worlds import MODEL, hall

from dyna_nav.mdp import STEP
from dyna_nav.planning.moving import MovingObstacles
from dyna_nav.planning.obstacles import LiveMap
from dyna_nav.planning.track import MovingConfig, Track

FLOOR = hall(16, 12)
ROBOT = (4.0, 6.0, 0.0)
RADIUS = 0.25
NOW = np.zeros(1)
AHEAD = np.linspace(0.0, 1.0, 11)


class Watch:
    """Robots that stand and look, or are moved by hand, and a live map of what they see."""

    def __init__(self, poses=(ROBOT,), site=FLOOR, noise=0.0, config=None):
        self.live = LiveMap(site, MODEL.radius, moving=config)
        self.site, self.poses, self.time = site, [np.array(pose, float) for pose in poses], 0.0
        self._rng, self._noise = np.random.default_rng(0), noise

    def look(self, *discs, bodies=True):
        observation = seen(self.site, self.time, self.poses, discs, bodies=bodies)
        scan = observation.scan + self._rng.normal(scale=self._noise, size=observation.scan.shape)
        self.live.update(replace(observation, scan=scan), np.ones(len(self.poses), bool))
        self.time += STEP

    def follow(self, seconds, *walks, bodies=True):
        """Look at people on walks (start [2], velocity [2]) from now on; where they are in the end [k, 2]."""
        begin = self.time
        while self.time < begin + seconds - 1e-9:
            places = [np.array(start) + (self.time - begin) * np.array(velocity) for start, velocity in walks]
            self.look(*((*place, RADIUS) for place in places), bodies=bodies)
        return np.array(places)

    @property
    def expected(self):
        """Middles [m, 11, 2] within the next second."""
        return self.live.moving.expected(AHEAD)[0]


@given(
    st.floats(0.5, 1.5), st.floats(-math.pi, math.pi), st.floats(6.5, 8.0), st.floats(4.5, 7.5), st.floats(0.0, 0.02)
)
@settings(max_examples=30)
def test_who_walks_straight_on_is_within_reach_of_where_it_is_expected(speed, direction, x, y, noise):
    watch, velocity = Watch(noise=noise), speed * np.array([math.cos(direction), math.sin(direction)])
    for _ in range(3):
        watch.look()  # the floor is free, and then somebody walks on it
    (place,) = watch.follow(0.9, ((x, y), velocity))
    middles, reach = watch.live.moving.possible(AHEAD)
    off = np.hypot(*(middles - (place + AHEAD[:, None] * velocity)).transpose(2, 0, 1))
    assert ((off + RADIUS <= reach + 1e-9).all(axis=1)).any()
    assert np.hypot(*(watch.expected[0, -1] - place - velocity)) < 0.45


def test_who_walks_leaves_no_mark_on_the_map_and_who_stays_becomes_an_obstacle():
    watch = Watch(config=MovingConfig(rest=1.0))
    (place,) = watch.follow(1.5, ((9.0, 4.0), (0.0, 1.0)))
    assert len(watch.live.moving) == 1
    assert len(watch.live.obstacles) == 0
    watch.follow(2.5, (place, (0.0, 0.0)))
    assert len(watch.live.moving) == 0
    assert np.hypot(*(watch.live.obstacles - place).T).max() < RADIUS + 0.1


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_pallet_is_no_person_however_one_drives_by(noise):
    """Another part of it is seen from each place: its middle seems to wander."""
    pallet = [(x, 6.0 + y, 0.1) for x in np.arange(7.4, 8.7, 0.15) for y in np.arange(0.6, 1.5, 0.15)]
    watch, moved = Watch([(3.0, 5.5, 0.0)], noise=noise), 0
    while watch.poses[0][0] < 13.0:
        watch.look(*pallet)
        watch.poses[0][0] += 1.5 * STEP
        moved += len(watch.live.moving) if watch.time > 2.0 else 0
    assert moved == 0
    assert len(watch.live.obstacles) > 10


def test_what_is_just_discovered_may_go_anywhere_and_after_a_moment_stands():
    watch = Watch()
    watch.look((9.0, 6.0, RADIUS))
    middles, reach = watch.live.moving.possible(AHEAD)
    assert math.dist(middles[0, 0], (9.0, 6.0)) < 0.1
    assert reach[0, -1] > 1.5
    assert len(watch.live.obstacles) == 0
    watch.follow(0.6, ((9.0, 6.0), (0.0, 0.0)))
    assert len(watch.live.moving) == 0
    assert len(watch.live.obstacles) > 3


def test_who_turns_round_is_expected_back_after_a_moment():
    watch = Watch()
    (place,) = watch.follow(1.5, ((7.0, 6.0), (1.2, 0.0)))
    assert watch.expected[0, -1, 0] > place[0] + 1.0
    (place,) = watch.follow(0.2, (place, (-1.2, 0.0)))
    middles, reach = watch.live.moving.possible(AHEAD)
    back = place - AHEAD[:, None] * (1.2, 0.0)
    assert (np.hypot(*(middles - back).transpose(2, 0, 1)) + RADIUS <= reach).all(axis=1).any()
    (place,) = watch.follow(0.5, (place - (1.2 * STEP, 0.0), (-1.2, 0.0)))
    assert watch.expected[0, -1, 0] < place[0] - 1.0


def test_a_person_seen_by_two_robots_is_one():
    watch = Watch([(5.0, 6.0, 0.0), (13.0, 6.0, 3.0)])
    (place,) = watch.follow(1.5, ((9.0, 4.5), (0.0, 1.0)))
    assert len(watch.expected) == 1
    assert np.hypot(*(watch.expected[0, 0] - place)) < 0.15


@pytest.mark.parametrize("apart", [0.8, 1.2])
def test_two_who_pass_each_other_are_two_before_and_after(apart):
    watch = Watch()
    walks = ((8.0, 4.0), (0.0, 1.2)), ((8.0 + apart, 8.0), (0.0, -1.2))
    for seconds in (1.2, 2.6):  # the nearer one hides the other meanwhile
        watch = Watch()
        places = watch.follow(seconds, *walks)
        expected = watch.expected
        for place, (_, velocity) in zip(places, walks, strict=True):
            assert np.hypot(*(expected[:, -1] - place - velocity).T).min() < 0.4


@pytest.mark.parametrize("seconds", [1.8, 2.4, 3.0])
@pytest.mark.parametrize(
    ("one", "other"), [((-0.9, -0.3), (-0.4, 0.9)), ((0.9, 0.5), (0.0, -1.0)), ((-0.2, 1.1), (0.3, -1.0))]
)
def test_two_who_meet_do_not_become_one_wide_thing_that_stands(one, other, seconds):
    """They part, and each is where it may be expected: within one wide outline nobody would be seen to walk."""
    watch, meet = Watch([ROBOT, (12.5, 3.0, 2.5)], noise=0.01), np.array((8.5, 6.0))
    velocities = np.array([one, other])
    for _ in range(3):
        watch.look()
    places = watch.follow(seconds, *((meet - 1.2 * velocity, velocity) for velocity in velocities))
    expected = watch.expected
    for place, velocity in zip(places, velocities, strict=True):
        assert np.hypot(*(expected[:, 0] - place).T).min() < 0.45
        if seconds > 2.0:
            assert np.hypot(*(expected[:, 5] - place - 0.5 * velocity).T).min() < 0.45


def test_who_walks_along_a_pallet_does_not_take_it_with_them():
    watch = Watch()
    pallet = [(x, y, 0.1) for x in np.arange(8.0, 9.2, 0.15) for y in np.arange(6.6, 7.4, 0.15)]
    for step in range(25):
        place = np.array((6.5 + 1.2 * step * STEP, 6.2))
        watch.look((*place, RADIUS), *pallet)
    assert np.hypot(*(watch.expected[:, 0] - place).T).min() < 0.3
    assert max(track.radius for track in watch.live.moving._watched()) < 0.5


def test_a_scan_that_comes_again_tells_nothing_new():
    """A cycle may come before the next scan: what is seen twice is not known better."""
    once, again = Watch(), Watch()
    for k in range(10):
        disc = (9.0, 5.0 + k * STEP, RADIUS)
        for watch in (once, again):
            watch.look(disc)
        old = seen(FLOOR, again.time - 0.5 * STEP, again.poses, [disc])  # half a step later, with the same scan
        again.live.update(replace(old, scan_age=0.5 * STEP), np.ones(1, bool))
    once.live.moving.forget(once.time - 0.5 * STEP)
    for known, same in zip(once.live.moving.possible(AHEAD), again.live.moving.possible(AHEAD), strict=True):
        np.testing.assert_allclose(known, same, atol=1e-6)


@pytest.mark.parametrize(
    ("width", "entered", "moves"), [(0.4, 0.5, True), (0.4, 0.0, False), (1.2, 0.5, False), (1.2, 1.0, True)]
)
def test_what_is_wide_moves_only_if_nearly_all_of_it_is_where_it_was_free(width, entered, moves):
    """Half a pallet comes into view, or is hidden: its middle moves, and beside it cells seem to have been free."""
    things, across = MovingObstacles(MovingConfig()), np.linspace(-0.5, 0.5, 20)
    for time in np.arange(0.0, 0.65, STEP):
        returns = np.stack([np.full(20, 3.0 + 1.0 * time), width * across], axis=1)
        things.see(0, time, np.zeros(2), returns, np.arange(20) < 20 * entered, np.zeros(20, bool))
        things.forget(time)
    assert len(things) == moves


def test_what_is_known_to_stand_comes_into_view_again_as_what_it_is():
    """A pallet that was looked away from for longer than tracks are kept is no newcomer."""
    watch, pallet = Watch(), ((9.0, 6.0), (0.0, 0.0))
    watch.follow(1.0, pallet)
    watch.live.moving.forget(watch.time + 2.0)
    watch.time += 2.0
    watch.look((9.0, 6.0, RADIUS))
    assert len(watch.live.moving) == 0
    watch.look((9.0, 6.0, RADIUS), (7.0, 6.8, RADIUS))  # a newcomer is one
    assert len(watch.live.moving) == 1


def test_who_was_known_to_stand_and_walks_on_when_seen_again_is_followed():
    watch = Watch()
    watch.follow(1.0, ((9.0, 6.0), (0.0, 0.0)))
    watch.time += 2.0
    (place,) = watch.follow(1.0, ((9.0, 6.0), (0.0, 1.0)))
    assert len(watch.live.moving) == 1
    assert np.hypot(*(watch.expected[0, -1] - place - (0.0, 1.0))) < 0.3


def test_two_tracks_of_one_thing_become_one():
    watch = Watch()
    watch.follow(0.7, ((8.0, 5.2), (0.0, 0.9)), ((8.0, 6.9), (0.0, -0.9)))
    assert len(watch.live.moving) == 2
    watch.look((8.0, 6.05, RADIUS))
    watch.look((8.0, 6.05, RADIUS))
    assert len(watch.live.moving) == 1


def test_a_robot_touches_a_person_sooner_than_another_robot():
    watch = Watch()
    (place,) = watch.follow(0.8, ((9.0, 5.0), (0.0, 1.0)))
    fleet = np.full((2, 4, 2), 3.0)
    positions, contact = watch.live.moving.beside(fleet, MODEL.radius)
    np.testing.assert_array_equal(positions[:2], fleet)
    np.testing.assert_allclose(contact, [2 * MODEL.radius, 2 * MODEL.radius, MODEL.radius + RADIUS], atol=0.03)
    np.testing.assert_allclose(positions[2], place + np.arange(4)[:, None] * (0.0, STEP), atol=0.15)


@pytest.mark.parametrize(("pace", "back"), [(1.2, 1.2), (0.6, 0.8)])
def test_who_walks_may_turn_and_come_back_as_fast_without_a_sign(pace, back):
    watch = Watch(config=MovingConfig(turning=0.8))
    (place,) = watch.follow(1.5, ((7.0, 6.0), (pace, 0.0)))
    (_, here), (_, reach) = watch.live.moving.possible(AHEAD)
    assert np.hypot(*(here - place).T).max() < 0.15
    assert reach - reach[0] == pytest.approx(back * AHEAD, abs=0.05)


def test_a_slow_walker_is_reckoned_with_to_turn_and_come_at_a_usual_walk():
    """As somebody did who was taken for slow because another overtook them: at 1.22 m/s."""
    watch = Watch()
    watch.follow(1.5, ((7.0, 6.0), (0.6, 0.0)))
    (_, _), (_, reach) = watch.live.moving.possible(AHEAD)
    assert (reach - reach[0] >= 1.22 * AHEAD - 1e-9).all()


def test_who_has_slowed_down_may_come_back_as_fast_as_they_walked_before():
    watch = Watch(config=MovingConfig(turning=0.0))
    (place,) = watch.follow(1.5, ((6.0, 6.0), (1.4, 0.0)))
    paces = []
    for _ in range(4):
        (place,) = watch.follow(1.0, (place, (0.5, 0.0)))
        (_, _), (_, reach) = watch.live.moving.possible(AHEAD)
        paces.append(reach[-1] - reach[0])
    assert paces[0] > 0.9
    assert paces == sorted(paces, reverse=True)
    assert 0.45 < paces[-1] < 0.7


def test_who_turns_again_and_again_does_not_rest():
    """Nothing is known of their velocity then, and that is no sign that they stand."""
    track = Track(0.0, np.zeros(2), RADIUS, MovingConfig())
    for scan in range(1, 10):
        track.predict(scan * STEP)
        track.correct(np.array([scan * STEP, 0.0]), RADIUS, 1.0)
    assert track.moves
    for scan in range(10, 40):
        track.predict(scan * STEP)
        track.correct(np.array([1.0 + 0.4 * (-1) ** scan, 0.0]), RADIUS, 1.0)
        assert track.moves
        assert not track.stands


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_a_noisy_beginning_makes_nobody_faster_than_anybody_is(seed):
    rng, config = np.random.default_rng(seed), MovingConfig()
    track = Track(0.0, np.zeros(2), RADIUS, config)
    for scan in range(1, 20):
        track.predict(scan * STEP)
        track.correct(rng.normal(scale=0.2, size=2), RADIUS, 1.0)
        assert track.back(np.ones(1))[0] - track.room <= config.fastest


def test_who_steps_behind_something_is_expected_to_come_out_and_forgotten_later():
    watch = Watch(config=MovingConfig(lost=1.0))
    (place,) = watch.follow(1.5, ((9.0, 3.0), (0.0, 1.0)))
    for seconds in (0.4, 0.4):
        watch.follow(seconds)
        assert len(watch.live.moving) == 1
    assert watch.expected[0, 0, 1] == pytest.approx(place[1] + 0.8, abs=0.3)
    watch.follow(0.4)
    assert len(watch.live.moving) == 0


def test_robots_of_the_fleet_are_no_people():
    watch = Watch([(4.0, 6.0, 0.0), (8.0, 3.0, 1.5)])
    for _ in range(20):
        watch.look()
        watch.poses[1][1] += 1.5 * STEP
    assert len(watch.live.moving) == 0


def test_a_long_wall_that_the_map_lacks_is_no_person():
    watch = Watch()
    for _ in range(10):
        watch.look(*((9.0, y, 0.1) for y in np.arange(3.0, 9.0, 0.15)))
        watch.poses[0][0] += 0.05
    assert len(watch.live.moving) == 0


def test_people_are_told_from_what_stands_after_days_as_well():
    """The live map counts seconds since its first scan; a fleet is not started anew every morning."""
    watch = Watch()
    watch.look()
    watch.time += 3 * 86_400.0
    watch.look()
    (place,) = watch.follow(0.6, ((9.0, 5.0), (0.0, 1.0)))
    assert watch.live.moving.possible(NOW)[0].shape[0] == 2  # it walks: it may go on, or turn
    assert len(watch.live.obstacles) == 0
    watch.follow(2.0, (place, (0.0, 0.0)))
    assert len(watch.live.obstacles) > 3
