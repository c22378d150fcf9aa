"""The contract between a world (simulator or ROS) and whoever drives the robots: Dyna-2, the baselines, outsiders."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dyna_nav.mdp import RobotModel

if TYPE_CHECKING:
    from dyna_nav.site import Site


@dataclass(frozen=True)
class Observation:
    """What is known of all robots at one instant; poses and goals in the map frame, row i is robot i.

    A robot whose inputs are bad has a NaN pose and must stand; a robot without a task has a NaN goal.
    """

    time: float  # [s]
    pose: np.ndarray  # [n, 3] x [m], y [m], yaw [rad]
    twist: np.ndarray  # [n, 2] forward speed [m/s], turn rate [rad/s]
    battery: np.ndarray  # [n] 0..1
    goal: np.ndarray  # [n, 3] x [m], y [m], yaw [rad]
    scan: np.ndarray  # [n, beams] ranges [m]; beam k at yaw + scan_angles[k]; inf: nothing in range; NaN: not measured
    scan_angles: np.ndarray  # [beams] angle of each beam against the robot's heading [rad]
    scan_max: float  # greatest range of the laser [m]
    pose_age: np.ndarray | float = 0.0  # [n] pose and twist were measured so long ago; the pose is carried forward [s]
    scan_age: np.ndarray | float = 0.0  # [n] the same of the scan [s]
    command_delay: np.ndarray | float = 0.0  # [n] commands lately took so long to the velocity gate, at most [s]


class Controller(Protocol):
    """Drives a fleet: one command per robot and step of 0.1 s.

    Used where they are there: ``close()``, ``wait_for_potentials()``, ``report`` and ``model_version``
    (docs/writing_a_controller.md).
    """

    def reset(self, site: Site, robots: int, rng: np.random.Generator, model: RobotModel) -> None:
        """Begin a run on a site with a number of robots; forget everything of the last run.

        Who needs no ``model`` (radius and limits of the robots) can leave that argument out.
        """

    def assign(self, robot: int, goal: np.ndarray | None) -> None:
        """Give robot a goal pose [3] (x, y, yaw; map frame), or none. Raises ValueError for a goal it cannot serve."""

    def act(self, observation: Observation) -> np.ndarray:
        """Commands [robots, 2]: forward speed [m/s] and turn rate [rad/s]."""


def make_controller(target: str, label: str = "", remedy: str = "", **options: Any) -> Controller:
    """A new controller of what ``module:Class`` names; modules are also looked for in the current folder.

    label: its name in errors (default: the target). remedy: what follows when it cannot be imported. options
    are handed to the class. Raises ValueError, one sentence, for what cannot be found or made, or lacks the contract's
    methods; RuntimeError for a mistake in it, which is the cause.
    """
    label = label or target
    made = _found(target, label, remedy)
    signature = _signature(made)
    try:
        if signature is not None:
            signature.bind(**options)
    except TypeError as error:
        raise ValueError(f"controller {label!r} cannot be made from {target}: {error}") from None
    try:
        controller = made(**options)
    except (ValueError, OSError, ImportError) as error:
        raise ValueError(f"controller {label!r} cannot be made: {error}") from error
    except SystemExit as error:
        raise ValueError(f"controller {label!r} cannot be made: it ends the process, with status {error}") from error
    except Exception as error:  # no input: its traceback is shown, and whose it is
        raise RuntimeError(f"controller {label!r} cannot be made: {type(error).__name__}: {error}") from error
    missing = [method for method in ("reset", "assign", "act") if not callable(getattr(controller, method, None))]
    if missing:
        raise ValueError(f"controller {label!r} has no method {' and no '.join(missing)}; see the contract")
    return controller


def reset(controller: Controller, site: Site, robots: int, rng: np.random.Generator, model: RobotModel) -> None:
    """Begin a run of a controller; one whose ``reset`` takes three arguments is not told the robots' model."""
    told, signature = (site, robots, rng, model), _signature(controller.reset)
    controller.reset(*(told if signature is None or _takes(signature, told) else told[:3]))


def look_here() -> None:
    """Let modules be found in the current folder as well."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def _signature(made: Callable[..., Any]) -> inspect.Signature | None:
    """What a class takes; None for a compiled one that does not tell."""
    try:
        return inspect.signature(made)
    except ValueError:
        return None


def _takes(signature: inspect.Signature, arguments: tuple) -> bool:
    """Whether a call with these arguments fits."""
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True


def _found(target: str, label: str, remedy: str) -> Callable[..., Any]:
    """What module:Class names. Raises ValueError when it is not there, RuntimeError when its module fails."""
    look_here()
    module, _, path = target.partition(":")
    if not module or not path or module.startswith("."):
        raise ValueError(f"controller {label!r} cannot be used: it must be named as module:Class")
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise ValueError(f"controller {label!r} cannot be imported: {error}{remedy}") from None
    except SystemExit as error:  # a script that is no module, and would end as if all were done
        raise ValueError(
            f"controller {label!r} cannot be imported: module {module} ends the process, with status {error}"
        ) from error
    except Exception as error:  # no input: its traceback is shown, and whose it is
        raise RuntimeError(f"controller {label!r} cannot be imported: {type(error).__name__}: {error}") from error
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            raise ValueError(f"controller {label!r} cannot be used: module {module} has no {path}")
        found = getattr(found, attribute)
    if not callable(found):
        raise ValueError(f"controller {label!r} cannot be used: {target} is no class")
    return found
