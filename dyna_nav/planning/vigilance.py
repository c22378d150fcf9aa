"""Whether a robot's state may be planned with: is it familiar, and does the world model still predict what happens?

Every real step is compared with what the ensemble expected of it. The normalised residual goes to the OOD detector,
which asks for a safe-stop when the state is novel; the squared error goes to the circuit breaker, which takes planning
away from a model that is wrong too often. A robot whose steps cannot be compared for long drives at the breaker's
reduced speed: nobody would notice that its wheels slip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dyna_nav.controller import Observation
from dyna_nav.mdp import STEP
from dyna_nav.ood import OODConfig, OODDetector
from dyna_nav.safety.circuit_breaker import CircuitBreaker, CircuitBreakerConfig
from dyna_nav.safety.unjudged import UnjudgedDriving
from dyna_nav.site import Site
from dyna_nav.world_model.bundle import Bundle
from dyna_nav.world_model.residual import ResidualTracker
from dyna_nav.world_model.runtime import WorldModel


@dataclass(frozen=True)
class Assessment:
    """What one cycle found; row i is robot i."""

    novel: np.ndarray  # [n] bool: stop
    reason: tuple[str, ...]  # what is new about a novel state
    distrusted: np.ndarray  # [n] bool: drive without the model
    speed_scale: np.ndarray  # [n] share of full speed that may be driven
    score: np.ndarray  # [n] of the OOD detector
    error: np.ndarray  # [n] rolling squared prediction error, normalised units
    unjudged: np.ndarray  # [n] odometry [Hz] of a robot that drove for long without being judged; NaN: it is judged


class Unwatched:
    """In the place of Vigilance where nothing watches: every state is familiar, every model is trusted."""

    def reset(self, site: Site, robots: int) -> list[str]:
        """Begin a run; there is nothing to report."""
        no, unknown = np.zeros(robots, bool), np.full(robots, np.nan)
        self._found = Assessment(
            novel=no,
            reason=("",) * robots,
            distrusted=no,
            speed_scale=np.ones(robots),
            score=unknown,
            error=unknown,
            unjudged=unknown,
        )
        return []

    def watch(self, observation: Observation) -> Assessment:
        """Nothing was found."""
        return self._found

    def executed(self, commands: np.ndarray) -> None:
        """Nobody asks."""

    def commanded(self, observation: Observation, commands: np.ndarray) -> None:
        """Nobody asks."""


class Vigilance:
    """Judges all robots of a machine once per cycle."""

    def __init__(
        self,
        bundle: Bundle,
        model: WorldModel,
        provider: str = "auto",
        breaker: CircuitBreakerConfig | None = None,
        detector: OODConfig | None = None,
    ):
        self._bundle, self._model, self._provider = bundle, model, provider
        self._config, self._detecting = breaker or CircuitBreakerConfig(), detector or OODConfig()

    def reset(self, site: Site, robots: int) -> list[str]:
        """Begin a run on a site; returns a sentence for each thing that does not run as it was asked to."""
        self._residuals = ResidualTracker(self._model, site, robots)
        self._detector = OODDetector(self._bundle, site, self._provider, self._detecting)
        self._breaker = CircuitBreaker(robots, self._model.training_error, self._config)
        self._unjudged = UnjudgedDriving(robots, self._config.unjudged)
        self._drives = np.zeros(robots, bool)  # since the last cycle
        return list(self._detector.warnings)

    def watch(self, observation: Observation) -> Assessment:
        """Compare the newest observation with what was expected of the last step."""
        residual, error = self._residuals.update(observation, STEP)
        report = self._detector.update(observation, residual)
        trusted = self._breaker.update(error)
        measured = np.broadcast_to(observation.time - observation.pose_age, len(error))
        unjudged = self._unjudged.update(np.isfinite(residual).all(axis=1), self._drives, measured)
        slow = np.where(np.isnan(unjudged), 1.0, self._config.reduced_speed)
        return Assessment(
            novel=report.novel,
            reason=report.reason,
            distrusted=~trusted,
            speed_scale=np.minimum(self._breaker.speed_scale, slow),
            score=report.score,
            error=self._breaker.error,
            unjudged=unjudged,
        )

    def executed(self, commands: np.ndarray) -> None:
        """What reached the wheels [n, 2] since (NaN: unknown), where something else than the planner decided that."""
        self._residuals.executed(commands)

    def commanded(self, observation: Observation, commands: np.ndarray) -> None:
        """What was sent [n, 2] (m/s, rad/s) for that observation: the next one is judged by it."""
        self._residuals.commanded(observation, commands)
        self._drives = (commands != 0.0).any(axis=1)
