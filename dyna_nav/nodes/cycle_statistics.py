"""How long cycles take and how punctually they begin: percentiles over a whole shift in constant memory."""

from __future__ import annotations

import math

import numpy as np

BIN = 0.1  # resolution of the percentiles [ms]
MOST = 2000.0  # durations beyond this fall into the last bin [ms]


class DurationHistogram:
    """Counts durations in bins of 0.1 ms."""

    def __init__(self) -> None:
        self.counts = np.zeros(int(MOST / BIN) + 1, np.int64)
        self.largest = 0.0  # [ms]

    @property
    def count(self) -> int:
        """How many durations were added."""
        return int(self.counts.sum())

    def add(self, milliseconds: float) -> None:
        """Note one duration [ms], not negative."""
        self.counts[min(int(milliseconds / BIN), len(self.counts) - 1)] += 1
        self.largest = max(self.largest, milliseconds)

    def percentile(self, share: float) -> float:
        """Duration [ms] that this share (0..1) does not exceed, rounded up to a bin; 0 before the first."""
        cumulative = np.cumsum(self.counts)
        if cumulative[-1] == 0:
            return 0.0
        index = int(np.searchsorted(cumulative, share * cumulative[-1]))
        return min((index + 1) * BIN, self.largest)


class Schedule:
    """Slots at equal distances, one for each cycle: how unevenly cycles begin, and which slots never had one."""

    def __init__(self, period: float, start: float) -> None:
        """The first slot lies one period after the start [s]."""
        self._period, self._start = period, start
        self._newest = start
        self._begun = self.skipped = 0

    def begin(self, now: float) -> tuple[float, int]:
        """A cycle begins now [s]. Returns how far its distance from the one before is from the period [s], and how
        many slots were found to have passed without a cycle since."""
        jitter = abs(now - self._newest - self._period)
        self._newest = now
        self._begun += 1
        passed = math.floor((now - self._start) / self._period)
        skipped = max(passed - self._begun - self.skipped, 0)
        self.skipped += skipped
        return jitter, skipped
