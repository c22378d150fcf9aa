"""What robots tell each other about their next second."""

from __future__ import annotations

import numpy as np
import pytest

from dyna_nav.planning.forecast import FleetForecast

STEPS, POINTS = 8, 21
DRIVES, STANDS = np.array([True, True]), np.array([True, False])
TWIST = np.array([[1.0, 0.0], [0.0, 0.0]])


def poses(first, second=(5.0, 5.0, 1.0)):
    return np.array([first, second], float)


def straight(start, length=6):
    """Poses [length, 3] along x, 0.1 m apart, after a start."""
    return np.array([[start + 0.1 * (k + 1), 0.0, 0.0] for k in range(length)])


def test_an_announced_path_comes_nearer_step_by_step_and_begins_where_the_robot_is():
    forecast = FleetForecast(2, STEPS, POINTS)
    forecast.advance(poses((0, 0, 0)), TWIST, DRIVES)
    forecast.announce(0, np.zeros(3), straight(0.0))
    forecast.advance(poses((0.1, 0.02, 0)), TWIST, DRIVES)  # 2 cm off its path
    assert forecast.expected[0, :3, :2] == pytest.approx(np.array([[0.1, 0.02], [0.2, 0.02], [0.3, 0.02]]))
    assert forecast.expected[0, -1, 0] == pytest.approx(0.6)  # and there it stays


def test_a_robot_that_does_not_drive_stays_whatever_it_announced():
    forecast = FleetForecast(2, STEPS, POINTS)
    forecast.announce(1, np.array([5.0, 5.0, 1.0]), straight(5.0))
    forecast.advance(poses((0, 0, 0)), TWIST, STANDS)
    assert (forecast.expected[1] == [5.0, 5.0, 1.0]).all()


def test_a_silent_robot_ends_its_braking_path_stands_there_for_five_seconds_and_is_forgotten():
    forecast, silent = FleetForecast(2, STEPS, POINTS), poses((np.nan,) * 3)
    forecast.advance(poses((0, 0, 0)), TWIST, DRIVES)
    forecast.braking[0] = np.linspace((0.0, 0.0), (1.0, 0.0), POINTS)
    for _ in range(50):
        forecast.advance(silent, TWIST, DRIVES)
        assert (forecast.expected[0, :, 0] == 1.0).all()
    assert (forecast.braking[0] == [1.0, 0.0]).all()
    forecast.advance(silent, TWIST, DRIVES)
    assert np.isnan(forecast.braking[0]).all()
    assert np.isnan(forecast.expected[0]).all()


def test_robots_that_share_nothing_are_taken_to_go_on_as_they_do():
    forecast = FleetForecast(2, STEPS, POINTS, shared=False)
    forecast.announce(0, np.zeros(3), np.empty((0, 3)))
    forecast.advance(poses((0, 0, np.pi / 2)), TWIST, DRIVES)
    assert forecast.expected[0, 4, :2] == pytest.approx([0.0, 0.4])
    assert forecast.expected[1, 4, :2] == pytest.approx([5.0, 5.0])
