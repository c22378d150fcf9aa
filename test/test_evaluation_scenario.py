"""Scenario files are read strictly, and what ships can be drawn."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from evaluation_worlds import STATIONS, course
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation_worlds import hall

from dyna_nav.evaluation.benchmark import site_of
from dyna_nav.evaluation.course import Breakdown, HallChange, PalletDrop, _Events, _footprint, draw_course, width_at
from dyna_nav.evaluation.scenario import (
    Event,
    PalletLeft,
    RackMoved,
    Stall,
    load_scenario,
    overridden,
    shipped_scenarios,
)
from dyna_nav.mdp import RobotModel
from dyna_nav.simulation import Pallet, Simulation
from dyna_nav.site import OccupancyMap, Site, resolve_site

NAMES = ["busy", "empty", "head_on", "head_on_narrow", "pallets", "people", "stalled"]


def test_the_scenarios_that_ship():
    assert shipped_scenarios() == NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("site", ["", "random:2"])
def test_every_scenario_can_be_drawn_on_its_own_site_and_on_another(name, site):
    scenario = overridden(load_scenario(name), trips=8, site=site)
    drawn = draw_course(site_of(scenario), scenario, 3, RobotModel())
    assert len(drawn.tasks.starts) == scenario.robots
    assert bool(drawn.walkers) == (name == "people")
    assert bool(drawn.timeline) == (name in ("pallets", "stalled"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("robot: 3", "robot is no known field"),
        ("robots: three", "robots is 'three'; it must be a whole number"),
        ("robots: true", "robots is True; it must be a whole number"),
        ("robots: 0", r"robots is 0; it must lie in \[1, 64\]"),
        ("trips: 1.5", "trips is 1.5; it must be a whole number"),
        ("tasks: {kind: chaos}", "tasks.kind is 'chaos'; it must be one of shuffled, crossing"),
        ("tasks: []", r"tasks is \[\]; it must hold fields"),
        ("walkers: {count: 2, speed: 1}", "walkers.speed is no known field"),
        ("walkers: {slowest: 2.0}", "walkers.slowest is 2.0; it must not exceed"),
        ("walkers: {slowest: .nan}", "walkers.slowest is nan; it must be a finite number"),
        (f"walkers: {{slowest: {10**400}}}", "walkers.slowest is 10*[.]{3}; it must be a finite number"),
        (f"robots: {10**400}", r"robots is 10*[.]{3}; it must lie in"),
        ("events: {at: 3}", "events is .* it must be a list"),
        ("events: [{at: 3}]", r"events\[0\] names nothing"),
        ("events: [{at: 3, stall: {}, rack: {}}]", r"events\[0\] names rack and stall"),
        ("events: [{pallet: {}}]", r"events\[0\].pallet has no clear place"),
        ("events: [{pallet: {x: 3.0}}]", r"events\[0\].pallet has only one of x and y"),
        ("events: [{pallet: {in_way: true, stays: -1}}]", r"events\[0\].pallet.stays is -1"),
        ("events: [{every: 5, stall: {}}]", r"events\[0\].stall never ends"),
        (
            "events: [{at: 50, rack: {}}, {at: 10, rack: {}}]",
            r"events\[1\].at is 10 s, but the rack event before it goes on until 50 s",
        ),
        ("events: [{at: 10, every: 40, times: 3, rack: {}}, {at: 30, rack: {}}]", "goes on until 90 s"),
        (
            "events: [{stall: {robot: 1}}, {at: 10, stall: {robot: 1, lasts: 30}}]",
            r"events\[1\].stall.robot is 1, which events\[0\] stalls as well",
        ),
        ("name: other", "name is no known field"),
        ("just words", "the file is 'just words'"),
        ("robots: [", "not valid YAML in line 1"),
        ("robots: 1\ntrips: 2\nrobots: 2", "robots is given twice, again in line 3; drop one"),
        ("events: [{at: 1.0, at: 2.0, rack: {}}]", "at is given twice, again in line 1"),
        ("corridor: {width: 0.2}", "corridor.width is 0.2"),
        ("site: default\ncorridor: {width: 2.2}", "site and corridor are both given"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_field(text, named, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=named) as refused:
        load_scenario(str(path))
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_racks_that_move_in_order_and_stalls_of_several_robots_are_taken(tmp_path):
    path = tmp_path / "mine.yaml"
    racks = "{rack: {}}, {at: 10, every: 10, times: 3, rack: {}}, {at: 30, rack: {}}"
    path.write_text(f"events: [{racks}, {{stall: {{robot: 0}}}}, {{stall: {{robot: 1}}}}, {{stall: {{}}}}]")
    assert len(load_scenario(str(path)).events) == 6


def test_a_scenario_that_is_nowhere_is_refused_with_those_that_ship():
    with pytest.raises(ValueError, match=r"scenario 'quiet' does not exist; give one of busy, empty"):
        load_scenario("quiet")


def test_pallets_lie_in_the_way_of_trips_and_leave_every_place_a_way():
    drawn = course(resolve_site("random:2"), trips=24, events=(Event(1.0, every=10.0, pallet=PalletLeft(True)),))
    drops = [entry for entry in drawn.timeline if isinstance(entry, PalletDrop)]
    assert len(drops) >= 3
    assert [drop.at for drop in drops] == sorted(drop.at for drop in drops)
    for drop, later in combinations(drops, 2):
        if later.at < drop.until:
            assert np.hypot(drop.pallet.x - later.pallet.x, drop.pallet.y - later.pallet.y) > 1.44, "they would overlap"
    for drop in drops:
        away = np.hypot(*(drawn.tasks.places[:, :2] - (drop.pallet.x, drop.pallet.y)).T)
        assert away.min() > 1.2, "no pallet on a place"


def test_a_rack_that_moves_is_hidden_from_the_map():
    drawn = course(resolve_site("default"), events=(Event(5.0, rack=RackMoved(0.6)),))
    (change,) = drawn.timeline
    assert isinstance(change, HallChange)
    assert drawn.site.map.cells.sum() == change.hall.map.cells.sum(), "it is as large as before"
    differing = np.count_nonzero(drawn.site.map.cells != change.hall.map.cells)
    assert differing > 0
    simulation = Simulation(drawn.site, 1, 0)
    simulation.change_hall(change.hall)
    simulation.step(np.zeros((1, 2)))
    assert simulation.hall is change.hall
    assert simulation.site is drawn.site


def test_a_robot_dies_where_the_others_can_pass():
    scenario = load_scenario("stalled")
    for seed in range(5):
        (breakdown,) = draw_course(site_of(scenario), scenario, seed, RobotModel()).timeline
        assert isinstance(breakdown, Breakdown)
        assert math.isinf(breakdown.lasts)
        assert 7.0 < breakdown.x < 19.4, "in the aisle"


def test_an_aisle_lies_between_two_walls():
    site = hall(boxes=[(8, 0, 12, 4), (8, 7, 12, 10)])
    assert width_at(site, np.array([10.0, 5.0])) == pytest.approx(3.0, abs=0.15)
    assert width_at(site, np.array([1.0, 5.0])) > 4.5, "beside one wall is no aisle"


def test_a_robot_that_does_not_exist_cannot_stall():
    with pytest.raises(ValueError, match="event stall names robot 7; there are 0 to 3"):
        course(resolve_site("default"), events=(Event(1.0, stall=Stall(robot=7)),))


def test_events_leave_as_much_room_as_the_doors_of_a_site_have():
    """Two rooms and a door of 0.95 m, narrower than what a pallet has to leave elsewhere."""
    site = hall(boxes=[(9.9, 0, 10.1, 4.5), (9.9, 5.45, 10.1, 10)], stations=STATIONS[:4])
    drawn = course(site, robots=2, trips=8, events=(Event(1.0, pallet=PalletLeft(True)),))
    assert len(drawn.timeline) == 1
    rooms = [each.least_room - RobotModel().radius for each in (drawn, course(robots=2, trips=8))]
    assert rooms == pytest.approx([0.1, 0.15])


TWO_AISLES = hall(boxes=[(6, 1.7, 14, 8.3)], stations=STATIONS[:4])  # that a robot or a pallet closes


def events_on(site):
    drawn = course(site, robots=1, trips=2)
    return _Events(site, drawn.tasks, drawn.distances, RobotModel(), np.random.default_rng(0))


@pytest.mark.parametrize(("until", "open_meanwhile"), [(math.inf, False), (50.0, True)])
def test_what_happens_leaves_a_way_together_with_what_happened_before(until, open_meanwhile):
    events = events_on(TWO_AISLES)
    above = PalletDrop(60.0, 90.0, Pallet(10.0, 9.1))
    assert events._connected(events._ground(TWO_AISLES, above.at, above.until, above))
    events._stalls.append(Breakdown(1.0, 0, 10.0, 0.9, until - 1.0))  # below
    assert events._connected(events._ground(TWO_AISLES, above.at, above.until, above)) == open_meanwhile
    assert events._connected(events._ground(TWO_AISLES, 0.0, math.inf))


@settings(max_examples=25, deadline=None)
@given(x=st.floats(1.5, 18.5), y=st.floats(1.5, 8.5), yaw=st.floats(-3.1, 3.1))
def test_the_ground_beside_a_pallet_is_that_of_a_map_that_shows_it(x, y, yaw):
    site, pallet, events = TWO_AISLES, Pallet(x, y, yaw), events_on(TWO_AISLES)
    shown = site.map.cells.copy()
    shown[_footprint(site.map, pallet)] = 100
    there = Site.from_map("shown", OccupancyMap(shown, site.map.resolution, site.map.origin), ())
    ground = events._ground(site, 0.0, 1.0, PalletDrop(0.0, 1.0, pallet))
    np.testing.assert_array_equal(ground, there.clearance >= events.least)


def test_a_speck_of_a_map_is_no_rack_and_none_comes_in_again_on_the_other_side():
    speck, wide = hall(boxes=[(9, 5, 9.2, 5.2)]), hall(boxes=[(2, 5, 3, 6)])
    with pytest.raises(ValueError, match="no place for event rack"):
        course(replace(speck, stations=tuple(STATIONS)), events=(Event(1.0, rack=RackMoved(1.0)),))
    for seed in range(5):
        site = replace(wide, stations=tuple(STATIONS))
        (change,) = course(site, seed, robots=1, trips=2, events=(Event(1.0, rack=RackMoved(3.0)),)).timeline
        moved = ~change.hall.map.free[1:-1, 1:-1]
        assert moved.sum() == (~site.map.free[1:-1, 1:-1]).sum()
        assert np.ptp(np.nonzero(moved)[1]) == np.ptp(np.nonzero(~site.map.free[1:-1, 1:-1])[1])


def test_a_pallet_in_a_wall_is_refused_with_the_scenario_it_stands_in():
    with pytest.raises(
        ValueError, match=r"scenario 'test': a pallet at \(0.00, 0.00\) .* give its event pallet another"
    ):
        course(resolve_site("default"), events=(Event(1.0, pallet=PalletLeft(x=0.0, y=0.0)),))


@pytest.mark.parametrize(("which", "verb"), [("starts", "starts"), ("goals", "is sent")])
def test_a_pallet_on_a_place_of_a_robot_is_refused_with_event_and_place(which, verb):
    tasks = course(robots=2, trips=2).tasks
    place = tasks.starts[1] if which == "starts" else tasks.goals[1][0]
    x, y, _ = tasks.places[place]
    named = rf"scenario 'test': event pallet at 7 s, .* '{tasks.names[place]}' .* where robot 1 {verb}; give it another"
    with pytest.raises(ValueError, match=named) as refused:
        course(robots=2, trips=2, events=(Event(7.0, pallet=PalletLeft(x=x + 0.5, y=y)),))
    assert "\n" not in str(refused.value)


def test_a_pallet_between_the_places_is_put_down_where_the_scenario_says():
    (drop,) = course(robots=2, trips=2, events=(Event(7.0, pallet=PalletLeft(x=10.0, y=5.0, yaw=0.5)),)).timeline
    assert (drop.pallet.x, drop.pallet.y, drop.pallet.yaw) == (10.0, 5.0, 0.5)


def test_the_course_depends_on_the_seed_alone():
    scenario = replace(load_scenario("people"), events=load_scenario("pallets").events, trips=8)
    site = resolve_site("random:2")
    first, again = (draw_course(site, scenario, 4, RobotModel()) for _ in range(2))
    other = draw_course(site, scenario, 5, RobotModel())
    assert first.timeline == again.timeline != other.timeline
    assert first.tasks.goals == again.tasks.goals
    times = np.linspace(0, 100, 7)
    for walker, same, else_ in zip(first.walkers, again.walkers, other.walkers, strict=True):
        np.testing.assert_array_equal(walker.position(times), same.position(times))
        assert not np.allclose(walker.position(times), else_.position(times))


def test_the_rounds_of_a_seed_are_what_they_have_always_been():
    scenario, times = load_scenario("people"), np.array([0.0, 100.0])
    drawn = draw_course(resolve_site("random:2"), scenario, 4, RobotModel()).walkers[:3]
    places = [[[1.661222, 10.804055], [6.522403, 13.767883]], [[13.681678, 3.718424], [-3.174772, 11.720057]],
              [[-12.055103, 9.924956], [-1.325349, 3.512293]]]  # fmt: skip
    np.testing.assert_allclose([walker.position(times) for walker in drawn], places, atol=1e-6)
    np.testing.assert_allclose([walker.speed for walker in drawn], [1.133893, 0.825373, 1.261854], atol=1e-6)
