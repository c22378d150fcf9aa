"""The world model as the robot runs it: ONNX Runtime and numpy, no torch.

The exported network takes features in SI units and gives, for each member, the mean and the log-variance of the
change of state and the reward in normalised units. The scaling to SI units happens here in float32, because an FP16
engine would lose the battery's change of 1e-6 per step, and its variance altogether.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from dyna_nav.world_model.bundle import ENSEMBLE, Bundle
from dyna_nav.world_model.encoding import FEATURES, OUTPUTS, STATE_OUTPUTS
from dyna_nav.world_model.sessions import start_session


class WorldModel:
    """An ensemble of probabilistic networks that predicts how a state changes in one step.

    provider, one of "auto", "tensorrt", "cuda", "cpu", is what was asked for; the attribute ``provider`` is what
    really runs, and ``warnings`` holds a sentence for each one that was wanted and could not start.
    """

    def __init__(self, bundle: Bundle, provider: str = "auto", threads: int = 1):
        calibration = bundle.calibration
        self.version = bundle.version
        self.training_error = calibration.training_error
        self._offset = np.array(calibration.output_offset, np.float32)
        self._scale = np.array(calibration.output_scale, np.float32)
        self._variance_scale = np.array(calibration.variance_scale, np.float32)
        self._epistemic_scale = calibration.epistemic_scale
        shape = (bundle.members, None, FEATURES)
        started = start_session(bundle.ensemble, bundle.path / ENSEMBLE, provider, threads, bundle.version, shape)
        self._session, self.provider, self.warnings = started.session, started.provider, list(started.warnings)
        self.members = bundle.members
        self._same_rows = np.empty((self.members, 0, FEATURES), np.float32)
        self.predict(
            np.zeros((self.members, 1, FEATURES), np.float32)
        )  # build engines and pages before the first cycle

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predict one step; every member sees its own rows.

        features float32 [members, rows, FEATURES] (see encoding.py) -> mean and variance, both float32
        [members, rows, OUTPUTS], in the units of OUTPUT_NAMES (variance: squared), calibrated on held-out sites.
        """
        mean, variance = self._session.run(None, {"features": features})
        _to_units(mean, variance, self._offset, self._scale, self._variance_scale)
        return mean, variance

    def disagreement(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How unsure the ensemble is of states: features [rows, FEATURES] -> epistemic [rows], aleatoric [rows].

        Epistemic: standard deviation of the members' means in units of each target's standard deviation, averaged
        over the six dimensions of the state, times the calibrated scale that puts the 99 % quantile of familiar
        driving on held-out sites at 0.3. Aleatoric: square root of the members' mean calibrated variance in the same
        normalised units, averaged over the dimensions, without that scale.
        """
        rows = len(features)
        if self._same_rows.shape[1] != rows:
            self._same_rows = np.empty((self.members, rows, FEATURES), np.float32)
        self._same_rows[:] = features
        mean, log_variance = self._session.run(None, {"features": self._same_rows})
        epistemic, aleatoric = np.empty(rows, np.float32), np.empty(rows, np.float32)
        _disagreement(mean, log_variance, self._variance_scale, epistemic, aleatoric)
        epistemic *= self._epistemic_scale
        return epistemic, aleatoric

    def predict_mixture(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The ensemble's one prediction for states, for comparing with what happened, never for planning.

        features [rows, FEATURES] -> mean, variance [rows, OUTPUTS] of the equally weighted mixture of the members.
        """
        mean, variance = self.predict(np.ascontiguousarray(np.broadcast_to(features, (self.members, *features.shape))))
        centre = mean.mean(axis=0)
        return centre, variance.mean(axis=0) + mean.var(axis=0)

    @property
    def output_scale(self) -> np.ndarray:
        """Standard deviation [OUTPUTS] of the training targets, in their units."""
        return self._scale


@njit(cache=True, nogil=True)
def _to_units(mean, log_variance, offset, scale, variance_scale):
    """From normalised mean and log-variance to mean and variance in SI units, in place."""
    for member in range(mean.shape[0]):
        for row in range(mean.shape[1]):
            for output in range(OUTPUTS):
                mean[member, row, output] = mean[member, row, output] * scale[output] + offset[output]
                log_variance[member, row, output] = (
                    math.exp(log_variance[member, row, output]) * scale[output] * scale[output] * variance_scale[output]
                )


@njit(cache=True, nogil=True)
def _disagreement(mean, log_variance, variance_scale, epistemic, aleatoric):
    members = mean.shape[0]
    for row in range(mean.shape[1]):
        spread = 0.0
        noise = 0.0
        for output in range(STATE_OUTPUTS):
            total = 0.0
            variance = 0.0
            for member in range(members):
                total += mean[member, row, output]
                variance += math.exp(log_variance[member, row, output])
            centre = total / members
            squares = 0.0
            for member in range(members):
                squares += (mean[member, row, output] - centre) ** 2
            spread += math.sqrt(squares / members)
            noise += math.sqrt(variance / members * variance_scale[output])
        epistemic[row] = spread / STATE_OUTPUTS
        aleatoric[row] = noise / STATE_OUTPUTS
