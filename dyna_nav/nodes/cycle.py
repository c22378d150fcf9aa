"""The planner's cycle, on the way that data takes: inputs of all robots -> observation -> controller -> deadline ->
commands. Everything that is not needed for the commands happens after it (:mod:`dyna_nav.nodes.planner_reports`).

The time of a cycle is one budget, from its beginning until its commands are out. The controller may imagine for as long
as is left of it when the inputs have been read and what comes after the rollouts is set aside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rclpy.clock import Clock
from rclpy.impl.rcutils_logger import RcutilsLogger

from dyna_nav.controller import Observation
from dyna_nav.mdp import STEP
from dyna_nav.nodes.controllers import PlainController
from dyna_nav.nodes.cycle_statistics import DurationHistogram, Schedule
from dyna_nav.nodes.robot_port import RobotInput, RobotPort
from dyna_nav.planning import Dyna2Controller
from dyna_nav.safety.deadline import DeadlineConfig, DeadlineMonitor, SteadyClock, Verdict, Watchdog
from dyna_nav.safety.reserve import Reserve

BEAMS = 360
SCAN_ANGLES = np.arange(BEAMS) * (2 * np.pi / BEAMS) - np.pi
USUAL_SCAN_MAX = 12.0  # range of the laser before the first scan tells [m]


@dataclass(frozen=True)
class CycleOutcome:
    """What one cycle saw and sent."""

    number: int
    observation: Observation
    faults: list[str | None]  # why a robot's inputs cannot be believed
    verdict: Verdict


def observe(inputs: Sequence[RobotInput], goals: np.ndarray, scan_max: float, now: float) -> Observation:
    """Inputs and goals [robots, 3] of all robots as one observation at the steady time now [s].

    scan_max [m]: range of the lasers; 0 when no scan has told it yet.
    """
    return Observation(
        time=now,
        pose=np.array([entry.pose for entry in inputs]),
        twist=np.array([entry.twist for entry in inputs]),
        battery=np.array([entry.battery for entry in inputs]),
        goal=goals.copy(),
        scan=np.array([entry.scan for entry in inputs]),
        scan_angles=SCAN_ANGLES,
        scan_max=scan_max or USUAL_SCAN_MAX,
        pose_age=np.array([entry.pose_age for entry in inputs]),
        scan_age=np.array([entry.scan_age for entry in inputs]),
        command_delay=np.array([entry.command_delay for entry in inputs]),
    )


class Cycles:
    """Runs cycle after cycle, ten times a second, with a watchdog beside them, and counts how they fare."""

    def __init__(
        self,
        ports: Sequence[RobotPort],
        controller: Dyna2Controller | PlainController,
        deadline: DeadlineConfig,
        budget: float,
        delay_ms: DurationHistogram,
        steady: Clock,
        logger: RcutilsLogger,
        clock: SteadyClock | None = None,
    ) -> None:
        """``budget`` [s]: time of a whole cycle, measured by ``clock`` (inf: no end); ``steady``: the schedule's clock.

        ``delay_ms``: how long commands take, counted by the ports.
        """
        self.controller, self.delay_ms = controller, delay_ms
        self._ports, self._deadline, self._budget, self._steady, self._logger = ports, deadline, budget, steady, logger
        self._clock = clock or SteadyClock()
        self._monitor, self._watchdog = DeadlineMonitor(deadline), None
        self._reserve = Reserve()  # for what follows the rollouts: choosing among what they found, and sending it
        self.cycle_ms, self.jitter_ms = DurationHistogram(), DurationHistogram()
        self.cut = 0  # cycles whose rollouts did not reach their horizon, for want of time
        self._planned = self._steps = self._rollouts = 0  # cycles that imagined, or wanted to; what they imagined

    @property
    def deadline_misses(self) -> int:
        """Cycles that were late or never began."""
        return self._monitor.misses

    @property
    def watchdog_stops(self) -> int:
        """How often the watchdog stopped the robots since the cycles were started."""
        return self._watchdog.stops if self._watchdog else 0

    @property
    def imagined_steps(self) -> float:
        """Mean length of the rollouts [steps] of all cycles that planned; 0 before the first."""
        return self._steps / self._planned if self._planned else 0.0

    @property
    def rollouts(self) -> float:
        """Mean number of rollouts per robot of all cycles that planned; 0 before the first."""
        return self._rollouts / self._planned if self._planned else 0.0

    def start(self) -> None:
        """Begin the schedule: the first cycle is due one step from now."""
        self._number = 0
        self._sent = np.zeros((len(self._ports), 2))
        self._watchdog = Watchdog(self._deadline, self._stop_robots, self._resend, self._clock)
        self._schedule = Schedule(STEP, self._steady_seconds())
        self._watchdog.start()

    def stop(self) -> None:
        """End the watchdog and send every robot a zero command."""
        self._watchdog.stop()
        for port in self._ports:
            port.send(np.zeros(2))

    def run(self, goals: np.ndarray) -> CycleOutcome:
        """One cycle: observe, act, send; goals [robots, 3] (map frame; NaN: none)."""
        begun = self._clock.now()
        self._note_punctuality()
        self._watchdog.begin()
        for port in self._ports:
            port.look()
        inputs = [port.input() for port in self._ports]
        self._sent[[entry.fault is not None for entry in inputs]] = 0.0  # should the watchdog send again
        observation = observe(inputs, goals, max(port.scan_max for port in self._ports), begun)
        self.controller.executed(np.array([port.executed for port in self._ports]))
        commands = self.controller.act(observation, self._budget - self._reserve.seconds - (self._clock.now() - begun))
        verdict = self._judge_and_send(commands, begun)
        self._count_steps()
        return CycleOutcome(self._number, observation, [entry.fault for entry in inputs], verdict)

    def _judge_and_send(self, commands: np.ndarray, begun: float) -> Verdict:
        """The commands [robots, 2] of a cycle that began at a steady time [s], or what a late one is answered with."""
        answered = self._clock.now()
        self._watchdog.end()
        stopped = self._monitor.reason
        verdict = self._monitor.finish(self._clock.now() - begun, commands)
        self._sent = verdict.commands.copy()
        for port, command in zip(self._ports, self._sent, strict=True):
            port.planned(command, begun)
        self._resend()
        out = self._clock.now()
        choosing = 1e-3 * self.controller.report.choosing_ms
        if not math.isnan(choosing):
            self._reserve.note(choosing + out - answered)
        self.cycle_ms.add(1e3 * (out - begun))
        if self._monitor.sent(out - begun):
            self._logger.warning(f"cycle {self._number} took {1e3 * (out - begun):.0f} ms")
        if self._monitor.reason not in (None, stopped):
            self._logger.warning(f"every robot is stopped: {self._monitor.reason}")
        return verdict

    def _note_punctuality(self) -> None:
        """How unevenly cycles begin; a place in the schedule without a cycle is a deadline missed."""
        self._number += 1
        jitter, skipped = self._schedule.begin(self._steady_seconds())
        self.jitter_ms.add(1e3 * jitter)
        if skipped:
            self._monitor.skip(skipped)
            self._logger.warning(f"{skipped} cycles before cycle {self._number} never began")

    def _count_steps(self) -> None:
        report = self.controller.report
        if report.steps or report.cut:
            self._planned += 1
            self._steps += report.steps
            self._rollouts += report.rollouts
            self.cut += report.cut

    def _steady_seconds(self) -> float:
        """The time by which the schedule runs [s]; its clock is not Python's, and drifts against it."""
        return 1e-9 * self._steady.now().nanoseconds

    def _resend(self) -> None:
        """Send the newest commands (again, when the watchdog calls because this cycle is late)."""
        for port, command in zip(self._ports, self._sent, strict=True):
            port.send(command)

    def _stop_robots(self, reason: str) -> None:
        """From the watchdog's thread: the cycle is far too late, stop every robot."""
        self._sent = np.zeros_like(self._sent)
        self._resend()
        self._logger.error(f"watchdog: {reason}; every robot was sent a zero command")
