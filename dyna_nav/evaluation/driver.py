"""A controller held to its contract: what it answers wrongly, or raises, has its name, the seed and the time to it."""

from __future__ import annotations

import time

import numpy as np

from dyna_nav.controller import Controller, Observation, reset
from dyna_nav.mdp import RobotModel
from dyna_nav.site import Site


class ControllerError(ValueError):
    """A controller answered what is no command; the message names it, the seed and the time."""


class ControllerFailure(RuntimeError):
    """A controller raised something that the contract does not know; the cause is what it raised, with its traceback.

    It is no ValueError: a mistake in a program is shown with all that helps to find it, and not as one sentence.
    """


class Driver:
    """Asks a controller and times it. ``plan_ms`` and ``wait_ms`` hold a value for each step."""

    def __init__(self, controller: Controller, label: str, seed: int, robots: int):
        self._controller, self._label, self._seed, self._robots = controller, label, seed, robots
        self._now = 0.0  # simulated time [s]
        self.plan_ms: list[float] = []
        self.wait_ms: list[float] = []

    @property
    def version(self) -> str:
        """Version of the controller's model, "" when it has none."""
        try:
            return str(getattr(self._controller, "model_version", ""))
        except (Exception, SystemExit) as error:  # see _ask
            raise self._failure("model_version", error) from error

    def reset(self, site: Site, rng: np.random.Generator, model: RobotModel) -> None:
        """Begin a run."""
        try:
            reset(self._controller, site, self._robots, rng, model)
        except (Exception, SystemExit) as error:  # see _ask
            raise self._failure("reset", error) from error

    def assign(self, robot: int, goal: np.ndarray | None) -> str:
        """Hand a goal [3] over, or none; returns why the controller refused it, "" when it did not."""
        try:
            self._controller.assign(robot, None if goal is None else goal.copy())
        except ValueError as error:  # the contract's way to refuse a goal
            return str(error) or "refused"
        except (Exception, SystemExit) as error:  # see _ask
            raise self._failure("assign", error) from error
        return ""

    def act(self, observation: Observation) -> np.ndarray:
        """Commands [n, 2], checked. What the controller prepares beside its cycles is waited for first."""
        self._now = observation.time
        if hasattr(self._controller, "wait_for_potentials"):
            began = time.perf_counter()
            self._ask("wait_for_potentials")
            self.wait_ms.append(1e3 * (time.perf_counter() - began))
        began = time.perf_counter()
        answer = self._ask("act", observation)
        self.plan_ms.append(1e3 * (time.perf_counter() - began))
        return self._checked(answer)

    def stop_reasons(self) -> list[str]:
        """Why each robot [n] stands, as the controller's optional report says; "" where it says nothing."""
        try:
            reasons = getattr(getattr(self._controller, "report", None), "stop_reason", None)
            texts = [""] * self._robots if reasons is None else [str(reason) for reason in reasons]
        except (Exception, SystemExit) as error:  # see _ask
            raise self._failure("report", error) from error
        if len(texts) != self._robots:
            raise ControllerError(
                f"{self._where()}: report.stop_reason has {len(texts)} texts; it must have one for each of "
                f"{self._robots} robots"
            )
        return texts

    def close(self) -> None:
        """Let the controller put its things away, if it has any."""
        if hasattr(self._controller, "close"):
            self._ask("close")

    def _ask(self, method: str, *arguments):
        try:
            return getattr(self._controller, method)(*arguments)
        except (Exception, SystemExit) as error:  # nothing is swallowed: it is told whose it is, and when it was raised
            raise self._failure(method, error) from error

    def _failure(self, method: str, error: Exception) -> ControllerFailure:
        return ControllerFailure(f"{self._where()} failed in {method}: {type(error).__name__}: {error}")

    def _where(self) -> str:
        return f"controller {self._label!r} on seed {self._seed} at {self._now:.1f} s"

    def _checked(self, answer) -> np.ndarray:
        if answer is None:
            raise ControllerError(f"{self._where()}: act returned nothing; it must return an array [{self._robots}, 2]")
        try:
            commands = np.array(answer)
            if np.iscomplexobj(commands):
                raise TypeError("its numbers are complex")
            commands = commands.astype(float)
        except Exception as error:  # whatever the answer's own conversion raises
            kind = type(answer).__name__
            raise ControllerError(
                f"{self._where()}: act returned {kind}, not an array [{self._robots}, 2]: {error}"
            ) from error
        if commands.shape != (self._robots, 2):
            raise ControllerError(
                f"{self._where()}: act returned shape {list(commands.shape)}; it must be [{self._robots}, 2]"
            )
        if not np.isfinite(commands).all():
            robot = int(np.flatnonzero(~np.isfinite(commands).all(axis=1))[0])
            raise ControllerError(
                f"{self._where()}: act commands {commands[robot].tolist()} for robot {robot}; both must be finite"
            )
        return commands
