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


def test_before_anything_was_measured_nothing_is_afforded():
    assert Pace().rows(1.0, 10) == 0.0


def test_without_a_budget_there_is_time_for_everything():
    assert pace_of([]).rows(math.inf, 10) == pace_of([1.0]).rows(math.inf, 10) == math.inf


@given(COSTS, st.floats(0.0, 1.0), st.integers(1, 100))
def test_what_is_afforded_fits_with_some_steps_to_spare(cost, seconds, steps):
    rows = pace_of([cost]).rows(seconds, steps)
    least = (steps + SPARE) * OVERHEAD * cost
    assert (steps + SPARE) * (rows + OVERHEAD) * cost == pytest.approx(max(seconds, least))


def test_single_interruptions_do_not_count():
    assert pace_of([1e-5] * 9 + [1e-2]).rows(0.02, 10) == pytest.approx(pace_of([1e-5]).rows(0.02, 10))


def test_a_bad_time_is_forgotten():
    assert pace_of([1e-2] * 100 + [1e-5] * REMEMBERED).rows(0.02, 10) == pace_of([1e-5]).rows(0.02, 10)
