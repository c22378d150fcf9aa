"""Paired comparisons: exact where the answer is known, wider where the data are dependent, the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dyna_nav.evaluation import statistics
from dyna_nav.evaluation.statistics import clusters_of, highest_coverage, mean_difference, ratio_of_sums, tail

TIMES = st.lists(st.floats(1.0, 100.0), min_size=2, max_size=30)


@settings(max_examples=25)
@given(TIMES, st.floats(0.1, 5.0), st.integers(1, 6))
def test_a_constant_factor_is_found_without_doubt(times, factor, size):
    b = np.array(times)
    ratio = ratio_of_sums(factor * b, b, np.arange(len(b)) // size)
    assert ratio.value == pytest.approx(factor)
    assert (ratio.low, ratio.high) == pytest.approx((factor, factor))


@settings(max_examples=25)
@given(TIMES, st.randoms(use_true_random=False))
def test_the_interval_holds_the_estimate_and_mirrors_when_the_sides_change(times, random):
    b = np.array(times)
    a = b * np.array([random.uniform(0.5, 1.5) for _ in times])
    clusters = np.arange(len(b))
    forward, backward = ratio_of_sums(a, b, clusters), ratio_of_sums(b, a, clusters)
    assert forward.low <= forward.value + 1e-9
    assert forward.value <= forward.high + 1e-9
    assert backward.value == pytest.approx(1 / forward.value)
    assert backward.low == pytest.approx(1 / forward.high, rel=2e-2)
    assert backward.high == pytest.approx(1 / forward.low, rel=2e-2)


@settings(max_examples=25)
@given(TIMES, st.floats(-10.0, 10.0))
def test_a_constant_difference_is_found_without_doubt(times, shift):
    b = np.array(times)
    found = mean_difference(b + shift, b, np.arange(len(b)))
    assert (found.value, found.low, found.high) == pytest.approx((shift, shift, shift), abs=1e-9)


def test_the_same_data_give_the_same_interval():
    rng = np.random.default_rng(1)
    a, b, clusters = rng.uniform(1, 2, 40), rng.uniform(1, 2, 40), np.arange(40) % 8
    assert ratio_of_sums(a, b, clusters) == ratio_of_sums(a, b, clusters)


def test_trips_that_go_together_count_as_one():
    """Ten copies of each value, in one cluster each, tell no more than the values themselves."""
    rng = np.random.default_rng(2)
    a, b = rng.uniform(1, 2, 12), rng.uniform(1, 2, 12)
    once = ratio_of_sums(a, b, np.arange(12))
    copied = ratio_of_sums(np.repeat(a, 10), np.repeat(b, 10), np.repeat(np.arange(12), 10))
    naive = ratio_of_sums(np.repeat(a, 10), np.repeat(b, 10), np.arange(120))
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))
    assert naive.high - naive.low < 0.6 * (copied.high - copied.low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        b = rng.uniform(10, 30, 30)
        found = ratio_of_sums(b * rng.normal(0.8, 0.2, 30), b, np.arange(30))
        covered += found.low <= 0.8 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def coverage(clusters, episodes=300):
    """How often the interval of a ratio holds the truth; trips of a cluster share their effect."""
    rng, covered = np.random.default_rng(clusters), 0
    for _ in range(episodes):
        b = rng.uniform(10, 30, (clusters, 5))
        a = b * (rng.normal(0.8, 0.1, (clusters, 1)) + rng.normal(0.0, 0.2, b.shape))
        found = ratio_of_sums(a.ravel(), b.ravel(), np.repeat(np.arange(clusters), 5))
        covered += found.low <= 0.8 <= found.high
    return covered / episodes


@pytest.mark.parametrize(("clusters", "least"), [(3, 0.70), (6, 0.90), (12, 0.91)])
def test_intervals_from_few_clusters_cover_what_can_be_covered(clusters, least):
    """A plain percentile interval covers 0.73, 0.83 and 0.91 of these; asked for is what two standard errors leave."""
    assert coverage(clusters) >= least


def test_no_interval_covers_more_than_the_range_of_its_clusters():
    assert [highest_coverage(clusters) for clusters in (2, 3, 4, 5, 6)] == [0.5, 0.75, 0.875, 0.9375, 0.95]
    assert coverage(3) == pytest.approx(highest_coverage(3), abs=0.05)


def test_of_many_clusters_it_is_the_plain_percentile_interval(monkeypatch):
    rng = np.random.default_rng(4)
    a, b = rng.uniform(1, 2, 600), rng.uniform(1, 2, 600)
    expanded = ratio_of_sums(a, b, np.arange(600))
    monkeypatch.setattr(statistics, "tail", lambda clusters: 0.025)
    plain = ratio_of_sums(a, b, np.arange(600))
    assert tail(10**7) == pytest.approx(0.025, rel=1e-5)
    assert expanded.low == pytest.approx(plain.low, abs=0.01 * (plain.high - plain.low))
    assert expanded.high == pytest.approx(plain.high, abs=0.01 * (plain.high - plain.low))


@pytest.mark.parametrize(("clusters", "outside"), [(6, 0.00243), (8, 0.00574), (20, 0.01588)])
def test_the_tail_is_that_of_the_formula(clusters, outside):
    """Phi(-sqrt(n / (n - 1)) t), worked out by hand from tables of t and Phi."""
    assert tail(clusters) == pytest.approx(outside, rel=0.01)


def test_seeds_are_the_clusters_when_there_are_enough_of_them():
    seeds, robots = np.repeat(np.arange(8), 4), np.tile([0, 0, 1, 1], 8)
    clusters, unit = clusters_of(seeds, robots)
    assert (len(set(clusters)), unit) == (8, "seeds")
    clusters, unit = clusters_of(seeds[:12], robots[:12])
    assert (len(set(clusters)), unit) == (6, "robots of a seed")


def test_nothing_to_compare_is_refused():
    with pytest.raises(ValueError, match="equally many"):
        ratio_of_sums(np.array([]), np.array([]), np.array([]))
