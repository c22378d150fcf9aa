"""How fast a whole trip can be: exact where it is known, clear of walls, faster than what it starts from."""

from __future__ import annotations

import csv
import math
import sys
from dataclasses import replace

import campaign_worlds
import numpy as np
import pytest
from planning_worlds import HALL, MODEL, hall

from dyna_nav.evaluation import lone_trips_command
from dyna_nav.evaluation.least_time import least_time
from dyna_nav.evaluation.lone_trips import motion_of
from dyna_nav.evaluation.minimum_time import MinimumTime, Motion
from dyna_nav.mdp import GoalTolerance

TOLERANCE = GoalTolerance()


def solver_of(site):
    return MinimumTime(site, MODEL, TOLERANCE, margin=0.03)


def along(points, speed=0.7, away=0.0):
    """A guess that drives through points [k, 2] at one speed, at first turned away from its way by some angle [rad]."""
    points = np.array(points, float)
    length = np.append(0.0, np.cumsum(np.hypot(*np.diff(points, axis=0).T)))
    at = np.linspace(0.0, length[-1], 40)
    xy = np.stack([np.interp(at, length, points[:, axis]) for axis in range(2)], axis=1)
    way = np.arctan2(*np.gradient(xy, axis=0).T[::-1])
    pose = np.column_stack([xy, way + np.linspace(away, 0.0, len(way))])
    nothing = np.zeros(len(pose))
    return Motion(length[-1] / speed, pose, nothing, nothing)


@pytest.mark.parametrize("length", [1.0, 4.0, 9.0])
def test_straight_ahead_it_is_the_bound_of_a_double_integrator(length):
    goal = np.array([1.0 + length, 1.5])
    found = solver_of(HALL).solve(goal, [along([(1.0, 1.5), goal])])
    # From standstill, where the bound begins as fast as a robot may arrive.
    late = TOLERANCE.speed / MODEL.acceleration - TOLERANCE.speed**2 / (2 * MODEL.acceleration * MODEL.max_speed)
    short = length < 2.0  # such a way has no full speed, and setting out slowly costs a little more
    assert found.time == pytest.approx(least_time(length, MODEL, TOLERANCE) + late, rel=0.1 if short else 0.02)
    assert np.abs(np.diff(found.pose[:, 1])).max() < 0.01


def test_a_goal_behind_costs_the_turn_and_not_more():
    goal = np.array([9.0, 1.5])
    solver = solver_of(HALL)
    ahead = solver.solve(goal, [along([(3.0, 1.5), goal])])
    behind = solver.solve(goal, [along([(3.0, 1.5), goal], away=math.pi)])
    turn = math.pi / MODEL.max_turn_rate + MODEL.max_turn_rate / MODEL.turn_acceleration
    assert 0.5 * turn < behind.time - ahead.time <= turn + 0.05


def test_it_keeps_clear_of_the_rack_and_is_faster_than_its_guess():
    goal = np.array([9.5, 5.5])
    guess = along([(2.5, 2.5), (9.5, 2.5), goal])
    found = solver_of(HALL).solve(goal, [guess])
    assert least_time(8.0, MODEL, TOLERANCE) < found.time < guess.time
    assert HALL.clearance_at(found.pose[:, :2]).min() > MODEL.radius
    assert found.speed.max() <= MODEL.max_speed + 1e-6
    assert np.abs(found.turn_rate).max() <= MODEL.max_turn_rate + 1e-6
    assert np.hypot(*(found.pose[-1, :2] - goal)) <= TOLERANCE.position + 1e-4


def test_of_two_guesses_the_better_way_is_taken():
    goal = np.array([9.5, 4.0])
    around_below, around_above = [(2.5, 3.0), (8.5, 2.5), goal], [(2.5, 3.0), (2.5, 6.5), (9.5, 6.5), goal]
    solver = solver_of(HALL)
    short, long = (solver.solve(goal, [along(way)]) for way in (around_below, around_above))
    assert short.time < long.time - 0.5
    assert solver.solve(goal, [along(around_above), along(around_below)]).time < long.time - 0.1  # turned as before


def test_a_guess_that_begins_a_turn_away_is_as_good():
    goal = np.array([3.0, 1.5])
    guess = along([(9.0, 1.5), goal])  # facing west, where headings of two ways to drive are likely a turn apart
    turned = Motion(guess.time, guess.pose + np.array([0.0, 0.0, 2.0 * math.pi]), guess.speed, guess.turn_rate)
    begin = Motion(0.1, guess.pose[:2], guess.speed[:2], guess.turn_rate[:2])
    solver = solver_of(HALL)
    assert solver.solve(goal, [begin, turned]).time == pytest.approx(solver.solve(goal, [guess]).time, rel=0.01)


def test_no_way_leads_through_a_wall():
    closed = hall(12, 8, [(6.0, 0.0, 6.3, 8.0)])
    assert solver_of(closed).solve(np.array([9.0, 4.0]), [along([(3.0, 4.0), (9.0, 4.0)])]) is None


def test_who_was_carried_to_the_start_of_a_trip_did_not_turn_on_the_way():
    driven = campaign_worlds.episode("dyna2", 1, steps=60)
    driven.pose[:, 0] = np.where(np.arange(60)[:, None] < 30, (1.0, 1.0, 3.0), (5.0, 1.0, 0.0))
    given_up = replace(driven.trips[0], assigned_s=3.1, travel_s=2.0)
    motion = motion_of(driven, given_up, np.array([1.0, 1.0, 3.0]))
    assert motion.pose[0] == pytest.approx([5.0, 1.0, 0.0])
    assert np.all(motion.turn_rate == 0.0)
    driven.pose[:30, 0] = (4.9, 1.0, -0.1)  # who drove there did
    assert motion_of(driven, given_up, np.zeros(3)).turn_rate[0] == pytest.approx(1.0)


def test_trips_are_driven_and_compared_with_their_optimum(monkeypatch, tmp_path, capsys):
    out, picture = tmp_path / "trips.csv", tmp_path / "trips.png"
    words = ["--site", "random:301", "--seeds", "1", "--trips", "3", "--controllers", "astar", "--jobs", "1"]
    monkeypatch.setattr(sys, "argv", ["lone_trips", *words, "--out", str(out), "--picture", str(picture)])
    with pytest.raises(SystemExit) as end:
        lone_trips_command.main()
    assert end.value.code == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    for row in rows:
        least, optimum, travel = (float(row[name]) for name in ("least_s", "optimum_s", "travel_s"))
        assert least < optimum < travel
        lost = [float(row[name]) for name in ("lost_first_s", "lost_middle_s", "lost_last_s")]
        assert np.isnan(lost).all() or sum(lost) == pytest.approx(travel - optimum, abs=0.01)
    assert "| astar | 3 |" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_bad_option_is_one_sentence(monkeypatch, tmp_path, capsys):
    out = str(tmp_path / "trips.csv")
    monkeypatch.setattr(sys, "argv", ["lone_trips", "--map", "nowhere.yaml", "--out", out])
    with pytest.raises(SystemExit) as end:
        lone_trips_command.main()
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
