"""What ``/diagnostics`` says: one status for the planner and one for each robot, written and read in this one place.

Every field of a report is one key of its status; numbers, lists and tables are JSON, so that tools read them as well
as people do.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from dyna_nav.nodes.robot_names import called, in_namespace

PLANNER = "dyna_nav planner"
ROBOT = PLANNER + ": "  # followed by the robot's name
GATE = "velocity_gate: "  # likewise
ENOUGH = 8.0  # odometry seen at this rate would do, if it came regularly [Hz]
STOPS = "stops: "  # followed by the cause
Report = TypeVar("Report")


@dataclass(frozen=True)
class RobotReport:
    """How one robot fares in the planner."""

    state: str = "idle"  # idle (no goal), driving, waiting (for its route, for room), standing (safe-stop), arrived
    stop_reason: str = ""  # why it stands; "" while it drives
    goal: tuple[float, ...] = ()  # x [m], y [m], yaw [rad] of the goal it has, map frame; () without one
    refusal: str = ""  # why the newest refused goal was refused
    refused_goal: tuple[float, ...] = ()
    uncertainty: float = 0.0
    ood_score: float = 0.0
    breaker_open: bool = False
    safe_stops: dict = field(default_factory=dict)  # how often it was stopped, by reason


@dataclass(frozen=True)
class PlannerReport:
    """How the planner's process fares; times in milliseconds over the whole life of the process."""

    state: str = ""  # of the lifecycle
    pid: int = 0
    cycles: int = 0
    cycle_p50_ms: float = 0.0
    cycle_p99_ms: float = 0.0
    cycle_p999_ms: float = 0.0
    cycle_max_ms: float = 0.0
    cycles_cut: int = 0  # in which there was no time to imagine to the horizon
    imagined_steps: float = 0.0  # mean length of the rollouts, in cycles that planned
    rollouts: float = 0.0  # mean number of them per robot
    jitter_p99_ms: float = 0.0  # how far the distance of two cycles is from 100 ms
    jitter_max_ms: float = 0.0
    command_p50_ms: float = 0.0  # from the beginning of a cycle until the velocity gate passed its command on
    command_p99_ms: float = 0.0
    command_max_ms: float = 0.0
    deadline_misses: int = 0  # cycles that were late or never began
    watchdog_stops: int = 0
    model_calls: int = 0  # in the newest cycle
    model_version: str = ""
    provider: str = ""
    memory_mb: float = 0.0  # resident size of the process, at its largest
    warnings: tuple[str, ...] = ()


def status(name: str, report: Any, level: bytes, message: str) -> DiagnosticStatus:
    """One entry of ``/diagnostics``; level is one of DiagnosticStatus.OK, WARN, ERROR."""
    values = [KeyValue(key=key, value=_text(value)) for key, value in vars(report).items()]
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id="dyna_nav", values=values)


def robot_status(name: str, report: RobotReport) -> DiagnosticStatus:
    """The entry of one robot; a safe-stop is a warning."""
    level = DiagnosticStatus.WARN if report.stop_reason else DiagnosticStatus.OK
    return status(ROBOT + name, report, level, report.stop_reason or report.state)


def robot_reports(message: DiagnosticArray) -> Iterator[tuple[str, RobotReport]]:
    """Each robot's name and report in a message."""
    for entry in message.status:
        if entry.name.startswith(ROBOT):
            yield entry.name.removeprefix(ROBOT), read(RobotReport, entry)


def planner_report(message: DiagnosticArray) -> PlannerReport | None:
    """The planner's own report in a message, if it holds one."""
    return next((read(PlannerReport, entry) for entry in message.status if entry.name == PLANNER), None)


@dataclass(frozen=True)
class GateReport:
    """How the velocity gate of one robot fares."""

    reason: str  # why it holds the robot; "" while it passes commands on
    stops: dict[str, int]  # how often it has stopped the robot, by cause


def gate_reports(message: DiagnosticArray) -> Iterator[tuple[str, GateReport]]:
    """Each robot's name and the report of its gate in a message."""
    for entry in message.status:
        if entry.name.startswith(GATE):
            values = {pair.key: pair.value for pair in entry.values}
            stops = {key.removeprefix(STOPS): int(value) for key, value in values.items() if key.startswith(STOPS)}
            yield entry.name.removeprefix(GATE), GateReport(entry.message if values.get("cause") else "", stops)


def read(report_class: type[Report], entry: DiagnosticStatus) -> Report:
    """A report back from its entry; keys that it does not know are passed over."""
    is_text = _fields(report_class)
    values = {}
    for pair in entry.values:
        if pair.key in is_text:
            value = pair.value if is_text[pair.key] else json.loads(pair.value)
            values[pair.key] = tuple(value) if isinstance(value, list) else value
    return report_class(**values)


def unjudged_warning(name: str, rate: float) -> str:
    """What a person needs to know of a robot whose driving cannot be judged; its odometry was seen at a rate [Hz]."""
    topic, robot = in_namespace(name, "odom"), called(name)
    told = f"{topic}: {rate:.1f} Hz; whether {robot} moves as the model expects cannot be judged: it drives slowly"
    if rate < ENOUGH:
        return f"{told}; publish {topic} at 10 Hz or more"
    return f"{told}; cycles or stamps are too irregular; check the stamps and give the planner more processor time"


def same_goal(one: Any, other: Any) -> bool:
    """Whether two goals (x, y, yaw) are one and the same; () or NaN is no goal."""
    one, other = np.asarray(one, float), np.asarray(other, float)
    return one.shape == other.shape == (3,) and bool((np.abs(one - other) < 1e-3).all())


def reason_kind(reason: str) -> str:
    """A stop reason without its particulars, for counting: what stands before the first colon."""
    return reason.partition(":")[0]


@functools.cache  # looked up for every robot in every message
def _fields(report_class: type) -> dict[str, bool]:
    """The fields of a report by name, and whether they are text."""
    hints = typing.get_type_hints(report_class)
    return {f.name: hints[f.name] is str for f in dataclasses.fields(report_class)}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(round(value, 4) if isinstance(value, float) else value)
