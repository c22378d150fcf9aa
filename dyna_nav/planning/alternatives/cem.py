"""The cross-entropy method over action sequences (Rubinstein and Kroese, 2004; as a planner: PETS, Chua et al., 2018).

Each decision of a sequence has a categorical distribution over the actions. Every round samples sequences from it and
moves it towards the share of each action among the elites. It starts from the last cycle's best sequence, mixed with
the uniform distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dyna_nav.parameters import check, parameter
from dyna_nav.planning.alternatives.sequences import SequenceSearch
from dyna_nav.planning.imagination import Rollouts


@dataclass(frozen=True)
class CEMConfig:
    """Rounds, elites and how fast the distribution narrows."""

    rounds: int = parameter(3, "rounds of a cycle", minimum=1, maximum=20)
    hold: int = parameter(5, "steps for which each action of a sequence is kept", minimum=1, maximum=100)
    elites: float = parameter(0.2, "share of the sequences that the distribution follows", minimum=0.01, maximum=1)
    rate: float = parameter(0.7, "how far the distribution moves to the elites in a round", minimum=0, maximum=1)
    uniform: float = parameter(0.5, "share of the uniform distribution at the start", minimum=0.01, maximum=1)

    def __post_init__(self):
        check(self)


class CrossEntropy(SequenceSearch):
    """Sequences sampled from a distribution that each round moves towards the best of them."""

    def __init__(self, *arguments, config: CEMConfig):
        super().__init__(*arguments, rounds=config.rounds, hold=config.hold)
        self._cem = config

    def _prepare(self, rounds: int, share: int) -> None:
        actions = len(self.actions)
        repeated = self._warm[:, : self._decisions * self._hold : self._hold]  # [robots, decisions]
        self._probability = np.full((self.robots, self._decisions, actions), self._cem.uniform / actions)
        np.put_along_axis(
            self._probability,
            repeated[:, :, None],
            self._cem.uniform / actions + 1.0 - self._cem.uniform,
            axis=2,
        )
        self._begins = True

    def _propose(self, robot: np.ndarray, number: np.ndarray) -> np.ndarray:
        cumulative = np.cumsum(self._probability, axis=2)[robot].transpose(1, 0, 2)  # [decisions, rows, actions]
        dice = self._rng.random((self._decisions, robot.size, 1))
        sequences = (dice > cumulative[:, :, :-1]).sum(axis=2)
        if self._begins:  # every action is tried, and what was best in the last cycle
            again = number == len(self.actions)
            sequences[0] = np.where(again, sequences[0], number % len(self.actions))
            sequences[:, again] = self._warm[robot[again], : self._decisions * self._hold : self._hold].T
            self._begins = False
        return sequences

    def _take_in(self, rollouts: Rollouts, sequences: np.ndarray, returns: np.ndarray) -> None:
        for robot in np.unique(rollouts.robot):
            rows = np.flatnonzero(rollouts.robot == robot)
            count = max(1, round(self._cem.elites * rows.size))
            elite = rows[np.argsort(-returns[0, rows], kind="stable")[:count]]
            share = (sequences[:, elite, None] == np.arange(len(self.actions))).mean(axis=1)
            self._probability[robot] += self._cem.rate * (share - self._probability[robot])
