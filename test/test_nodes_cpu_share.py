"""What a run says of the processor time that its processes take."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from dyna_nav.nodes import cpu_share
from dyna_nav.nodes.cpu_share import CpuShares, processor_seconds


@pytest.fixture
def machine(monkeypatch):
    """A clock, and the processor time of each process [s], as the test says."""
    machine = SimpleNamespace(now=100.0, used={})
    monkeypatch.setattr(cpu_share, "time", SimpleNamespace(monotonic=lambda: machine.now))
    monkeypatch.setattr(cpu_share, "processor_seconds", machine.used.get)
    return machine


def test_processor_time_is_what_others_measure():
    before = psutil.Process().cpu_times()
    mine = processor_seconds(os.getpid())
    after = psutil.Process().cpu_times()
    tick = 1.0 / cpu_share.TICKS
    assert before.user + before.system - tick < mine < after.user + after.system + tick


def test_a_process_that_has_ended_says_nothing():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert processor_seconds(ended.pid) is None


def test_shares_count_from_the_first_look(machine):
    shares = CpuShares()
    assert shares.shares() == {}
    for machine.now, machine.used[7] in ((100.0, 20.0), (110.0, 22.0), (120.0, 25.0)):
        shares.look({"planner": 7})
    assert shares.shares() == {"planner": 0.25}


def test_a_process_that_is_started_again_is_counted_on(machine):
    shares = CpuShares()
    machine.used.update({7: 20.0, 8: 1.0})
    shares.look({"planner": 7})
    machine.now, machine.used[7] = 110.0, 22.0
    shares.look({"planner": 7})
    del machine.used[7]
    machine.now = 120.0
    shares.look({"planner": 7})
    shares.look({"planner": 8})
    assert shares.shares() == {"planner": 0.15}
