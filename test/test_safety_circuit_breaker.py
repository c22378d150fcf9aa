"""The circuit breaker: opens on a failing model, forgives by itself, each robot on its own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dyna_nav.safety.circuit_breaker import CLOSED, HALF_OPEN, OPEN, CircuitBreaker, CircuitBreakerConfig

TRAINING = 0.02
CONFIG = CircuitBreakerConfig()


def feed(breaker, error, seconds):
    """States passed through while one error repeats for a while."""
    states = []
    for _ in range(round(seconds / 0.1)):
        breaker.update(np.full(breaker.state.shape, error))
        states.append(int(breaker.state[0]))
    return states


def test_a_model_as_good_as_in_training_stays_trusted():
    breaker = CircuitBreaker(1, TRAINING)
    assert set(feed(breaker, 1.9 * TRAINING, 600)) == {CLOSED}
    assert breaker.speed_scale[0] == 1.0


def test_twice_the_training_error_opens_and_slows():
    breaker = CircuitBreaker(1, TRAINING)
    feed(breaker, TRAINING, 10)
    assert feed(breaker, 5 * TRAINING, 10)[-1] == OPEN
    assert not breaker.trusted[0]
    assert breaker.speed_scale[0] == CONFIG.reduced_speed


def test_one_bad_step_does_not_open():
    breaker = CircuitBreaker(1, TRAINING)
    feed(breaker, TRAINING, 10)
    assert feed(breaker, 10 * TRAINING, 0.1) == [CLOSED]


def test_an_infinite_error_opens_at_once():
    breaker = CircuitBreaker(1, TRAINING)
    assert not breaker.update(np.array([math.inf]))[0]
    assert feed(breaker, TRAINING, 60)[-1] == CLOSED


def test_recovery_passes_through_half_open():
    breaker = CircuitBreaker(1, TRAINING)
    feed(breaker, 5 * TRAINING, 5)
    states = feed(breaker, TRAINING, 30)
    assert states == sorted(states, reverse=True)
    assert set(states) == {OPEN, HALF_OPEN, CLOSED}
    assert states.count(HALF_OPEN) == pytest.approx(CONFIG.trial / 0.1, abs=1)
    assert breaker.opened[0] == 1


def test_a_relapse_on_trial_opens_again():
    breaker = CircuitBreaker(1, TRAINING)
    feed(breaker, 5 * TRAINING, 5)
    while breaker.state[0] != HALF_OPEN:
        feed(breaker, TRAINING, 0.1)
    assert HALF_OPEN not in feed(breaker, 20 * TRAINING, 5)[10:]
    assert breaker.opened[0] == 2


def test_an_error_between_the_limits_changes_nothing():
    breaker = CircuitBreaker(2, TRAINING)
    feed(breaker, 5 * TRAINING, 5)
    assert set(feed(breaker, 1.75 * TRAINING, 300)) == {OPEN}


def test_each_robot_has_its_own():
    breaker = CircuitBreaker(3, TRAINING)
    for _ in range(100):
        trusted = breaker.update(np.array([TRAINING, 9 * TRAINING, math.nan]))
    assert trusted.tolist() == [True, False, True]
    assert breaker.error[0] == pytest.approx(TRAINING)
    assert math.isnan(breaker.error[2])


def test_a_new_model_starts_with_a_clean_record():
    breaker = CircuitBreaker(2, TRAINING)
    feed(breaker, 9 * TRAINING, 10)
    breaker.reset(0)
    assert breaker.trusted.tolist() == [True, False]
    assert math.isnan(breaker.error[0])


@given(st.lists(st.one_of(st.floats(0, 1), st.just(math.nan), st.just(math.inf)), max_size=200))
def test_the_rolling_error_lies_between_the_errors_seen(errors):
    breaker = CircuitBreaker(1, TRAINING)
    for error in errors:
        breaker.update(np.array([error]))
    finite = [error for error in errors if math.isfinite(error)]
    if finite:
        assert min(finite) - 1e-9 <= breaker.error[0] <= max(finite) + 1e-9
    else:
        assert math.isnan(breaker.error[0])


@pytest.mark.parametrize("training_error", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_training_error_is_refused(training_error):
    with pytest.raises(ValueError, match="training_error is"):
        CircuitBreaker(1, training_error)


def test_closing_above_where_it_opens_is_refused():
    with pytest.raises(ValueError, match="close_factor is 3"):
        CircuitBreaker(1, TRAINING, CircuitBreakerConfig(close_factor=3.0))
