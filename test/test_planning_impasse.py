"""Impasses: who cannot get through a gap takes another way, if there is one."""

from __future__ import annotations

import numpy as np
from planning_worlds import MODEL, hall

from dyna_nav.mdp import STEP, GoalTolerance
from dyna_nav.planning.impasse import Impasses
from dyna_nav.planning.lattice import Lattice, PotentialConfig
from dyna_nav.planning.potential import time_to_go
from dyna_nav.planning.ways import way_of

SITE = hall(14, 4.4, [(3, 1.2, 11, 3.2)])  # a rack with an aisle for one robot on either side
LATTICE = Lattice.of(SITE, MODEL, PotentialConfig())
GOAL, STUCK = np.array([12.5, 0.6, 0.0]), np.array([5.0, 0.6, 0.0])
FIELD = time_to_go(LATTICE, GOAL, MODEL, GoalTolerance(), PotentialConfig())
BOTH, ONE = np.ones(2, bool), np.array([True, False])


def tried(seconds, poses, under_way=BOTH, impasses=None, now=0.0, tries=lambda time: BOTH):
    """Impasses of two robots with the same goal that were at poses(time) for so long."""
    impasses = impasses or Impasses(LATTICE, 2)
    fields = np.stack([FIELD, FIELD])
    for time in np.arange(now, now + seconds, STEP):
        impasses.update(STEP, np.array(poses(time)), under_way, tries(time), fields)
    return impasses


def apart(time, other=(1.0, 2.5, 0.0)):
    """One turns and creeps to and fro, the other stands far away."""
    return STUCK + np.array([0.3 * np.sin(time), 0.0, time]), other


def test_who_gets_nowhere_is_led_around_the_place_ahead():
    impasses = tried(9.0, apart, ONE)
    assert len(impasses.points(1)) == 0
    (place,) = impasses.points(0)
    assert 0.3 < place[0] - STUCK[0] < 1.2
    around = time_to_go(LATTICE, GOAL, MODEL, GoalTolerance(), PotentialConfig(), impasses.points(0))
    way = LATTICE.resolution * way_of(around, *LATTICE.cell_of(STUCK))
    assert way[:, 0].max() > 3.2  # past the other side of the rack
    assert tried(7.5, apart).version == 0  # patience


def test_who_gets_on_slowly_is_left_alone():
    slow = tried(30.0, lambda time: (STUCK + np.array([0.1 * time, 0.0, 0.0]), (1.0, 2.5, 0.0)), ONE)
    assert slow.version == 0


def test_who_waits_behind_another_closes_nothing():
    assert tried(30.0, lambda time: apart(time, STUCK + np.array([1.2, 0.0, 0.0])), ONE).version == 0


def test_nobody_closes_its_own_goal():
    assert tried(30.0, lambda _: (GOAL - np.array([0.4, 0.0, 0.0]), (1.0, 2.5, 0.0)), ONE).version == 0


def test_who_has_arrived_or_lost_its_pose_closes_nothing():
    assert tried(30.0, apart, ~BOTH).version == 0
    assert tried(30.0, lambda _: np.full((2, 3), np.nan)).version == 0


def test_a_place_is_closed_once_however_long_it_takes():
    assert 1 <= tried(60.0, apart, ONE).version <= 2  # it creeps to and fro


def test_who_is_held_does_not_try_and_who_is_held_now_and_then_does():
    assert tried(60.0, apart, ONE, tries=lambda time: ~BOTH).version == 0  # an emergency stop, say
    assert tried(17.0, apart, ONE, tries=lambda time: BOTH if round(time / STEP) % 2 else ~BOTH).version == 1


def test_a_new_goal_opens_everything_and_patience_begins_anew():
    impasses = tried(9.0, apart, ONE)
    impasses.forget(0)
    assert len(impasses.points(0)) == 0
    assert len(tried(7.5, apart, ONE, impasses, 9.0).points(0)) == 0


def test_who_is_stuck_again_closes_another_place():
    impasses = tried(9.0, apart, ONE)
    tried(9.0, lambda time: (STUCK - np.array([2.0, 0.0, 0.0]), (1.0, 3.8, 0.0)), ONE, impasses, 9.0)
    assert len(impasses.points(0)) == 2
