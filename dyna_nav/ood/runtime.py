"""Is the state one that the model has ever seen? Scores every robot once per cycle; no torch.

One cycle over the threshold is only suspicious; alarm.py says when suspicion becomes a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dyna_nav.controller import Observation
from dyna_nav.ood.alarm import Alarm
from dyna_nav.ood.features import (
    FEATURE_NAMES,
    GROUPS,
    OOD_FEATURES,
    PULL_WINDOW,
    SUMMARY,
    assemble,
    group_errors,
    missing_pull,
    scan_summary,
)
from dyna_nav.parameters import parameter
from dyna_nav.world_model.bundle import VAE, Bundle
from dyna_nav.world_model.encoding import STATE_OUTPUTS
from dyna_nav.world_model.residual import confirmed
from dyna_nav.world_model.sessions import start_session

WINDOW = 10  # cycles over which the residuals' drift and scatter are taken


@dataclass(frozen=True)
class OODConfig:
    """How the detector leads back to driving."""

    resume: float = parameter(1.0, "time without a suspicious cycle before driving resumes [s]", minimum=0, maximum=60)


@dataclass(frozen=True)
class OODReport:
    """The detector's verdict of one cycle, row i is robot i."""

    score: np.ndarray  # [n] reconstruction error; above the bundle's threshold a cycle is suspicious
    novel: np.ndarray  # bool [n] stand still
    reason: tuple[str, ...]  # per robot: what is new about a novel state, "" while it is familiar


class OODDetector:
    """Scores states against a bundle's autoencoder; keeps the last seconds of each robot."""

    def __init__(self, bundle: Bundle, site, provider: str = "auto", config: OODConfig | None = None):
        self.calibration = bundle.calibration.ood
        self._config = config or OODConfig()
        version, shape = f"{bundle.version}-vae", (None, OOD_FEATURES)
        started = start_session(bundle.vae, bundle.path / VAE, provider, 1, version, shape)
        self._session, self.provider, self.warnings = started.session, started.provider, list(started.warnings)
        self._field, self._cells = site.clearance, site.map.cells
        self._grid = (*site.map.origin, site.map.resolution)
        self._resize(0)

    def reset(self, robot: int | None = None) -> None:
        """Forget the history of one robot, or of all."""
        rows = slice(None) if robot is None else robot
        self._history[rows] = np.nan
        self._residual[rows] = np.nan
        self._recent[rows] = np.nan
        self._pulls[rows] = np.nan
        self._alarm.reset(rows)

    def update(self, observation: Observation, residual: np.ndarray) -> OODReport:
        """Judge the newest observation.

        residual [n, 6]: of the step that led here, from ResidualTracker; NaN where there is none. A robot with a NaN
        pose has score NaN and keeps its verdict: its inputs are bad, which is another reason to stand.
        """
        robots = len(observation.pose)
        if robots != len(self._history):
            self._resize(robots)
        self._cycle += 1
        place = self._cycle % WINDOW
        self._history[:, place] = confirmed(residual, self._residual)
        self._residual = residual
        good = np.isfinite(observation.pose).all(axis=1)
        features = self._features(observation, np.where(good[:, None], observation.pose, 0.0), place)
        errors = self._session.run(None, {"features": features})[0]
        score = np.where(good, group_errors(errors).max(axis=1), np.nan)
        novel = self._alarm.update(score, observation.time)
        reason = tuple(_reason(errors[i]) if novel else "" for i, novel in enumerate(novel))
        return OODReport(score, novel, reason)

    def _features(self, observation: Observation, pose: np.ndarray, place: int) -> np.ndarray:
        robots, beams = observation.scan.shape
        summary = np.empty((robots, SUMMARY), np.float32)
        angles, reach, room = observation.scan_angles, float(observation.scan_max), np.empty(beams)
        world = (self._field, self._cells, *self._grid)
        oldest = np.maximum(observation.pose_age, observation.scan_age)
        age = np.nan_to_num(np.broadcast_to(oldest, robots).astype(float))  # NaN with a NaN pose: not judged
        scan_summary(pose, observation.twist, age, observation.scan, angles, reach, *world, room, summary)
        pull, features = np.empty(robots), np.empty((robots, OOD_FEATURES), np.float32)
        missing_pull(observation.twist, self._recent, self._pulls, self._cycle % PULL_WINDOW, pull)
        assemble(pose, observation.twist, self._history, place, pull, summary, self._field, *self._grid, features)
        return np.nan_to_num(features, copy=False)

    def _resize(self, robots: int) -> None:
        self._cycle = -1
        self._history = np.full((robots, WINDOW, STATE_OUTPUTS), np.nan)
        self._residual = np.full((robots, STATE_OUTPUTS), np.nan)  # of the last step
        self._recent = np.full((robots, 3, 2), np.nan)
        self._pulls = np.full((robots, PULL_WINDOW), np.nan)
        self._alarm = Alarm(robots, self.calibration, self._config.resume)


def _reason(errors: np.ndarray) -> str:
    """What the worst group of features means, and its feature that was rebuilt worst."""
    worst = int(np.argmax(group_errors(errors)))
    name, first = GROUPS[worst]
    last = GROUPS[worst + 1][1] if worst + 1 < len(GROUPS) else OOD_FEATURES
    return f"novel {name}: {FEATURE_NAMES[first + int(np.argmax(errors[first:last]))]}"
