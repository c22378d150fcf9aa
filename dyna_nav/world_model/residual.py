"""What the world model got wrong in the last step: the signal for OOD detection, the circuit breaker and drift."""

from __future__ import annotations

import numpy as np

from dyna_nav.controller import Observation
from dyna_nav.world_model.encoding import (
    CLEARANCE_POINTS,
    FEATURES,
    MOTION_OUTPUTS,
    OUTPUTS,
    STATE_OUTPUTS,
    encode_rows,
    lower_to_scan,
    map_clearances,
    measure_delta,
)
from dyna_nav.world_model.runtime import WorldModel

# Messages wait, and odometry is sampled: when a measured state was true is known to about 20 ms of a step of 100 ms, so
# a step is never predicted better than to this share of itself. Without it, 10 ms of jitter look like slipping wheels.
TIMING = 0.2
REGULAR = 0.2  # a cycle begins at most this share of a step too early or too late to be judged ...
APART = 0.6  # ... and its two measurements are a step apart to this share of one: odometry comes at a rate of its own


def residual_variance(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Variance [..., outputs] of measured minus predicted change: the model's own, and that of the time of measuring.

    mean, variance [..., outputs] are the ensemble's prediction of a step, in any one unit per output.
    """
    return variance + np.square(TIMING * mean)


def confirmed(residual: np.ndarray, before: np.ndarray) -> np.ndarray:
    """What two steps in a row agree on: residual and the one before [..., 6] -> [..., 6], NaN where there is no pair.

    The smaller of two of one sign, and nothing where they contradict each other: a single command that came late says
    nothing about the floor, the load or the drives, and what is wrong with those is wrong in the next step, too.
    """
    agree = residual * before > 0.0
    least = np.sign(residual) * np.minimum(np.abs(residual), np.abs(before))
    return np.where(np.isnan(residual + before), np.nan, np.where(agree, least, 0.0))


class ResidualTracker:
    """Predicts every real step and compares: one call per cycle.

    ``update`` is told the newest observation; ``commanded`` the command sent for it. A robot has no residual (NaN)
    until it has been seen twice in a row, steps ``mdp.STEP`` apart, with good inputs.
    """

    def __init__(self, model: WorldModel, site, robots: int):
        self.model = model
        self._field, self._origin, self._resolution = site.clearance, site.map.origin, site.map.resolution
        self._features = np.zeros((robots, FEATURES), np.float32)
        self._clearances = np.zeros((robots, CLEARANCE_POINTS))
        self._measured = np.zeros((robots, OUTPUTS))
        self._previous = np.zeros((robots, 2))
        self._before: Observation | None = None
        self._commanded = np.full((robots, 2), np.nan)
        self._irregular = False  # the last step took longer or shorter than it should

    def reset(self, robot: int | None = None) -> None:
        """Forget the last step of one robot, or of all: after a restart or a new localisation."""
        self._commanded[slice(None) if robot is None else robot] = np.nan

    def commanded(self, observation: Observation, commands: np.ndarray) -> None:
        """Remember what was known and what was sent: commands [n, 2] (m/s, rad/s)."""
        known = np.isfinite(self._commanded).all(axis=1)
        self._previous[:] = np.where(known[:, None], self._commanded, commands)
        self._commanded[:] = commands
        self._before = observation

    def executed(self, commands: np.ndarray) -> None:
        """Correct what was sent by what reached the wheels [n, 2]: a held robot did not do what it was told.

        Of whom that is not known (NaN: its gate was not heard yet) this step is not judged.
        """
        sent = np.isfinite(self._commanded).all(axis=1)
        self._commanded[sent] = commands[sent]

    def update(self, observation: Observation, step: float) -> tuple[np.ndarray, np.ndarray]:
        """Compare the prediction with what came.

        step [s] is how far apart two observations should be; displacement and turn are scaled from the time that really
        passed to it, and there is no residual when that is a fifth off, nor in the step after: its command left late.
        Nor has a robot one whose odometry stood still meanwhile: where it was carried forward to was never measured.
        Returns residual [n, 6] (measured minus predicted, over the standard deviation of residual_variance) and
        error [n], the mean squared error of displacement, turn and speeds in normalised units, to compare with
        ``WorldModel.training_error``; both NaN where there is none. The battery does not count: see encoding.py.
        """
        robots = len(self._commanded)
        residual, error = np.full((robots, STATE_OUTPUTS), np.nan), np.full(robots, np.nan)
        before = self._before
        if before is None:
            return residual, error
        irregular, late = abs(observation.time - before.time - step) > REGULAR * step, self._irregular
        self._irregular = irregular
        if irregular or late:
            return residual, error
        good = (
            np.isfinite(self._commanded).all(axis=1)
            & np.isfinite(before.pose).all(axis=1)
            & np.isfinite(observation.pose).all(axis=1)
            & (np.abs(observation.time - before.time + before.pose_age - observation.pose_age - step) < APART * step)
        )
        if not good.any():
            return residual, error
        pose = np.where(good[:, None], before.pose, 0.0)
        map_clearances(pose, self._field, *self._origin, self._resolution, self._clearances)
        lower_to_scan(before.scan, before.scan_angles, self._clearances)
        encode_rows(
            pose,
            before.twist,
            before.battery,
            before.goal,
            self._previous,
            self._commanded,
            self._clearances,
            self._features,
        )
        mean, variance = self.model.predict_mixture(self._features)
        measure_delta(
            pose, before.twist, before.battery, observation.pose, observation.twist, observation.battery, self._measured
        )
        self._measured[:, :3] *= step / (observation.time - before.time)
        difference = self._measured[:, :STATE_OUTPUTS] - mean[:, :STATE_OUTPUTS]
        spread = np.sqrt(residual_variance(mean, variance)[:, :STATE_OUTPUTS])
        residual[good] = (difference / spread)[good]
        error[good] = np.square((difference / self.model.output_scale[:STATE_OUTPUTS])[:, :MOTION_OUTPUTS]).mean(
            axis=1
        )[good]
        return residual, error
