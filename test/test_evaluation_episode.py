"""An episode in lockstep: what counts as a trip, who meets what, and what a controller may not do."""

from __future__ import annotations

import traceback
from dataclasses import replace

import numpy as np
import pytest
from evaluation_worlds import (
    ClosesWhatItNeverOpened,
    LosesItsVersion,
    NotANumber,
    Occupying,
    Picky,
    Raising,
    ReportsNothingUseful,
    ReportsTooLittle,
    SaysHisOwnWay,
    Scribbling,
    Silent,
    Standing,
    WrongShape,
    course,
    drive,
)
from simulation_worlds import hall, station

from dyna_nav.evaluation.benchmark import summarise
from dyna_nav.evaluation.course import Breakdown, HallChange, PalletDrop
from dyna_nav.evaluation.driver import ControllerError, ControllerFailure
from dyna_nav.evaluation.episode import TripConfig
from dyna_nav.evaluation.incidents import IncidentConfig, NearMissLog, StopLog, box_clearance, robot_clearance
from dyna_nav.mdp import STEP
from dyna_nav.simulation import Pallet, Walker

ACROSS = hall(stations=[station("west", 2, 5), station("east", 18, 5)])


def without_clock(result):
    return [result.trips, result.collisions, result.near_misses, result.stops, result.stop_reasons, result.simulated_s]


def test_the_same_inputs_give_the_same_result_bit_for_bit():
    first, again = (drive(course(robots=2, trips=6)) for _ in range(2))
    assert without_clock(first) == without_clock(again)
    np.testing.assert_array_equal(first.pose, again.pose)
    np.testing.assert_array_equal(first.speed, again.speed)


def test_a_trip_alone_on_an_open_floor_is_measured_as_driven():
    (trip,) = drive(course(ACROSS, robots=1, trips=1)).trips
    assert trip.finished
    assert trip.geodesic_m == pytest.approx(16.0, abs=0.1)
    assert trip.ideal_s == pytest.approx(16.0 / 1.5, abs=0.1)
    assert 1.0 < trip.ratio < 1.5
    assert 15.5 < trip.path_length_m < 16.5
    assert trip.collisions == trip.near_misses == 0
    assert {trip.start, trip.goal} == {"west", "east"}


def test_a_trips_planning_time_is_that_of_its_own_cycles():
    result = drive(course(ACROSS, robots=1, trips=3))
    assert len(result.trips) == 3
    for trip in result.trips:
        first = round(trip.assigned_s / STEP)
        own = result.plan_ms[first : first + round(trip.travel_s / STEP)]
        assert trip.plan_ms_p99 == pytest.approx(np.percentile(own, 99))


