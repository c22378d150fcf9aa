"""How long after a fault the wheels are told to stop, and how long after its end they drive again; a benchmark.

    python test/reaction_times.py --repetitions 10 --json reaction_times.json

Simulator, velocity gate and planner run as in a fleet, each in a process of its own, in real time. A robot is sent to
and fro; while it drives far from its goal a fault is caused. Times are those at which this process hears `cmd_vel`, so
they include the way over the topic. The robot must stand for as long as the fault lasts, planner or gate must blame
what is wrong, and it must drive on without being asked to: otherwise the run ends with what was missing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from ros_harness import RosHarness
from running_robots import SLOW_START, Robots

from dyna_nav.mdp import STEP
from dyna_nav.nodes.diagnostics import gate_reports, robot_reports
from dyna_nav.nodes.messages import NEWEST, SENSOR
from dyna_nav.nodes.robot_port import InputTimeouts
from dyna_nav.nodes.simulator import ODOMETRY_TICKS, TICK
from dyna_nav.nodes.velocity_gate import VelocityGateParameters
from dyna_nav.safety.gate import GateConfig

ROBOT = "r1"
FAR = 4.0  # a robot nearer to its goal than this would soon stop of its own accord [m]
FAST = 0.7  # measured speed at which the fault strikes, at least [m/s]
LASTS = 0.7  # a fault goes on for so long after the robot was told to stop [s]
GATE, TIMEOUTS, LOOK = GateConfig(), InputTimeouts(), 1.0 / VelocityGateParameters().rate


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and how it is mended."""

    name: str
    blamed: str  # what planner or gate name as the reason
    bound: float  # longest time to the zero command by the parameters in force, without the ways over topics [s]
    begin: Callable[[Trial], None]
    end: Callable[[Trial], None] | None = None  # None: it is over at once


class Trial:
    """One robot that drives to and fro, and what its wheels are told."""

    def __init__(self, ros: RosHarness, memory: str):
        self.ros, self.robots = ros, Robots(ros, memory)
        self._position, self._speed = np.full(2, np.nan), 0.0
        self._told: list[tuple[float, float, float]] = []  # time [s], speed [m/s], turn rate [rad/s]
        self._reasons: set[str] = set()
        ros.node.create_subscription(TwistStamped, f"{ROBOT}/cmd_vel", self._on_command, NEWEST)
        ros.node.create_subscription(Odometry, f"{ROBOT}/odom", self._on_odometry, SENSOR)
        ros.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 100)
        self._command = ros.node.create_publisher(TwistStamped, f"{ROBOT}/cmd_vel_planned", NEWEST)
        self.wait_for_planner()

    def wait_for_planner(self) -> None:
        self.ros.wait_for(lambda: self.robots.planner_state == "active", "the planner to be active", SLOW_START)

    def measure(self, fault: Fault) -> tuple[float, float]:
        """Times [s] from the fault to the zero command, and from its end to the first that moves the robot."""
        self.ros.wait_for(self._drives_far_from_its_goal, f"{ROBOT} to drive at {FAST} m/s", SLOW_START)
        self._told.clear()
        self._reasons.clear()
        struck = time.monotonic()
        fault.begin(self)
        stopped = self.ros.wait_for(lambda: self._first(struck, moving=False), f"a stop after: {fault.name}")
        self.ros.wait_for(lambda: any(fault.blamed in reason for reason in self._reasons), f"{fault.blamed} be blamed")
        mended = struck
        if fault.end is not None:
            self.ros.wait_for(lambda: time.monotonic() > stopped + LASTS, "the fault to last")
            if moved := self._first(stopped, moving=True):
                raise AssertionError(f"{fault.name}: told to move {moved - stopped:.3f} s after the stop")
            mended = time.monotonic()
            fault.end(self)
        driving = self.ros.wait_for(lambda: self._drives_on(max(stopped, mended)), f"{ROBOT} to drive on", SLOW_START)
        return stopped - struck, driving - mended

    def send_command(self, speed: float) -> None:
        """Once, in between the planner's."""
        message = TwistStamped()
        message.twist.linear.x = speed
        self._command.publish(message)

    def restart_planner(self) -> None:
        """As the fleet does when it has ended."""
        self.robots.planner_state = ""
        self.robots.planner = self.robots.start_planner()
        self.wait_for_planner()
        self.robots.forget()

    def _drives_far_from_its_goal(self) -> bool:
        goal = self.robots.sent[ROBOT]
        if goal is None or not np.hypot(*(goal[:2] - self._position)) > FAR:
            stations = [self.robots.station(number) for number in range(7)]
            self.robots.sent[ROBOT] = max(stations, key=lambda s: np.nan_to_num(np.hypot(*(s[:2] - self._position))))
            return False
        return self.robots.keep_driving(ROBOT) and self._speed > FAST

    def _drives_on(self, since: float) -> float | None:
        self.robots.keep_driving(ROBOT)  # a new planner has to be told its goals, as the dispatcher does
        return self._first(since, moving=True)

    def _first(self, since: float, moving: bool) -> float | None:
        """When the wheels were first told to move, or to stand, after a time [s]; None: not yet."""
        return next((at for at, *command in self._told if at > since and any(command) == moving), None)

    def _on_command(self, message: TwistStamped) -> None:
        self._told.append((time.monotonic(), message.twist.linear.x, message.twist.angular.z))

    def _on_odometry(self, message: Odometry) -> None:
        position = np.array([message.pose.pose.position.x, message.pose.pose.position.y])
        if np.isfinite(position).all():
            self._position, self._speed = position, message.twist.twist.linear.x

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self._reasons |= {report.stop_reason for name, report in robot_reports(message) if name == ROBOT}
        self._reasons |= {report.reason for name, report in gate_reports(message) if name == ROBOT}


