"""How many rollouts fit into the time that is left: few that reach their horizon rather than many that are cut short.

Values of rollouts that end early are compared where nearly nothing has happened yet: actions then differ by noise, and
a fleet that is always cut short after a step or two drives far worse than by the greedy action alone.
"""

from __future__ import annotations

import math
from collections import deque

OVERHEAD = 120  # an imagined step costs as much as so many rows before its first row
REMEMBERED = 20  # cycles by which the cost of a row is reckoned
SHARE = 0.8  # of them were no dearer
SPARE = 2  # steps more than the horizon that there is time for: not every step costs the same


class Pace:
    """What a row of an imagined step lately cost."""

    def __init__(self) -> None:
        self._costs: deque[float] = deque(maxlen=REMEMBERED)  # [s] per row and step

    def note(self, seconds: float, rows: int, steps: int) -> None:
        """So many steps of so many rows took so long [s]."""
        self._costs.append(seconds / (steps * (rows + OVERHEAD)))

    def rows(self, seconds: float, steps: int) -> float:
        """How many rows can be imagined for so many steps in a time [s]; inf without end of time, 0 while unknown."""
        if math.isinf(seconds):
            return math.inf
        if not self._costs:
            return 0.0
        cost = sorted(self._costs)[math.ceil(SHARE * len(self._costs)) - 1]
        return max(seconds / ((steps + SPARE) * cost) - OVERHEAD, 0.0)
