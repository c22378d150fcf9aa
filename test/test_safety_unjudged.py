"""A robot whose steps cannot be compared with what the model expected drives slowly, and somebody is told."""

from __future__ import annotations

import numpy as np
import pytest

from dyna_nav.controller import Observation
from dyna_nav.mdp import STEP
from dyna_nav.nodes.diagnostics import unjudged_warning
from dyna_nav.planning.vigilance import Vigilance
from dyna_nav.safety.unjudged import UnjudgedDriving
from dyna_nav.site import resolve_site
from dyna_nav.world_model import load_bundle
from dyna_nav.world_model.runtime import WorldModel

LIMIT = 10.0  # [s]
CYCLES = round(LIMIT / STEP)
YES, NO = np.array([True]), np.array([False])


def drive(watch, cycles, judged=NO, drives=YES, period=0.2, start=0):
    """The rate [Hz] that is reported after so many cycles with a measurement every period [s]; NaN: nothing to say."""
    for cycle in range(start, start + cycles):
        rate = watch.update(judged, drives, np.array([np.floor(cycle * STEP / period + 1e-9) * period]))
    return rate[0]


def test_who_drives_for_long_without_being_judged_is_reported_with_the_rate_of_its_odometry():
    watch = UnjudgedDriving(1, LIMIT)
    assert np.isnan(drive(watch, CYCLES - 1))
    assert drive(watch, 1, start=CYCLES - 1) == pytest.approx(5.0, abs=0.2)


def test_one_judged_step_begins_the_count_anew():
    watch = UnjudgedDriving(1, LIMIT)
    drive(watch, CYCLES)
    assert np.isnan(drive(watch, 1, judged=YES))
    assert np.isnan(drive(watch, CYCLES - 1))


def test_a_robot_that_stands_is_not_counted():
    assert np.isnan(drive(UnjudgedDriving(1, LIMIT), 3 * CYCLES, drives=NO))


def test_robots_are_counted_each_for_itself():
    watch = UnjudgedDriving(2, LIMIT)
    for cycle in range(CYCLES):
        rate = watch.update(np.array([True, False]), np.ones(2, bool), np.full(2, cycle * STEP))
    assert np.isnan(rate[0])
    assert rate[1] == pytest.approx(10.0)


def test_a_robot_without_a_measurement_is_no_error():
    assert np.isnan(UnjudgedDriving(1, LIMIT).update(NO, NO, np.array([np.nan]))).all()


@pytest.fixture(scope="module")
def bundle():
    return load_bundle()


@pytest.mark.parametrize(("period", "judged"), [(0.05, True), (0.1, True), (0.2, False), (0.25, False)])
def test_slow_odometry_slows_its_robot_down(bundle, period, judged):
    """Straight on at 0.5 m/s in the default warehouse, with odometry every period [s] and a cycle every 0.1 s."""
    vigilance, site = Vigilance(bundle, WorldModel(bundle, "cpu"), "cpu"), resolve_site("default")
    vigilance.reset(site, 1)
    station = site.stations[0]
    for cycle in range(CYCLES + 2):
        age = (cycle * STEP) % period if period > STEP else 0.0
        observation = Observation(
            time=cycle * STEP,
            pose=np.array([[station.x + 0.5 * cycle * STEP, station.y, 0.0]]),
            twist=np.array([[0.5, 0.0]]),
            battery=np.ones(1),
            goal=np.full((1, 3), np.nan),
            scan=np.full((1, 360), 4.0),
            scan_angles=np.arange(360) * (2 * np.pi / 360) - np.pi,
            scan_max=12.0,
            pose_age=np.array([age]),
            scan_age=np.zeros(1),
        )
        found = vigilance.watch(observation)
        vigilance.commanded(observation, np.array([[0.5, 0.0]]))
    assert np.isnan(found.unjudged[0]) == judged
    if not judged:
        assert found.unjudged[0] == pytest.approx(1 / period, abs=0.3)
        assert found.speed_scale[0] == 0.5


def test_the_warning_says_what_to_do():
    slow, irregular = unjudged_warning("r1", 5.0), unjudged_warning("r1", 10.0)
    assert slow.startswith("r1/odom: 5.0 Hz")
    assert "publish r1/odom at 10 Hz or more" in slow
    assert "publish" not in irregular
