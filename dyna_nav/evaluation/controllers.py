"""The controllers that an evaluation can name: the project's own, and anybody's as ``module:Class``."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dyna_nav.controller import Controller, look_here, make_controller
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


def file_of(name: ControllerName) -> Path | None:
    """The file that a controller of others comes from; None for the project's own and for what is not there.

    The module itself is not run, though the packages that it lies in are.
    """
    module = name.target.partition(":")[0]
    if name.target in REGISTERED or module.partition(".")[0] == "dyna_nav":
        return None
    look_here()
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    file = Path(found.origin) if found is not None and found.origin else None
    return file if file is not None and file.is_file() else None


def make_named(name: ControllerName) -> Controller:
    """A new controller. Raises ValueError, one sentence, as :func:`dyna_nav.controller.make_controller` does."""
    registered = REGISTERED.get(name.target, Registered(name.target))
    remedy = (
        f"; install it in the package's folder with: pip install '.[{registered.extra}]'" if registered.extra else ""
    )
    return make_controller(registered.target, name.label, remedy, **registered.options)
