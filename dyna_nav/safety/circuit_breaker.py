"""The circuit breaker: a world model that errs too much, for one robot, is not planned with until it is right again.

The states are those of the pattern (Nygard, "Release It!", 2007), one per robot, moved by its rolling prediction error:

    closed     plan with the model
    open       rolling error over `open_factor` x training error: fall back, at reduced speed. The model goes on
               predicting the steps that the fallback takes, so its error is known all the while
    half-open  the error has stayed under `close_factor` x training error for a while: plan again, still at reduced
               speed; it closes after as long again, and one excess opens it at once
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dyna_nav.mdp import STEP
from dyna_nav.parameters import parameter

CLOSED, HALF_OPEN, OPEN = 0, 1, 2


@dataclass(frozen=True)
class CircuitBreakerConfig:
    """When the model is given up and when it is trusted again."""

    window: float = parameter(2.0, "time constant of the rolling prediction error [s]", minimum=0.1, maximum=600)
    open_factor: float = parameter(2.0, "opens over this many times the training error", minimum=1, maximum=100)
    close_factor: float = parameter(1.5, "recovers under this many times the training error", minimum=0.1, maximum=100)
    warm_up: float = parameter(1.0, "shortest driving time before it may open [s]", minimum=0, maximum=600)
    trial: float = parameter(2.0, "time under the lower limit before each step back [s]", minimum=0, maximum=600)
    reduced_speed: float = parameter(0.5, "share of full speed unless closed", minimum=0.05, maximum=1)
    unjudged: float = parameter(
        10.0, "driving time without a step that can be judged, then reduced speed [s]", minimum=1, maximum=600
    )


class CircuitBreaker:
    """One breaker per robot over the rolling prediction error of the world model."""

    def __init__(self, robots: int, training_error: float, config: CircuitBreakerConfig | None = None) -> None:
        """`training_error` is that of the model bundle, in the unit of the errors to come.

        Raises ValueError when it is not positive and finite, or when the config would close above where it opens.
        """
        config = config or CircuitBreakerConfig()
        if not (math.isfinite(training_error) and training_error > 0.0):
            raise ValueError(f"training_error is {training_error}; it must be positive and finite")
        if config.close_factor > config.open_factor:
            raise ValueError(
                f"parameter close_factor is {config.close_factor}; it must not exceed open_factor {config.open_factor}"
            )
        self._config = config
        self._opens_at = config.open_factor * training_error
        self._closes_at = config.close_factor * training_error
        self._blend = 1.0 - math.exp(-STEP / config.window)
        self._weight = np.zeros(robots)  # of the errors seen so far, against a full window
        self._sum = np.zeros(robots)
        self._seen = np.zeros(robots, np.int64)
        self._calm = np.zeros(robots, np.int64)
        self.state = np.full(robots, CLOSED)  # [robots]
        self.opened = np.zeros(robots, np.int64)  # [robots] how often each has opened

    @property
    def error(self) -> np.ndarray:
        """Rolling prediction error [robots]; NaN before the first observed step."""
        return np.where(self._weight > 0, self._sum / np.where(self._weight > 0, self._weight, 1.0), np.nan)

    @property
    def trusted(self) -> np.ndarray:
        """Which robots [robots] may plan with the model."""
        return self.state != OPEN

    @property
    def speed_scale(self) -> np.ndarray:
        """Share of full speed [robots] that each may drive."""
        return np.where(self.state == CLOSED, 1.0, self._config.reduced_speed)

    def update(self, errors: np.ndarray) -> np.ndarray:
        """Take one step's prediction errors [robots] and return `trusted`.

        NaN means that a robot's step was not observed: its state stays. An infinite error opens at once.
        """
        errors = np.asarray(errors, float)
        seen = ~np.isnan(errors)
        infinite = np.isinf(errors)
        counted = np.where(seen & ~infinite, errors, 0.0)
        update = seen & ~infinite
        self._sum[update] += self._blend * (counted[update] - self._sum[update])
        self._weight[update] += self._blend * (1.0 - self._weight[update])
        self._seen += seen
        rolling = self.error
        with np.errstate(invalid="ignore"):
            high = (rolling > self._opens_at) & (self._seen * STEP >= self._config.warm_up) & seen | infinite
            low = (rolling < self._closes_at) & seen & ~infinite
        self._calm = np.where(low, self._calm + 1, np.where(seen, 0, self._calm))
        opening = high & (self.state != OPEN)
        self.opened += opening
        recovering = low & (self._calm * STEP >= self._config.trial) & (self.state != CLOSED)
        self.state = np.where(high, OPEN, np.where(recovering, self.state - 1, self.state))
        self._calm[recovering | high] = 0
        return self.trusted

    def reset(self, robot: int | None = None) -> None:
        """Forget the errors of one robot, or of all: a new model version starts with a clean record."""
        which = slice(None) if robot is None else robot
        for record in (self._weight, self._sum, self._seen, self._calm):
            record[which] = 0
        self.state[which] = CLOSED
