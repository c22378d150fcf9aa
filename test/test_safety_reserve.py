"""The time of a cycle: what follows the rollouts is measured as it runs, and kept free."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dyna_nav.safety.reserve import REMEMBERED, SHARE, Countdown, Reserve

DURATIONS = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=3 * REMEMBERED)


class HandClock:
    """A clock that stands still until somebody moves it on."""

    def __init__(self):
        self.time = 50.0

    def now(self):
        return self.time


def reserve_of(durations):
    reserve = Reserve()
    for duration in durations:
        reserve.note(duration)
    return reserve


def test_nothing_is_kept_before_the_first_cycle():
    assert Reserve().seconds == 0.0


@given(DURATIONS)
def test_hardly_any_of_the_last_cycles_took_longer(durations):
    lately = durations[-REMEMBERED:]
    in_time = sum(duration <= reserve_of(durations).seconds for duration in lately)
    assert in_time >= SHARE * len(lately)


@given(DURATIONS)
def test_the_reserve_is_a_duration_that_was_measured_lately(durations):
    assert reserve_of(durations).seconds in durations[-REMEMBERED:]


def test_a_single_interruption_does_not_shorten_what_is_imagined():
    assert reserve_of([0.006] * 30 + [0.060] + [0.006] * 19).seconds == 0.006


def test_a_machine_that_grows_slower_is_noticed_within_a_second():
    assert reserve_of([0.006] * 200 + [0.012] * 10).seconds == 0.012


def test_a_bad_time_is_forgotten():
    assert reserve_of([0.050] * 200 + [0.006] * REMEMBERED).seconds == 0.006


def test_a_countdown_remembers_when_it_was_last_looked_at():
    clock = HandClock()
    left = Countdown(clock.now() + 0.03, clock)
    assert left.looked is None
    assert left() == pytest.approx(0.03)
    clock.time += 0.05
    assert left() == pytest.approx(-0.02)
    clock.time += 1.0
    assert left.looked == pytest.approx(50.05)
