"""How long commands take to the velocity gate, and what the planner makes of it."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
from gate_messages import twist
from test_nodes_port import make_port

from dyna_nav.nodes.command_delay import CommandDelay
from dyna_nav.nodes.cycle import observe
from dyna_nav.nodes.cycle_statistics import DurationHistogram

STAND, CREEP, DRIVE = np.zeros(2), np.array([0.75, 0.0]), np.array([1.5, 0.0])


@pytest.fixture
def delay():
    return CommandDelay(DurationHistogram())


def test_nothing_is_known_before_the_first_command(delay):
    delay.executed(STAND, 1.0)
    assert delay.longest(2.0) == 0.0


def test_the_delay_lasts_from_the_beginning_of_the_cycle_to_the_report(delay):
    delay.sent(DRIVE, begun=1.0)
    delay.executed(DRIVE, 1.07)
    assert delay.longest(1.07) == pytest.approx(0.07)


def test_a_repeated_command_says_nothing(delay):
    """The gate repeats itself: the report may be that of the cycle before."""
    delay.sent(DRIVE, 1.0)
    delay.executed(DRIVE, 1.01)
    delay.sent(DRIVE, 1.1)
    delay.executed(DRIVE, 1.3)
    assert delay._all_ms.count == 1


def test_a_command_that_passes_after_the_next_was_sent_is_measured_all_the_same(delay):
    delay.sent(CREEP, 1.0)
    delay.sent(DRIVE, 1.1)
    delay.executed(CREEP, 1.13)
    delay.executed(DRIVE, 1.15)
    assert delay.longest(1.15) == pytest.approx(0.13, abs=0.001)
    assert delay._all_ms.count == 2


def test_the_time_that_a_gate_holds_a_robot_is_no_delay(delay):
    delay.sent(DRIVE, 1.0)
    for moment in (1.05, 1.1, 3.0):
        delay.executed(STAND, moment)
    delay.executed(DRIVE, 3.1)
    assert delay.longest(3.1) == 0.0


def test_the_longest_counts_and_fades(delay):
    for begun, command, took in ((1.0, DRIVE, 0.09), (2.0, CREEP, 0.03)):
        delay.sent(command, begun)
        delay.executed(command, begun + took)
    assert 0.07 < delay.longest(2.03) < 0.09
    assert delay.longest(60.0) < 0.001


def test_the_port_hands_the_delay_on_with_its_input():
    port, now = make_port(), time.monotonic()
    port.planned(DRIVE, now - 0.08)
    port._on_executed(SimpleNamespace(twist=twist(*DRIVE)), 0.0)
    port._odometry_at = port._scan_at = now
    assert port.input().command_delay == pytest.approx(0.08, abs=0.05)


def test_the_planner_is_told_the_delay_with_its_observation():
    port, now = make_port(), time.monotonic()
    port.planned(DRIVE, now - 0.08)
    port._on_executed(SimpleNamespace(twist=twist(*DRIVE)), 0.0)
    port._odometry_at = port._scan_at = now
    observation = observe([port.input()], np.full((1, 3), np.nan), port.scan_max, now)
    assert observation.command_delay == pytest.approx([0.08], abs=0.05)
