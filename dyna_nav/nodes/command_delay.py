"""How long commands are on their way: from the beginning of a planner's cycle until the velocity gate let them pass."""

from __future__ import annotations

from collections import deque

import numpy as np

from dyna_nav.nodes.cycle_statistics import DurationHistogram

_HALF_LIFE = 5.0  # a long delay that is not seen again counts half after so long [s]
_SAME = 1e-6  # commands that differ by less are the same [m/s], [rad/s]
_REMEMBERED = 5  # changes of command on their way, at most


class CommandDelay:
    """The longest delay of one robot's commands lately; it fades, so that a single bad second is forgotten.

    Commands carry no number, so only a change of command is followed: the gate's first report of it is its arrival.
    """

    def __init__(self, all_ms: DurationHistogram) -> None:
        """``all_ms`` counts every delay [ms], of all robots."""
        self._all_ms = all_ms
        self._last = np.zeros(2)
        self._under_way: deque[tuple[np.ndarray, float]] = deque(maxlen=_REMEMBERED)
        self._longest, self._at = 0.0, 0.0

    def sent(self, command: np.ndarray, begun: float) -> None:
        """A command [2] (m/s, rad/s) leaves; its cycle began at the steady time ``begun`` [s]."""
        if not _same(command, self._last):
            self._last = np.array(command, float)
            self._under_way.append((self._last, begun))

    def executed(self, command: np.ndarray, now: float) -> None:
        """The gate reported at the steady time ``now`` [s] what it lets through [2]."""
        for number, (sent, begun) in enumerate(self._under_way):
            if _same(command, sent):
                self._all_ms.add(1e3 * max(now - begun, 0.0))
                self._longest, self._at = max(now - begun, self.longest(now)), now
                for _ in range(number + 1):
                    self._under_way.popleft()
                return
        if not command.any():  # the gate holds the robot: what was sent will pass later, and that is no delay
            self._under_way.clear()

    def longest(self, now: float) -> float:
        """The longest delay lately [s]; 0 before the first."""
        return self._longest * 0.5 ** ((now - self._at) / _HALF_LIFE)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.abs(np.asarray(one) - other).max() < _SAME)
