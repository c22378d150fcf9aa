"""People: where they are is a function of time; lasers see them, hulls touch them, nothing is shoved."""

from __future__ import annotations

import numpy as np
import pytest
from simulation_worlds import drive, hall, world

from dyna_nav.simulation import Walker, Walkers, draw_people

ROUND = np.array([[2.0, 5.0], [10.0, 5.0]])


def test_a_walker_goes_its_round_at_its_speed():
    walker = Walker(ROUND, 2.0, ahead=1.0)
    assert walker.round_time == pytest.approx(8.0)
    np.testing.assert_allclose(walker.position([0.0, 3.0, 4.0, 7.0]), [[4, 5], [10, 5], [8, 5], [2, 5]])


@pytest.mark.parametrize(("corners", "speed"), [(ROUND[:1], 1.0), (ROUND, 0.0)])
def test_a_walker_without_a_round_or_a_speed_is_refused(corners, speed):
    with pytest.raises(ValueError, match="a walker needs a round and a speed"):
        Walker(corners, speed)


def test_the_laser_sees_a_walker_come_nearer():
    simulation = world((8, 5, np.pi), walkers=[Walker(ROUND, 1.0)])
    ahead = np.argmin(np.abs(simulation.observe().scan_angles))
    assert simulation.observe().scan[0, ahead] == pytest.approx(6 - 0.25, abs=1e-6)
    drive(simulation, (0, 0), 2.0)
    assert simulation.observe().scan[0, ahead] == pytest.approx(4 - 0.25, abs=1e-2)


def test_a_walker_who_meets_a_standing_robot_touches_it_once_and_does_not_shove_it():
    simulation = world((5, 5, 0), walkers=[Walker(ROUND, 1.0)])
    drive(simulation, (0, 0), 6.0)
    (hit,) = simulation.collisions
    assert (hit.other, hit.speed) == ("walker:0", pytest.approx(0.0, abs=1e-3))
    assert hit.walked_into
    assert hit.time == pytest.approx(3 - 0.6, abs=0.02)
    np.testing.assert_allclose(simulation.true_pose[0], (5, 5, 0), atol=1e-3)


def test_a_robot_that_runs_into_a_walker_did_so_at_its_speed():
    simulation = world((8, 5, np.pi), walkers=[Walker(ROUND, 0.5)])
    drive(simulation, (1.0, 0), 5.0)
    assert simulation.collisions[0].other == "walker:0"
    assert simulation.collisions[0].speed == pytest.approx(1.0, abs=0.05)
    assert not simulation.collisions[0].walked_into


def test_people_are_drawn_from_the_seed_and_none_begins_near_a_robot():
    site, starts = hall(), np.array([[5.0, 5.0], [15.0, 5.0], [10.0, 2.0]])
    people, same, others = (draw_people(site, Walkers(count=12), starts, seed, 0.35) for seed in (1, 1, 2))
    begin = np.array([person.position(0.0) for person in people])
    assert np.hypot(*(begin[:, None] - starts).transpose(2, 0, 1)).min() >= 2.5
    np.testing.assert_array_equal(begin, [person.position(0.0) for person in same])
    assert not np.allclose(begin, [person.position(0.0) for person in others])


@pytest.mark.parametrize(
    ("size", "named"),
    [
        (4.9, "'hall' has room for [01] of 2 people who begin 2.5 m away from every robot"),
        (4.0, "'hall' has no place 2.5 m away from every robot where people could begin"),
        (0.9, "'hall' has no room for people to walk in"),
    ],
)
def test_a_site_too_small_for_people_is_refused(size, named):
    centre = np.full((1, 2), size / 2)
    with pytest.raises(ValueError, match=named):
        draw_people(hall(width=size, depth=size), Walkers(count=2), centre, 0, 0.35)