def test_every_controller_meets_the_same_trips_from_the_same_places_with_the_same_noise_whatever_it_does():
    drawn, seen = course(robots=2, trips=6), []

    class Listening(Standing):
        def act(self, observation):
            seen.append(observation)
            return super().act(observation) + (0.5 if observation.time >= 0.1 and self.drives else 0.0)

    results = []
    for drives in (True, False):
        controller = Listening()
        controller.drives = drives
        results.append(drive(drawn, controller, trip_config=TripConfig(1.0, 1.0)))
    names = [sorted((t.robot, t.trip, t.start, t.goal) for t in result.trips) for result in results]
    assert names[0] == names[1]
    second_run = [k for k, observation in enumerate(seen) if observation.time == 0.0][1]
    for step in (0, 1):  # afterwards they are elsewhere
        one, other = seen[step], seen[second_run + step]
        for part in ("pose", "twist", "goal", "scan"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def test_what_is_not_finished_counts_with_its_timeout_and_the_robot_is_carried_to_its_goal():
    result = drive(course(ACROSS, robots=1, trips=3), Standing(), trip_config=TripConfig(5.0, 2.0))
    assert [trip.note for trip in result.trips] == ["timed out"] * 3
    for trip in result.trips:
        assert trip.travel_s == pytest.approx(2.0 * trip.ideal_s)
        assert trip.geodesic_m == pytest.approx(16.0, abs=0.1), "every trip begins where it was planned to"
    figures = summarise([result])["controllers"]["tested"]
    assert figures["unfinished"] == figures["trips"] == 3
    assert figures["travel_time_vs_ideal"] == pytest.approx(2.0)
    assert figures["trips_within_3x"] == 0.0


def test_two_stuck_robots_that_stand_on_each_others_place_are_carried_at_once():
    drawn = course(ACROSS, robots=2, trips=2)
    west, east = drawn.tasks.starts
    swapped = replace(drawn.tasks, starts=(west, east), goals=((east,), (west,)))
    result = drive(replace(drawn, tasks=swapped), Standing(), trip_config=TripConfig(1.0, 1.0))
    assert [trip.finished for trip in result.trips] == [False, False]
    np.testing.assert_allclose(result.pose[-1, :, :2], drawn.tasks.places[[east, west], :2], atol=0.02)


def test_a_refused_goal_is_an_unfinished_trip_and_the_run_goes_on():
    result = drive(course(robots=1, trips=3), Picky())
    assert [trip.note for trip in result.trips] == ["refused: not there"] * 3
    assert all(trip.travel_s >= 60.0 for trip in result.trips)
    figures = summarise([result])["controllers"]["tested"]
    assert figures["unfinished_because"] == {"refused: not there": 3}
    assert figures["mean_abs_jerk"] is figures["path_length_mean_m"] is None  # not driven is not driven smoothly


@pytest.mark.parametrize(
    ("controller", "named"),
    [
        (Silent(), r"controller 'tested' on seed 1 at 0.0 s: act returned nothing; it must return an array \[2, 2\]"),
        (WrongShape(), r"controller 'tested' on seed 1 at 0.0 s: act returned shape \[2\]; it must be \[2, 2\]"),
        (
            SaysHisOwnWay(),
            r"controller 'tested' on seed 1 at 0.0 s: act returned list, not an array \[2, 2\]: .*too large",
        ),
        (ReportsTooLittle(), r"controller 'tested' on seed 1 at 0.0 s: report.stop_reason has 1 texts; .* 2 robots"),
        (NotANumber(), r"controller 'tested' on seed 1 at 0.0 s: act commands \[nan, nan\] for robot 0"),
    ],
)
def test_a_controller_that_breaks_the_contract_is_named_with_seed_and_time(controller, named):
    with pytest.raises(ControllerError, match=named):
        drive(course(robots=2, trips=2), controller)


def test_what_a_controller_raises_is_told_with_its_name_seed_and_time_and_keeps_its_traceback():
    with pytest.raises(ControllerFailure, match=r"'tested' on seed 1 at 0.3 s failed in act: KeyError") as failure:
        drive(course(robots=2, trips=2), Raising())
    cause = failure.value.__cause__
    assert isinstance(cause, KeyError)
    assert traceback.extract_tb(cause.__traceback__)[-1].filename.endswith("evaluation_worlds.py")


@pytest.mark.parametrize(
    ("controller", "named"),
    [
        (ReportsNothingUseful(), "at 0.0 s failed in report: TypeError"),
        (LosesItsVersion(), "failed in model_version: KeyError"),
        (ClosesWhatItNeverOpened(), "at 0.0 s failed in reset: KeyError: 'no map'"),
    ],
)
def test_whatever_fails_in_a_controller_is_told_as_its_failure_and_what_failed_first_is_told(controller, named):
    with pytest.raises(ControllerFailure, match=named):
        drive(course(robots=2, trips=2), controller, trip_config=TripConfig(1.0, 1.0))


def test_a_controller_that_overwrites_what_it_is_given_changes_nothing_but_its_own_copies():
    drawn, short = course(robots=2, trips=4), TripConfig(1.0, 1.0)
    scribbled, stood = (drive(drawn, controller, trip_config=short) for controller in (Scribbling(), Standing()))
    assert without_clock(scribbled) == without_clock(stood)
    np.testing.assert_array_equal(scribbled.pose, stood.pose)


def test_nobody_is_waited_for_whose_place_is_taken_for_good():
    drawn = course(robots=2, trips=3)
    result = drive(drawn, Occupying(), trip_config=TripConfig(30.0, 1.0))
    assert len(result.trips) == 3
    notes = {(trip.robot, trip.trip): trip.note for trip in result.trips}
    assert notes == {(0, 0): "timed out", (0, 1): "its start was taken", (1, 0): ""}
    assert all(trip.travel_s >= 30.0 for trip in result.trips if not trip.finished)


def test_a_collision_is_counted_once_and_stands_in_the_rows_of_both():
    blind = hall(stations=[station("west", 2, 5), station("east", 18, 5)])
    drawn = course(blind, robots=1, trips=1)
    drawn = replace(drawn, timeline=(PalletDrop(0.0, 100.0, Pallet(10.0, 5.0)),))

    class Blind(Standing):
        def act(self, observation):
            return np.tile((1.0, 0.0), (self.robots, 1)) * (observation.time < 8.0)

    drawn.tasks.places[drawn.tasks.starts[0], 2] = 0.0 if drawn.tasks.names[drawn.tasks.starts[0]] == "west" else np.pi
    result = drive(drawn, Blind(), trip_config=TripConfig(12.0, 1.0))
    assert [hit.other for hit in result.collisions] == ["pallet:0"]
    assert [miss.other for miss in result.near_misses] == ["pallet:0"]
    assert result.trips[0].collisions == result.trips[0].near_misses == 1
    assert summarise([result])["controllers"]["tested"]["collisions_per_traversal"] == 1.0
    assert len(result.pallets) == 1


def test_the_trips_of_a_robot_that_dies_are_void_and_nobody_waits_for_them():
    drawn = replace(course(robots=2, trips=6), timeline=(Breakdown(1.0, 0, 0.0, 0.0, np.inf),))
    drawn = replace(drawn, timeline=(replace(drawn.timeline[0], x=10.0, y=5.0),))
    result = drive(drawn, trip_config=TripConfig(30.0, 3.0))
    assert result.void_trips + len(result.trips) == 6
    assert len([trip for trip in result.trips if trip.robot == 1]) == 3


def test_a_robot_that_resumes_loses_the_trip_in_which_it_stalled_and_no_other():
    drawn = course(ACROSS, robots=1, trips=3)
    drawn = replace(drawn, timeline=(Breakdown(1.0, 0, 10.0, 5.0, 40.0),))
    result = drive(drawn, trip_config=TripConfig(30.0, 1.0))  # it has that long without the time for which it stalls
    assert np.abs(np.diff(result.pose[:, 0, :2], axis=0)).max() < 0.3, "nobody carried it"
    assert result.void_trips == 1
    assert [trip.trip for trip in result.trips] == [1, 2]
    assert all(trip.finished for trip in result.trips)


def test_a_pallet_does_not_appear_where_a_robot_stands_too_near_to_stop_for_it():
    drawn = course(ACROSS, robots=1, trips=1)
    x, y, _ = drawn.tasks.places[drawn.tasks.starts[0]]
    aside = 2.0 if x < 10 else -2.0
    near, far = PalletDrop(0.0, 4.0, Pallet(x + aside, y)), PalletDrop(1.0, 4.0, Pallet(10.0, y))
    result = drive(replace(drawn, timeline=(near, far)), Standing(), trip_config=TripConfig(6.0, 1.0))
    np.testing.assert_allclose(result.pallets, [(10.0, y, 0.0)])


def test_a_rack_that_moves_is_hit_where_it_is_and_not_where_it_was():
    drawn = course(ACROSS, robots=1, trips=1)
    moved = hall(boxes=[(9, 4, 11, 6)])
    result = drive(replace(drawn, timeline=(HallChange(0.5, moved),)), trip_config=TripConfig(12.0, 1.0))
    assert not result.trips[0].finished, "the example controller knows no way round"
    assert np.abs(result.pose[:110, 0, 0] - 10.0).min() > 1.3


def test_a_rack_does_not_move_onto_a_robot():
    drawn = course(ACROSS, robots=1, trips=1)
    x, y, _ = drawn.tasks.places[drawn.tasks.starts[0]]
    onto = hall(boxes=[(x - 1, y - 1, x + 1, y + 1)])
    result = drive(replace(drawn, timeline=(HallChange(0.5, onto),)), Standing(), trip_config=TripConfig(6.0, 1.0))
    assert not result.collisions


class Watching(Standing):
    """Notes how far it is straight ahead of robot 0."""

    def reset(self, site, robots, rng, model):
        super().reset(site, robots, rng, model)
        self.ahead = []

    def act(self, observation):
        self.ahead.append(float(observation.scan[0, np.argmin(np.abs(observation.scan_angles))]))
        return super().act(observation)


def test_a_rack_moves_whoever_stands_beside_another_wall():
    drawn, watching = course(ACROSS, robots=1, trips=1), Watching()
    drawn.tasks.places[drawn.tasks.starts[0]] = (0.7, 5.0, 0.0)  # 0.3 m from it
    moved = hall(boxes=[(4, 4, 6, 6)])
    drive(replace(drawn, timeline=(HallChange(0.5, moved),)), watching, trip_config=TripConfig(6.0, 0.1))
    assert watching.ahead[0] > 5.0
    assert watching.ahead[20] == pytest.approx(3.3, abs=0.15)


def test_racks_move_in_their_order_even_if_the_first_one_has_to_wait():
    drawn, watching = course(ACROSS, robots=1, trips=1), Watching()
    drawn.tasks.places[drawn.tasks.starts[0]] = (2.0, 5.0, 0.0)
    onto, and_ahead = (1, 4, 3, 6), (6, 4, 7, 6)
    timeline = (HallChange(0.5, hall(boxes=[onto])), HallChange(1.0, hall(boxes=[onto, and_ahead])))
    drive(replace(drawn, timeline=timeline), watching, trip_config=TripConfig(4.0, 0.1))
    assert min(watching.ahead[:35]) > 5.0


def test_a_robot_that_comes_late_to_where_it_should_stall_closes_no_aisle(monkeypatch):
    monkeypatch.setattr("dyna_nav.evaluation.happenings.STALL_PATIENCE", 0.0)
    site = hall(boxes=[(3, 0, 17, 4.4), (3, 5.6, 17, 10)], stations=[station("west", 2, 5), station("east", 18, 5)])
    drawn = course(site, robots=1, trips=1)
    drawn.tasks.places[[drawn.tasks.starts[0], drawn.tasks.goals[0][0]]] = (2.0, 5.0, 0.0), (18.0, 5.0, 0.0)
    result = drive(replace(drawn, timeline=(Breakdown(0.1, 0, 2.0, 9.0, np.inf),)), trip_config=TripConfig(20.0, 1.0))
    assert result.trips[0].finished


def test_a_walker_who_hits_a_standing_robot_is_not_the_robots_fault():
    drawn = course(ACROSS, robots=1, trips=1)
    x, y, _ = drawn.tasks.places[drawn.tasks.starts[0]]
    drawn = replace(drawn, walkers=(Walker(np.array([[10.0, y], [x, y]]), 1.0),))
    result = drive(drawn, Standing(), trip_config=TripConfig(12.0, 1.0))
    figures = summarise([result])["controllers"]["tested"]
    assert figures["people_hit_standing"] == 1
    assert sum(trip.collisions for trip in result.trips) == 0  # nor in the differences, which are of trips
    assert figures["people_hit_moving"] == figures["collisions"] == figures["near_misses"] == 0


class TakesNoModel(Standing):
    """Has no use for the limits of the robots."""

    def reset(self, site, robots, rng):
        self.robots = robots


class TakesAnything(Standing):
    """Has no arguments by name."""

    def reset(self, *told):
        assert len(told) == 4
        self.robots = told[1]


@pytest.mark.parametrize("kind", [TakesNoModel, TakesAnything])
def test_a_controller_may_leave_out_the_model_of_the_robots(kind):
    result = drive(course(ACROSS, robots=1, trips=1), kind(), trip_config=TripConfig(2.0, 1.0))
    assert len(result.trips) == 1


def test_stops_are_counted_once_with_their_duration():
    result = drive(course(ACROSS, robots=1, trips=1), Standing(), trip_config=TripConfig(12.0, 1.0))
    (stop,) = result.stops
    assert stop.seconds == pytest.approx(12.0, abs=0.3)


def test_a_near_miss_ends_only_when_the_clearance_has_grown():
    log, pose = NearMissLog(IncidentConfig()), np.zeros((1, 3))
    for clearance in (0.3, 0.09, 0.12, 0.05, 0.14, 0.2, 0.09):
        log.see(0.0, pose, "wall", ["wall"], np.array([[clearance]]), np.array([[True]]))
    assert len(log.near_misses) == 2


def test_a_pallet_that_is_taken_away_leaves_the_others_their_names():
    log, pose, yes = NearMissLog(IncidentConfig()), np.zeros((1, 3)), np.array([[True, True]])
    log.see(0.0, pose, "pallet", ["pallet:0", "pallet:1"], np.array([[0.05, 0.05]]), yes)
    log.see(0.1, pose, "pallet", ["pallet:1"], np.array([[0.05]]), yes[:, :1])
    assert [miss.other for miss in log.near_misses] == ["pallet:0", "pallet:1"]


def test_a_short_stop_does_not_count():
    log, pose = StopLog(1, IncidentConfig()), np.zeros((1, 3))
    for step in range(40):
        log.see(0.1 * step, pose, np.array([0.0 if step < 10 or 12 < step < 38 else 1.0]), np.array([True]), [""])
    assert [round(stop.seconds, 1) for stop in log.stops] == [2.5]


def test_a_stop_is_where_the_robot_stood_not_where_it_was_carried_to():
    log, standing, moving = StopLog(1, IncidentConfig()), np.zeros(1), np.ones(1)
    stood, carried = np.array([[1.0, 2.0, 0.0]]), np.array([[9.0, 9.0, 0.0]])
    for step in range(30):
        log.see(0.1 * step, stood, standing, np.array([True]), ["" if step < 5 else "obstacle"])
    log.see(3.0, carried, moving, np.array([True]), [""])
    (stop,) = log.stops
    assert (stop.x, stop.y, stop.reason) == (1.0, 2.0, "obstacle")


def test_clearances_are_between_hulls():
    pose = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    gaps = robot_clearance(pose, 0.35)
    assert gaps[0, 1] == pytest.approx(0.3)
    assert np.isinf(gaps[[0, 1, 1], [0, 0, 1]]).all()
    boxes = np.array([[2.0, 0.0, np.pi / 2, 1.2, 0.8]])
    assert box_clearance(pose, boxes, 0.35)[:, 0] == pytest.approx([2 - 0.4 - 0.35, 1 - 0.4 - 0.35])
