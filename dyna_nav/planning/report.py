"""What the controller tells of a cycle besides its commands, and why a robot may stand by order of the planner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUTE_PENDING = "route is being computed"
HEMMED_IN = "nothing admissible but braking"
MAKES_WAY = "makes way for another robot"
WAITS = (ROUTE_PENDING, HEMMED_IN, MAKES_WAY)  # reasons to stand that are part of driving; any other is a safe-stop


@dataclass(frozen=True)
class PlanReport:
    """What the last cycle did; row i is robot i."""

    cycle_ms: float
    choosing_ms: float  # of which after the rollouts; NaN: there were none
    uncertainty: np.ndarray  # [n] epistemic
    ood_score: np.ndarray  # [n]
    arrived: np.ndarray  # [n] bool: stands at its goal
    stop_reason: list[str]  # why a robot with a goal stands by order of the planner; "" when it does not
    model_calls: int  # rows the model predicted
    steps: int  # imagined steps that fitted into the budget
    rollouts: int  # imagined for each planned robot; fewer than configured where time is short
    cut: bool  # whether there was no time to reach the horizon
    plans: np.ndarray  # [n, horizon + 1, 3] poses, map frame
    breaker_open: np.ndarray  # [n] bool
    prediction_error: np.ndarray  # [n] rolling, normalised units; NaN before the first step
    unjudged: np.ndarray  # [n] odometry [Hz] of a robot whose driving could not be judged for long; NaN: it can
