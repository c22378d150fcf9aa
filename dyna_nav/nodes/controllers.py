"""The controller that the planner node drives with: Dyna-2, or any class named ``module:Class``."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from dyna_nav.mdp import RobotModel
from dyna_nav.planning import Dyna2Controller, PlannerConfig
from dyna_nav.rehearsal import rehearse
from dyna_nav.site import Site

if TYPE_CHECKING:
    from dyna_nav.nodes.planner import PlannerNodeConfig

CONTROLLER = "dyna_nav.planning:Dyna2Controller"


def load_controller(config: PlannerNodeConfig, plan: PlannerConfig, site: Site, robot_model: RobotModel):
    """The controller that the parameters ask for; other classes than Dyna-2 are called without arguments.

    Dyna-2 is rehearsed on the site first, so that nothing is compiled or loaded once the schedule runs.
    Besides the :class:`dyna_nav.controller.Controller` methods the planner reads ``report``, ``warnings``,
    ``model_version`` and ``provider`` and calls ``executed()`` and ``close()``, as Dyna2Controller has them.
    Raises ValueError, one sentence, for a class that is not there, and what the class itself raises.
    """
    if config.controller == CONTROLLER:
        memory = memory_folder(config.memory)
        rehearsed = Dyna2Controller.from_bundle(config.model or None, plan, None, config.provider)
        rehearse(rehearsed, site, len(config.robots), robot_model)
        return Dyna2Controller.from_bundle(config.model or None, plan, memory, config.provider)
    module, _, name = config.controller.partition(":")
    try:
        return getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"parameter controller is {config.controller!r}; it must be module:Class ({error})") from None


def memory_folder(text: str) -> Path | None:
    """The folder that parameter ``memory`` names; None for ``none``."""
    if text == "none":
        return None
    ros_home = Path(os.environ.get("ROS_HOME", Path.home() / ".ros"))
    return Path(text) if text else ros_home / "dyna_nav" / "memory"
