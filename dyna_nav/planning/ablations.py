"""Dyna-2 with one part taken away or changed, to measure what each part is worth.

Each variant is a controller made without arguments, so that an evaluation can name it, as in
``--controllers dyna2,dyna_nav.planning.ablations:NoTransientMemory``. The braking rule stays in all of them:
it is not a matter of performance.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dyna_nav.controller import Observation
from dyna_nav.mdp import RobotModel
from dyna_nav.planning.config import PlannerConfig
from dyna_nav.planning.lattice import Lattice
from dyna_nav.planning.lockstep import UNHURRIED, LockstepController
from dyna_nav.site import Site

_FREE = 100.0  # clearance where no map is known [m]


def _changed(**parts: dict[str, Any]) -> PlannerConfig:
    """The lockstep configuration with some fields of some of its parts changed."""
    return replace(UNHURRIED, **{part: replace(getattr(UNHURRIED, part), **to) for part, to in parts.items()})


class Ablation(LockstepController):
    """A variant of Dyna-2; ``variant`` is its configuration, the first line of its docstring what it measures."""

    variant: PlannerConfig = UNHURRIED

    def __init__(self, model=None, vigilance=None):
        super().__init__(model, vigilance, self.variant)


class NoTransientMemory(Ablation):
    """What a cycle imagines is forgotten after it: nothing is learned within an episode."""

    variant = _changed(dyna2={"transient_rate": 0.0})


class NoPermanentMemory(Ablation):
    """Real experience teaches nothing."""

    variant = _changed(dyna2={"permanent_rate": 0.0})


class NoMemory(Ablation):
    """Neither memory learns: rollouts end in the bare potential."""

    variant = _changed(dyna2={"transient_rate": 0.0, "permanent_rate": 0.0})


class DistancePotential(Ablation):
    """The potential is the way left on the map at full speed: bends cost next to nothing, walls and traffic nothing."""

    variant = _changed(
        potential={
            "spin_factor": 0.01, "arc_factor": 0.01, "wall_factor": 0.0, "full_speed_room": 0.0, "contraflow": 0.0
        }
    )  # fmt: skip


class StraightLinePotential(Ablation):
    """The potential knows no map: the way left, turns included, as if there were no walls."""

    def _lattice(self, site: Site, model: RobotModel) -> Lattice:
        lattice = super()._lattice(site, model)
        return replace(
            lattice, clearance=np.full_like(lattice.clearance, _FREE), fine=np.full_like(lattice.fine, _FREE)
        )


class DearBends(Ablation):
    """A turn on the way is thought to take a fifth of its duration, not a tenth."""

    variant = _changed(potential={"arc_factor": 0.2})


class NoTraffic(Ablation):
    """Routes are chosen as if the others were not there."""

    variant = _changed(potential={"contraflow": 0.0})


class NoUncertaintyPenalty(Ablation):
    """The ensemble's doubt costs no reward; it still shortens rollouts."""

    variant = _changed(dyna2={"uncertainty_penalty": 0.0})


class FixedHorizon(Ablation):
    """The ensemble's doubt shortens no rollout; it still costs reward."""

    variant = _changed(dyna2={"cautious_horizon": UNHURRIED.dyna2.horizon, "very_uncertain": 100.0})


class Horizon15(Ablation):
    """Half a second more of imagination in every rollout."""

    variant = _changed(dyna2={"horizon": 15})


class Horizon5(Ablation):
    """Half a second less of imagination in every rollout."""

    variant = _changed(dyna2={"horizon": 5})


class NoImagination(Ablation):
    """No rollouts at all: the greedy action of potential and permanent memory, as in a cycle that has no time left."""

    def act(self, observation: Observation, budget: float | None = 0.0) -> np.ndarray:
        """Commands [robots, 2] (m/s, rad/s) of cycles without time."""
        return super().act(observation, 0.0)


class NoSharedPredictions(Ablation):
    """Robots do not tell what they plan: rollouts take the others to go on as they do now."""

    variant = _changed(dyna2={"shared_predictions": False})


class NoRightOfWay(Ablation):
    """Who chooses first changes at random from cycle to cycle."""

    variant = _changed(dyna2={"right_of_way": False})


class NoWaitingBefore(Ablation):
    """Nobody waits before a stretch that holds one robot: who meets another in it backs out."""

    variant = _changed(making_way={"foresight": False})


class NoMakingWay(Ablation):
    """Nobody waits before a stretch that holds one robot, nor backs out of it for ten minutes."""

    variant = _changed(making_way={"foresight": False, "patience": 600.0})


class UnboundedMemory(Ablation):
    """The memories may promise more than the potential does."""

    variant = _changed(dyna2={"promise": 1e6})


class PeopleStand(Ablation):
    """Nobody is followed from scan to scan: people are obstacles that stand, one after the other."""

    variant = _changed(moving={"settled": 0.0, "moving": 5.0})


class NoGuidedRollouts(Ablation):
    """No rollout turns greedy for good: what is neither held nor repeated changes at random."""

    variant = _changed(dyna2={"guided": 0})


class NoForeseenMargin(Ablation):
    """Rollouts know nothing of the distance that the braking rule will keep."""

    variant = _changed(dyna2={"foreseen_margin": 0.0})


class Rollouts10(Ablation):
    """Ten rollouts per robot: the fewest that a late cycle makes do with."""

    variant = _changed(dyna2={"rollouts": 10})


class Rollouts60(Ablation):
    """Three times the rollouts, for any number of robots."""

    variant = _changed(dyna2={"rollouts": 60, "model_rows": 100_000})


class _Drawing:
    """A world model whose prediction is a draw from each member's distribution, not its mean."""

    def __init__(self, model):
        self._model, self._rng = model, np.random.default_rng(0)

    def __getattr__(self, name: str):
        return getattr(self._model, name)

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As the model, with what it does not know of a step drawn."""
        mean, variance = self._model.predict(features)
        return mean + np.sqrt(variance) * self._rng.standard_normal(mean.shape), variance


class DrawnSteps(Ablation):
    """Imagined steps are drawn from what each member thinks possible, not what it expects (PETS, Chua et al. 2018)."""

    def reset(self, site: Site, robots: int, rng: np.random.Generator, model: RobotModel) -> None:
        """Begin a run, with draws instead of means."""
        super().reset(site, robots, rng, model)
        self._dyna2.model = _Drawing(self._dyna2.model)


ABLATIONS: dict[str, type[Ablation]] = {variant.__name__: variant for variant in Ablation.__subclasses__()}


def ablation(name: str) -> Ablation:
    """The variant called ``name`` (a key of ABLATIONS). Raises ValueError for an unknown one."""
    if name not in ABLATIONS:
        raise ValueError(f"there is no ablation {name!r}; the variants are {', '.join(ABLATIONS)}")
    return ABLATIONS[name]()
