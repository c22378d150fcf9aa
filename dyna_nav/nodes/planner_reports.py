"""What people see of the planner: diagnostics of the fleet and of each robot, paths and markers.

Nothing here is needed to drive: it is called when a cycle's commands are out.
"""

from __future__ import annotations

import dataclasses
import os
import resource
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.lifecycle import LifecycleNode
from visualization_msgs.msg import MarkerArray

from dyna_nav.nodes.cycle import CycleOutcome, Cycles
from dyna_nav.nodes.diagnostics import (
    PLANNER,
    PlannerReport,
    RobotReport,
    reason_kind,
    robot_status,
    status,
    unjudged_warning,
)
from dyna_nav.nodes.markers import robot_markers
from dyna_nav.nodes.messages import NEWEST, path_message
from dyna_nav.nodes.robot_port import WAITING, RobotPort
from dyna_nav.planning import WAITS, PlanReport

PLAN_CYCLES = 5  # the paths are published every so many cycles: they are for people


class PlannerReports:
    """Keeps what is to be told of each robot, and tells it: a change of state at once, all of it on request."""

    def __init__(self, node: LifecycleNode, planner: Callable[[], PlannerReport]) -> None:
        """``planner`` answers with the planner's own report of this moment; the warnings of the robots are added."""
        self._node, self._planner = node, planner
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 100)
        self._markers = node.create_publisher(MarkerArray, "planner/markers", NEWEST)
        self.begin((), 0.0)

    def begin(self, ports: Sequence[RobotPort], radius: float) -> None:
        """Tell of these robots, radius [m], from now on, and of no others; nothing is known of them yet."""
        self._ports, self._radius = ports, radius
        self._robots = [RobotReport() for _ in ports]
        self._safe_stops = [Counter() for _ in ports]
        self._unjudged: dict[str, str] = {}  # robots whose driving cannot be judged, and what to do about it

    def asked(
        self, robot: int, goal: np.ndarray, accepted: bool, refusal: str, refused_goal: np.ndarray | None
    ) -> None:
        """A robot was sent a goal; goal [3] (NaN: none) is the one it has now, refused_goal [3] the one it refused."""
        fresh = {"state": "driving", "stop_reason": ""} if accepted else {}
        self._robots[robot] = dataclasses.replace(
            self._robots[robot], goal=tuple(goal.tolist()) if np.isfinite(goal).all() else (), refusal=refusal,
            refused_goal=() if refused_goal is None else tuple(refused_goal.tolist()), **fresh,
        )  # fmt: skip
        self.publish()

    def tell(self, outcome: CycleOutcome, plan: PlanReport, goals: np.ndarray) -> None:
        """A cycle is over: its outcome, what the controller says of it, the robots' goals [robots, 3] (NaN: none)."""
        changed = [self._note(robot, outcome, plan, goals[robot]) for robot in range(len(self._robots))]
        self._warn_of_unjudged(plan.unjudged)
        if any(changed):
            self.publish()
        if outcome.number % PLAN_CYCLES == 0:
            self._draw(outcome.observation.pose, plan.plans)

    def publish(self) -> None:
        """One status for the planner, one for each robot."""
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        report = self._planner()
        report = dataclasses.replace(report, warnings=(*report.warnings, *self._unjudged.values()))
        level = DiagnosticStatus.OK if report.state == "active" else DiagnosticStatus.WARN
        message.status.append(status(PLANNER, report, level, report.state))
        for port, robot in zip(self._ports, self._robots, strict=True):
            message.status.append(robot_status(port.name, robot))
        self._diagnostics.publish(message)

    def _note(self, robot: int, outcome: CycleOutcome, plan: PlanReport, goal: np.ndarray) -> bool:
        """Bring one robot's report up to date; whether its state has changed."""
        reason = outcome.verdict.reason or outcome.faults[robot] or plan.stop_reason[robot]
        has_goal, arrived = bool(np.isfinite(goal).all()), bool(plan.arrived[robot])
        waits = reason in WAITS or reason.startswith(WAITING)
        state = (
            "waiting" if waits else "standing" if reason
            else "idle" if not has_goal else "arrived" if arrived else "driving"
        )  # fmt: skip
        before, kind = self._robots[robot], reason_kind(reason)
        kind_before = reason_kind(before.stop_reason)
        if reason and has_goal and not arrived and not waits and kind != kind_before:
            self._safe_stops[robot][kind] += 1
        self._robots[robot] = dataclasses.replace(
            before,
            state=state,
            stop_reason=reason,
            uncertainty=float(plan.uncertainty[robot]),
            ood_score=float(plan.ood_score[robot]),
            breaker_open=bool(plan.breaker_open[robot]),
            safe_stops=dict(self._safe_stops[robot]),
        )
        return (state, kind) != (before.state, kind_before)

    def _warn_of_unjudged(self, rates: np.ndarray) -> None:
        """Say once, and in the diagnostics while it lasts, whose driving cannot be judged; rates [robots] Hz."""
        blind = {port.name: rate for port, rate in zip(self._ports, rates, strict=True) if np.isfinite(rate)}
        for name in blind.keys() - self._unjudged.keys():
            self._node.get_logger().warning(unjudged_warning(name, blind[name]))
        self._unjudged = {name: unjudged_warning(name, rate) for name, rate in blind.items()}

    def _draw(self, pose: np.ndarray, plans: np.ndarray) -> None:
        """Paths and markers, for those who look: pose [robots, 3], plans [robots, k, 3]."""
        stamp = self._node.get_clock().now().to_msg()
        for port, plan in zip(self._ports, plans, strict=True):
            if port.plan.get_subscription_count():
                port.plan.publish(path_message(plan[np.isfinite(plan).all(axis=1)], stamp))
        if self._markers.get_subscription_count():
            reasons = [entry.stop_reason for entry in self._robots]
            self._markers.publish(robot_markers(pose, self._radius, plans, reasons, stamp))


def planner_report_of(state: str, cycles: Cycles | None) -> PlannerReport:
    """The planner's own report: the state of its lifecycle and, once it is configured, how its cycles fare."""
    if cycles is None:
        return PlannerReport(state=state, pid=os.getpid())
    newest = cycles.controller.report
    return PlannerReport(
        state=state,
        pid=os.getpid(),
        cycles=cycles.cycle_ms.count,
        cycle_p50_ms=cycles.cycle_ms.percentile(0.5),
        cycle_p99_ms=cycles.cycle_ms.percentile(0.99),
        cycle_p999_ms=cycles.cycle_ms.percentile(0.999),
        cycle_max_ms=cycles.cycle_ms.largest,
        cycles_cut=cycles.cut,
        imagined_steps=cycles.imagined_steps,
        rollouts=cycles.rollouts,
        jitter_p99_ms=cycles.jitter_ms.percentile(0.99),
        jitter_max_ms=cycles.jitter_ms.largest,
        command_p50_ms=cycles.delay_ms.percentile(0.5),
        command_p99_ms=cycles.delay_ms.percentile(0.99),
        command_max_ms=cycles.delay_ms.largest,
        deadline_misses=cycles.deadline_misses,
        watchdog_stops=cycles.watchdog_stops,
        model_calls=newest.model_calls if newest else 0,
        model_version=cycles.controller.model_version,
        provider=cycles.controller.provider,
        memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        warnings=tuple(cycles.controller.warnings),
    )
