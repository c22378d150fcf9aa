"""Detours: asked for when what stands in the way changes, taken where they lead on."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
import pytest
from planning_worlds import MODEL, hall

from dyna_nav.mdp import STEP, GoalTolerance
from dyna_nav.planning.detours import Detours
from dyna_nav.planning.lattice import HEADINGS, Lattice, PotentialConfig
from dyna_nav.planning.making_way import MakingWayConfig
from dyna_nav.planning.potential import UNREACHABLE
from dyna_nav.planning.potential_store import PotentialStore
from dyna_nav.planning.routes import Routes

SITE = hall(14, 5, [(3, 1.8, 11, 3.4)])  # a rack with an aisle on either side
PALLET, ANOTHER = np.array([[7.0, 1.0], [7.0, 1.1]]), np.array([[9.0, 1.0], [9.0, 1.1]])
FAR = np.array([[7.0, 4.2], [7.0, 4.3]])  # in the other aisle
GOAL, POSE = np.array([[12.5, 0.9, 0.0]]), np.array([[1.5, 0.9, 0.0]])
ALL, NONE = np.ones(1, bool), np.zeros(1, bool)


class Fleet:
    """Detours of one robot, or of some at the same place, on the site; ``requests`` counts what was asked for."""

    def __init__(self, leads_on=lambda field, pose: True, traffic=None, robots=1):
        lattice = Lattice.of(SITE, MODEL, PotentialConfig())
        self.store = PotentialStore(lattice, MODEL, GoalTolerance(), PotentialConfig())
        self.detours = Detours(lattice, self.store, robots, MODEL.radius, leads_on, traffic)
        self.fields = np.stack(robots * [self.store.request(GOAL[0]).result()])
        self.goals = np.concatenate(robots * [GOAL])
        self.requests, request = [], self.store.request
        self.store.request = lambda *what: (self.requests.append(what), request(*what))[1]
        self.now = 0.0

    def see(self, obstacles, seconds, under_way=ALL, stuck=False, waits=True):
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            poses = np.concatenate(len(self.goals) * [POSE]) + np.array(
                [0.0 if stuck else 0.8 * (self.now // 5 % 2), 0.0, 0.0]
            )
            self.detours.look(
                obstacles, self.now, poses, self.goals, self.fields, under_way, under_way, waits=under_way
            )
            if waits:
                self.detours.wait()

    def take(self, able=ALL):
        """Whether the robot follows another field now."""
        before = self.fields.copy()
        self.detours.wait()
        self.detours.take(self.fields, np.concatenate(len(self.goals) * [POSE]), able)
        return not np.array_equal(before, self.fields)


@pytest.fixture
def fleet_of():
    made = []

    def make(*arguments, **more):
        made.append(Fleet(*arguments, **more))
        return made[-1]

    yield make
    for fleet in made:
        fleet.store.close()


def test_a_detour_is_asked_for_once_when_something_has_stood_in_the_way_for_some_seconds(fleet_of):
    fleet = fleet_of()
    fleet.see(PALLET, 1.0)
    assert not fleet.requests
    fleet.see(PALLET, 5.0)
    assert len(fleet.requests) == 1
    assert fleet.take()
    assert not fleet.take()


def test_who_gets_nowhere_is_led_around_the_place_ahead_until_it_has_another_goal(fleet_of):
    fleet = fleet_of()
    fleet.see(np.empty((0, 2)), 12.0, stuck=True)
    (place,) = fleet.requests[-1][1]
    assert 0.4 < np.hypot(*(place - POSE[0, :2])) < 1.2
    assert fleet.take()
    fleet.detours.go_on(0, GOAL[0])  # after it made way
    np.testing.assert_array_equal(fleet.requests[-1][1], [place])
    fleet.detours.begin(0, GOAL[0])
    assert fleet.requests[-1][1] is None


def test_a_change_soon_after_another_waits_its_turn(fleet_of):
    fleet = fleet_of()
    fleet.see(PALLET, 0.5)
    fleet.see(np.concatenate([PALLET, ANOTHER]), 1.0)  # the first counts as standing after 1.2 s, the other after 1.7 s
    assert len(fleet.requests) == 1
    fleet.see(np.concatenate([PALLET, ANOTHER]), 0.5)
    assert len(fleet.requests) == 1
    fleet.see(np.concatenate([PALLET, ANOTHER]), 0.5)
    assert len(fleet.requests) == 2


class OneComes:
    """Traffic in which robot 1 comes towards robot 0."""

    def meets(self, robot):
        return {1}

    def others(self, robot):
        return {1}

    def flow(self, robot):
        return np.zeros((25, 70, 2), np.float32)

    def __init__(self):
        self.turned = []

    def forget(self, robot):
        self.turned.append(robot)


def test_who_will_meet_somebody_asks_once_and_again_when_that_one_drives_elsewhere(fleet_of):
    fleet = fleet_of(traffic=OneComes())
    fleet.see(np.empty((0, 2)), 5.0)
    assert len(fleet.requests) == 1
    fleet.take()
    assert fleet.detours._traffic.turned == [0]
    fleet.see(np.empty((0, 2)), 5.0)
    assert len(fleet.requests) == 1
    fleet.detours.drives_elsewhere(1)
    assert fleet.detours._traffic.turned == [0, 1]
    fleet.see(np.empty((0, 2)), 5.0)
    assert len(fleet.requests) == 2


@pytest.mark.parametrize("met", [False, True])
def test_a_way_around_a_pallet_is_another_one_to_the_others_and_one_out_of_a_meeting_is_not(fleet_of, monkeypatch, met):
    fleet = fleet_of(traffic=OneComes()) if met else fleet_of()
    told: list[int] = []
    monkeypatch.setattr(fleet.detours, "drives_elsewhere", lambda robot, known: told.append((robot, known)))
    fleet.see(np.empty((0, 2)) if met else PALLET, 3.0)
    assert len(fleet.requests) == 1
    fleet.take()
    assert told == [(0, met)]


@pytest.mark.parametrize("freed", ["taken", "withdrawn", "lost"])
def test_nobody_asks_because_of_a_meeting_until_another_follows_its_way_out_of_one(fleet_of, monkeypatch, freed):
    fleet, both = fleet_of(traffic=OneComes(), robots=2), np.ones(2, bool)
    slow, request = Future(), fleet.store.request
    monkeypatch.setattr(fleet.store, "request", lambda *what: (fleet.requests.append(what), slow)[1])
    monkeypatch.setattr(fleet.store, "withdraw", lambda future: None)
    fleet.see(np.empty((0, 2)), 2.0, under_way=both, waits=False)
    assert len(fleet.requests) == 1
    monkeypatch.setattr(fleet.store, "request", request)
    if freed != "withdrawn":  # else it may still be computed: nobody waits for that
        slow.set_result(fleet.fields[0])
    fleet.see(np.empty((0, 2)), 2.0, under_way=both, waits=False)
    assert len(fleet.requests) == 1
    if freed == "taken":
        fleet.take(both)
    elif freed == "withdrawn":
        fleet.detours.forget(0)
    fleet.see(np.empty((0, 2)), 1.0, under_way=np.array([freed != "lost", True]), waits=False)
    assert len(fleet.requests) == 2


def test_who_has_not_got_what_it_asked_for_because_of_a_meeting_asks_at_once_around_a_pallet(fleet_of, monkeypatch):
    fleet = fleet_of(traffic=OneComes())
    never, request = Future(), fleet.store.request
    monkeypatch.setattr(fleet.store, "request", lambda *what: (fleet.requests.append(what), never)[1])
    monkeypatch.setattr(fleet.store, "withdraw", lambda future: None)
    fleet.see(np.empty((0, 2)), 0.5, waits=False)
    assert len(fleet.requests) == 1
    monkeypatch.setattr(fleet.store, "request", request)
    fleet.see(PALLET, 2.0, waits=False)
    assert len(fleet.requests) == 2
    assert len(fleet.requests[1][1])


def test_a_pallet_that_comes_while_a_detour_is_computed_is_asked_for_soon_after_it(fleet_of, monkeypatch):
    fleet = fleet_of()
    slow, request = Future(), fleet.store.request
    monkeypatch.setattr(fleet.store, "withdraw", lambda future: None)
    monkeypatch.setattr(fleet.store, "request", lambda *what: (fleet.requests.append(what), slow)[1])
    fleet.see(PALLET, 2.0, waits=False)
    monkeypatch.setattr(fleet.store, "request", request)
    fleet.see(np.concatenate([PALLET, ANOTHER]), 1.8, waits=False)
    assert len(fleet.requests) == 1
    slow.set_result(fleet.fields[0])
    fleet.see(np.concatenate([PALLET, ANOTHER]), 1.5)
    assert len(fleet.requests) == 2


ELSEWHERE, EDGE = np.array([[7.0, 4.2], [7.0, 4.3]]), np.array([[7.0, 0.95]])  # in the other aisle; of the pallet


@pytest.mark.parametrize(
    ("before", "after", "soon"),
    [
        ([PALLET], [PALLET, ANOTHER], True),
        ([PALLET, ANOTHER], [PALLET], True),
        ([PALLET], [PALLET, ELSEWHERE], False),
        ([PALLET, ELSEWHERE], [PALLET], False),
        ([PALLET], [PALLET, EDGE], False),
        ([PALLET, EDGE], [PALLET], False),
    ],
)
def test_what_comes_or_goes_beside_its_way_is_asked_for_soon_and_all_else_later(fleet_of, before, after, soon):
    fleet = fleet_of()
    fleet.see(np.concatenate(before), 1.5)
    assert len(fleet.requests) == 1
    fleet.see(np.concatenate(after), 3.0)
    assert len(fleet.requests) == (2 if soon else 1)
    fleet.see(np.concatenate(after), 3.0)
    assert len(fleet.requests) == 2
    fleet.see(np.concatenate(after), 20.0)
    assert len(fleet.requests) == 2


def test_who_has_arrived_asks_for_none_and_who_sets_off_later_has_one_at_once(fleet_of):
    fleet = fleet_of()
    fleet.see(PALLET, 5.0, under_way=NONE)
    assert not fleet.requests
    fleet.detours.begin(0, GOAL[0])
    assert fleet.take()


def test_who_has_no_way_yet_when_something_changes_asks_when_it_has_one(fleet_of):
    fleet = fleet_of()
    fleet.see(PALLET, 3.0, under_way=NONE)
    fleet.see(PALLET, 5.0)
    assert len(fleet.requests) == 1


def test_a_refuge_is_driven_to_around_what_stands_and_through_the_traffic(fleet_of):
    fleet = fleet_of(traffic=OneComes())
    fleet.detours.retreat(0, GOAL[0])
    assert not fleet.requests
    fleet.see(PALLET, 3.0, under_way=NONE)
    fleet.detours.retreat(0, GOAL[0])
    _, obstacles, flow, _ = fleet.requests[-1]
    assert len(obstacles)
    assert flow is None
    assert fleet.take()


def test_a_detour_waits_until_its_robot_knows_where_it_is(fleet_of):
    fleet = fleet_of()
    fleet.see(PALLET, 4.0)
    assert not fleet.take(able=NONE)
    assert fleet.take(able=ALL)


def test_a_detour_that_does_not_lead_on_leaves_the_old_way(fleet_of):
    fleet = fleet_of(leads_on=lambda field, pose: False)
    fleet.see(PALLET, 4.0)
    assert not fleet.take()


def test_a_forgotten_detour_is_not_taken(fleet_of):
    fleet = fleet_of()
    fleet.see(PALLET, 4.0)
    fleet.detours.forget(0)
    assert not fleet.take()


def test_a_detour_that_takes_its_time_is_not_asked_for_anew_while_things_change(fleet_of):
    """Or none would ever come where there is always something to see."""
    fleet, unfinished = fleet_of(), Future()
    request, fleet.store.request = fleet.store.request, lambda *what: unfinished
    fleet.see(PALLET, 4.0, waits=False)
    fleet.store.request = request
    fleet.see(np.concatenate([PALLET, ANOTHER]), 20.0, waits=False)
    assert not fleet.requests
    unfinished.set_result(fleet.fields[0] + 1.0)
    assert fleet.take()
    fleet.see(np.concatenate([PALLET, ANOTHER]), 6.0)
    assert fleet.requests


def test_what_changes_elsewhere_is_heard_of_by_who_was_sent_off_before_the_first_look(fleet_of):
    fleet = fleet_of()
    fleet.detours.begin(0, GOAL[0])
    fleet.detours.wait()
    fleet.take()
    before = len(fleet.requests)
    fleet.see(FAR, 12.0)
    assert len(fleet.requests) > before


def test_a_parked_robot_is_led_around_by_everybody_but_itself():
    lattice = Lattice.of(SITE, MODEL, PotentialConfig())
    store = PotentialStore(lattice, MODEL, GoalTolerance(), PotentialConfig())
    detours = Detours(lattice, store, 2, MODEL.radius, lambda field, pose: True)
    fields = np.zeros((2, *lattice.clearance.shape, HEADINGS), np.float32)
    poses = np.array([POSE[0], (7.0, 0.9, 0.0)])  # in the aisle that is the shortest way
    goals, both, first = np.repeat(GOAL, 2, axis=0), np.ones(2, bool), np.array([True, False])
    try:
        for k in range(40):
            detours.look(np.empty((0, 2)), k * STEP, poses, goals, fields, both, tries=both, waits=first)
        detours.wait()
        detours.take(fields, poses, both)
    finally:
        store.close()
    row, col = (int(value) for value in (poses[1, [1, 0]] - lattice.origin) // lattice.resolution)
    assert fields[0, row, col].min() == UNREACHABLE  # nobody drives through it ...
    assert fields[1, row, col].min() < 10.0  # ... and it is not in its own way
    row, col = (int(value) for value in (poses[0, [1, 0]] - lattice.origin) // lattice.resolution)
    assert fields[1, row, col, 0] < fields[0, row, col, 0] < 20.0  # the other aisle is open


@pytest.mark.parametrize("refuge", [None, (12.0, 0.9, 0.0)])
def test_who_makes_way_and_who_goes_on_drives_around_what_stands_in_its_way(refuge):
    lattice = Lattice.of(SITE, MODEL, PotentialConfig())
    fields = np.zeros((2, *lattice.clearance.shape, HEADINGS), np.float32)
    dyna2 = SimpleNamespace(
        fields=fields, forget=lambda robot: None, leads_on=lambda field, pose: True, reachable=lambda robot, pose: True
    )
    routes = Routes(lattice, 2, MODEL, dyna2, GoalTolerance(), PotentialConfig(), MakingWayConfig())
    poses, none = np.array([POSE[0], (7.0, 0.9, 0.0)]), np.zeros(2, bool)
    try:
        for robot in range(2):
            routes.assign(robot, GOAL[0])
        routes.wait()
        routes._making_way.refuge[0] = 1.5, 4.0, 0.0
        for k in range(40):  # the second robot is parked in the aisle that is the shortest way
            routes.lead_around(np.empty((0, 2)), k * STEP, poses, ~none, ~none, np.array([True, False]))
        routes._making_way.refuge[0] = refuge or np.nan
        comes = []
        routes._making_way.update = lambda *given: (comes.extend(given[3]), [0])[1]
        routes.make_way(4.0, poses, none, ~none)
        assert comes == [True, False]  # nobody waits for who is parked
        routes.wait()
        routes.take(poses)
    finally:
        routes.close()
    row, col = (int(value) for value in (poses[1, [1, 0]] - lattice.origin) // lattice.resolution)
    assert fields[0, row, col].min() == UNREACHABLE
