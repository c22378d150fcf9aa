"""As many rollouts as there is time for, by what the last ones cost."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dyna_nav.planning.pace import OVERHEAD, REMEMBERED, SPARE, Pace

COSTS = st.floats(1e-7, 1e-3)


def pace_of(costs, steps=10, rows=100):
    """A pace that has seen rows of these costs [s]."""
    pace = Pace()
    for cost in costs:
        pace.note(cost * steps * (rows + OVERHEAD), rows, steps)
    return pace


def test_before_anything_was_measured_there_is_time_for_everything():
    assert Pace().rows(0.001, 10) == math.inf


def test_without_a_budget_there_is_time_for_everything():
    assert pace_of([1.0]).rows(math.inf, 10) == math.inf


@given(COSTS, st.floats(0.0, 1.0), st.integers(1, 100))
def test_what_is_afforded_fits_with_some_steps_to_spare(cost, seconds, steps):
    rows = pace_of([cost]).rows(seconds, steps)
    assert (steps + SPARE) * (rows + OVERHEAD) * cost == pytest.approx(seconds)


def test_single_interruptions_do_not_count():
    assert pace_of([1e-5] * 9 + [1e-2]).rows(0.02, 10) == pytest.approx(pace_of([1e-5]).rows(0.02, 10))


def test_while_nothing_is_imagined_what_it_cost_is_forgotten():
    pace = pace_of([1e-2] * 100)
    for _ in range(REMEMBERED):
        assert pace.rows(0.02, 10) < 0
        pace.skip()
    pace.skip()
    assert pace.rows(0.02, 10) == math.inf
