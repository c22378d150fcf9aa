"""A cycle's time, of which the rollouts may use what the rest of the cycle leaves over.

Most of a cycle takes what it takes: inputs are read, the map is brought up to date, robots choose, commands are sent.
Only the rollouts can end at any step. How long they may go on follows from when the cycle began and from how long what
comes after them has taken lately: on a slower machine, or with more robots, less is imagined, and the cycle still ends
in time.
"""

from __future__ import annotations

import math
from collections import deque

from dyna_nav.safety.deadline import SteadyClock

REMEMBERED = 50  # cycles by which the reserve is reckoned: 5 s
SHARE = 0.9  # of them took no longer: whom other processes interrupt now and then need not fear it in every cycle


class Countdown:
    """Seconds until the rollouts must have ended; called between their steps, so its last call tells when they did."""

    def __init__(self, end: float, clock: SteadyClock) -> None:
        """``end`` is a time of the clock [s]; inf: they need not end."""
        self._end, self._clock = end, clock
        self.looked: float | None = None  # when it was last asked [s]; None: never, there was nothing to imagine

    def __call__(self) -> float:
        self.looked = self._clock.now()
        return self._end - self.looked


class Reserve:
    """How much time to keep for one part of a cycle: what it has hardly ever exceeded in the last seconds."""

    def __init__(self) -> None:
        self._took: deque[float] = deque(maxlen=REMEMBERED)

    def note(self, seconds: float) -> None:
        """The part took so long in this cycle [s]."""
        self._took.append(seconds)

    @property
    def seconds(self) -> float:
        """What a share ``SHARE`` of the last ``REMEMBERED`` cycles did not exceed [s]; 0 before the first."""
        if not self._took:
            return 0.0
        return sorted(self._took)[math.ceil(SHARE * len(self._took)) - 1]
