"""The end of a test run: the process leaves as it stands, without taking ROS apart."""

from __future__ import annotations

import os
import sys

import pytest

_status: list[int] = []


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(exitstatus: int) -> None:
    _status.append(int(exitstatus))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Leave at once when nodes of tests are still there (ros_harness.py says why): they must not be destroyed."""
    harness = sys.modules.get("ros_harness")
    if _status and harness is not None and harness.left_behind:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_status[-1])
