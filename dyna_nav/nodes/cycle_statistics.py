"""How long cycles take and how punctually they begin: percentiles over a whole shift in constant memory."""

from __future__ import annotations

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
