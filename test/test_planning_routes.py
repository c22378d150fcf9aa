"""Which potential a robot follows, and which are still computed."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
from planning_worlds import MODEL, hall

from dyna_nav.mdp import GoalTolerance
from dyna_nav.planning.potential import UNREACHABLE, Lattice, PotentialConfig, time_to_go
from dyna_nav.planning.routes import Routes


def test_what_another_robot_waits_for_too_is_not_cancelled():
    shared = Future()
    asked = SimpleNamespace(_potential=[shared, shared], _detour=[None, None])
    Routes._drop(asked, asked._potential, 0)
    assert not shared.cancelled()
    Routes._drop(asked, asked._potential, 1)
    assert shared.cancelled()


def test_a_passage_that_leaves_no_room_beside_the_robot_is_no_way():
    ways = {}
    for width in (0.7, 0.75, 0.8, 0.85, 0.9, 1.0):
        site = hall(9, 4, [(4, 0, 5, 2.0 - width / 2), (4, 2.0 + width / 2, 5, 4)])
        lattice = Lattice.of(site, MODEL, PotentialConfig())
        field = time_to_go(lattice, np.array([7.0, 2.0, 0.0]), MODEL, GoalTolerance())
        room = site.clearance[:, 90].max() - MODEL.radius
        ways[room] = field[10, 10].min() < UNREACHABLE
    assert {way for room, way in ways.items() if room <= 0.03} == {False}
    assert {way for room, way in ways.items() if room >= 0.1} == {True}
