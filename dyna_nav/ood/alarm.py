"""From scores to a verdict: when suspicion becomes an alarm, and when an alarm is over."""

from __future__ import annotations

import numpy as np

from dyna_nav.world_model.bundle import OODCalibration

# How a threshold is set:
USUAL_LIVES = 0.99  # share of the recorded robots' lives (50 s each) without an alarm at the threshold ...
MARGIN = 2.0  # ... before this margin on it


class Alarm:
    """One verdict per robot; the rule that the threshold was calibrated with is the rule that the robot runs.

    A state is novel when ``persistence`` of the last ``window`` cycles scored over the threshold, and familiar again
    after ``resume`` seconds without such a cycle.
    """

    def __init__(self, robots: int, calibration: OODCalibration, resume: float):
        self._calibration, self._resume = calibration, resume
        self._suspicious = np.zeros((robots, calibration.window), bool)
        self._last_suspicious = np.full(robots, -np.inf)
        self._cycle = 0
        self.novel = np.zeros(robots, bool)

    def reset(self, robots: int | slice) -> None:
        """Forget the past of one robot or of several."""
        self._suspicious[robots] = False
        self._last_suspicious[robots] = -np.inf
        self.novel[robots] = False

    def update(self, score: np.ndarray, time: float) -> np.ndarray:
        """Take the scores [n] of one cycle at time [s]; returns who is novel [n]. A NaN score changes no verdict."""
        self._cycle = (self._cycle + 1) % self._calibration.window
        over = score > self._calibration.threshold  # false for NaN
        self._suspicious[:, self._cycle] = over
        self._last_suspicious[over] = time
        alarmed = self._suspicious.sum(axis=1) >= self._calibration.persistence
        calm = ~np.isnan(score) & (time - self._last_suspicious >= self._resume)
        self.novel = (self.novel | alarmed) & ~calm
        return self.novel.copy()


def verdicts(scores: np.ndarray, calibration: OODCalibration, resume: float, step: float) -> np.ndarray:
    """The alarm over recorded scores [robots, steps], cycles step [s] apart -> novel [robots, steps]."""
    alarm = Alarm(len(scores), calibration, resume)
    return np.stack([alarm.update(scores[:, k], k * step) for k in range(scores.shape[1])], axis=1)
