"""What a run shows while it lasts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dyna_nav.nodes.diagnostics import RobotReport
from dyna_nav.nodes.fleet_view import in_words


@pytest.mark.parametrize(
    ("gate", "stop_reason", "work", "words"),
    [
        ("", "", {}, "idle"),
        ("", "", {"state": "dwelling"}, "dwelling"),
        ("", "novel scan: beam 3", {"state": "driving"}, "standing (novel scan: beam 3)"),
        ("scan: silent for 0.5 s", "no pose", {"state": "driving"}, "standing (scan: silent for 0.5 s)"),
    ],
)
def test_a_line_says_why_a_robot_stands(gate, stop_reason, work, words):
    reports = {"r1": RobotReport(stop_reason=stop_reason)}
    monitor = SimpleNamespace(gates={"r1": gate}, reports=reports, status={"robots": {"r1": work}})
    assert in_words(monitor, "r1") == words