def switch(name: str, on: bool) -> Callable[[Trial], None]:
    """Turn one of the simulator's faults on or off."""
    return lambda trial: trial.robots.fault(name, robot=ROBOT, on=on)


def signals(number: int) -> Callable[[Trial], None]:
    """Send the planner a signal."""
    return lambda trial: trial.robots.planner.send_signal(number)


SILENT_PLANNER = GATE.command_timeout + LOOK
SILENT_ODOMETRY = min(TIMEOUTS.odometry + STEP, GATE.odometry_timeout + LOOK)  # whoever notices first
SILENT_SCAN = min(TIMEOUTS.scan + STEP, GATE.scan_timeout + LOOK)
FAULTS = (
    Fault("command out of range", "cmd_vel_planned", 0.0, lambda trial: trial.send_command(99.0)),
    Fault(
        "NaN in odom", "odom", ODOMETRY_TICKS * TICK + LOOK, switch("nan_odometry", True), switch("nan_odometry", False)
    ),
    Fault("odom silent", "odom", SILENT_ODOMETRY, switch("silent_odometry", True), switch("silent_odometry", False)),
    Fault("scan silent", "scan", SILENT_SCAN, switch("silent_scan", True), switch("silent_scan", False)),
    Fault("planner frozen (SIGSTOP)", "planned", SILENT_PLANNER, signals(signal.SIGSTOP), signals(signal.SIGCONT)),
    Fault("planner killed (SIGKILL)", "planned", SILENT_PLANNER, signals(signal.SIGKILL), Trial.restart_planner),
)


def table(measured: dict[str, dict]) -> str:
    """Markdown, times in milliseconds."""
    columns = ("fault", "told to stop: median", "greatest", "by the parameters", "drives on: median", "greatest")
    rows = [columns, ("---",) * len(columns)]
    for name, entry in measured.items():
        stop, resume = (
            [f"{1e3 * entry[key][which]:.0f}" for which in ("median", "greatest")] for key in ("stop_s", "resume_s")
        )
        rows.append((name, *stop, f"{1e3 * entry['bound_s']:.0f}" if entry["bound_s"] else "at once", *resume))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def summary(times: list[float]) -> dict:
    return {"median": statistics.median(times), "greatest": max(times), "all": [round(t, 4) for t in times]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=10, metavar="N", help="of each fault (default 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all times [s]")
    parser.add_argument("--domain", type=int, help="ROS domain (default: a free one)")
    arguments = parser.parse_args()
    if arguments.repetitions < 1:
        parser.error(f"--repetitions is {arguments.repetitions}; it must be at least 1")
    measured = {}
    with tempfile.TemporaryDirectory() as memory, RosHarness("reaction_times", arguments.domain) as ros:
        trial = Trial(ros, memory)
        for fault in FAULTS:
            times = []
            for _ in range(arguments.repetitions):
                times.append(trial.measure(fault))
                print(f"{fault.name}: stop {times[-1][0]:.3f} s, on {times[-1][1]:.3f} s", file=sys.stderr, flush=True)
            stops, resumptions = zip(*times, strict=True)
            measured[fault.name] = {
                "stop_s": summary(stops), "resume_s": summary(resumptions), "bound_s": fault.bound
            }  # fmt: skip
    print(f"{arguments.repetitions} repetitions, times in ms, {os.cpu_count()} cores\n\n{table(measured)}")
    if arguments.json:
        content = {
            "repetitions": arguments.repetitions,
            "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()},
            "faults": measured,
        }
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # nodes of the harness must not be destroyed (ros_harness.py says why)
