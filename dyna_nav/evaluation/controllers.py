"""The controllers that an evaluation can name: the project's own, and anybody's as ``module:Class``."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dyna_nav.controller import Controller
from dyna_nav.mdp import RobotModel


def _dyna2() -> Controller:
    from dyna_nav.planning import Dyna2Controller, PlannerConfig

    return Dyna2Controller.from_bundle(config=PlannerConfig(budget_ms=0.0))


def _dyna2_kinematic() -> Controller:
    from dyna_nav.planning import Dyna2Controller, PlannerConfig
    from dyna_nav.world_model.kinematics import KinematicModel

    return Dyna2Controller(KinematicModel(RobotModel()), None, PlannerConfig(budget_ms=0.0))


def _astar(knows_fleet: bool) -> Controller:
    try:
        from dyna_nav.baselines import AStarController
    except ModuleNotFoundError as error:
        raise ValueError(f"controller astar is not part of this installation ({error})") from None
    return AStarController(knows_fleet=knows_fleet)


# No budget in lockstep: how fast the machine is must not change what is planned.
REGISTERED: dict[str, Callable[[], Controller]] = {
    "dyna2": _dyna2,
    "dyna2-kinematic": _dyna2_kinematic,
    "astar": lambda: _astar(knows_fleet=False),
    "astar-fleet": lambda: _astar(knows_fleet=True),
}


@dataclass(frozen=True)
class ControllerName:
    """A controller as the command line names it: ``label`` in every result, ``target`` to make it from."""

    label: str
    target: str  # a registered name, or module:Class


def parse_controllers(text: str) -> list[ControllerName]:
    """Names from ``dyna2,module:Class,label=module:Class``. Raises ValueError for a bad, unknown or repeated one."""
    names = []
    for entry in text.split(","):
        label, equals, target = entry.strip().rpartition("=")
        label = label if equals else target
        if not re.fullmatch(r"[\w.]+:[\w.]+", target) and target not in REGISTERED:
            raise ValueError(f"controller {entry!r} is unknown; give {', '.join(REGISTERED)} or [NAME=]module:Class")
        if not re.fullmatch(r"[\w.:+-]+", label):
            raise ValueError(f"controller {entry!r} has no usable name; use letters, digits and . : + - _")
        if label in [name.label for name in names]:
            raise ValueError(
                f"controller {label!r} is given twice; give one of them another name, as in b=module:Class"
            )
        names.append(ControllerName(label, target))
    return names


def make_controller(name: ControllerName) -> Controller:
    """A new controller; modules are also looked for in the current folder.

    Raises ValueError, one sentence, for a class that cannot be found or made, or lacks the contract's methods.
    """
    if name.target in REGISTERED:
        return REGISTERED[name.target]()
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    module, _, path = name.target.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise ValueError(f"controller {name.label!r} cannot be imported: {error}") from None
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            raise ValueError(f"controller {name.label!r} cannot be used: module {module} has no {path}")
        found = getattr(found, attribute)
    try:
        controller = found()
    except TypeError as error:
        raise ValueError(f"controller {name.label!r} cannot be made without arguments: {error}") from None
    missing = [method for method in ("reset", "assign", "act") if not callable(getattr(controller, method, None))]
    if missing:
        raise ValueError(f"controller {name.label!r} has no method {' and no '.join(missing)}; see the contract")
    return controller
