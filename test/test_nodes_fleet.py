"""``dyna-nav fleet`` as a user runs it: a process with children, its JSON, its picture, Ctrl-C and a killed planner."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from ros_harness import ROOT, RosHarness, RosProcess, free_domain_id

from dyna_nav.nodes.diagnostics import planner_report
from dyna_nav.nodes.messages import NEWEST

FLEET = [sys.executable, "-m", "dyna_nav.cli", "fleet", "--headless", "--map", "random:3", "--robots", "2"]
PROCESSES = ("planner", "simulator", "velocity_gate", "dispatcher", "map_publisher")
SLOW_START = 120.0  # [s]


def test_two_robots_make_their_trips_without_a_collision(tmp_path):
    out, picture = tmp_path / "out.json", tmp_path / "out.png"
    command = [*FLEET, "--trips", "2", "--seed", "1", "--memory", "none", "--json", str(out), "--picture", str(picture)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ROS_")}
    end = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT, env=environment)
    assert end.returncode == 0, end.stdout + end.stderr
    outcome = json.loads(out.read_text())
    assert (outcome["trips_completed"], outcome["trips_failed"], outcome["collisions"]) == (2, 0, 0)
    assert len(outcome["travel_time_s"]) == 2
    assert outcome["cycles"] > 0
    assert set(outcome["cycle_ms"]) == {"p50", "p99", "p999", "max"}
    assert outcome["command_ms"]["p50"] > 0  # from cycle to gate: the planner's margins live on it
    assert set(outcome["cpu_share"]) == {*PROCESSES, "fleet"}
    assert 0 < sum(outcome["cpu_share"].values()) <= os.cpu_count() + 0.1
    assert 0 < outcome["simulated_s"] <= outcome["wall_s"] + 1
    assert {"deadline_misses", "safe_stops", "model_version", "provider", "first_command_s"} <= set(outcome)
    assert outcome["provider"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert re.match(r"ROS_DOMAIN_ID=\d+\n", end.stdout)  # or nobody could look at its topics


def test_a_run_among_people_says_how_many_were_hit_and_by_whom(tmp_path):
    out = tmp_path / "out.json"
    command = [*FLEET, "--people", "3", "--duration", "2", "--memory", "none", "--json", str(out)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ROS_")}
    end = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT, env=environment)
    assert "people among the robots: " in end.stdout, end.stdout + end.stderr
    outcome = json.loads(out.read_text())
    assert outcome["people"] == 3
    assert outcome["people_hit_moving"] <= outcome["collisions"] == len(outcome["collision_list"])
    assert outcome["people_hit_standing"] == len(outcome["walked_into_list"])


class WatchedRun:
    """A long fleet run that the test listens to in its ROS domain."""

    def __init__(self, ros: RosHarness, process: RosProcess, json_file) -> None:
        self.ros, self.process, self.json = ros, process, json_file
        ros.processes.append(process)
        self.planner_pid, self.command = None, 0.0  # no pid yet: to kill 0 would be to kill who tests
        ros.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 100)
        ros.node.create_subscription(TwistStamped, "r1/cmd_vel", self._on_command, NEWEST)

    def _on_diagnostics(self, message):
        planner = planner_report(message)
        if planner is not None:
            self.planner_pid = planner.pid

    def _on_command(self, message):
        self.command = abs(message.twist.linear.x) + abs(message.twist.angular.z)

    def child(self, module):
        """The process of one node of the run."""
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if f"dyna_nav.nodes.{module}" in child.cmdline())

    def drives(self):
        self.ros.wait_for(lambda: self.command > 0.1, "r1 to drive", SLOW_START)
        self.ros.wait_for(lambda: self.planner_pid is not None, "the planner's diagnostics", SLOW_START)


def wait_for_children(process):
    deadline = time.monotonic() + SLOW_START
    while len(psutil.Process(process.pid).children()) < 5:  # fewer: not yet the nodes
        assert process.running, process.output
        assert time.monotonic() < deadline, process.output
        time.sleep(0.05)


@pytest.fixture
def run(tmp_path):
    domain, out = free_domain_id(), tmp_path / "out.json"
    process = RosProcess([*FLEET, "--trips", "1000", "--memory", "none", "--json", str(out)], domain)
    try:
        wait_for_children(process)  # then the run has found the domain free, and the test may join it
        with RosHarness("fleet_test", domain) as ros:
            yield WatchedRun(ros, process, out)
    finally:
        process.close()


def test_a_killed_planner_is_started_again_and_ctrl_c_leaves_nothing_behind(run):
    run.drives()
    killed = run.planner_pid
    os.kill(killed, signal.SIGKILL)
    run.ros.wait_for(lambda: run.command == 0.0, "r1 to be told to stand")
    run.ros.wait_for(lambda: run.planner_pid != killed, "another planner", SLOW_START)
    run.drives()
    children = psutil.Process(run.process.pid).children(recursive=True)
    assert len(children) == 5
    run.process.send_signal(signal.SIGINT)
    run.ros.wait_for(lambda: run.command == 0.0, "r1 to be told to stand")
    assert run.process.wait() == 130
    assert "Traceback" not in run.process.output
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert json.loads(run.json.read_text())["restarts"] == {"planner": 1}


def test_no_process_of_a_fleet_talks_through_shared_memory(run):
    """There one that dies while it holds a lock holds up the others, the velocity gate among them."""
    run.drives()
    for process in psutil.Process(run.process.pid).children():
        threads = {Path(f"/proc/{process.pid}/task/{thread.id}/comm").read_text() for thread in process.threads()}
        assert any(name.startswith("dds.udp") for name in threads), "the middleware's threads have other names now"
        assert not [name for name in threads if name.startswith("dds.shm")]


def test_no_process_outlives_a_run_that_was_killed(run):
    run.drives()
    children = psutil.Process(run.process.pid).children(recursive=True)
    run.process.send_signal(signal.SIGKILL)
    gone = lambda: not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]  # noqa: E731
    run.ros.wait_for(gone, "every process to end")


def test_a_run_whose_simulator_dies_ends_with_one_sentence_about_it(run):
    run.drives()
    run.child("simulator").kill()
    assert run.process.wait(60) == 1
    assert "simulator was ended by SIGKILL" in run.process.output


def test_a_planner_that_hangs_is_killed_and_started_again_a_simulator_that_hangs_ends_the_run(run):
    run.drives()
    hanging = run.child("planner")
    hanging.suspend()
    run.ros.wait_for(lambda: not hanging.is_running(), "the planner to be killed")
    run.ros.wait_for(lambda: run.planner_pid != hanging.pid, "another planner", SLOW_START)
    run.child("simulator").suspend()
    assert run.process.wait(60) == 1
    assert "the simulator hangs: no odometry of any robot for 10 s" in run.process.output
    outcome = json.loads(run.json.read_text())
    assert outcome["killed"][0] == "planner"
    assert outcome["restarts"] == {"planner": 1}
