"""Random shooting: imagine random sequences, take the first action of the best (Nagabandi et al., ICRA 2018, III-B)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dyna_nav.parameters import check, parameter
from dyna_nav.planning.alternatives.sequences import SequenceSearch


@dataclass(frozen=True)
class ShootingConfig:
    """How random a random sequence is."""

    hold: int = parameter(5, "steps for which each action of a sequence is kept", minimum=1, maximum=100)

    def __post_init__(self):
        check(self)


class RandomShooting(SequenceSearch):
    """All rollouts of a cycle are independent random sequences; they begin with each action in turn."""

    def __init__(self, *arguments, config: ShootingConfig):
        super().__init__(*arguments, rounds=1, hold=config.hold)

    def _propose(self, robot: np.ndarray, number: np.ndarray) -> np.ndarray:
        sequences = self._rng.integers(len(self.actions), size=(self._decisions, robot.size))
        sequences[0] = number % len(self.actions)
        return sequences
