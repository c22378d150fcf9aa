"""The controllers that an evaluation can name: the project's own, and anybody's as ``module:Class``."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dyna_nav.controller import Controller
from dyna_nav.mdp import RobotModel


@dataclass(frozen=True)
class Registered:
    """A controller with a name of its own: its class (or what makes one) as module:Class, and with which options.

    extra: what has to be installed for it beside the evaluation, as an extra of the package.
    """

    target: str
    options: dict[str, Any] = field(default_factory=dict)
    extra: str = ""


REGISTERED = {
    "dyna2": Registered("dyna_nav.planning.lockstep:LockstepController"),
    "dyna2-kinematic": Registered(f"{__name__}:dyna2_kinematic"),
    "astar": Registered("dyna_nav.baselines:AStarController", {"knows_fleet": False}),
    "astar-fleet": Registered("dyna_nav.baselines:AStarController", {"knows_fleet": True}),
    "random-shooting": Registered("dyna_nav.planning.alternatives.controllers:RandomShootingController"),
    "cem": Registered("dyna_nav.planning.alternatives.controllers:CEMController"),
    "mcts": Registered("dyna_nav.planning.alternatives.controllers:MCTSController"),
    "mppi": Registered("dyna_nav.outsiders.mppi:LearnedMPPI", extra="outsiders"),
    "mppi-kinematic": Registered("dyna_nav.outsiders.mppi:KinematicMPPI", extra="outsiders"),
    "orca": Registered("dyna_nav.outsiders.orca:OrcaController", extra="outsiders"),
}


def dyna2_kinematic() -> Controller:
    """Dyna-2 on ideal kinematics instead of a learned model; nothing watches over it."""
    from dyna_nav.planning.lockstep import LockstepController
    from dyna_nav.world_model.kinematics import KinematicModel

    return LockstepController(KinematicModel(RobotModel()))


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
    registered = REGISTERED.get(name.target, Registered(name.target))
    made = _found(registered, name.label)
    try:
        inspect.signature(made).bind(**registered.options)
    except TypeError as error:
        raise ValueError(f"controller {name.label!r} cannot be made from {registered.target}: {error}") from None
    try:
        controller = made(**registered.options)
    except (ValueError, OSError) as error:  # a sentence of its own; of any other mistake the traceback says more
        raise ValueError(f"controller {name.label!r} cannot be made: {error}") from error
    missing = [method for method in ("reset", "assign", "act") if not callable(getattr(controller, method, None))]
    if missing:
        raise ValueError(f"controller {name.label!r} has no method {' and no '.join(missing)}; see the contract")
    return controller


def _found(registered: Registered, label: str) -> Callable[..., Any]:
    """What module:Class names. Raises ValueError when it is not there."""
    target = registered.target
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    module, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        remedy = f"; install it with: pip install 'dyna_nav[{registered.extra}]'" if registered.extra else ""
        raise ValueError(f"controller {label!r} cannot be imported: {error}{remedy}") from None
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            raise ValueError(f"controller {label!r} cannot be used: module {module} has no {path}")
        found = getattr(found, attribute)
    if not callable(found):
        raise ValueError(f"controller {label!r} cannot be used: {target} is no class")
    return found
