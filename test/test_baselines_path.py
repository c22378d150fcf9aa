"""The baseline's search and what it makes of it: optimal, never through lethal cells, drivable."""

from __future__ import annotations

import heapq
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_worlds import hall

from dyna_nav.baselines.astar import cost_to_go, search, search_nearest
from dyna_nav.baselines.path import line_cost, resample, shortcut, smooth, speed_profile

ALL = 10**6
STEPS = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]


def grid(seed, rows=14, cols=17, lethal=0.25):
    """Random costs with a lethal border."""
    rng = np.random.default_rng(seed)
    cost = (1.0 + 3.0 * rng.random((rows, cols)) * (rng.random((rows, cols)) < 0.5)).astype(np.float32)
    cost[rng.random((rows, cols)) < lethal] = np.inf
    cost[[0, -1], :] = cost[:, [0, -1]] = np.inf
    cost[1, 1] = cost[-2, -2] = 1.0
    return cost


def edge(cost, cell, step):
    i, j = cell
    if step[0] and step[1] and np.isinf(max(cost[i + step[0], j], cost[i, j + step[1]])):
        return np.inf
    return math.hypot(*step) * 0.5 * (float(cost[i, j]) + float(cost[i + step[0], j + step[1]]))


def reference(cost, start, goal):
    """Least cost from start to goal by a plain Dijkstra."""
    best, queue = {start: 0.0}, [(0.0, start)]
    while queue:
        value, cell = heapq.heappop(queue)
        if cell == goal:
            return value
        if value > best[cell]:
            continue
        for step in STEPS:
            through = value + edge(cost, cell, step)
            there = (cell[0] + step[0], cell[1] + step[1])
            if through < best.get(there, np.inf):
                best[there] = through
                heapq.heappush(queue, (through, there))
    return np.inf


def length(cost, cells):
    cells = [tuple(map(int, cell)) for cell in cells]
    return sum(edge(cost, a, (b[0] - a[0], b[1] - a[1])) for a, b in pairwise(cells))


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), extra=st.floats(0.0, 0.3))
def test_astar_finds_the_cheapest_path_around_what_the_heuristic_does_not_know(seed, extra):
    static = grid(seed)
    now = static.copy()
    now[np.random.default_rng(seed + 1).random(static.shape) < extra] = np.inf
    now[1, 1] = now[-2, -2] = 1.0
    goal = (static.shape[0] - 2, static.shape[1] - 2)
    cells = search(now, cost_to_go(static, *goal), 1, 1, *goal, ALL)
    expected = reference(now, (1, 1), goal)
    if np.isinf(expected):
        assert len(cells) == 0
    else:
        assert tuple(cells[0]) == (1, 1)
        assert tuple(cells[-1]) == goal
        assert np.isfinite(now[cells[:, 0], cells[:, 1]]).all()
        assert length(now, cells) == pytest.approx(expected, rel=1e-5)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_cost_to_go_is_what_dijkstra_says(seed):
    cost = grid(seed)
    goal = (cost.shape[0] - 2, cost.shape[1] - 2)
    assert cost_to_go(cost, *goal)[1, 1] == pytest.approx(reference(cost, (1, 1), goal), rel=1e-5)


def test_a_search_that_may_not_expand_enough_gives_up():
    cost = grid(0, 30, 30, lethal=0.0)
    assert len(search(cost, np.zeros_like(cost), 1, 1, 28, 28, 5)) == 0


def test_the_nearest_wanted_cell_is_found():
    cost = np.ones((20, 20), np.float32)
    cost[[0, -1], :] = cost[:, [0, -1]] = np.inf
    wanted = np.zeros(cost.shape, bool)
    wanted[10, 4] = wanted[10, 18] = True
    assert tuple(search_nearest(cost, 10, 9, wanted, ALL)[-1]) == (10, 4)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_shortcuts_cost_no_more_and_cross_nothing_lethal(seed):
    cost = grid(seed, 25, 25, lethal=0.1)
    cells = search(cost, cost_to_go(cost, 23, 23), 1, 1, 23, 23, ALL)
    if not len(cells):
        return
    corners = shortcut(cost, cells, 30)
    lines = [line_cost(cost, *a, *b) for a, b in pairwise(corners)]
    steps = [line_cost(cost, *a, *b) for a, b in pairwise(cells)]
    assert np.isfinite(lines).all()
    assert sum(lines) <= sum(steps) + 1e-3


def test_smoothing_rounds_a_corner_and_stays_clear_of_what_is_lethal():
    cost = np.ones((60, 60), np.float32)
    cost[30:, :25] = np.inf  # the corner at (2.5, 3.0) m
    clearance = np.full((60, 60), 5.0, np.float32)
    points = resample(np.array([[0.5, 2.6], [2.9, 2.6], [2.9, 5.5]]))
    before = points.copy()
    smooth(points, cost, (0.0, 0.0, 0.1), clearance, 0.1, 0.4, 80)
    assert np.array_equal(points[[0, -1]], before[[0, -1]])
    assert np.isfinite(cost[(points[:, 1] / 0.1).astype(int), (points[:, 0] / 0.1).astype(int)]).all()
    assert sharpest(points) < 0.5 * sharpest(before)


@pytest.mark.parametrize("x", [0.92, 1.0, 1.07])
def test_smoothing_leads_through_the_middle_of_a_door(x):
    """Of 0.9 m, between jambs at 0.55 and 1.45 m; a disc of 0.35 m and 8 cm to be kept beside it."""
    site = hall(2.0, 3.0, boxes=[(0.0, 1.5, 0.55, 1.6), (1.45, 1.5, 2.0, 1.6)])
    points = resample(np.array([[x, 0.6], [x, 2.4]]))
    smooth(points, np.ones((30, 20), np.float32), (0.0, 0.0, 0.1), site.clearance, 0.05, 0.43, 80)
    assert site.clearance_at(points).min() > 0.41


def sharpest(points):
    headings = np.unwrap(np.arctan2(*np.diff(points, axis=0).T[::-1]))
    return np.abs(np.diff(headings)).max()


def test_the_speed_profile_slows_for_bends_in_time_and_arrives_slowly():
    turn = np.linspace(0, np.pi / 2, 12)
    bend = np.stack([3 + 0.6 * np.sin(turn), 0.6 - 0.6 * np.cos(turn)], axis=1)
    points = resample(np.concatenate([[[0.0, 0.0]], bend, [[3.6, 4.0]]]))
    speeds = speed_profile(points, 1.5, 1.2, 1.5, 0.35, 0.2, 3)
    gaps = np.hypot(*np.diff(points, axis=0).T)
    assert speeds.max() <= 1.5
    assert speeds[-1] == pytest.approx(0.35)
    assert speeds[np.abs(points[:, 0] - 3.42).argmin()] == pytest.approx(1.2 * 0.6, rel=0.2)  # radius 0.6 m
    assert (speeds[:-1] ** 2 <= speeds[1:] ** 2 + 2 * 1.5 * gaps + 1e-9).all()
