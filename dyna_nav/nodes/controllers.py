"""The controller that the planner node drives with: Dyna-2, or any class named ``module:Class``."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dyna_nav.controller import Controller, Observation, make_controller, reset
from dyna_nav.mdp import GoalTolerance, RobotModel, goal_reached
from dyna_nav.nodes.robot_names import robots_served
from dyna_nav.planning import Dyna2Controller, PlannerConfig, PlanReport
from dyna_nav.rehearsal import rehearse
from dyna_nav.site import Site

if TYPE_CHECKING:
    from dyna_nav.nodes.planner_parameters import PlannerNodeConfig

CONTROLLER = "dyna_nav.planning:Dyna2Controller"


class PlainController:
    """Any :class:`dyna_nav.controller.Controller`, with what the planner node wants to know besides.

    Nothing is known of its model, and nothing but bad input, silence and lateness stops its robots: novelty and the
    braking rule are Dyna-2's. The velocity gate watches over it like over any planner.
    """

    model_version, provider = "none", "none"

    def __init__(self, controller: Controller, name: str, tolerance: GoalTolerance):
        self._controller, self._name, self._tolerance = controller, name, tolerance
        self.warnings = (f"{name} drives: there is no OOD detector and no circuit breaker",)
        self.report: PlanReport | None = None

    def reset(self, site: Site, robots: int, rng: np.random.Generator, model: RobotModel) -> None:
        reset(self._controller, site, robots, rng, model)

    def assign(self, robot: int, goal: np.ndarray | None) -> None:
        self._controller.assign(robot, goal)

    def act(self, observation: Observation, budget: float | None = None) -> np.ndarray:
        """Commands [robots, 2]; the class is not told of the budget [s]: it takes what it takes.

        Raises ValueError, one sentence, when the class does not answer with such an array.
        """
        begun, robots = time.monotonic(), len(observation.pose)
        commands = np.asarray(self._controller.act(observation), float)
        if commands.shape != (robots, 2):
            raise ValueError(f"{self._name}: act() answered with shape {commands.shape}; it must be ({robots}, 2)")
        unknown = np.full(robots, np.nan)
        present = np.isfinite(observation.pose).all(axis=1)
        self.report = PlanReport(
            cycle_ms=1e3 * (time.monotonic() - begun),
            choosing_ms=math.nan,
            uncertainty=unknown,
            ood_score=unknown,
            arrived=goal_reached(observation.pose, observation.twist[:, 0], observation.goal, self._tolerance),
            stop_reason=[""] * robots,
            model_calls=0,
            steps=0,
            rollouts=0,
            cut=False,
            plans=observation.pose[:, None],
            breaker_open=np.zeros(robots, bool),
            prediction_error=unknown,
            unjudged=unknown,
        )
        return np.where(present[:, None], commands, 0.0)

    def executed(self, commands: np.ndarray) -> None:
        """What the gate let through is of no interest to a controller that does not learn from it."""

    def close(self) -> None:
        """Let the class close what it has opened, if it has a way to."""
        if hasattr(self._controller, "close"):
            self._controller.close()


def load_controller(
    config: PlannerNodeConfig, plan: PlannerConfig, site: Site, robot_model: RobotModel
) -> Dyna2Controller | PlainController:
    """The controller that the parameters ask for.

    Dyna-2 is rehearsed on the site first, so that nothing is compiled or loaded once the schedule runs. Any other class
    needs no more than the methods of :class:`dyna_nav.controller.Controller` and is made without arguments.
    Raises ValueError, one sentence, for what cannot be used; RuntimeError for a mistake in another class.
    """
    if config.controller == CONTROLLER:
        memory = memory_folder(config.memory)
        # The one that rehearses is gone before the other is made: there is no need for the memory of both.
        rehearse(
            Dyna2Controller.from_bundle(config.model or None, plan, None, config.provider),
            site, len(robots_served(config.robots)), robot_model,
        )  # fmt: skip
        return Dyna2Controller.from_bundle(config.model or None, plan, memory, config.provider)
    controller = make_controller(config.controller)
    if isinstance(controller, Dyna2Controller):
        return controller
    return PlainController(controller, config.controller.partition(":")[2], plan.tolerance)


def memory_folder(text: str) -> Path | None:
    """The folder that parameter ``memory`` names; None for ``none``."""
    if text == "none":
        return None
    ros_home = Path(os.environ.get("ROS_HOME") or Path.home() / ".ros")
    return Path(text) if text else ros_home / "dyna_nav" / "memory"
