"""The planner as a lifecycle node: observations of all robots in, one command per robot out, ten times a second.

configure   read site and model, check every parameter; a bad one is refused with its name and range
activate    start the 10 Hz schedule (steady clock) and the watchdog
deactivate  send every robot a zero command, stop the schedule; the same on cleanup, SIGINT and SIGTERM

What goes through it: ``robot_port`` takes in what each robot says, ``cycle`` makes commands of it, ``planner_reports``
tells people; ``goals`` is where work comes in.
"""

from __future__ import annotations

import contextlib
import math

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from dyna_nav.mdp import STEP
from dyna_nav.nodes.controllers import load_controller
from dyna_nav.nodes.cycle import SCAN_ANGLES, Cycles
from dyna_nav.nodes.cycle_statistics import DurationHistogram
from dyna_nav.nodes.goals import Goals
from dyna_nav.nodes.inbox import ClockOnDemand
from dyna_nav.nodes.parameters import keep_parameters
from dyna_nav.nodes.planner_parameters import read_parameters
from dyna_nav.nodes.planner_reports import PlannerReports, planner_report_of
from dyna_nav.nodes.process import serve, settle
from dyna_nav.nodes.robot_names import called, robots_served
from dyna_nav.nodes.robot_port import RobotPort
from dyna_nav.nodes.transitions import loudly, refusable
from dyna_nav.site import resolve_site

READ_AT_CONFIGURE = "read at configure; deactivate and clean up the planner, set it, and configure again"
DIAGNOSTICS_PERIOD = 1.0  # [s]; a change of a robot's state is told at once


class Planner(ClockOnDemand, LifecycleNode):
    """Messages in, :class:`dyna_nav.controller.Controller` in the middle, messages out."""

    def __init__(self) -> None:
        super().__init__("planner")
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._ports: list[RobotPort] = []
        self._timer = self._controller = self._cycles = None
        self._lifecycle = "unconfigured"
        self._reports = PlannerReports(self, lambda: planner_report_of(self._lifecycle, self._cycles))
        with contextlib.suppress(ValueError):  # refused at configure, and can be set right before
            read_parameters(self)
        keep_parameters(self, lambda: "" if self._lifecycle == "unconfigured" else READ_AT_CONFIGURE)
        self.create_timer(DIAGNOSTICS_PERIOD, self._reports.publish, clock=self._steady)
        if self.has_parameter("autostart") and self.get_parameter("autostart").value:
            self._autostart = self.create_timer(0.0, self._start, clock=self._steady)

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
        names = ", ".join(called(port.name) for port in self._ports)
        self.get_logger().info(f"configured: {names} on {self._site_name}, model {self._controller.model_version}")
        self._lifecycle = "inactive"
        return super().on_configure(state)

    def _configure(self) -> None:
        config, plan, robot, deadline, limits, timeouts, laser = read_parameters(self)
        names = robots_served(config.robots)
        site = resolve_site(config.map)
        self._site_name = site.name
        self._controller = load_controller(config, plan, site, robot)
        self._controller.reset(site, len(names), np.random.default_rng(config.seed), robot)
        self._goals = Goals(self, names, site, robot.radius, limits, self._controller.assign, self._reports)
        delay_ms = DurationHistogram()
        self._ports = [
            RobotPort(
                self, name, config.pose_source, config.odometry_frame, SCAN_ANGLES, timeouts, limits, laser,
                self._goals.callback(index), delay_ms,
            )
            for index, name in enumerate(names)
        ]  # fmt: skip
        self._cycles = Cycles(
            self._ports, self._controller, deadline, plan.budget_ms / 1e3 or math.inf, delay_ms, self._steady,
            self.get_logger(),
        )  # fmt: skip
        self._reports.begin(self._ports, robot.radius)

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
        settle()
        self._cycles.start()
        self._timer = self.create_timer(STEP, self._run_cycle, clock=self._steady)

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
        self._reports.publish()
        self._release()

    def _halt(self) -> None:
        if self._timer is None:
            return
        self._timer.cancel()
        self.destroy_timer(self._timer)
        self._timer = None
        self._cycles.stop()

    def _release(self) -> None:
        for port in self._ports:
            port.close()
        self._ports, self._cycles = [], None
        self._reports.begin((), 0.0)
        if self._controller is not None:
            told = len(self._controller.warnings)
            self._controller.close()
            for warning in self._controller.warnings[told:]:
                self.get_logger().error(warning)
            self._controller = None
        self._lifecycle = "unconfigured"

    # The work.

    def _run_cycle(self) -> None:
        """Drive; then tell people about it."""
        outcome = self._cycles.run(self._goals.poses)
        self._reports.tell(outcome, self._controller.report, self._goals.poses)


def main() -> None:
    """Entry point of the process."""
    serve(Planner)


if __name__ == "__main__":
    main()
