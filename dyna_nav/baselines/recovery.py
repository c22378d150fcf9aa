"""What to do when a robot gets nowhere: wait, clear, go round, back up, spin, retreat; each time one step further.

The behaviours are those of Nav2's behaviour server and recovery tree (Macenski et al., "The Marathon 2", IROS 2020),
with two additions for traffic. Every duration is drawn at random, so that two robots that block each other do not go on
mirroring each other; and a retreat leaves an aisle in which nobody can pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from dyna_nav.parameters import parameter


class Behaviour(Enum):
    """One recovery."""

    WAIT = "wait"
    CLEAR = "clear the costmap"
    GO_ROUND = "go round"
    BACK_UP = "back up"
    SPIN = "spin"
    RETREAT = "retreat"


ESCALATION = (
    Behaviour.WAIT, Behaviour.CLEAR, Behaviour.GO_ROUND, Behaviour.BACK_UP, Behaviour.SPIN, Behaviour.RETREAT,
)  # fmt: skip
_REROUTED = 2.0  # a way that is longer than the last one by so much is another one [m]
_TURNING = 0.3  # share of the time spent turning that counts as idle


@dataclass(frozen=True)
class RecoveryConfig:
    """Patience and sizes of the recoveries; durations are drawn between half of and one and a half times the value."""

    patience: float = parameter(2.5, "without progress for so long, a recovery begins [s]", minimum=0.5, maximum=60)
    progress: float = parameter(0.4, "way that counts as progress [m]", minimum=0.05, maximum=5)
    circling: float = parameter(12.0, "not nearer to the goal for so long, it circles [s]", minimum=1, maximum=600)
    calm: float = parameter(3.0, "way after which the next recovery is the mildest again [m]", minimum=0.1, maximum=50)
    wait: float = parameter(1.5, "duration of a wait [s]", minimum=0, maximum=60)
    back_up: float = parameter(0.6, "way of backing up [m]", minimum=0.05, maximum=5)
    back_up_speed: float = parameter(0.4, "speed of backing up [m/s]", minimum=0.05, maximum=0.5)
    spin: float = parameter(1.5, "angle of a spin [rad]", minimum=0.1, maximum=6.3)
    blocked_size: float = parameter(0.5, "size of a place that was found blocked [m]", minimum=0.1, maximum=3)
    blocked_time: float = parameter(15.0, "a place stays blocked for so long [s]", minimum=0.5, maximum=600)
    retreat_time: float = parameter(6.0, "time to stay at a refuge [s]", minimum=0.1, maximum=60)


class Recovery:
    """The progress checker of one robot and its way through the recoveries."""

    def __init__(self, config: RecoveryConfig, rng: np.random.Generator):
        self._config, self._rng = config, rng
        self.behaviour: Behaviour | None = None
        self.count = 0  # recoveries so far
        self._level = 0
        self._anchor: np.ndarray | None = None  # where the robot was when it last made progress [2]
        self._trouble: np.ndarray | None = None  # where the last recovery began [2]
        self._idle = 0.0  # time without progress [s]
        self._least = math.inf  # way left when the robot last came nearer to its goal [m]
        self._nearer = math.inf  # when that was [s]
        self._last = math.inf  # time of the last look [s]
        self._patience = self._draw(config.patience)

    def _draw(self, mean: float) -> float:
        return float(self._rng.uniform(0.5 * mean, 1.5 * mean))

    def reset(self) -> None:
        """A new trip begins: nothing has gone wrong yet."""
        self.behaviour, self._anchor, self._trouble, self._level = None, None, None, 0
        self._least = self._nearer = math.inf

    def next(self, time: float, position: np.ndarray, left: float, turning: bool, give_way: bool) -> Behaviour | None:
        """The recovery to begin now, if any; time [s], position [2], way left [m]. Call it in every cycle without one.

        A robot that is turning on the spot is not idle, but it shall not turn for ever; nor shall it drive in circles.
        Who has to give way to somebody and finds no way round retreats at once: nothing milder helps.
        """
        config = self._config
        if self._anchor is None or np.hypot(*(position - self._anchor)) > config.progress:
            self._anchor, self._idle = position.copy(), 0.0
        elif 0.0 < time - self._last < 1.0:
            self._idle += (time - self._last) * (_TURNING if turning else 1.0)
        self._last = time
        if not self._least - config.progress <= left <= self._least + _REROUTED:
            self._least, self._nearer = left, time
        if self._trouble is not None and np.hypot(*(position - self._trouble)) > config.calm:
            self._trouble, self._level = None, 0
        if self._idle < self._patience and time - self._nearer < config.circling:
            return None
        if self._trouble is None:
            self._trouble = position.copy()
        self.behaviour = ESCALATION[min(self._level, len(ESCALATION) - 1)]
        if self._level >= len(ESCALATION):  # everything was tried: from now on anything but the mildest, at random
            self.behaviour = ESCALATION[int(self._rng.integers(1, len(ESCALATION)))]
        if give_way:
            self.behaviour = Behaviour.RETREAT
        else:
            self._level += 1
        self.count += 1
        return self.behaviour

    def done(self) -> None:
        """The recovery has ended; a new span of patience begins."""
        self.behaviour, self._anchor = None, None
        self._least = self._nearer = math.inf
        self._patience = self._draw(self._config.patience)

    def duration(self, mean: float) -> float:
        """A random duration or size about a mean."""
        return self._draw(mean)

    def sign(self) -> float:
        """A random side: -1 or 1."""
        return float(self._rng.choice((-1.0, 1.0)))
