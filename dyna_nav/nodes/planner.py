"""The planner as a lifecycle node: observations of all robots in, one command per robot out, ten times a second.

configure   read site and model, check every parameter; a bad one is refused with its name and range
activate    start the 10 Hz schedule (steady clock) and the watchdog
deactivate  send every robot a zero command, stop the schedule; the same on cleanup, SIGINT and SIGTERM
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import resource
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from visualization_msgs.msg import MarkerArray

from dyna_nav.controller import Observation
from dyna_nav.mdp import STEP, RobotModel
from dyna_nav.nodes.controllers import CONTROLLER, load_controller
from dyna_nav.nodes.cycle_statistics import DurationHistogram, Schedule
from dyna_nav.nodes.diagnostics import (
    PLANNER,
    PlannerReport,
    RobotReport,
    reason_kind,
    robot_status,
    same_goal,
    status,
    unjudged_warning,
)
from dyna_nav.nodes.inbox import ClockOnDemand
from dyna_nav.nodes.markers import robot_markers
from dyna_nav.nodes.messages import NEWEST, path_message, pose_array
from dyna_nav.nodes.parameters import declare_parameters
from dyna_nav.nodes.process import serve
from dyna_nav.nodes.robot_names import check_robot_names
from dyna_nav.nodes.robot_port import WAITING, InputTimeouts, RobotPort
from dyna_nav.nodes.transitions import loudly, refusable
from dyna_nav.parameters import parameter
from dyna_nav.planning import WAITS, PlannerConfig
from dyna_nav.safety.deadline import DeadlineConfig, DeadlineMonitor, Watchdog
from dyna_nav.safety.inputs import InputLimits, LaserMount, goal_fault
from dyna_nav.site import resolve_site

BEAMS = 360
SCAN_ANGLES = np.arange(BEAMS) * (2 * np.pi / BEAMS) - np.pi
DIAGNOSTICS_PERIOD = 1.0  # [s]; a change of a robot's state is told at once
PLAN_CYCLES = 5  # the paths are published every so many cycles: they are for people
USUAL_SCAN_MAX = 12.0  # range of the laser before the first scan tells [m]


@dataclass(frozen=True)
class PlannerNodeConfig:
    """Parameters of the planner node; those of the algorithm follow under ``planner``, of the base under ``robot``."""

    robots: tuple[str, ...] = parameter(("r1", "r2", "r3", "r4"), "namespaces of the robots")
    map: str = parameter("default", "site: path of a map_server yaml, default, or random:SEED")
    model: str = parameter("", "folder of the model bundle; empty: the one that ships with the package")
    provider: str = parameter("auto", "ONNX Runtime provider: auto, tensorrt, cuda or cpu")
    memory: str = parameter("", "folder of the permanent memory; empty: ~/.ros/dyna_nav/memory; none: not kept")
    controller: str = parameter(CONTROLLER, "class that plans, as module:Class")
    pose_source: str = parameter("odom", "odom (in the map frame), amcl_pose, or tf")
    odometry_frame: str = parameter("", "frame of odom with pose_source tf; empty: <robot>/odom")
    seed: int = parameter(0, "seed of the planner's random numbers", minimum=0, maximum=2**31 - 1)
    autostart: bool = parameter(True, "configure and activate without being asked to")


PARAMETERS = (
    (PlannerNodeConfig, ""),
    (PlannerConfig, "planner"),
    (RobotModel, "robot"),
    (DeadlineConfig, "deadline"),
    (InputLimits, "inputs"),
    (InputTimeouts, "timeouts"),
    (LaserMount, "laser"),
)


class Planner(ClockOnDemand, LifecycleNode):
    """Messages in, :class:`dyna_nav.controller.Controller` in the middle, messages out."""

    def __init__(self) -> None:
        super().__init__("planner")
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 100)
        self._markers = self.create_publisher(MarkerArray, "planner/markers", NEWEST)
        self._ports: list[RobotPort] = []
        self._timer = self._watchdog = self._controller = None
        self._lifecycle = "unconfigured"
        with contextlib.suppress(ValueError):  # refused at configure, and can be set right before
            self._read_parameters()
        self.create_timer(DIAGNOSTICS_PERIOD, self._publish_diagnostics, clock=self._steady)
        if self.has_parameter("autostart") and self.get_parameter("autostart").value:
            self._autostart = self.create_timer(0.0, self._start, clock=self._steady)

    def _read_parameters(self) -> tuple:
        """Every parameter, declared and checked. Raises ValueError naming the first bad one."""
        found, refused = [], None
        for config_class, prefix in PARAMETERS:
            try:
                found.append(declare_parameters(self, config_class, prefix=prefix))
            except ValueError as error:
                refused = refused or error
        if refused:
            raise refused
        return tuple(found)

    def _start(self) -> None:
        """Configure and activate once, as ``autostart`` asks for."""
        self._autostart.cancel()
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    # The lifecycle.

    @refusable(lambda self: self._release())
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read site and model and connect the robots' topics, or say in one sentence why that cannot be done."""
        self._configure()
        for warning in self._controller.warnings:
            self.get_logger().warning(warning)
        names = ", ".join(port.name for port in self._ports)
        self.get_logger().info(f"configured: {names} on {self._site.name}, model {self._controller.model_version}")
        self._lifecycle = "inactive"
        return super().on_configure(state)

    def _configure(self) -> None:
        self._config, plan, self._robot, self._deadline, self._limits, timeouts, laser = self._read_parameters()
        check_robot_names(self._config.robots)
        robots = len(self._config.robots)
        self._site = resolve_site(self._config.map)
        self._controller = load_controller(self._config, plan, self._site, self._robot)
        self._controller.reset(self._site, robots, np.random.default_rng(self._config.seed), self._robot)
        self._reports = [RobotReport() for _ in range(robots)]
        self._safe_stops = [Counter() for _ in range(robots)]
        self._goals = np.full((robots, 3), np.nan)
        self._unjudged: dict[str, str] = {}  # robots whose driving cannot be judged, and what to do about it
        self._cycle_ms, self._jitter_ms, self._delay_ms = (DurationHistogram() for _ in range(3))
        self._monitor = DeadlineMonitor(self._deadline)
        self._ports = [
            RobotPort(
                self, name, self._config.pose_source, self._config.odometry_frame, SCAN_ANGLES, timeouts, self._limits,
                laser, self._goal_callback(index), self._delay_ms,
            )
            for index, name in enumerate(self._config.robots)
        ]  # fmt: skip

    @refusable(lambda self: self._stay_inactive())
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to drive, or say why that cannot be done and stay inactive."""
        outcome = super().on_activate(state)
        self._activate()
        self._lifecycle = "active"
        return outcome

    def _stay_inactive(self) -> None:
        self._halt()
        super().on_deactivate(None)

    def _activate(self) -> None:
        gc.collect()
        gc.freeze()  # a collection that visits all of numba's objects takes as long as a cycle
        self._cycle = 0
        self._sent = np.zeros((len(self._ports), 2))
        self._watchdog = Watchdog(self._deadline, self._stop_robots, self._resend)
        self._schedule = Schedule(STEP, self._steady_seconds())
        self._timer = self.create_timer(STEP, self._run_cycle, clock=self._steady)
        self._watchdog.start()

    @loudly
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop every robot, then stop planning."""
        self._halt()
        self._lifecycle = "inactive"
        return super().on_deactivate(state)

    @loudly
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of site, model and topics; the permanent memory is saved."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    @loudly
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop every robot and let go of everything."""
        self._halt()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """The process ends: stop every robot, save the memory, tell the last figures."""
        self._halt()
        self._publish_diagnostics()
        self._release()

    def _halt(self) -> None:
        if self._timer is None:
            return
        self._timer.cancel()
        self.destroy_timer(self._timer)
        self._timer = None
        self._watchdog.stop()
        for port in self._ports:
            port.send(np.zeros(2))

    def _release(self) -> None:
        for port in self._ports:
            port.close()
        self._ports = []
        if self._controller is not None:
            told = len(self._controller.warnings)
            self._controller.close()
            for warning in self._controller.warnings[told:]:
                self.get_logger().error(warning)
            self._controller = None
        self._lifecycle = "unconfigured"

    # One cycle.

    def _run_cycle(self) -> None:
        """Observe, act, send; then tell people about it."""
        begun = time.monotonic()
        self._note_punctuality()
        self._watchdog.begin()
        for port in self._ports:
            port.look()
        inputs = [port.input() for port in self._ports]
        self._sent[[entry.fault is not None for entry in inputs]] = 0.0  # should the watchdog send again
        observation = self._observe(inputs, begun)
        self._controller.executed(np.array([port.executed for port in self._ports]))
        commands = self._controller.act(observation)
        self._watchdog.end()
        stopped = self._monitor.reason
        verdict = self._monitor.finish(time.monotonic() - begun, commands)
        self._sent = verdict.commands.copy()
        for port, command in zip(self._ports, self._sent, strict=True):
            port.planned(command, begun)
        self._resend()
        duration = time.monotonic() - begun
        if self._monitor.sent(duration):
            self.get_logger().warning(f"cycle {self._cycle} took {1e3 * duration:.0f} ms")
        if self._monitor.reason not in (None, stopped):
            self.get_logger().warning(f"every robot is stopped: {self._monitor.reason}")
        self._cycle_ms.add(1e3 * duration)
        self._report(observation, [entry.fault for entry in inputs], verdict)

    def _note_punctuality(self) -> None:
        """How unevenly cycles begin; a place in the schedule without a cycle is a deadline missed."""
        self._cycle += 1
        jitter, skipped = self._schedule.begin(self._steady_seconds())
        self._jitter_ms.add(1e3 * jitter)
        if skipped:
            self._monitor.skip(skipped)
            self.get_logger().warning(f"{skipped} cycles before cycle {self._cycle} never began")

    def _steady_seconds(self) -> float:
        """The time by which the schedule runs [s]; its clock is not Python's, and drifts against it."""
        return 1e-9 * self._steady.now().nanoseconds

    def _observe(self, inputs: list, now: float) -> Observation:
        return Observation(
            time=now,
            pose=np.array([entry.pose for entry in inputs]),
            twist=np.array([entry.twist for entry in inputs]),
            battery=np.array([entry.battery for entry in inputs]),
            goal=self._goals.copy(),
            scan=np.array([entry.scan for entry in inputs]),
            scan_angles=SCAN_ANGLES,
            scan_max=max(port.scan_max for port in self._ports) or USUAL_SCAN_MAX,
            pose_age=np.array([entry.pose_age for entry in inputs]),
            scan_age=np.array([entry.scan_age for entry in inputs]),
            command_delay=np.array([entry.command_delay for entry in inputs]),
        )

    def _resend(self) -> None:
        """Send the newest commands (again, when the watchdog calls because this cycle is late)."""
        for port, command in zip(self._ports, self._sent, strict=True):
            port.send(command)

    def _stop_robots(self, reason: str) -> None:
        """From the watchdog's thread: the cycle is far too late, stop every robot."""
        self._sent = np.zeros_like(self._sent)
        self._resend()
        self.get_logger().error(f"watchdog: {reason}; every robot was sent a zero command")

    # Goals.

    def _goal_callback(self, index: int):
        def on_goal(message: PoseStamped) -> None:
            topic = f"{self._ports[index].name}/goal_pose"
            refusal = goal_fault(message, self._site, self._robot.radius, topic, limits=self._limits)
            goal = pose_array(message.pose)
            if refusal is None and not same_goal(goal, self._goals[index]):
                try:
                    self._controller.assign(index, goal)
                except ValueError as error:
                    refusal = f"{topic}: {error}"
                else:
                    self._goals[index] = goal
                    self._reports[index] = dataclasses.replace(self._reports[index], state="driving", stop_reason="")
                    self.get_logger().info(f"{topic}: accepted ({goal[0]:.2f}, {goal[1]:.2f}, {goal[2]:.2f})")
            if refusal:
                self.get_logger().error(f"{refusal}; the robot keeps what it was doing")
            goal_now = tuple(self._goals[index].tolist()) if np.isfinite(self._goals[index]).all() else ()
            self._reports[index] = dataclasses.replace(
                self._reports[index], goal=goal_now, refusal=refusal or "",
                refused_goal=tuple(goal.tolist()) if refusal else (),
            )  # fmt: skip
            self._publish_diagnostics()

        return on_goal

    # What people see.

    def _report(self, observation: Observation, faults: list[str | None], verdict) -> None:
        """Keep the robots' reports up to date; a change of state is published at once."""
        report, stamp = self._controller.report, self.get_clock().now().to_msg()
        changed = False
        for index, fault in enumerate(faults):
            reason = verdict.reason or fault or report.stop_reason[index]
            has_goal = bool(np.isfinite(self._goals[index]).all())
            arrived = bool(report.arrived[index])
            waits = reason in WAITS or reason.startswith(WAITING)
            state = (
                "waiting" if waits else "standing" if reason
                else "idle" if not has_goal else "arrived" if arrived else "driving"
            )  # fmt: skip
            before = self._reports[index]
            has_work = has_goal and not arrived and not waits
            if reason and has_work and reason_kind(reason) != reason_kind(before.stop_reason):
                self._safe_stops[index][reason_kind(reason)] += 1
            changed |= (state, reason_kind(reason)) != (before.state, reason_kind(before.stop_reason))
            self._reports[index] = dataclasses.replace(
                before,
                state=state,
                stop_reason=reason,
                uncertainty=float(report.uncertainty[index]),
                ood_score=float(report.ood_score[index]),
                breaker_open=bool(report.breaker_open[index]),
                safe_stops=dict(self._safe_stops[index]),
            )
        self._warn_of_unjudged(report.unjudged)
        if changed:
            self._publish_diagnostics()
        if self._cycle % PLAN_CYCLES == 0:
            self._draw(observation.pose, report.plans, stamp)

    def _draw(self, pose: np.ndarray, plans: np.ndarray, stamp: Time) -> None:
        """Paths and markers, for those who look: pose [robots, 3], plans [robots, k, 3]."""
        for port, plan in zip(self._ports, plans, strict=True):
            if port.plan.get_subscription_count():
                port.plan.publish(path_message(plan[np.isfinite(plan).all(axis=1)], stamp))
        if self._markers.get_subscription_count():
            reasons = [entry.stop_reason for entry in self._reports]
            self._markers.publish(robot_markers(pose, self._robot.radius, plans, reasons, stamp))

    def _warn_of_unjudged(self, rates: np.ndarray) -> None:
        """Say once, and in the diagnostics while it lasts, whose driving cannot be judged; rates [robots] Hz."""
        blind = {port.name: rate for port, rate in zip(self._ports, rates, strict=True) if np.isfinite(rate)}
        for name in blind.keys() - self._unjudged.keys():
            self.get_logger().warning(unjudged_warning(name, blind[name]))
        self._unjudged = {name: unjudged_warning(name, rate) for name, rate in blind.items()}

    def _publish_diagnostics(self) -> None:
        """One status for the planner, one for each robot."""
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        active = self._lifecycle == "active"
        level = DiagnosticStatus.OK if active else DiagnosticStatus.WARN
        message.status.append(status(PLANNER, self._planner_report(), level, self._lifecycle))
        for index, port in enumerate(self._ports):
            message.status.append(robot_status(port.name, self._reports[index]))
        self._diagnostics.publish(message)

    def _planner_report(self) -> PlannerReport:
        if self._controller is None:
            return PlannerReport(state=self._lifecycle, pid=os.getpid())
        newest = self._controller.report
        return PlannerReport(
            state=self._lifecycle,
            pid=os.getpid(),
            cycles=self._cycle_ms.count,
            cycle_p50_ms=self._cycle_ms.percentile(0.5),
            cycle_p99_ms=self._cycle_ms.percentile(0.99),
            cycle_p999_ms=self._cycle_ms.percentile(0.999),
            cycle_max_ms=self._cycle_ms.largest,
            jitter_p99_ms=self._jitter_ms.percentile(0.99),
            jitter_max_ms=self._jitter_ms.largest,
            command_p50_ms=self._delay_ms.percentile(0.5),
            command_p99_ms=self._delay_ms.percentile(0.99),
            command_max_ms=self._delay_ms.largest,
            deadline_misses=self._monitor.misses,
            watchdog_stops=self._watchdog.stops if self._watchdog else 0,
            model_calls=newest.model_calls if newest else 0,
            model_version=self._controller.model_version,
            provider=self._controller.provider,
            memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            warnings=(*self._controller.warnings, *self._unjudged.values()),
        )


def main() -> None:
    """Entry point of the process."""
    serve(Planner)


if __name__ == "__main__":
    main()
