"""How a test run begins and ends: repeatable examples, and a process that leaves without taking ROS apart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run: a red run is the fault of what was changed, and not of how busy the machine is.
# HYPOTHESIS=search looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS", "repeatable"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background, where a shell has Ctrl-C ignored:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the commands under test would inherit it


@pytest.fixture
def start_command():
    """Starts Python with arguments in a process group of its own, which is killed at the end if it still runs."""
    root, started = Path(__file__).resolve().parent.parent, []

    def start(*arguments, **environment: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)} | environment, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def drive():
    """Sets controllers off with ideal robots (planning_worlds.set_off): (controller, fleet); closes them at the end."""
    from planning_worlds import set_off  # here: most tests need nothing of planning

    begun = []

    def start(controller, poses, goals, **more):
        begun.append(controller)
        return controller, set_off(controller, poses, goals, **more)

    yield start
    for controller in begun:
        controller.close()


@pytest.fixture
def drive_dyna2():
    """Makes runs of Dyna-2 (planning_drive.Drive); their controllers are closed at the end."""
    from planning_drive import Drive  # here: most tests need nothing of planning

    made = []

    def make(*args, **options):
        made.append(Drive(*args, **options))
        return made[-1]

    yield make
    for each in made:
        each.controller.close()


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
