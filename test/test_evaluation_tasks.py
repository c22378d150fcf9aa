"""The task stream: drawn from the seed alone, and nobody waits for a place that another robot holds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from evaluation_worlds import open_hall
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation_worlds import hall, station

from dyna_nav.evaluation.corridor import corridor_site
from dyna_nav.evaluation.least_time import least_time
from dyna_nav.evaluation.scenario import TASK_KINDS, Corridor, Tasks
from dyna_nav.evaluation.tasks import draw_tasks, places_of, ways_stay_open
from dyna_nav.mdp import GoalTolerance, RobotModel
from dyna_nav.site import OccupancyMap, Site, resolve_site
from dyna_nav.site.distances import Distances

RADIUS = 0.35
SITES = [open_hall(), corridor_site(Corridor()), resolve_site("random:3")]


def draw(site, kind="shuffled", robots=3, trips=20, seed=1, stagger=0.0):
    return draw_tasks(site, Tasks(kind, stagger), robots, trips, np.random.default_rng(seed), RADIUS)


@settings(max_examples=40)
@given(
    st.sampled_from(SITES), st.sampled_from(TASK_KINDS), st.integers(1, 5), st.integers(1, 40), st.integers(0, 10_000)
)
def test_every_stream_keeps_its_promises(site, kind, robots, trips, seed):
    tasks = draw(site, kind, robots, trips, seed, stagger=2.0)
    places = [place for own in tasks.own for place in own]
    assert len(set(places)) == len(places), "a place belongs to one robot"
    assert sum(len(goals) for goals in tasks.goals) == trips
    assert max(map(len, tasks.goals)) - min(map(len, tasks.goals)) <= 1
    for robot, goals in enumerate(tasks.goals):
        walk = [tasks.starts[robot], *goals]
        assert set(walk) <= set(tasks.own[robot])
        assert all(here != there for here, there in pairwise(walk)), "no trip to where one stands"
    assert all(0 <= delay <= 2.0 for delay in tasks.delays)
    assert len(tasks.names) == len(set(tasks.names)) == len(tasks.places)
    assert all(site.standable(place[:2], RADIUS) for place in tasks.places)


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_the_same_seed_gives_the_same_stream_and_another_one_does_not(kind):
    first, again, other = (draw(SITES[2], kind, seed=seed) for seed in (1, 1, 2))
    assert (first.starts, first.goals) == (again.starts, again.goals)
    assert (first.starts, first.goals) != (other.starts, other.goals)


def test_crossing_robots_go_from_end_to_end_in_both_directions():
    tasks = draw(corridor_site(Corridor()), "crossing", robots=2)
    for robot, goals in enumerate(tasks.goals):
        walk = [tasks.places[place, 0] for place in (tasks.starts[robot], *goals)]
        west = np.array(walk) < 12
        assert (west[1:] != west[:-1]).all()
        assert west[0] == (robot == 0)


def test_a_site_with_too_few_stations_gets_further_places():
    places, names = places_of(open_hall(), 10, RADIUS)
    assert len(places) == 10
    assert names[6:] == ("place1", "place2", "place3", "place4")
    gaps = np.hypot(*(places[:, None, :2] - places[None, :, :2]).transpose(2, 0, 1)) + 10 * np.eye(10)
    assert gaps.min() > 1.2


def test_a_place_on_which_a_robot_would_close_a_passage_is_nobodys_goal():
    walls = [(8, 0, 12, 4.4), (8, 5.6, 12, 10)]  # leaves an aisle of 1.2 m
    stations = [station("west", 2, 5), station("aisle", 10, 5), station("east", 18, 5), station("corner", 2, 1)]
    _, names = places_of(hall(boxes=walls, stations=stations), 4, RADIUS)
    assert "aisle" not in names
    assert {"west", "east", "corner"} <= set(names)


def test_a_station_that_is_too_tight_or_on_another_one_is_nobodys_goal_and_no_reason_to_refuse_a_site():
    stations = [station("west", 2, 5), station("east", 18, 5), station("tight", 10, 0.43), station("again", 2.2, 5)]
    places, names = places_of(hall(stations=stations), 4, RADIUS)
    assert names[:2] == ("west", "east")
    assert len(places) == 4
    assert not {"tight", "again"} & set(names)


def test_no_place_lies_behind_a_door_that_a_robot_does_not_fit_through():
    both = np.array([(2, 5, 0), (18, 5, 0)], float)
    for door, passes in ((0.75, False), (1.0, True)):  # 2.5 cm on either side are not enough
        walls = [(9.9, 0, 10.1, 5 - door / 2), (9.9, 5 + door / 2, 10.1, 10)]
        site = hall(boxes=walls, stations=[station("a", 2, 5), station("b", 7, 5)])
        places, _ = places_of(site, 8, RADIUS)
        assert (places[:, 0].max() > 10) == passes
        assert ways_stay_open(site, both, [((0,), (1,))], RADIUS) == passes


def test_a_robot_that_waits_in_the_only_aisle_closes_the_way():
    site = hall(boxes=[(8, 0, 12, 4.4), (8, 5.6, 12, 10)])
    places = np.array([(2, 5, 0), (18, 5, 0), (10, 5, 0), (2, 2, 0)], float)
    assert ways_stay_open(site, places, [((0,), (1,)), ((3,),)], RADIUS)
    assert not ways_stay_open(site, places, [((0,), (1,)), ((2, 3),)], RADIUS)


def test_a_path_is_as_long_as_the_distance_says_and_touches_nothing():
    site = resolve_site("random:3")
    tasks = draw(site, robots=2)
    distances = Distances(site, tasks.places, RADIUS)
    for start, goal in ((0, 3), (2, 5), (4, 1)):
        path = distances.path(start, goal)
        length = np.hypot(*np.diff(path, axis=0).T).sum()
        assert length == pytest.approx(distances.length(tasks.places[start, :2], goal), rel=0.02)
        assert site.clearance_at(path).min() > RADIUS - 0.06


@pytest.mark.parametrize("resolution", [0.05, 0.1, 0.15, 0.2, 0.25, 0.4])
def test_a_path_goes_round_a_wall_of_one_cell_however_coarse_the_map_is(resolution):
    rows, cols = round(9.0 / resolution), round(12.0 / resolution)
    cells = np.zeros((rows, cols), np.int8)
    cells[[0, -1]] = cells[:, [0, -1]] = 100
    cells[: round(6.0 / resolution), cols // 2] = 100
    site = Site.from_map("hall", OccupancyMap(cells, resolution, (0.0, 0.0)))
    places = np.array([(2.6, 2.6, 0.0), (9.4, 2.6, 0.0)])
    distances = Distances(site, places, RADIUS)
    path = distances.path(0, 1)
    assert path[:, 1].max() > 6.0
    length = np.hypot(*np.diff(path, axis=0).T).sum()
    assert length == pytest.approx(distances.length(places[0, :2], 1), rel=0.08)  # cells are long steps


def test_a_site_that_is_too_small_is_refused_with_its_name():
    with pytest.raises(ValueError, match=r"site 'hall' .* use fewer robots"):
        draw(hall(width=4, depth=4, stations=[station("a", 1, 1), station("b", 3, 3)]), robots=12)


@given(st.floats(0.0, 200.0))
def test_the_least_time_is_that_of_a_point_under_full_control(length):
    robot, tolerance, step = RobotModel(), GoalTolerance(), 1e-3
    way, speed, time = max(length - tolerance.position, 0.0), tolerance.speed, 0.0
    while way > 0.0:
        braking = (speed**2 - tolerance.speed**2) / (2 * robot.deceleration)
        if way > braking + speed * step:
            speed = min(speed + robot.acceleration * step, robot.max_speed)
        else:
            speed = max(speed - robot.deceleration * step, tolerance.speed)
        way -= speed * step
        time += step
    assert least_time(length, robot, tolerance) == pytest.approx(time, abs=0.02)
