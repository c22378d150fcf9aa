"""A simulation in lockstep whose measurements and commands are as late as between ROS nodes.

Odometry and scans come at rates of their own and are carried forward to the present; a cycle begins at any time
between them, and not quite evenly; its command reaches the base when the planner is done, at the base's next tick.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dyna_nav.controller import Observation
from dyna_nav.mdp import STEP
from dyna_nav.parameters import check, parameter
from dyna_nav.simulation.simulation import Simulation
from dyna_nav.viewpoint import arc, compose, seen_from

LATEST = 0.09  # Timing.draw lets commands take effect up to so late after their cycle began [s]
PUNCTUAL = 0.35  # share of what Timing.draw draws: lockstep, or robots with fast and quiet computers
MOST_JITTER = 0.01  # a cycle begins at most so much earlier or later [s]: what is worse counts as irregular


@dataclass(frozen=True)
class Timing:
    """When things happen; times are rounded to the physics step. The default is perfect: nothing is late."""

    odometry: float = parameter(0.1, "time between two odometry messages [s]", minimum=0.005, maximum=0.1)
    phase: float = parameter(0.0, "when within a step, after a scan, a cycle begins [s]", minimum=0, maximum=0.095)
    jitter: float = parameter(0.0, "standard deviation of the beginning of a cycle [s]", minimum=0, maximum=0.02)
    shortest: float = parameter(0.0, "least time from a cycle's beginning to its command [s]", minimum=0, maximum=0.08)
    longest: float = parameter(0.0, "greatest time from a cycle's beginning to its command [s]", minimum=0, maximum=0.1)
    tick: float = parameter(0.005, "a base takes over a new command every so often [s]", minimum=0.005, maximum=0.05)

    def __post_init__(self):
        check(self)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Timing:
        """Timing of some robot and computer, as it varies from one to the next."""
        if rng.random() < PUNCTUAL:
            return cls()
        tick = float(rng.choice([0.005, 0.025]))
        shortest = float(rng.uniform(0.0, 0.045))
        return cls(
            odometry=float(rng.choice([0.02, 0.05, 0.05])),
            phase=float(rng.uniform(0.0, 0.095)),
            jitter=float(rng.uniform(0.0, 0.006)),
            shortest=shortest,
            longest=min(shortest + float(rng.uniform(0.0, 0.02)), LATEST - tick),
            tick=tick,
        )


class TimedSimulation:
    """Cycles of observe and step over a simulation that nobody else advances."""

    def __init__(self, simulation: Simulation, timing: Timing, rng: np.random.Generator):
        self.simulation, self._timing, self._rng = simulation, timing, rng
        physics = simulation.config.physics_step
        self._physics = physics
        self._odometry_ticks = max(1, round(timing.odometry / physics))
        self._scan_ticks = max(1, round(simulation.config.scan_period / physics))
        self._command_ticks = max(1, round(timing.tick / physics))
        self._start, self._cycle = round(simulation.time / physics), 0
        self._commands = np.zeros((simulation.robots, 2))
        self._pending: list[tuple[int, np.ndarray]] = []
        self._odometry, self._measured = simulation.observe(), self._start
        self._scan_at = self._start
        self.contact = np.zeros(simulation.robots, bool)  # who touched something during the last step
        self._advance_to(self._begin_of_cycle())

    def observe(self) -> Observation:
        """What a planner knows as its cycle begins: the newest measurements, carried forward to the present."""
        old, now = self._odometry, self._now()
        if now == self._measured and now == self._scan_at:
            return replace(old, goal=self.simulation.goals.copy())
        pose, scan = old.pose.copy(), old.scan.copy()
        pose_age, scan_age = (now - self._measured) * self._physics, (now - self._scan_at) * self._physics
        for robot, twist in enumerate(old.twist):
            pose[robot] = compose(old.pose[robot], arc(twist, pose_age))
            scan[robot] = seen_from(old.scan[robot], old.scan_angles, arc(twist, scan_age))
        goal = self.simulation.goals.copy()
        return replace(
            old, time=self.simulation.time, pose=pose, scan=scan, goal=goal, pose_age=pose_age, scan_age=scan_age
        )

    def step(self, commands: np.ndarray) -> None:
        """Give commands [n, 2] (m/s, rad/s) for the cycle that just began, and drive until the next one begins."""
        timing, now = self._timing, self._now()
        needed = round(float(self._rng.uniform(timing.shortest, timing.longest)) / self._physics)
        tick = self._command_ticks
        self._pending.append((-(-(now + needed) // tick) * tick, np.array(commands, float)))
        self._cycle += 1
        self.contact[:] = False
        self._advance_to(max(self._begin_of_cycle(), now + 1))

    def _begin_of_cycle(self) -> int:
        timing = self._timing
        jitter = float(np.clip(timing.jitter * self._rng.standard_normal(), -MOST_JITTER, MOST_JITTER))
        return self._start + max(0, round((self._cycle * STEP + timing.phase + jitter) / self._physics))

    def _now(self) -> int:
        return round(self.simulation.time / self._physics)

    def _advance_to(self, end: int) -> None:
        simulation = self.simulation
        while (now := self._now()) < end:
            while self._pending and self._pending[0][0] <= now:
                self._commands = self._pending.pop(0)[1]
            odometry = (now // self._odometry_ticks + 1) * self._odometry_ticks
            scan = (now // self._scan_ticks + 1) * self._scan_ticks
            arrival = self._pending[0][0] if self._pending else end
            until = min(end, odometry, scan, arrival)
            simulation.advance(self._commands, (until - now) * self._physics)
            self.contact |= simulation.contact
            if until in (odometry, scan):
                seen = simulation.observe()
                if until == scan:
                    self._scan_at = until
                if until == odometry:
                    self._odometry, self._measured = seen, until
                else:  # a scan between two odometry messages
                    self._odometry = replace(self._odometry, scan=seen.scan)
